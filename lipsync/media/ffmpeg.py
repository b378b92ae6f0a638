"""ffmpeg subprocesses: program lookup, start and stop, piped output, errors.

Filter graphs are built with ffmpeg-python and started as argument lists. A file name never reaches
a shell, a filter string, or ffmpeg's own patterns and protocols (see `media_input`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import shutil
import signal
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
"""Oldest major version in use: the one that the tests run with. 5.1 and 7.0 lost the last frame of a
variable-rate file and delayed the audio in Matroska by 20 ms; those between were not tried."""
_LIBAVUTIL_AHEAD = 52  # ffmpeg 9 has libavutil 61; both numbers grow together
_STDERR_BYTES = 16_384
_PIPE_BYTES = 1 << 20
_FILE_TOO_LARGE = getattr(signal, "SIGXFSZ", None)  # the output's fault; Windows has no such signal
_F_SETPIPE_SZ = 1031  # Linux; fcntl names it only from Python 3.10 on and only there


# ------------------------------------------------------------------------------------- the program


@functools.cache
def ffmpeg_path() -> Path:
    """Path of ffmpeg: the system's if recent enough, else the one in imageio-ffmpeg.

    Where imageio-ffmpeg has none for this platform, an older ffmpeg of the system is used.

    Raises:
        ToolError: there is no ffmpeg at all.
    """
    system = shutil.which("ffmpeg")
    if system and _is_recent(system):
        return Path(system)
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        if system:
            return Path(system)
        raise ToolError(
            "ffmpeg was not found",
            hint="Run `pip install imageio-ffmpeg`, or install ffmpeg with the system's package manager.",
        ) from error


def _is_recent(program: str) -> bool:
    """Whether this ffmpeg starts and is of `OLDEST_MAJOR` or newer.

    Decided by libavutil's version, since ffmpeg's own may be a date or a commit.
    """
    try:
        command = [program, "-version"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    library = re.search(r"libavutil\s+(\d+)\.", output)
    return library is not None and int(library[1]) >= OLDEST_MAJOR + _LIBAVUTIL_AHEAD


@functools.cache
def has_encoder(name: str, width: int = 640, height: int = 360) -> bool:
    """Whether this video encoder works here at this frame size.

    Two frames are encoded to find out, since a build may list an encoder whose hardware or driver is
    missing, or which refuses the size.
    """
    source = ffmpeg.input(f"color=size={width}x{height}:rate=25", f="lavfi")
    trial = source.output("-", f="null", vcodec=name, pix_fmt="yuv420p", **{"frames:v": 2})
    try:
        finished = subprocess.run(
            _arguments(trial), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return finished.returncode == 0


@functools.cache
def has_part(kind: str, name: str) -> bool:
    """Whether this ffmpeg was built with a part, for example the "filter" "zscale" or a "decoder"."""
    command = [str(ffmpeg_path()), "-hide_banner", "-h", f"{kind}={name}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return name in found.stdout and "Unknown" not in found.stdout + found.stderr


def thread_count() -> int:
    """Threads for one video decoder or encoder: half of the cores.

    The networks use the other half. By default ffmpeg starts one and a half times as many threads as
    there are cores. On two cores that takes a tenth more CPU time in decoder and encoder alike and more
    memory, and makes a run with the official network a tenth slower.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # neither macOS nor Windows has it
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 2
    return max(1, cores // 2)


def media_input(path: Path, demuxer: str, **settings: Any) -> Any:
    """An ffmpeg-python input of a local file that has been probed.

    The `file:` prefix and the fixed demuxer keep ffmpeg from interpreting the name (`a%d.png`,
    `concat:...`, a leading dash); the protocol whitelist keeps the file's content from opening
    anything but local files.
    """
    return ffmpeg.input(file_url(path), f=demuxer, protocol_whitelist="file", **settings)


def file_url(path: Path) -> str:
    """The name of a local file for ffmpeg-python, as input or output, whatever letters are in it."""
    return _FileUrl(f"file:{path.absolute()}")


class _FileUrl(str):
    """Text that ffmpeg-python can hash, which encodes it as strict UTF-8."""

    def __str__(self) -> str:
        return self.encode("utf-8", "backslashreplace").decode("utf-8")


def _arguments(graph: Any, *flags: str) -> list[str]:
    command = [str(ffmpeg_path()), "-hide_banner", "-nostats", "-loglevel", "error", *flags]
    arguments: list[str] = ffmpeg.compile(graph, cmd=command)
    return arguments


# ------------------------------------------------------------------------------------- the process


class FFmpegProcess:
    """Running ffmpeg process with its pipes; a context manager that it never outlives.

    Args:
        graph: an output of ffmpeg-python.
        flags: global flags such as "-copyts".
        feed: open a pipe to its stdin; otherwise a pipe from its stdout.

    Raises:
        ToolError: ffmpeg cannot be started.
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
            hint = "Reinstall ffmpeg, or remove the broken one."
            raise ToolError(
                "ffmpeg cannot be started", given=f"{arguments[0]}: {error}", hint=hint
            ) from error
        if feed:
            _FED_BY_STDIN.add(self)
        self._stderr = bytearray()
        # ffmpeg blocks for good once its stderr pipe is full, so a thread drains it all the time.
        self._stderr_reader = threading.Thread(target=self._read_stderr, name="ffmpeg-stderr", daemon=True)
        self._stderr_reader.start()
        _enlarge_pipe(self.process.stdin or self.process.stdout)

    def _read_stderr(self) -> None:
        assert self.process.stderr
        while text := self.process.stderr.read(4096):
            self._stderr += text
            del self._stderr[:-_STDERR_BYTES]

    def wait(self, cancel: CancelToken) -> int:
        """Wait for ffmpeg to exit by itself; returns its exit status.

        Raises:
            Cancelled: the token was cancelled first.
            ToolError: somebody else killed it; its input and output are not to blame.
        """
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self.process.wait(timeout=CancelToken.POLL_SECONDS)
                self._stderr_reader.join()
                if status < 0 and -status != _FILE_TOO_LARGE:
                    hint = "The system may have run out of memory: close other programs and try again."
                    raise ToolError("ffmpeg was killed", given=f"signal {-status}", hint=hint)
                return status
            cancel.check()

    def stderr_tail(self) -> str:
        """The last 16 KB that ffmpeg wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def __enter__(self) -> FFmpegProcess:
        return self

    def stop(self) -> None:
        """Kill ffmpeg if it is still running."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stderr_reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


_FED_BY_STDIN: weakref.WeakSet[FFmpegProcess] = weakref.WeakSet()
"""ffmpeg processes fed by stdin: a forked child must close its copy of the pipe, or they never see
its end."""


def _close_inherited_pipes() -> None:
    """Run in a forked child: close its copies of the pipes to ffmpeg processes."""
    for running in list(_FED_BY_STDIN):
        pipe = running.process.stdin
        if pipe and not pipe.closed:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, pipe.fileno())  # not closed: the descriptor would be reused for another file
            os.close(null)


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_close_inherited_pipes)


def _enlarge_pipe(pipe: Any) -> None:
    """Enlarge the pipe's buffer for fewer context switches; only speed depends on it, so it may fail."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


# ------------------------------------------------------------------------------------- piped output


def read_stdout(running: FFmpegProcess, size: int, cancel: CancelToken) -> Generator[bytearray, None, None]:
    """ffmpeg's stdout in blocks of `size` bytes; the last block may be shorter.

    At most three blocks are in memory. A cancel takes effect even while ffmpeg writes nothing. The
    end of the iterator does not mean success: check the status of `running.wait`.

    Raises:
        Cancelled: the token was cancelled.
        MemoryError, OSError: as the reading thread met them.
    """
    blocks: queue.Queue[bytearray | BaseException] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def pump() -> None:
        try:
            while not stop.is_set():
                block = _read_exactly(running.process.stdout, size)
                _put(blocks, block, stop)
                if len(block) < size:
                    return
        except BaseException as error:  # raised where the blocks are read, which would wait for ever
            _put(blocks, error, stop)

    reader = threading.Thread(target=pump, name="ffmpeg-stdout", daemon=True)
    reader.start()
    try:
        while True:
            cancel.check()
            with contextlib.suppress(queue.Empty):
                block = blocks.get(timeout=CancelToken.POLL_SECONDS)
                if isinstance(block, BaseException):
                    raise block
                if block:
                    yield block
                if len(block) < size:
                    return
    finally:
        stop.set()
        if reader.is_alive():
            running.process.kill()  # ends the blocking read
        reader.join()


def _read_exactly(pipe: Any, size: int) -> bytearray:
    block = bytearray(size)
    view, filled = memoryview(block), 0
    while filled < size and (count := pipe.readinto(view[filled:])):
        filled += count
    view.release()
    del block[filled:]
    return block


def _put(
    blocks: queue.Queue[bytearray | BaseException], block: bytearray | BaseException, stop: threading.Event
) -> None:
    while not stop.is_set():
        with contextlib.suppress(queue.Full):
            blocks.put(block, timeout=CancelToken.POLL_SECONDS)
            return


# ------------------------------------------------------------------------------------- its errors


def error_from_stderr(stderr: str, path: Path, *, writing: bool) -> LipsyncError:
    """The error for ffmpeg's stderr output while reading or writing `path`."""
    if says_disk_full(stderr):
        return disk_full(path.parent)
    if "Cannot allocate memory" in stderr:
        return ToolError(
            "ffmpeg ran out of memory", given=path, hint="Use a smaller video ('resize_factor')."
        )
    last = stderr.splitlines()[-1].strip() if stderr else "ffmpeg exited without an error message"
    if writing:
        if "File too large" in stderr:
            hint = "Write to a disk that allows larger files, or lower the quality."
            return OutputError("The result is too large for this disk", given=path, hint=hint)
        return OutputError("The result could not be written", given=f"{path} ({last})")
    return MediaError(
        "The file cannot be decoded", given=f"{path} ({last})", hint="It is damaged; try another copy of it."
    )
