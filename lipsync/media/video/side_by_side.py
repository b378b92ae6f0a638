"""Several pictures side by side in one video: before and after, or two models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from lipsync.errors import MediaError
from lipsync.media.audio.reader import AudioReader
from lipsync.media.video.reader import VideoReader
from lipsync.media.video.writer import FrameWriter
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import Frame, IntArray

MAX_SIDE = 640
"""Longer side of each picture, pixels: it is for looking at, and must not cost a second run."""
Shown: TypeAlias = tuple[VideoReader, IntArray]
"""A picture, and the number of its frame that is shown in every output frame."""


def write_side_by_side(
    shown: Sequence[Shown],
    voice: AudioReader,
    target: Path,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Write a video of the pictures in a row, with the sound of `voice`.

    Args:
        shown: from left to right; all with as many frames, at the rate of the first. Each is
            reduced to `MAX_SIDE`, and to the height of the first.
        target: the file to write.

    Raises:
        MediaError: a picture cannot be read, or ends early.
        OutputError: the target cannot be written.
        Cancelled: the token was thrown.
    """
    cancel = cancel or CancelToken()
    count, first = len(shown[0][1]), shown[0][0]
    stage = StageProgress("Side by side", count, progress, cancel)
    with ExitStack() as cleanup:
        readers = [
            cleanup.enter_context(closing(picture.read(numbers, max_side=MAX_SIDE, cancel=cancel)))
            for picture, numbers in shown
        ]
        writer: FrameWriter | None = None
        for frames in zip(*readers, strict=True):
            row = _in_a_row(frames)
            if writer is None:
                writer = cleanup.enter_context(
                    FrameWriter(
                        target,
                        width=row.shape[1],
                        height=row.shape[0],
                        fps=first.fps,
                        frames=count,
                        voice=voice,
                        source=first.info,
                        cancel=cancel,
                    )
                )
            writer.write(row)
            stage.advance()
        if writer is None:
            raise MediaError("There is nothing to show side by side", given=target.name)
    return target


def _in_a_row(frames: Sequence[Frame]) -> Frame:
    """The frames at the height of the first, joined from left to right."""
    height = frames[0].shape[0]
    return np.hstack([_at_height(frame, height) for frame in frames])


def _at_height(frame: Frame, height: int) -> Frame:
    if frame.shape[0] == height:
        return frame
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX), np.uint8)
