"""A result that is written in parts, so that a job which broke off goes on where it was.

The parts lie in a folder beside the result, together with the key of the job that made them. When all
are there they are joined as they are, the sound is added, and the folder is removed.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Generator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import ffmpeg
import numpy as np
from filelock import FileLock, Timeout

from lipsync.errors import OutputError
from lipsync.media.audio.encoder_settings import audio_settings, pad_or_trim
from lipsync.media.audio.reader import AudioReader
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, media_input
from lipsync.media.video.reader import open_video
from lipsync.media.video.writer import COMMENT, MUXERS, FrameWriter, checked_target, result_error
from lipsync.media.video.yuv import YuvFrame
from lipsync.progress import CancelToken
from lipsync.types import Frame, VideoInfo
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.disk_errors import says_disk_full

PART_SECONDS = 20
"""What a crash may cost; short enough to lose little, long enough for the encoder to work well."""


class ResumableWriter:
    """Writes a video as `FrameWriter` does, in parts that outlive an error, a cancel and a crash.

    Frames that an earlier try has written are counted in `finished`, and are not to be written again.
    Each part is encoded by itself, so the file is the same however often the job broke off.

    Args:
        key: what tells this job from every other, such as a hash of its files and settings; parts of
            another job under the same name are removed.
        part_frames: frames a part; 0 takes `PART_SECONDS`.

    The others are those of `FrameWriter`.

    Raises:
        OutputError: as `FrameWriter`; or the same job is running already.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        key: str,
        width: int,
        height: int,
        fps: Fraction,
        frames: int,
        audio: AudioReader | None,
        source: VideoInfo,
        quality: int = 17,
        encoder: str = "software",
        cancel: CancelToken | None = None,
        part_frames: int = 0,
    ) -> None:
        self.path = checked_target(Path(path).absolute(), source, audio)
        self.part_frames = part_frames or max(1, round(PART_SECONDS * fps))
        self.encoded_size = (width + width % 2, height + height % 2)
        self._key, self._fps, self._frames, self._audio = key, fps, frames, audio
        self._cancel = cancel or CancelToken()
        self._folder = self.path.with_name(f".{self.path.name}.parts")
        self._settings: dict[str, Any] = {
            "width": width,
            "height": height,
            "fps": fps,
            "source": source,
            "quality": quality,
            "encoder": encoder,
            "cancel": self._cancel,
        }
        self._stack = ExitStack()
        self._part: FrameWriter | None = None
        self.finished = self._written = 0
        self.warnings: tuple[str, ...] = ()

    def __enter__(self) -> ResumableWriter:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._forget_other_jobs()
        except OSError as error:
            raise result_error(error, self.path) from error
        whole = self._whole_parts()
        self.finished = self._written = min(whole * self.part_frames, self._frames)
        return self

    def earlier_frames(self) -> Generator[YuvFrame, None, None]:
        """The frames that earlier tries have written, as they are in the parts."""
        for number in range(math.ceil(self.finished / self.part_frames)):
            part = open_video(self._place(number))
            for frame in part.read_yuv(np.arange(part.frame_count), cancel=self._cancel):
                yield frame.cropped(self._settings["width"], self._settings["height"])

    def write(self, frame: YuvFrame | Frame) -> None:
        """Append one frame, as `FrameWriter.write`."""
        if self._part is None:
            self._part = self._begin()
        self._part.write(frame)
        self._written += 1
        if self._part.written == self._part.frames:
            part, self._part = self._part, None
            self.warnings = part.warnings
            part.__exit__(None, None, None)

    def _begin(self) -> FrameWriter:
        number, left = self._written // self.part_frames, self._frames - self._written
        if left < 1:
            raise ValueError(f"only {self._frames} frames were announced")
        part = FrameWriter(
            self._place(number), frames=min(left, self.part_frames), audio=None, **self._settings
        )
        return part.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:  # the lock
            if self._part is not None:
                part, self._part = self._part, None
                part.__exit__(kind or OutputError, error, trace)
            if kind is None:
                self._finish()

    def _finish(self) -> None:
        """Join the parts, add the sound, and put the file into its place."""
        self._cancel.check("writing")
        if self._written != self._frames:
            raise OutputError("The result is not complete", given=f"{self._written} of {self._frames} frames")
        listing = self._folder / "parts.txt"
        count = math.ceil(self._frames / self.part_frames)
        names = [f"file {self._place(number).name}" for number in range(count)]
        with atomic_write(listing) as new:
            new.write_text("\n".join(["ffconcat version 1.0", *names, ""]), "utf-8")
        with atomic_write(self.path) as new:
            with FFmpegProcess(self._graph(listing, new), "-y") as running:
                status = running.wait(self._cancel)
                stderr = running.stderr_tail()
            if status or says_disk_full(stderr):
                raise error_from_stderr(stderr, self.path, writing=True)
            self._check(new)
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _graph(self, listing: Path, target: Path) -> Any:
        streams = [media_input(listing, "concat")["v:0"]]
        settings: dict[str, Any] = {"c:v": "copy", "metadata": f"comment={COMMENT}"}
        settings["f"] = MUXERS[self.path.suffix.lower()]
        if settings["f"] != "matroska":
            settings["movflags"] = "+faststart"
        if self._audio:
            streams.append(pad_or_trim(self._audio, self._frames / self._fps))
            settings |= audio_settings(self._audio.info)
        return ffmpeg.output(*streams, f"file:{target}", **settings, max_muxing_queue_size=4096)

    def _check(self, path: Path) -> None:
        with path.open("rb") as file, av.open(file) as container:
            held = container.streams.video[0].frames
        if held and held != self._frames:
            raise OutputError("The result is not complete", given=f"{held} of {self._frames} frames")

    # --- the folder of parts ----------------------------------------------------------------------

    def _place(self, number: int) -> Path:
        return self._folder / f"part{number:05d}.mp4"

    def _lock(self) -> None:
        lock = FileLock(self._folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                "The same job is running already",
                given=self.path,
                hint="Wait for it, or give this one another name to write to.",
            ) from error
        self._stack.callback(lock.release)

    def _forget_other_jobs(self) -> None:
        """Remove parts that were made of other files or with other settings."""
        about, now = self._folder / "job.json", {"key": self._key, "part_frames": self.part_frames}
        try:
            before = json.loads(about.read_text("utf-8"))
        except (OSError, ValueError):
            before = None
        if before == now:
            return
        for old in self._folder.glob("part*"):
            old.unlink()
        with atomic_write(about) as new:
            new.write_text(json.dumps(now), "utf-8")

    def _whole_parts(self) -> int:
        """How many parts, from the first on, hold all of their frames."""
        number = 0
        while number * self.part_frames < self._frames:
            wanted = min(self.part_frames, self._frames - number * self.part_frames)
            if _frames_in(self._place(number)) != wanted:
                break
            number += 1
        return number


def _frames_in(path: Path) -> int:
    try:
        with path.open("rb") as file, av.open(file) as container:
            return int(container.streams.video[0].frames)
    except (OSError, av.error.FFmpegError, IndexError):
        return 0
