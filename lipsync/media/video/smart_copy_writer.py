"""Smart copy writers: changed frames are encoded, the others copied in packets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from lipsync.media.video import color_tags
from lipsync.media.video.deep import DeepFrame, chroma_size
from lipsync.media.video.encoder_settings import SOFTWARE
from lipsync.media.video.mouth_layer import LayerFrame
from lipsync.media.video.parameter_sets import renumbered
from lipsync.media.video.reader import open_video
from lipsync.media.video.smart_copy import (
    Copied,
    NotCopyableError,
    ParameterSets,
    PictureGroups,
    Replacement,
    free_identifier,
    read_groups,
    splice,
    without,
)
from lipsync.media.video.writer import FrameWriter, OutputSpec, incomplete, result_error
from lipsync.media.video.yuv import YuvFrame
from lipsync.progress import CancelToken
from lipsync.types import Frame

ENCODERS = {SOFTWARE: "h264", "libx265": "hevc"}
"""Encoders whose pictures can be joined to others, and ffmpeg's name of their codec."""


class SmartCopy:
    """Video of an open `FrameWriter`, of which some frames are copied.

    A context manager; when it ends without an exception, the target has all of its frames. Only the frames of
    `remaining` are written.

    Args:
        target: writer of the result; has got no frames, and is closed by the caller afterwards.
        groups: of the source.
        copied: from `PictureGroups.copyable`.
        cancel: polled all the time.

    Attributes:
        copied: the stretches that are copied.
        remaining: all other frames, in order.

    Raises:
        NotCopyableError: what the encoder makes cannot be joined to the source.
        OutputError, DiskFullError, Cancelled: as `FrameWriter`.
    """

    def __init__(
        self,
        target: FrameWriter,
        groups: PictureGroups,
        copied: Sequence[Copied],
        cancel: CancelToken | None = None,
    ) -> None:
        self._target, self._groups, self.copied = target, groups, list(copied)
        self.remaining = without(target.spec.frames, [one.frames for one in copied])
        self._cancel = cancel or CancelToken()
        self._parts: list[Replacement] = []
        self._part: FrameWriter | None = None
        self._identifier = 0

    @property
    def path(self) -> Path:
        """As of `FrameWriter`."""
        return self._target.path

    @property
    def spec(self) -> OutputSpec:
        """Of the whole."""
        return self._target.spec

    @property
    def warnings(self) -> tuple[str, ...]:
        """As of `FrameWriter`."""
        return self._target.warnings

    @property
    def signed(self) -> bool:
        """As of `FrameWriter`."""
        return self._target.signed

    @property
    def kept(self) -> list[range]:
        """The frames that are copied."""
        return [one.frames for one in self.copied]

    def __enter__(self) -> SmartCopy:
        if self.remaining:
            self._identifier = free_identifier(self._groups, self._sets_of())
        return self

    def _sets_of(self) -> Callable[[int], ParameterSets]:
        """Gives the parameter sets that the encoder makes for an identifier, told by encoding one frame."""
        if ENCODERS.get(self._target.encoder) != self._groups.sets.codec:
            raise NotCopyableError(
                "The encoder's pictures cannot be joined to those of the video",
                given=f"{self._target.encoder} and {self._groups.sets.codec}",
                hint="Use the software encoder, and the codec of the video.",
            )
        if self._groups.sets.codec == "hevc":
            sets = self._encoded_sets(0)
            return lambda number: renumbered(sets, number)
        return self._encoded_sets

    def _encoded_sets(self, identifier: int) -> ParameterSets:
        path = self._target.folder / f"probe{identifier}.mp4"
        with FrameWriter(path, self._part_spec(1, identifier), cancel=self._cancel) as writer:
            writer.write(_any_frame(writer.spec))
        return read_groups(path, cancel=self._cancel).sets

    def _part_spec(self, frames: int, identifier: int) -> OutputSpec:
        number = identifier if self._groups.sets.codec == "h264" else 0
        changed = replace(self.spec, frames=frames, parameter_set=number, overwrite=True)
        return replace(changed, audio=None, kept=None, marks=None)

    def kept_frames(self, frames: range) -> Generator[YuvFrame, None, None]:
        """Read frames of the result that are copied."""
        [one] = [one for one in self.copied if frames.start in one.frames]
        first = frames.start - one.frames.start + one.source
        source = open_video(self._groups.path)
        for frame in source.read_yuv(np.arange(first, first + len(frames)), cancel=self._cancel):
            yield frame.cropped(self.spec.width, self.spec.height)

    def write(self, frame: YuvFrame | DeepFrame | LayerFrame | Frame) -> None:
        """Append one of the `remaining` frames; see `FrameWriter.write`."""
        if self._part is None:
            if len(self._parts) == len(self.remaining):
                raise ValueError("all frames that change have been written")
            frames = self.remaining[len(self._parts)]
            path = self._target.folder / f"part{frames.start}.mp4"
            spec = self._part_spec(len(frames), self._identifier)
            self._part = FrameWriter(path, spec, cancel=self._cancel).__enter__()
            self._parts.append(Replacement(frames, path))
        self._part.write(frame)
        if self._part.written == self._part.spec.frames:
            part, self._part = self._part, None
            part.__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            failed = incomplete(part.written, part.spec.frames)
            part.__exit__(kind or type(failed), error or failed, trace)
            if kind is None:
                raise failed
        if kind is None:
            self._join()

    def _join(self) -> None:
        """Join copied and encoded packets, and hand them to the target."""
        if len(self._parts) != len(self.remaining):
            raise incomplete(sum(len(one.frames) for one in self._parts), sum(map(len, self.remaining)))
        joined = self._target.folder / "joined.mp4"
        try:
            splice(
                self._groups,
                self.copied,
                self._parts,
                joined,
                fps=self.spec.fps,
                identifier=self._identifier,
                cancel=self._cancel,
            )
        except (OSError, av.error.FFmpegError) as error:
            raise result_error(OSError(*error.args), self.path) from error
        for part in self._parts:
            part.path.unlink()
        self._target.take_video(joined)


