"""Smart copy writer: changed frames are encoded, the others copied in packets."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import ffmpeg
import numpy as np

from lipsync.media.audio.encoder import EncodedTrack
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.kept_tracks import add_kept_tracks
from lipsync.media.output_formats import output_format
from lipsync.media.provenance import mark_and_move
from lipsync.media.video.deep import DeepFrame
from lipsync.media.video.encoder_settings import SOFTWARE
from lipsync.media.video.reader import open_video
from lipsync.media.video.smart_copy import (
    NotCopyableError,
    ParameterSets,
    free_identifier,
    read_groups,
    splice,
)
from lipsync.media.video.writer import (
    AUDIO_SETTINGS,
    FrameWriter,
    OutputSpec,
    audio_input,
    check_frame_count,
    checked_target,
    encoded_track,
    incomplete,
    result_error,
    tag_settings,
)
from lipsync.media.video.yuv import YuvFrame
from lipsync.progress import CancelToken
from lipsync.types import Frame
from lipsync.utils.atomic_write import check_not_there, working_path
from lipsync.utils.disk_errors import says_disk_full
from lipsync.utils.owned_folder import temporary_folder


class SmartCopyWriter:
    """Video writer that encodes some frames and copies the others from a video.

    It is used like `FrameWriter`; only the frames of `remaining` are written. The audio is that of `spec`.

    Args:
        path: the file to write: .mp4, .mov or .mkv.
        spec: size, length, audio and encoding of the whole.
        source: a video with as many frames of the same size, such as an earlier result.
        changed: frames that are to be replaced.
        cancel: polled all the time.

    Attributes:
        path, spec, warnings, signed: as of `FrameWriter`.
        remaining: whole groups of pictures with the changed frames, in order.

    Raises:
        NotCopyableError: the source is not H.264, or of another length or size; or the encoder is not x264.
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
        self.path = checked_target(Path(path).absolute(), spec)
        self.spec = spec
        self.warnings: tuple[str, ...] = ()
        self.signed = False
        self._cancel = cancel or CancelToken()
        self._source, self._groups = source, read_groups(source)
        if (self._groups.frames, self._groups.size) != (spec.frames, spec.encoded_size):
            width, height = self._groups.size
            raise NotCopyableError(
                "The earlier result has other frames",
                given=f"{self._groups.frames} frames of {width}x{height}",
                hint="Make the whole of it anew.",
            )
        self.remaining = self._groups.widened(changed)
        self._cleanup = ExitStack()
        self._parts: list[tuple[range, Path]] = []
        self._part: FrameWriter | None = None

    @property
    def kept(self) -> list[range]:
        """The frames that are copied."""
        edges = [0, *(edge for part in self.remaining for edge in (part.start, part.stop)), self.spec.frames]
        return [range(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]

    def __enter__(self) -> SmartCopyWriter:
        check_not_there(self.path, overwrite=self.spec.overwrite)
        with ExitStack() as cleanup:
            self._folder = cleanup.enter_context(temporary_folder())
            self._identifier = free_identifier(self._groups, self._sets_of)
            self._cleanup = cleanup.pop_all()
        return self

    def _sets_of(self, identifier: int) -> ParameterSets:
        """The parameter sets that the encoder makes, told by encoding one frame."""
        path = self._folder / f"probe{identifier}.mp4"
        spec = replace(self._part_spec(1), parameter_set=identifier)
        with FrameWriter(path, spec, cancel=self._cancel) as writer:
            if writer.encoder != SOFTWARE or spec.codec != "h264":
                raise NotCopyableError("Only x264's output can be joined", hint="Use the software encoder.")
            writer.write(np.zeros((spec.height, spec.width, 3), np.uint8))
        return read_groups(path).sets

    def _part_spec(self, frames: int) -> OutputSpec:
        return replace(self.spec, frames=frames, audio=None, kept=None, marks=None, overwrite=True)

    def kept_frames(self, frames: range) -> Generator[YuvFrame, None, None]:
        """Read frames of the source that are copied."""
        source = open_video(self._source)
        for frame in source.read_yuv(np.arange(frames.start, frames.stop), cancel=self._cancel):
            yield frame.cropped(self.spec.width, self.spec.height)

    def write(self, frame: YuvFrame | DeepFrame | Frame) -> None:
        """Append one of the `remaining` frames; see `FrameWriter.write`."""
        if self._part is None:
            if len(self._parts) == len(self.remaining):
                raise ValueError("all frames that change have been written")
            frames = self.remaining[len(self._parts)]
            path = self._folder / f"part{frames.start}.mp4"
            spec = replace(self._part_spec(len(frames)), parameter_set=self._identifier)
            self._part = FrameWriter(path, spec, cancel=self._cancel).__enter__()
            self._parts.append((frames, path))
        self._part.write(frame)
        if self._part.written == self._part.spec.frames:
            part, self._part = self._part, None
            part.__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._cleanup:
            if self._part is not None:
                part, self._part = self._part, None
                failed = incomplete(part.written, part.spec.frames)
                part.__exit__(kind or type(failed), error or failed, trace)
                if kind is None:
                    raise failed
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        """Join copied and encoded packets, add the audio, and move the file into place."""
        if len(self._parts) != len(self.remaining):
            raise incomplete(sum(len(one) for one, _ in self._parts), sum(map(len, self.remaining)))
        joined = self._folder / "joined.mp4"
        try:
            splice(self._source, self._groups, self._parts, joined, self._cancel)
            with working_path(self.path) as new, ExitStack() as cleanup:
                track = encoded_track(self.spec, new, self._cancel, cleanup)
                self._add_audio(joined, track, new)
                if self.spec.kept is not None:
                    seconds = float(self.spec.frames / self.spec.fps)
                    add_kept_tracks(new, self.spec.kept, seconds, self._cancel)
                marked = mark_and_move(new, self.path, self.spec.marks, overwrite=self.spec.overwrite)
        except (OSError, av.error.FFmpegError) as error:
            raise result_error(OSError(*error.args), self.path) from error
        self.path, self.signed = marked.path, marked.signed
        self.warnings += marked.warnings

    def _add_audio(self, video: Path, track: EncodedTrack | None, target: Path) -> None:
        streams = [media_input(video, "mov")["v:0"]]
        settings: dict[str, Any] = {"c:v": "copy", **tag_settings(self.spec, self.path)}
        settings |= output_format(self.path).settings
        if track is not None:
            streams.append(audio_input(track.path()))
            settings |= AUDIO_SETTINGS
        graph = ffmpeg.output(*streams, file_url(target), **settings, max_muxing_queue_size=4096)
        with FFmpegProcess(graph, "-y") as running:
            status = running.wait(self._cancel)
            stderr = running.stderr_tail()
        if status or says_disk_full(stderr):
            raise error_from_stderr(stderr, self.path, writing=True)
        check_frame_count(target, self.spec.frames)
