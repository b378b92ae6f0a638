"""Results and settings for tests of batches."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.types import SyncResult

QUICK = SyncOptions.from_flat(
    variant="builtin", device="cpu", score=False, provenance="none", number_format="fp32"
)


def made(path: Path) -> SyncResult:
    """A result with no more in it than needs be."""
    return SyncResult(path, 10, 10, Fraction(25), 320, 240, "builtin")


def frames(path: Path) -> npt.NDArray[np.uint8]:
    """All frames of a video, RGB (T, H, W, 3)."""
    video = open_video(path)
    return np.stack(list(video.read(range(video.frame_count))))


def assert_alike(path: Path, other: Path) -> None:
    """Check that two results have the same frames.

    Two runs of one process differ in a few pixels by a level or two: how vector instructions round depends on
    where arrays lie in memory.
    """
    first, second = frames(path), frames(other)
    assert first.shape == second.shape
    apart = cv2.absdiff(first.reshape(len(first), -1), second.reshape(len(second), -1))
    assert apart.max() <= 4 and (apart > 0).mean(axis=1).max() <= 0.01