class SmartCopyWriter(SmartCopy):
    """Video writer that encodes some frames and copies the others from a video.

    It is used like `FrameWriter`; only the frames of `remaining` are written. The audio is that of `spec`.

    Args:
        path: the file to write: .mp4, .mov or .mkv.
        spec: size, length, audio and encoding of the whole.
        source: a video with as many frames of the same size, such as an earlier result.
        changed: frames that are to be replaced.
        cancel: polled all the time.

    Raises:
        NotCopyableError: the source is neither H.264 nor H.265, or of another length or size; or the encoder
            is not x264 or x265.
        OutputError, DiskFullError, Cancelled: as `FrameWriter`.
    """

    def __init__(
        self,
        path: Path | str,
        spec: OutputSpec,
        source: Path,
        changed: Sequence[range],
        *,
        cancel: CancelToken | None = None,
    ) -> None:
        target = FrameWriter(path, spec, cancel=cancel)
        groups = read_groups(source, cancel=cancel)
        if (groups.frames, groups.size) != (spec.frames, spec.encoded_size):
            width, height = groups.size
            raise NotCopyableError(
                "The earlier result has other frames",
                given=f"{groups.frames} frames of {width}x{height}",
                hint="Make the whole of it anew.",
            )
        unchanged = [Copied(part, part.start) for part in without(spec.frames, changed)]
        super().__init__(target, groups, groups.copyable(unchanged), cancel)

    def __enter__(self) -> SmartCopyWriter:
        with ExitStack() as cleanup:
            cleanup.enter_context(self._target)
            super().__enter__()
            cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        except BaseException:
            self._target.__exit__(*sys.exc_info())
            raise
        self._target.__exit__(kind, error, trace)


def _any_frame(spec: OutputSpec) -> DeepFrame | Frame:
    """A black frame of the kind that is written."""
    if not spec.deep:
        return np.zeros((spec.height, spec.width, 3), np.uint8)
    chroma = spec.deep_format.removeprefix("yuv")[:3]
    columns, rows = chroma_size(spec.width, spec.height, chroma)
    data = bytes(2 * (spec.width * spec.height + 2 * columns * rows))
    color = color_tags.yuv_color_space(spec.source), ""
    return DeepFrame.from_bytes(data, (spec.width, spec.height), chroma, color)
