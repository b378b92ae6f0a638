"""Batches on a real cluster with two workers, started by the program itself."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

import lipsync
from tests.batch.results import QUICK, assert_alike
from tests.material import make_head, make_voice
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
FLAGS = [
    "--variant",
    "builtin",
    "--device",
    "cpu",
    "--no-score",
    "--provenance",
    "none",
    "--number-format",
    "fp32",
    "--on",
    "ray",
]
PATIENT = 240


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A head that moves for half a second, and half a second of speech."""
    folder = tmp_path_factory.mktemp("material")
    return make_head(folder / "head.mp4", parts=(0.4,), size=(160, 120)), make_voice(
        folder / "voice.wav", seconds=0.4
    )


class Running:
    """`lipsync batch --on ray` in a process of its own."""

    def __init__(self, videos: Sequence[Path], voice: Path, folder: Path, *more: str) -> None:
        words = ["batch", "--videos", *videos, "--voices", voice, "-o", folder, *FLAGS, *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lipsync", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def wait(self, status: int = 0, seconds: float = PATIENT) -> tuple[str, str]:
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            raise
        assert self.process.returncode == status, err
        return out, err

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The processes that make videos."""
        found = []
        for child in self.children():
            try:
                if "BatchWorker" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:
                continue
        return found


def copies(video: Path, folder: Path, count: int) -> list[Path]:
    """Links to a video under so many names."""
    folder.mkdir()
    names = [folder / f"head{number:03d}.mp4" for number in range(count)]
    for name in names:
        name.symlink_to(video)
    return names


def temporary_folders() -> set[Path]:
    return {*Path("/tmp").glob("lipsync-ray-*"), *Path(tempfile.gettempdir()).glob("lipsync-ray-*")}


def assert_nothing_is_left(
    processes: Sequence[psutil.Process], before: set[Path], seconds: float = 30
) -> None:
    wait_until(lambda: not any(one.is_running() and one.status() != "zombie" for one in processes), seconds)
    assert temporary_folders() <= before


def test_results_are_those_of_a_plain_run_and_one_error_is_one_item(
    material: tuple[Path, Path], tmp_path: Path
) -> None:
    head, voice = material
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    before = temporary_folders()
    box = (10, 110, 40, 120)
    words = ["--json", "--workers", "1", "--box", *map(str, box)]
    out, _ = Running([head, broken], voice, tmp_path / "made", *words).wait(status=1)
    fixed = dataclasses.replace(QUICK, faces=dataclasses.replace(QUICK.faces, box=box))
    plain = lipsync.sync(head, voice, fixed, output=tmp_path / "plain.mp4")
    told = json.loads(out)
    assert [Path(one["path"]).name for one in told["made"]] == ["head_synced.mp4"]
    assert [one["video"] for one in told["failed"]] == [str(broken)]
    assert "not a video" in told["failed"][0]["error"]
    assert_alike(tmp_path / "made" / "head_synced.mp4", plain.path)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["head_synced.mp4"]
    assert temporary_folders() <= before


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(material: tuple[Path, Path], tmp_path: Path) -> None:
    head, voice = material
    made = tmp_path / "made"
    running = Running(copies(head, tmp_path / "videos", 12), voice, made, "--workers", "2")
    wait_until(lambda: len(list(made.glob("*.mp4"))) >= 2, PATIENT)
    running.workers()[0].kill()
    out, _ = running.wait()
    assert "12 of 12 made." in out
    plain = lipsync.sync(head, voice, QUICK, output=tmp_path / "plain.mp4").path
    results = sorted(made.iterdir())
    assert len(results) == 12
    for path in results:
        assert_alike(path, plain)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["INT", "TERM", "KILL"])
def test_a_cancel_leaves_nothing_behind(
    how: signal.Signals, material: tuple[Path, Path], tmp_path: Path
) -> None:
    head, voice = material
    made, before = tmp_path / "made", temporary_folders()
    running = Running(copies(head, tmp_path / "videos", 40), voice, made, "--workers", "2")
    wait_until(lambda: len(list(made.glob("*.mp4"))) >= 2, PATIENT)
    processes = running.children()
    running.process.send_signal(how)
    if how != signal.SIGKILL:
        _, err = running.wait(status=130)
        results = list(made.iterdir())
        assert f"Cancelled; {len(results)} of 40 videos were made." in err
        assert all(path.suffix == ".mp4" for path in results)
        assert_nothing_is_left(processes, before)
        return
    running.wait(status=-signal.SIGKILL)
    # Ray's agents look once a minute for the process that they belong to.
    assert_nothing_is_left(processes, temporary_folders(), 150)
    # What lay in folders at that moment is swept by the next batch.
    videos = copies(head, tmp_path / "more", 1)
    Running(videos, voice, made, "--workers", "1").wait()
    assert all(path.suffix == ".mp4" for path in made.iterdir())
    assert temporary_folders() <= before


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A video of several shots, a voice, and the result of a plain run."""
    folder = tmp_path_factory.mktemp("long")
    head = make_head(folder / "head.mp4", parts=(5, -0.4, 5, 4), size=(320, 240))
    voice = make_voice(folder / "voice.wav", seconds=14)
    options = dataclasses.replace(QUICK, media=dataclasses.replace(QUICK.media, codec="ffv1"))
    return head, voice, lipsync.sync(head, voice, options, output=folder / "plain.mkv").path


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, 0, 1], ids=["none", "first", "second"])
def test_a_long_video_is_drawn_by_several_workers(
    killed: int | None, long_video: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    head, voice, plain = long_video
    made = tmp_path / "made"
    words = ["--workers", "2", "--codec", "ffv1", "--part-seconds", "2"]
    running = Running([head], voice, made, *words)
    wait_until(lambda: len(list(made.glob(".*.parts/part*.mkv"))) >= 2, PATIENT)
    workers = running.workers()
    assert len(workers) == 2  # of which one makes the video, and one was started to help
    if killed is not None:
        workers[killed].kill()
    out, _ = running.wait()
    assert "1 of 1 made." in out
    [result] = made.iterdir()
    assert_alike(result, plain)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_two_hundred_small_items(material: tuple[Path, Path], tmp_path: Path) -> None:
    head, voice = material
    videos = copies(head, tmp_path / "videos", 200)
    out, _ = Running(
        videos, voice, tmp_path / "made", "--workers", "2", "--box", "10", "110", "40", "120"
    ).wait(seconds=1400)
    assert "200 of 200 made." in out
    assert len(list((tmp_path / "made").iterdir())) == 200
