"""Training set in memory: memory-mapped crops, everything else small and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lipsync.errors import InputError
from lipsync.training.data.dataset_format import (
    MARGIN,
    SIDE,
    FaceAnnotations,
    ManifestRow,
    read_annotations,
    read_audio,
    read_crop_side,
    read_crops,
    read_manifest,
    with_margin,
)
from lipsync.training.data.mouth_shapes import (
    HeadPose,
    PersonNorm,
    ShapeSpace,
    fit_head_pose,
    fit_person_norm,
    fit_shape_space,
    fit_template,
    lip_gap,
    mouth_points,
)
from lipsync.types import FloatArray, IntArray


@dataclass(frozen=True, repr=False)
class Clip:
    """One clip of a training set with its mouth shapes, T frames at 25 fps.

    Attributes:
        name, person, split: as in the manifest; split is "train", "val", "test" or "dropped".
        shapes: float32 (T, coefficients) mouth shapes, see `mouth_shapes`.
        mouth: float32 (T, 49, 2) mouth outline in pixels of the face crop.
        closed_mouth: float32 (T, 49, 2) outline of the person's closed mouth in the same head pose.
        projection: float32 (T, 2, 3) linear map from the template to the crop, in sides of the crop.
        lip_gap: float32 (T,) distance of the lips, in distances between the eyes.
        amplitude: how far this person moves the mouth relative to the median person.
        audio: float32 (n,) at 16 kHz.
        audio_delay: seconds by which the audio is late.
        usable: int64 (U,) frames with landmarks and with the mouth inside the crop.
        crops: uint8 (T, 160, 160, 3) RGB, memory-mapped; None without `with_crops`.
        face_side: pixels of the face in the video, the median over the clip.
    """

    name: str
    person: str
    split: str
    shapes: FloatArray
    mouth: FloatArray
    closed_mouth: FloatArray
    projection: FloatArray
    lip_gap: FloatArray
    amplitude: float
    audio: FloatArray
    audio_delay: float
    usable: IntArray
    crops: npt.NDArray[np.uint8] | None
    face_side: float = SIDE

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class TrainingSet:
    """The clips of a training set and their common shape space."""

    clips: list[Clip]
    space: ShapeSpace


def read_set(folder: Path, coefficients: int = 10, with_crops: bool = True) -> TrainingSet:
    """Read a prepared set into memory.

    Template and shape space are fitted to the train split alone.

    Args:
        coefficients: of a mouth shape.
        with_crops: also decode the crops, which training on audio alone does without.

    Raises:
        InputError: there is no set, it has no landmarks, or no clip to train on.
    """
    rows = read_manifest(folder)
    annotations = {row.name: read_annotations(folder, row.name) for row in rows}
    if any(one.landmarks is None for one in annotations.values()):
        raise InputError(
            "This set has no landmarks, which the built-in model learns from",
            given=folder,
            hint="Prepare it with --landmarker and the file face_landmarker.task of MediaPipe.",
        )
    points = {row.name: _points_in_frame(annotations[row.name]) for row in rows}
    template = fit_template(_sample([points[row.name] for row in rows if row.split == "train"], folder))
    poses = {name: fit_head_pose(kept, template) for name, kept in points.items()}
    mouths = {name: poses[name].to_template(mouth_points(kept)) for name, kept in points.items()}
    norms, space = _fit_shapes(rows, mouths, coefficients)

    def load(row: ManifestRow) -> Clip:
        name = row.name
        geometry = _Geometry(annotations[name], poses[name], mouths[name], norms[row.person, row.split])
        return _load_clip(folder, row, geometry, space, with_crops)

    return TrainingSet([load(row) for row in rows], space)


def _fit_shapes(
    rows: Sequence[ManifestRow], mouths: dict[str, FloatArray], coefficients: int
) -> tuple[dict[tuple[str, str], PersonNorm], ShapeSpace]:
    """Norms by (person, split), and the shape space of the people to train on."""
    parts: dict[tuple[str, str], list[FloatArray]] = {}
    for row in rows:
        parts.setdefault((row.person, row.split), []).append(mouths[row.name])
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    norms = {key: fit_person_norm(points) for key, points in joined.items()}
    train = [key for key in joined if key[1] == "train"]
    space = fit_shape_space(
        {key[0]: joined[key] for key in train}, {key[0]: norms[key] for key in train}, coefficients
    )
    return norms, space


def _points_in_frame(annotations: FaceAnnotations) -> FloatArray:
    """Landmarks (T, K, 3) in pixels of the frame, gaps interpolated over time."""
    assert annotations.landmarks is not None
    boxes = annotations.boxes
    width = (boxes[:, 2] - boxes[:, 0])[:, None]
    height = (boxes[:, 3] - boxes[:, 1])[:, None]
    points = (annotations.landmarks - np.array([MARGIN, MARGIN, 0], np.float32)) / SIDE
    points = points * np.stack([width, height, width], axis=2)
    flat = points.reshape(len(points), -1)
    detected = ~np.isnan(flat[:, 0])
    if not detected.all():
        frames = np.arange(len(flat))
        flat = np.stack([np.interp(frames, frames[detected], column[detected]) for column in flat.T], axis=1)
    return flat.reshape(points.shape).astype(np.float32)


def _sample(parts: list[FloatArray], folder: Path) -> FloatArray:
    """Four random frames of each clip."""
    if not parts:
        raise InputError(
            "There is nothing to train on in this set",
            given=folder,
            hint="All clips are of the splits val and test; prepare it with fewer --val-people.",
        )
    rng = np.random.default_rng(0)
    return np.concatenate([part[rng.integers(len(part), size=4)] for part in parts])


@dataclass(frozen=True)
class _Geometry:
    """Annotations, head pose, pose-free mouth (T, 49, 3) and person norm of a clip."""

    annotations: FaceAnnotations
    pose: HeadPose
    mouth: FloatArray
    norm: PersonNorm


def _load_clip(
    folder: Path, row: ManifestRow, geometry: _Geometry, space: ShapeSpace, with_crops: bool
) -> Clip:
    boxes, landmarks, pose = geometry.annotations.boxes, geometry.annotations.landmarks, geometry.pose
    stretch = SIDE / (boxes[:, 2:] - boxes[:, :2])
    closed_mouth = (pose.to_frame(geometry.norm.closed)[:, :, :2] * stretch[:, None]).astype(np.float32)
    projection = pose.rotation[:, :2] * pose.scale[:, None, None] * stretch[:, :, None] / SIDE
    assert landmarks is not None
    return Clip(
        name=row.name,
        person=row.person,
        split=row.split,
        shapes=space.encode(geometry.mouth, geometry.norm),
        mouth=(pose.to_frame(geometry.mouth)[:, :, :2] * stretch[:, None]).astype(np.float32),
        closed_mouth=closed_mouth,
        projection=projection.astype(np.float32),
        lip_gap=lip_gap(geometry.mouth),
        amplitude=space.amplitude(geometry.norm),
        audio=read_audio(folder, row.name),
        audio_delay=row.audio_delay,
        usable=usable_frames(closed_mouth, ~np.isnan(landmarks[:, 0, 0])),
        crops=read_crops(folder, row.name) if with_crops else None,
        face_side=float(np.median(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))),
    )


def enlarge_crops(folder: Path, clips: Sequence[Clip]) -> list[Clip]:
    """The clips with their crops as large as the set stores them; memory-mapped, no others are read.

    Args:
        folder: of the set.
    """
    side = with_margin(read_crop_side(folder))
    return [replace(clip, crops=read_crops(folder, clip.name, side)) for clip in clips]


def usable_frames(closed_mouth: FloatArray, detected: npt.NDArray[np.bool_]) -> IntArray:
    """Numbers (U,) of the detected frames whose lips lie in the middle of the crop's lower half.

    Args:
        closed_mouth: (T, 49, 2) in pixels of the face crop of 128.
        detected: (T,).
    """
    middle = closed_mouth[:, :40].mean(1) / SIDE
    inside = (np.abs(middle[:, 0] - 0.5) < 0.3) & (middle[:, 1] > 0.52) & (middle[:, 1] < 0.92)
    return np.flatnonzero(inside & detected)


class PersonClip(Protocol):
    """Anything that shows one person and has a length in frames."""

    @property
    def person(self) -> str:
        """Name of the person."""
        ...

    def __len__(self) -> int: ...


ClipT = TypeVar("ClipT", bound=PersonClip)


class PersonBalancedSampler(Generic[ClipT]):
    """Random clips, people about equally often whatever their minutes.

    A person's weight grows with the fourth root of their frames: two hours of one speaker count
    about seven times as much as three seconds of another, not two thousand times.
    """

    def __init__(self, clips: Sequence[ClipT]) -> None:
        self._clips = list(clips)
        frames = {clip.person: 0 for clip in clips}
        for clip in clips:
            frames[clip.person] += len(clip)
        weights = np.array([len(clip) / frames[clip.person] ** 0.75 for clip in clips])
        self._probabilities = weights / weights.sum()

    def __iter__(self) -> Iterator[ClipT]:
        return iter(self._clips)

    def sample(self, rng: np.random.Generator) -> ClipT:
        """One random clip."""
        return self._clips[int(rng.choice(len(self._clips), p=self._probabilities))]
