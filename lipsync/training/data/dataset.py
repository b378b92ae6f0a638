"""A training set in memory: crops read lazily from disk, everything else small and whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lipsync.errors import InputError
from lipsync.training.data.dataset_format import (
    MARGIN,
    SIDE,
    Row,
    Stored,
    read_crops,
    read_manifest,
    read_sound,
    read_stored,
)
from lipsync.training.data.mouth_shapes import (
    PersonNorm,
    Pose,
    ShapeSpace,
    fit_person_norm,
    fit_pose,
    gap,
    learn_space,
    make_template,
    mouth_points,
)
from lipsync.types import FloatArray, IntArray


@dataclass(frozen=True, repr=False)
class Clip:
    """One clip of a training set, T frames at 25 fps.

    Attributes:
        name, person, split: as in the manifest; split is "train", "held" or "check".
        shapes: float32 (T, numbers) mouth shapes, see `shapes`.
        now: float32 (T, 49, 2) the mouth in pixels of the crop, the margin not counted.
        resting: float32 (T, 49, 2) the person's closed mouth at the same place.
        turn: float32 (T, 2, 3) what carries the template into the crop, in sides of the crop.
        gap: float32 (T,) between the lips, in units of the distance between the eyes.
        share: how far this person's mouth moves, over the usual.
        sound: float32 (n,) at 16 kHz.
        lag: seconds that the sound comes late.
        usable: int64 (U,) frames whose landmarks can be believed and whose mouth lies in the crop.
        crops: uint8 (T, 160, 160, 3) RGB, mapped from disk; None for a clip used by ear only.
    """

    name: str
    person: str
    split: str
    shapes: FloatArray
    now: FloatArray
    resting: FloatArray
    turn: FloatArray
    gap: FloatArray
    share: float
    sound: FloatArray
    lag: float
    usable: IntArray
    crops: npt.NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class TrainingSet:
    """All clips of a set, and the space that their shapes are numbers of."""

    clips: list[Clip]
    space: ShapeSpace


def read_set(folder: Path, numbers: int = 10, pictures: bool = True) -> TrainingSet:
    """Read a prepared set; what is learned from it as a whole is learned from the clips to train on.

    Args:
        numbers: numbers of a mouth shape.
        pictures: also decode the crops, which training by ear does without.

    Raises:
        InputError: there is no set, it has no landmarks, or nothing to train on.
    """
    rows = read_manifest(folder)
    stored = {row.name: read_stored(folder, row.name) for row in rows}
    if any(one.landmarks is None for one in stored.values()):
        raise InputError(
            "This set has no landmarks, which the built-in model learns from",
            given=folder,
            hint="Prepare it with --landmarker and the file face_landmarker.task of MediaPipe.",
        )
    kept = {row.name: _in_frame(stored[row.name]) for row in rows}
    template = make_template(_sample([kept[row.name] for row in rows if row.split == "train"], folder))
    poses = {name: fit_pose(points, template) for name, points in kept.items()}
    mouths = {name: poses[name].free(mouth_points(points)) for name, points in kept.items()}
    people: dict[tuple[str, str], list[FloatArray]] = {}
    for row in rows:
        people.setdefault((row.person, row.split), []).append(mouths[row.name])
    joined = {key: np.concatenate(parts) for key, parts in people.items()}
    habits = {key: fit_person_norm(points) for key, points in joined.items()}
    trained = [key for key in joined if key[1] == "train"]
    space = learn_space(
        {key[0]: joined[key] for key in trained}, {key[0]: habits[key] for key in trained}, numbers
    )
    clips = [
        _clip(
            folder,
            row,
            stored[row.name],
            poses[row.name],
            mouths[row.name],
            habits[row.person, row.split],
            space,
            pictures,
        )
        for row in rows
    ]
    return TrainingSet(clips, space)


def _in_frame(stored: Stored) -> FloatArray:
    """Landmarks (T, K, 3) of the same scale in all directions, gaps filled from either side."""
    assert stored.landmarks is not None
    width = (stored.boxes[:, 2] - stored.boxes[:, 0])[:, None]
    height = (stored.boxes[:, 3] - stored.boxes[:, 1])[:, None]
    points = (stored.landmarks - np.array([MARGIN, MARGIN, 0], np.float32)) / SIDE
    points = points * np.stack([width, height, width], axis=2)
    flat = points.reshape(len(points), -1)
    seen = ~np.isnan(flat[:, 0])
    if not seen.all():
        every = np.arange(len(flat))
        flat = np.stack([np.interp(every, every[seen], column[seen]) for column in flat.T], axis=1)
    return flat.reshape(points.shape).astype(np.float32)


def _sample(parts: list[FloatArray], folder: Path) -> FloatArray:
    if not parts:
        raise InputError(
            "There is nothing to train on in this set", given=folder, hint="All clips are held out."
        )
    generator = np.random.default_rng(0)
    return np.concatenate([part[generator.integers(len(part), size=4)] for part in parts])


def _clip(
    folder: Path,
    row: Row,
    stored: Stored,
    pose: Pose,
    mouth: FloatArray,
    habit: PersonNorm,
    space: ShapeSpace,
    pictures: bool,
) -> Clip:
    stretch = SIDE / (stored.boxes[:, 2:] - stored.boxes[:, :2])
    resting = (pose.apply(habit.resting)[:, :, :2] * stretch[:, None]).astype(np.float32)
    assert stored.landmarks is not None
    return Clip(
        name=row.name,
        person=row.person,
        split=row.split,
        shapes=space.numbers(mouth, habit),
        now=(pose.apply(mouth)[:, :, :2] * stretch[:, None]).astype(np.float32),
        resting=resting,
        turn=(pose.rotation[:, :2] * pose.scale[:, None, None] * stretch[:, :, None] / SIDE).astype(
            np.float32
        ),
        gap=gap(mouth),
        share=space.share(habit),
        sound=read_sound(folder, row.name),
        lag=row.lag,
        usable=_usable(resting, ~np.isnan(stored.landmarks[:, 0, 0])),
        crops=read_crops(folder, row.name) if pictures else None,
    )


def _usable(resting: FloatArray, seen: npt.NDArray[np.bool_]) -> IntArray:
    middle = resting[:, :40].mean(1) / SIDE
    inside = (np.abs(middle[:, 0] - 0.5) < 0.3) & (middle[:, 1] > 0.52) & (middle[:, 1] < 0.92)
    return np.flatnonzero(inside & seen)


class Spoken(Protocol):
    """Anything of one person, so many frames long."""

    @property
    def person(self) -> str:
        """Who it is."""
        ...

    def __len__(self) -> int: ...


SpokenT = TypeVar("SpokenT", bound=Spoken)


class ByPerson(Generic[SpokenT]):
    """Draws clips so that every person comes up about as often, whatever their minutes.

    A person's weight grows with the fourth root of the frames: two hours of one speaker teach a
    little more than three seconds of another, not two thousand times more.
    """

    def __init__(self, clips: Sequence[SpokenT]) -> None:
        self._clips = list(clips)
        frames = {clip.person: 0 for clip in clips}
        for clip in clips:
            frames[clip.person] += len(clip)
        weights = np.array([len(clip) / frames[clip.person] ** 0.75 for clip in clips])
        self._chances = weights / weights.sum()

    def __iter__(self) -> Iterator[SpokenT]:
        return iter(self._clips)

    def draw(self, generator: np.random.Generator) -> SpokenT:
        """One clip."""
        return self._clips[int(generator.choice(len(self._clips), p=self._chances))]
