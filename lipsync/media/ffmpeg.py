"""The ffmpeg program: where it is, how it is started and stopped, what its complaints mean.

Graphs are built with ffmpeg-python and started here as argument lists; a file name never meets a
shell, a filter string, or ffmpeg's own patterns and protocols (see `media_input`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import shutil
import subprocess
import threading
import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.errors import LipsyncError, MediaError, OutputError, ToolError
from lipsync.progress import CancelToken
from lipsync.utils.disk_errors import disk_full, says_disk_full

HARDWARE_ENCODERS = ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "h264_amf")
OLDEST_MAJOR = 9
"""The version that all of this is tested with. 5.1 and 7.0 were seen to lose the last frame of a
variable-rate file and to delay the sound in Matroska by 20 ms; those between were not tried."""
_LIBAVUTIL_AHEAD = 52  # ffmpeg 9 has libavutil 61, and both count on together
_STDERR_BYTES = 16_384
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux; fcntl names it only from Python 3.10 on and only there


@functools.cache
def ffmpeg_path() -> Path:
    """The ffmpeg program: the system's if it is recent, else the one inside imageio-ffmpeg.

    An older one of the system is used where the package has none for this kind of machine.

    Raises:
        ToolError: there is none at all.
    """
    found = shutil.which("ffmpeg")
    if found and _is_recent(found):
        return Path(found)
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        if found:
            return Path(found)
        raise ToolError(
            "ffmpeg was not found",
            hint="Run `pip install imageio-ffmpeg`, or install ffmpeg with the system's package manager.",
        ) from error


def _is_recent(program: str) -> bool:
    """Whether this ffmpeg is of `OLDEST_MAJOR` or newer, and starts at all.

    Told by libavutil, since the version's own text may be a date or a commit.
    """
    try:
        command = [program, "-version"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    library = re.search(r"libavutil\s+(\d+)\.", told)
    return library is not None and int(library[1]) >= OLDEST_MAJOR + _LIBAVUTIL_AHEAD


@functools.cache
def has_encoder(name: str, width: int = 640, height: int = 360) -> bool:
    """Whether ffmpeg has this video encoder and it works here: two small frames are really encoded.

    A build may list an encoder whose hardware or driver is missing, or which refuses the size.
    """
    picture = ffmpeg.input(f"color=size={width}x{height}:rate=25", f="lavfi")
    trial = picture.output("-", f="null", vcodec=name, pix_fmt="yuv420p", **{"frames:v": 2})
    try:
        finished = subprocess.run(
            _arguments(trial), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return finished.returncode == 0


def thread_count() -> int:
    """Threads that a video's decoder or encoder is to take: half the cores; the networks work beside it.

    By default ffmpeg takes one and a half times as many as there are cores. On two cores that costs a
    tenth more CPU time in either, more memory, and a run with the official network a tenth more time.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS, nor on Windows
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 2
    return max(1, cores // 2)


def media_input(path: Path, demuxer: str, **settings: Any) -> Any:
    """A ffmpeg-python input of a local file that has been probed.

    The `file:` prefix and the fixed demuxer keep ffmpeg from reading a meaning into the name
    (`a%d.png`, `concat:...`, a leading dash); the whitelist keeps the file's content from opening
    anything but local files.
    """
    return ffmpeg.input(f"file:{path.absolute()}", f=demuxer, protocol_whitelist="file", **settings)


def _arguments(graph: Any, *flags: str) -> list[str]:
    command = [str(ffmpeg_path()), "-hide_banner", "-nostats", "-loglevel", "error", *flags]
    arguments: list[str] = ffmpeg.compile(graph, cmd=command)
    return arguments


class FFmpeg:
    """One running ffmpeg with its pipes, to be used with `with`: it never outlives the block.

    Args:
        graph: an output of ffmpeg-python.
        flags: global flags such as "-copyts".
        feed: open a pipe to its standard input; otherwise a pipe from its standard output.
    """

    def __init__(self, graph: Any, *flags: str, feed: bool = False) -> None:
        arguments = _arguments(graph, *flags, *([] if feed else ["-nostdin"]))
        try:
            self.process = subprocess.Popen(
                arguments,
                bufsize=0,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
                stderr=subprocess.PIPE,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            hint = "Install ffmpeg anew, or remove the broken one."
            raise ToolError(
                "ffmpeg cannot be started", given=f"{arguments[0]}: {error}", hint=hint
            ) from error
        if feed:
            _FED.add(self)
        self._stderr = bytearray()
        # A full stderr pipe would stop ffmpeg for good, so it is always being emptied.
        self._listener = threading.Thread(target=self._listen, name="ffmpeg-stderr", daemon=True)
        self._listener.start()
        _widen(self.process.stdin or self.process.stdout)

    def _listen(self) -> None:
        assert self.process.stderr
        while text := self.process.stderr.read(4096):
            self._stderr += text
            del self._stderr[:-_STDERR_BYTES]

    def wait(self, cancel: CancelToken) -> int:
        """Wait until ffmpeg has ended by itself; its exit status. Raises `Cancelled`."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(timeout=CancelToken.POLL_SECONDS)
                self._listener.join()
                return status
            cancel.check()

    def complaint(self) -> str:
        """The end of what ffmpeg wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def __enter__(self) -> FFmpeg:
        return self

    def stop(self) -> None:
        """End ffmpeg at once if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


_FED: weakref.WeakSet[FFmpeg] = weakref.WeakSet()
"""Those that end when their input does: not before everybody who holds the pipe has let go of it."""


def _let_go() -> None:
    """In a process forked from this one: hold no pipe to an ffmpeg, which would then never end."""
    for running in list(_FED):
        pipe = running.process.stdin
        if pipe and not pipe.closed:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, pipe.fileno())  # not closed: the number would go to another file
            os.close(null)


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_let_go)


def _widen(pipe: Any) -> None:
    """Fewer switches between the two programs; only a matter of speed, so a refusal is fine."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


def read_chunks(running: FFmpeg, size: int, cancel: CancelToken) -> Generator[bytearray, None, None]:
    """What ffmpeg writes, in pieces of `size` bytes; the last one may be shorter.

    At most three pieces are held. A cancel is answered even while ffmpeg is silent. The end of
    the iterator says nothing about success: ask `running.wait`.
    """
    pieces: queue.Queue[bytearray] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def pump() -> None:
        while not stop.is_set():
            piece = _read_exactly(running.process.stdout, size)
            _put(pieces, piece, stop)
            if len(piece) < size:
                return

    reader = threading.Thread(target=pump, name="ffmpeg-stdout", daemon=True)
    reader.start()
    try:
        while True:
            cancel.check()
            with contextlib.suppress(queue.Empty):
                piece = pieces.get(timeout=CancelToken.POLL_SECONDS)
                if piece:
                    yield piece
                if len(piece) < size:
                    return
    finally:
        stop.set()
        if reader.is_alive():
            running.process.kill()  # ends the blocking read
        reader.join()


def _read_exactly(pipe: Any, size: int) -> bytearray:
    piece = bytearray(size)
    view, filled = memoryview(piece), 0
    while filled < size and (count := pipe.readinto(view[filled:])):
        filled += count
    view.release()
    del piece[filled:]
    return piece


def _put(pieces: queue.Queue[bytearray], piece: bytearray, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(queue.Full):
            pieces.put(piece, timeout=CancelToken.POLL_SECONDS)
            return


def explain(complaint: str, path: Path, *, writing: bool) -> LipsyncError:
    """Our error for what ffmpeg wrote to stderr while it read, or wrote, `path`."""
    if says_disk_full(complaint):
        return disk_full(path.parent)
    if "Cannot allocate memory" in complaint:
        return ToolError(
            "ffmpeg ran out of memory", given=path, hint="Use a smaller picture (resize_factor)."
        )
    last = complaint.splitlines()[-1].strip() if complaint else "ffmpeg ended without saying why"
    if writing:
        if "File too large" in complaint:
            hint = "Write to a disk that allows larger files, or lower the quality."
            return OutputError("The result is too large for this disk", given=path, hint=hint)
        return OutputError("The result could not be written", given=f"{path} ({last})")
    return MediaError(
        "The file cannot be decoded", given=f"{path} ({last})", hint="It is damaged; try another copy of it."
    )
