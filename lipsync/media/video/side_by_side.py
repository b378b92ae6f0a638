"""Side-by-side comparison video: before and after, or several models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from lipsync.errors import MediaError
from lipsync.media.audio.reader import AudioReader
from lipsync.media.provenance import METADATA_MARKS, Marks
from lipsync.media.video.reader import VideoReader
from lipsync.media.video.writer import FrameWriter, OutputSpec
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import Frame, IntArray

MAX_SIDE = 640
"""Longer side of each video, pixels: small enough to cost little compared with the run itself."""
TimedVideo: TypeAlias = tuple[VideoReader, IntArray]
"""A video, and int64 (T,) the index of its frame in every output frame."""


def write_side_by_side(
    videos: Sequence[TimedVideo],
    audio: AudioReader,
    target: Path,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    marks: Marks | None = METADATA_MARKS,
) -> Path:
    """Write several videos side by side into one, with one audio track.

    Args:
        videos: from left to right, with the same number T of output frames, at the frame rate of the
            first. Each is scaled down to `MAX_SIDE`, and to the height of the first.
        audio: the audio of the result.
        target: the file to write.
        progress: receives reports.
        cancel: polled all the time.
        marks: how the file says that AI made a part of it.

    Returns:
        `target`.

    Raises:
        MediaError: a video cannot be read or ends early, or there is none.
        OutputError: the target cannot be written.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    count, first = len(videos[0][1]), videos[0][0]
    stage = StageProgress("Side by side", count, progress, cancel)
    with ExitStack() as cleanup:
        readers = [
            cleanup.enter_context(closing(video.read(indices, max_side=MAX_SIDE, cancel=cancel)))
            for video, indices in videos
        ]
        writer: FrameWriter | None = None
        for frames in zip(*readers, strict=True):
            row = _in_a_row(frames)
            if writer is None:
                writer = cleanup.enter_context(
                    FrameWriter(
                        target,
                        OutputSpec(
                            row.shape[1], row.shape[0], first.fps, count, audio, first.info, marks=marks
                        ),
                        cancel=cancel,
                    )
                )
            writer.write(row)
            stage.advance()
        if writer is None:
            raise MediaError("There are no frames to show side by side", given=target.name)
    return target


def _in_a_row(frames: Sequence[Frame]) -> Frame:
    """The frames at the height of the first, joined from left to right, RGB uint8 (H, W, 3)."""
    height = frames[0].shape[0]
    return np.hstack([_at_height(frame, height) for frame in frames])


def _at_height(frame: Frame, height: int) -> Frame:
    if frame.shape[0] == height:
        return frame
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX), np.uint8)
