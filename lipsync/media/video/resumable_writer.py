"""Resumable video writer: the result is encoded in parts that survive a crash.

The parts lie in a folder next to the result, with the key of the job that made them. Once all exist,
they are concatenated without re-encoding, the audio is added, and the folder is removed. A run that
breaks off loses at most `PART_SECONDS` of video; the file is the same however often it broke off. Each
part is a file of its own because an MP4 that was not finished cannot be read.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import ffmpeg
import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from lipsync.errors import LipsyncError, OutputError
from lipsync.media.audio.encoder import EncodedTrack
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.kept_tracks import add_kept_tracks
from lipsync.media.output_formats import VIDEO_CODECS, output_format
from lipsync.media.provenance import mark_and_move
from lipsync.media.video.deep import DeepFrame
from lipsync.media.video.reader import open_video
from lipsync.media.video.writer import (
    AUDIO_SETTINGS,
    FrameWriter,
    OutputSpec,
    audio_input,
    check_frame_count,
    checked_target,
    codec_tag,
    encoded_track,
    incomplete,
    result_error,
    tag_settings,
    track_warnings,
)
from lipsync.media.video.yuv import YuvFrame
from lipsync.progress import CancelToken
from lipsync.types import Frame
from lipsync.utils.atomic_write import (
    atomic_write,
    check_not_there,
    check_place,
    remove_parts,
    working_path,
)
from lipsync.utils.disk_errors import says_disk_full
from lipsync.utils.file_names import fitting_name
from lipsync.utils.owned_folder import new_folders

PART_SECONDS = 20
"""Length of a part: short enough to lose little in a crash, long enough for efficient encoding."""


class ResumableWriter:
    """Video writer in parts that survive errors, cancels and crashes.

    It is used like `FrameWriter`. Every part is encoded independently, so the file is the same however
    often the job broke off.

    Args:
        path: the file to write: .mp4, .mov or .mkv.
        spec: size, length, audio and encoding.
        key: identifies the job, such as a hash of its files and settings; parts of another job under
            the same name are removed.
        part_frames: frames per part; 0 means `PART_SECONDS`.
        shared: other processes write parts too; `cut` says which parts there are before the first frame.
        cancel: polled all the time.

    Attributes:
        path: the absolute path of the file; at the end as it is called, see `OutputSpec.overwrite`.
        spec: as given.
        part_frames: frames per part.
        parts: frames of each part.
        finished: frames written by earlier runs, which must not be written again; 0 where parts are shared.
        signed: the file has a signed manifest.
        warnings: sentences for the user.

    Raises:
        OutputError: as `FrameWriter`; or the same job is already running.
        DiskFullError: the disk is full.
        Cancelled: the token was cancelled.
    """

    def __init__(
        self,
        path: Path | str,
        spec: OutputSpec,
        *,
        key: str,
        part_frames: int = 0,
        shared: bool = False,
        cancel: CancelToken | None = None,
    ) -> None:
        self.path = checked_target(Path(path).absolute(), spec)
        self.spec = spec
        self.part_frames = part_frames or max(1, round(PART_SECONDS * spec.fps))
        self._key, self._shared = key, shared
        self.parts = part_ranges(range(0, spec.frames, self.part_frames), spec.frames)
        self._cancel = cancel or CancelToken()
        self._folder = parts_folder(self.path)
        self._cleanup = ExitStack()
        self._part: FrameWriter | None = None
        self.finished = self._written = 0
        self.signed = False
        self.warnings: tuple[str, ...] = ()

    def __enter__(self) -> ResumableWriter:
        with ExitStack() as cleanup:  # until the writer takes it over
            try:
                check_place(self.path, explain=result_error)
                cleanup.enter_context(new_folders(self._folder))
                lock = self._acquire_lock()  # from here on the folder is this job's
                cleanup.callback(self._remove_unless_parts)
                cleanup.callback(lock.release)
                remove_parts(self._folder)
                self._start_or_go_on()
            except OSError as error:
                raise result_error(error, self.path) from error
            self._cleanup = cleanup.pop_all()
        if not self._shared:
            self.finished = self._written = self._kept_frames()
        return self

    def cut(self, starts: Sequence[int]) -> None:
        """Say with which frames the parts begin, the first of them with 0; only where parts are shared.

        Parts of an earlier run that was cut in the same way are kept.

        Raises:
            OutputError, DiskFullError: it cannot be written down.
        """
        self.parts = part_ranges(starts, self.spec.frames)
        about = self._folder / "job.json"
        before, now = _read_json(about), self._about() | {"starts": list(starts)}
        if before == now:
            return
        for old in self._folder.glob("part*"):
            old.unlink()
        with atomic_write(about, explain=result_error) as new:
            new.write_text(json.dumps(now), "utf-8")

    def is_complete(self, number: int) -> bool:
        """Whether a part has all of its frames."""
        return _count_frames(self.part_path(number)) == len(self.parts[number])

    def part_spec(self, number: int) -> OutputSpec:
        """What `FrameWriter` needs to write a part.

        It may replace one: of two that draw the same part, the first having been given up, both may finish.
        """
        frames = len(self.parts[number])
        return replace(self.spec, frames=frames, audio=None, kept=None, marks=None, overwrite=True)

    def part_frames_of(self, number: int) -> Generator[YuvFrame, None, None]:
        """Read back the frames of a part, as they are in its file."""
        part = open_video(self.part_path(number))
        for frame in part.read_yuv(np.arange(part.frame_count), cancel=self._cancel):
            yield frame.cropped(self.spec.width, self.spec.height)

    def skip(self, number: int) -> None:
        """Take a part as it is in its file, which another process has written."""
        if self._written != self.parts[number].start:
            raise ValueError(f"part {number} is not the next one")
        self._written = self.parts[number].stop

    def earlier_frames(self) -> Generator[YuvFrame, None, None]:
        """Read back the frames that earlier runs have written, as they are in the parts."""
        for number in range(math.ceil(self.finished / self.part_frames)):
            yield from self.part_frames_of(number)

    def write(self, frame: YuvFrame | DeepFrame | Frame) -> None:
        """Append one frame; see `FrameWriter.write`."""
        if self._part is None:
            self._part = self._open_part()
        self._part.write(frame)
        self._written += 1
        if self._part.written == self._part.spec.frames:
            part, self._part = self._part, None
            self.warnings = part.warnings
            part.__exit__(None, None, None)

    def save_state(self, frame: int, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep what the frames from `frame` on depend on, for a run that goes on there.

        Only the last two are kept: a part may not be complete yet. Those of later frames are of a run that
        got further, and of parts that are made again.

        Raises:
            OutputError, DiskFullError: it cannot be written.
        """
        with atomic_write(self._state_path(frame), explain=result_error) as new, new.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
        kept = sorted(self._folder.glob("state*"))
        later = [path for path in kept if path.name > self._state_path(frame).name]
        for path in [*later, *kept[: len(kept) - len(later)][:-2]]:
            path.unlink()

    def read_state(self, frame: int) -> dict[str, npt.NDArray[Any]] | None:
        """What `save_state` has kept for a frame; None where there is nothing that can be read."""
        try:
            with np.load(self._state_path(frame), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            return None

    def _state_path(self, frame: int) -> Path:
        return self._folder / f"state{frame:09d}.npz"

    def _open_part(self) -> FrameWriter:
        if self._written >= self.spec.frames:
            raise ValueError(f"only {self.spec.frames} frames were announced")
        number = bisect_right([part.start for part in self.parts], self._written) - 1
        return FrameWriter(self.part_path(number), self.part_spec(number), cancel=self._cancel).__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._cleanup:
            try:
                if self._part is not None:
                    part, self._part = self._part, None
                    part.__exit__(kind or OutputError, error, trace)
                if kind is None:
                    self._finish()
            except LipsyncError as failed:
                self._say_what_is_kept(failed)
                raise
            self._say_what_is_kept(error)

    def _say_what_is_kept(self, error: BaseException | None) -> None:
        """Add to an error how much of the result is kept."""
        if isinstance(error, LipsyncError) and (frames := self._kept_frames()):
            seconds = float(frames / self.spec.fps)
            error.kept = f"{seconds:.1f} s of the result are kept; the same command continues from there."

    def _remove_unless_parts(self) -> None:
        """Remove the folder where nothing in it is of use to a later run."""
        if not self.part_path(0).exists():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _finish(self) -> None:
        """Concatenate the parts, add the audio, and move the file into place."""
        self._cancel.check("writing")
        if self._written != self.spec.frames:
            raise incomplete(self._written, self.spec.frames)
        listing = self._folder / "parts.txt"
        names = [f"file {self.part_path(number).name}" for number in range(len(self.parts))]
        with atomic_write(listing) as new:
            new.write_text("\n".join(["ffconcat version 1.0", *names, ""]), "utf-8")
        try:
            with working_path(self.path) as new, ExitStack() as cleanup:
                track = encoded_track(self.spec, new, self._cancel, cleanup)
                self._concatenate(listing, track, new)
                marks, overwrite = self.spec.marks, self.spec.overwrite
                marked = mark_and_move(new, self.path, marks, overwrite=overwrite)
        except OSError as error:
            raise result_error(error, self.path) from error
        self.path, self.signed = marked.path, marked.signed
        self.warnings += (*marked.warnings, *track_warnings(track, self.spec))
        self.part_path(0).unlink(missing_ok=True)  # the folder is of no use any more

    def _concatenate(self, listing: Path, track: EncodedTrack | None, new: Path) -> None:
        """Write parts and audio as one file."""
        with FFmpegProcess(self._graph(listing, track, new), "-y") as running:
            status = running.wait(self._cancel)
            stderr = running.stderr_tail()
        if status or says_disk_full(stderr):
            raise error_from_stderr(stderr, self.path, writing=True)
        check_frame_count(new, self.spec.frames)
        if self.spec.kept is not None:
            add_kept_tracks(new, self.spec.kept, float(self.spec.frames / self.spec.fps), self._cancel)

    def _graph(self, listing: Path, track: EncodedTrack | None, target: Path) -> Any:
        streams = [media_input(listing, "concat")["v:0"]]
        settings: dict[str, Any] = {"c:v": "copy", **tag_settings(self.spec, self.path)}
        settings |= output_format(self.path).settings | codec_tag(self.spec, self.path)
        if track is not None:
            streams.append(audio_input(track.path()))
            settings |= AUDIO_SETTINGS
        return ffmpeg.output(*streams, file_url(target), **settings, max_muxing_queue_size=4096)

    # --- the folder of parts ----------------------------------------------------------------------

    def part_path(self, number: int) -> Path:
        """The file of a part."""
        suffixes = VIDEO_CODECS[
            self.spec.codec
        ].suffixes  # not .mov for FFV1, which loses the colour tags there
        suffix = ".mp4" if ".mp4" in suffixes else suffixes[0]
        return self._folder / f"part{number:05d}{suffix}"

    def _acquire_lock(self) -> FileLock:
        lock = FileLock(self._folder / "lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                "The same job is running already",
                given=self.path,
                hint="Wait for it, or give this one another name to write to.",
            ) from error
        return lock

    def _start_or_go_on(self) -> None:
        """Go on with the parts of this job, or remove those of another one.

        Raises:
            OutputError: the job is not begun yet, and a file is there that must not be replaced.
        """
        about, now = self._folder / "job.json", self._about()
        before = _read_json(about)
        if self._shared and isinstance(before, dict):  # where it was cut is for `cut` to compare
            before = {name: value for name, value in before.items() if name != "starts"}
        if before == now and (self._shared or self.part_path(0).exists()):
            return
        check_not_there(self.path, overwrite=self.spec.overwrite)
        for old in [*self._folder.glob("part*"), *self._folder.glob("state*")]:
            old.unlink()
        with atomic_write(about) as new:
            new.write_text(json.dumps(now), "utf-8")

    def _kept_frames(self) -> int:
        """Frames in the parts, from the first on, that have all of their frames."""
        for number, part in enumerate(self.parts):
            if not self.is_complete(number):
                return part.start
        return self.spec.frames

    def _about(self) -> dict[str, Any]:
        """What is written down of the job."""
        return {"key": self._key, "part_frames": self.part_frames}


def parts_folder(path: Path) -> Path:
    """The folder of the parts of a result."""
    return path.with_name(fitting_name(".", path.name, ".parts"))


def part_ranges(starts: Sequence[int], frames: int) -> list[range]:
    """The frames of each part, by the first frames of all."""
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], frames], strict=True)]


def _read_json(path: Path) -> Any:
    """What a file holds; None where it cannot be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _count_frames(path: Path) -> int:
    """Frames of a file; 0 if it cannot be read."""
    try:
        with path.open("rb") as file, av.open(file, "r") as container:
            stream = container.streams.video[0]
            # Matroska does not state them.
            return int(stream.frames) or sum(bool(packet.size) for packet in container.demux(stream))
    except (OSError, av.error.FFmpegError, IndexError):
        return 0
