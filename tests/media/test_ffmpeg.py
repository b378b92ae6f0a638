"""Choice of ffmpeg: the system's if recent, else the packaged one; pipes and forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import pytest

from lipsync.errors import ToolError
from lipsync.media import ffmpeg_path
from lipsync.media.ffmpeg import FFmpegProcess, read_stdout
from lipsync.progress import CancelToken


def system_with(folder: Path, version: str) -> str:
    """A search path whose only ffmpeg says it is of this version."""
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\nprintf '{version}'\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("ffmpeg version 5.1.9-0+deb12u1\\nlibavutil      57. 28.100 / 57. 28.100\\n", False),
        ("ffmpeg version n9.0.2\\nlibavutil      61.  1.102 / 61.  1.102\\n", True),
        ("ffmpeg version N-118-gabc\\nlibavutil      62.  1.100 / 62.  1.100\\n", True),
        ("something else\\n", False),
    ],
)
def test_an_old_system_ffmpeg_gives_way(
    version: str, is_taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", system_with(tmp_path, version))
    ffmpeg_path.cache_clear()
    try:
        packaged = Path(imageio_ffmpeg.get_ffmpeg_exe())
        assert ffmpeg_path() == (tmp_path / "ffmpeg" if is_taken else packaged)
    finally:
        ffmpeg_path.cache_clear()


def test_an_old_one_is_better_than_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_packaged() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setenv("PATH", system_with(tmp_path, "libavutil      57. 28.100\\n"))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nothing_packaged)
    ffmpeg_path.cache_clear()
    try:
        assert ffmpeg_path() == tmp_path / "ffmpeg"
        (tmp_path / "ffmpeg").unlink()
        ffmpeg_path.cache_clear()
        with pytest.raises(ToolError, match="imageio-ffmpeg"):
            ffmpeg_path()
    finally:
        ffmpeg_path.cache_clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_it_ends_with_its_input_although_a_forked_process_lives_on() -> None:
    graph = ffmpeg.input("pipe:", f="rawvideo", s="16x16", pix_fmt="rgb24").output("-", f="null")
    asleep = multiprocessing.get_context("fork").Process(target=time.sleep, args=[60])
    with FFmpegProcess(graph, feed=True) as running:
        asleep.start()
        try:
            assert running.process.stdin
            running.process.stdin.write(bytes(16 * 16 * 3))
            running.process.stdin.close()
            assert running.process.wait(timeout=30) == 0
        finally:
            asleep.kill()
            asleep.join()


def test_an_error_of_the_reading_thread_is_raised_where_blocks_are_read() -> None:
    """Such as no memory for a block; the reader would wait for ever for the next one."""
    graph = ffmpeg.input("testsrc=s=64x64:d=1", f="lavfi").output("pipe:", f="rawvideo", pix_fmt="rgb24")
    with FFmpegProcess(graph) as running, pytest.raises(TypeError):
        list(read_stdout(running, 64.5, CancelToken()))  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="no signals here")
def test_one_that_is_killed_is_no_damaged_file() -> None:
    endless = ffmpeg.input("sine", f="lavfi").output("-", f="null", re=None)
    with FFmpegProcess(endless) as running:
        os.kill(running.process.pid, signal.SIGKILL)
        with pytest.raises(ToolError, match=r"ffmpeg was killed: signal 9\. .*memory"):
            running.wait(CancelToken())
