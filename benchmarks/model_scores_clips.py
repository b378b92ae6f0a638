"""People, clips and voices of `benchmarks.model_scores`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync.errors import LipsyncError
from lipsync.inspection.faces import track_video_faces
from lipsync.media import VideoReader, open_audio, open_video
from lipsync.metrics.lips import LipTrack
from lipsync.options import FaceOptions, MediaOptions
from lipsync.progress import CancelToken, ignore_progress
from lipsync.types import FaceTrack, FloatArray, Frame, PixelBox, TimeRange

if TYPE_CHECKING:
    from benchmarks.model_scores_drawing import MouthReader

FPS = 25
RATE = 16_000
_MAX_LAG = 2
"""Frames by which sound and picture may be apart, where the manifest knows; else own voices mean nothing."""
_SHORTEST = 0.5
"""Seconds that are worth another clip."""
_LANGUAGES = {"lrwar_": "Arabic", "romajaku_": "Polish"}
"""By the beginning of a person's name; the others speak English."""


@dataclass(frozen=True)
class Listed:
    """One person of the manifest: name, and the clips that are used, in order, with the part of each."""

    name: str
    clips: tuple[tuple[Path, TimeRange], ...]

    @property
    def language(self) -> str:
        """What the person speaks."""
        return next(
            (tongue for start, tongue in _LANGUAGES.items() if self.name.startswith(start)), "English"
        )

    def audio(self) -> FloatArray:
        """The sound of all clips, one after another, 16 kHz."""
        parts = [
            open_audio(path, (part,)).read(RATE, cancel=CancelToken()).samples for path, part in self.clips
        ]
        return np.concatenate(parts)


@dataclass
class Take:
    """One clip of a person, at 25 frames a second.

    Attributes:
        video: reader of its first seconds.
        track: the face in every frame.
        window: the part of the frame that is looked at: the head, wherever it moves.
        frames: that part of every frame; dropped when the person is done.
        lips: the real mouth, in pixels of the window.
        audio: its own sound, as long as the frames.
    """

    video: VideoReader
    track: FaceTrack
    window: PixelBox
    frames: list[Frame]
    lips: LipTrack
    audio: FloatArray


@dataclass
class Person:
    """A person with clips."""

    name: str
    language: str
    takes: list[Take]
    face_width: float
    _position: int = field(default=0, repr=False)

    @property
    def lips(self) -> LipTrack:
        """The real mouth over all clips."""
        return LipTrack.join([take.lips for take in self.takes])

    @property
    def frames(self) -> list[Frame]:
        """The windows of all clips."""
        return [frame for take in self.takes for frame in take.frames]

    def other_voices(self, people: Sequence[Listed], count: int) -> list[FloatArray]:
        """Voices of other people: first one of the same language, then one of another, and so on."""
        others = [one for one in people if one.name != self.name]
        turned = others[self._position :] + others[: self._position]
        same = [one for one in turned if one.language == self.language]
        other = [one for one in turned if one.language != self.language]
        mixed = [one for pair in zip(same, other, strict=False) for one in pair]
        mixed += [one for one in turned if one not in mixed]
        return [one.audio() for one in mixed[:count]]

    def forget_frames(self) -> None:
        """Free the memory of the frames."""
        for take in self.takes:
            take.frames = []


def choose_people(folder: Path, use: str, count: int, seconds: float) -> list[Listed]:
    """People of a split, each with clips that last `seconds` together; languages and sizes mixed.

    Raises:
        SystemExit: there is no manifest.
    """
    manifest = folder / "manifest.tsv"
    if not manifest.exists():
        raise SystemExit(f"skipped: there is no {manifest}")
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["use"] == use and _in_step(row)]
    rows.sort(key=lambda row: (-int(row["width"]), -float(row["seconds"]), row["file"]))
    by_person: dict[str, list[tuple[Path, TimeRange]]] = {}
    left: dict[str, float] = {}
    for row in rows:
        clips, missing = by_person.setdefault(row["person"], []), left.setdefault(row["person"], seconds)
        if missing > _SHORTEST:
            whole = float(row["seconds"]) <= missing + _SHORTEST
            clips.append((folder / row["file"], TimeRange(0, None if whole else missing)))
            left[row["person"]] = missing - float(row["seconds"])
    people = [Listed(name, tuple(clips)) for name, clips in by_person.items()]
    english = [one for one in people if one.language == "English"]
    other = [one for one in people if one.language != "English"]
    mixed = [
        english.pop(0) if (n % 3 != 2 or not other) and english else other.pop(0) for n in range(len(people))
    ]
    return mixed[:count] if count else mixed


def _in_step(row: dict[str, str]) -> bool:
    lag, trust = row.get("sound_lag_frames") or "0", row.get("lag_trust") or "0"
    return abs(float(lag)) <= _MAX_LAG or float(trust) < 0.3


def read_people(people: Sequence[Listed], reader: MouthReader) -> Iterator[Person]:
    """Decode, track and locate the mouths of one person after another; those without a face are left out."""
    for position, listed in enumerate(people):
        takes = []
        for path, part in listed.clips:
            try:
                takes.append(_read_take(path, part, reader))
            except LipsyncError as error:
                print(f"{path.name}: left out, {error}", flush=True)
        if takes:
            widths = np.concatenate([take.track.boxes[:, 2] - take.track.boxes[:, 0] for take in takes])
            yield Person(listed.name, listed.language, takes, float(np.nanmedian(widths)), position)


def _read_take(path: Path, part: TimeRange, reader: MouthReader) -> Take:
    video = open_video(path, MediaOptions(fps=FPS, video_ranges=(part,)))
    track = track_video_faces(video, FaceOptions(), "cpu", ignore_progress, CancelToken()).track
    window = _head_window(track.boxes, video.width, video.height)
    frames = [
        np.ascontiguousarray(frame[window.y1 : window.y2, window.x1 : window.x2])
        for frame in video.read(np.arange(video.frame_count))
    ]
    audio = open_audio(path, (part,)).read(RATE, cancel=CancelToken()).samples
    length = len(frames) * RATE // FPS
    audio = np.pad(audio[:length], (0, max(0, length - len(audio))))
    return Take(video, track, window, frames, reader(frames), audio)


def _head_window(boxes: FloatArray, width: int, height: int) -> PixelBox:
    """The box around all face boxes, half a face wider on each side, even edges."""
    known = boxes[~np.isnan(boxes[:, 0])]
    margin = float(np.median(known[:, 2] - known[:, 0])) / 2
    low, high = known[:, :2].min(0) - margin, known[:, 2:].max(0) + margin
    x1, y1 = (int(max(0, value)) // 2 * 2 for value in low)
    return PixelBox(x1, y1, int(min(width, high[0])), int(min(height, high[1])))
