"""Synthetic films of coloured rectangles, and a detector that sees them exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lipsync.faces import TrackedFaces, VideoShape, track_faces
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, Frame

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
SIZE = (160, 90)  # width, height

Box = tuple[float, float, float, float]
Scene = dict[tuple[int, int, int], Callable[[int], Box | None]]


def backdrop(seed: int, size: tuple[int, int] = SIZE) -> Frame:
    """A frame with large grey structure, another one for every seed."""
    coarse = np.random.default_rng(seed).integers(60, 200, (5, 8), dtype=np.uint8)
    rows = np.arange(size[1]) * 5 // size[1]
    columns = np.arange(size[0]) * 8 // size[0]
    return np.repeat(coarse[rows][:, columns][:, :, None], 3, axis=2)


def film(actors: Scene, count: int, *, seeds: Callable[[int], int] = lambda n: 0) -> Iterator[Frame]:
    """Frames with each actor's rectangle where its function puts it; None leaves it out."""
    backdrops: dict[int, Frame] = {}
    for number in range(count):
        frame = backdrops.setdefault(seeds(number), backdrop(seeds(number))).copy()
        for colour, place in actors.items():
            box = place(number)
            if box is not None:
                x1, y1, x2, y2 = (int(edge) for edge in box)
                frame[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = colour
        yield frame


class RectangleDetector:
    """Detects rectangles of the three colours; counts its frames.

    Args:
        score: confidence of every face.
    """

    def __init__(self, score: float = 0.9, batch_size: int = 4) -> None:
        self.score, self.batch_size, self.full_pass_frames = score, batch_size, 0

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        self.full_pass_frames += len(frames)
        return [
            [face for colour in (RED, GREEN, BLUE) if (face := self._find(frame, colour))] for frame in frames
        ]

    def _find(self, frame: Frame, colour: tuple[int, int, int]) -> Face | None:
        rows, columns = np.nonzero((np.abs(frame.astype(int) - colour) <= 4).all(axis=2))
        if not len(rows):
            return None
        x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        box = np.array([x1, y1, x2, y2], np.float32)
        points = np.array(
            [[x1, y1], [x2, y1], [(x1 + x2) / 2, (y1 + y2) / 2], [x1, y2], [x2, y2]], np.float32
        )
        return Face(box, self.score, points)


class CoarseRectangleDetector(RectangleDetector):
    """Detects only the red rectangle in the coarse pass."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse_frames = 0

    def detect_coarse(self, frames: Sequence[Frame]) -> list[list[Face]]:
        self.coarse_frames += len(frames)
        return [[face] if (face := self._find(frame, RED)) else [] for frame in frames]


def follow(
    frames: Iterator[Frame],
    count: int,
    *,
    fps: float = 25.0,
    full: tuple[int, int] = SIZE,
    detector: RectangleDetector | None = None,
    **settings: object,
) -> TrackedFaces:
    """`track_faces` without pads and smoothing unless `settings` say otherwise."""
    plain: dict[str, object] = {"pad_bottom": 0.0, "smoothing": "none"}
    options = FaceOptions(**{**plain, **settings})  # type: ignore[arg-type]
    return track_faces(
        frames,
        VideoShape(count, full, fps),
        detector=detector or RectangleDetector(),
        options=options,
        progress=StageProgress("Finding faces", count),
    )


def still(x: float, y: float = 30, side: float = 20) -> Callable[[int], Box]:
    """A rectangle that does not move."""
    return lambda _: (x, y, x + side, y + side)


def during(place: Callable[[int], Box | None], *stretches: tuple[int, int]) -> Callable[[int], Box | None]:
    """`place`, but only in the frames of the stretches [start, end)."""
    return lambda n: place(n) if any(start <= n < end for start, end in stretches) else None
