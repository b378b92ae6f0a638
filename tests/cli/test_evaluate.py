from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lipsync.cli.main import main
from tests.make_media import make_video
from tests.material import make_head, make_voice
from tests.waiting import wait_until

QUICK = ("--no-sync", "--no-lse", "--no-fid", "--no-lips")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, a voice, and a table of three pairs, one of which has no video."""
    path = tmp_path_factory.mktemp("pairs")
    make_head(path / "one.mp4", parts=[0.6])
    make_head(path / "two.mp4", parts=[0.4, -0.4])
    make_voice(path / "voice.wav", seconds=0.8)
    rows = "video,voice,language\none.mp4,voice.wav,en\nabsent.mp4,voice.wav,en\ntwo.mp4,voice.wav,de\n"
    (path / "pairs.csv").write_text(rows)
    return path


def test_a_table_through_the_built_in_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"figures.{name}" for name in ("csv", "json", "html")}
    flags = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    command = ["evaluate", str(folder / "pairs.csv"), "--variants", "builtin", "--no-lse", "--no-fid"]
    out = ["--out", str(tmp_path / "out")]
    assert main([*command, *flags, *out]) == 0
    told = capsys.readouterr().out
    assert told.startswith("| Language | Variant |")
    assert "1, 1 failed" in told
    assert "absent.mp4" in told.split("Failed:")[1]

    one, absent, two = csv.DictReader(files["csv"].open(encoding="utf-8"))
    assert float(one["psnr_outside"]) > 30
    assert float(one["ssim_outside"]) > 0.9
    assert float(one["mouth_contrast"]) > 10 and 0 < float(one["seam"]) < 3  # levels: a mouth opens, no edge
    assert "does not exist" in absent["failure"]
    assert (two["language"], two["failure"]) == ("de", "")
    assert len(json.loads(files["json"].read_text("utf-8"))["clips"]) == 3
    page = files["html"].read_text("utf-8")
    assert page.count("data:image/jpeg") == 8  # two clips, first and middle, before and after

    made = tmp_path / "out" / "builtin" / "one__voice.mp4"
    before = made.stat().st_mtime_ns
    assert main([*command, *out]) == 0
    assert made.stat().st_mtime_ns == before
    assert "1, 1 failed" in capsys.readouterr().out


def test_existing_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compared by the source's frames; the pair without a result is told."""
    given = f"theirs={folder}"
    assert main(["evaluate", str(folder / "pairs.csv"), "--results", given, *QUICK]) == 0
    told = capsys.readouterr().out
    assert "theirs" in told
    assert "There is no result of this pair" in told


def test_one_video_against_a_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(folder / "one.mp4")
    assert main(["evaluate", video, "--reference", video, *QUICK]) == 0
    told = capsys.readouterr().out
    assert "| as given |" in told
    assert "∞" in told
    assert "1.0000" in told


def test_one_video_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a video without sound nothing can be said; that is told."""
    assert main(["evaluate", str(folder / "one.mp4"), "--no-lse", "--no-fid"]) == 0
    assert "Sync: The file has no audio" in capsys.readouterr().out


def test_a_folder_of_videos_is_measured_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_video(tmp_path / "a.mp4", frames=5)
    make_video(tmp_path / "b.mp4", frames=5)
    assert main(["evaluate", str(tmp_path), *QUICK, "--limit", "1"]) == 0
    assert "| as given |     1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["pairs.csv", "--variants", "wave2lip"], "no such generator.*Known"),
        (["pairs.csv", "--results", "theirs"], "--results cannot be read"),
        (["pairs.csv", "--reference", "one.mp4"], "--reference is for a single video"),
        (["one.mp4", "--variants", "builtin"], "are for lists"),
        (["nothing.csv"], "does not exist"),
    ],
)
def test_invalid_requests_are_explained(
    folder: Path, flags: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    given = [str(folder / flags[0]), *flags[1:]]
    assert main(["evaluate", *given, *QUICK]) == 1
    assert re.search(why, capsys.readouterr().err)


def test_all_failed_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("video\nabsent.mp4\n")
    assert main(["evaluate", str(tmp_path / "pairs.csv"), *QUICK]) == 1


def test_ctrl_c_keeps_what_is_done(folder: Path, tmp_path: Path) -> None:
    rows = "video,voice,name\n" + "".join(f"one.mp4,voice.wav,pair{n}\n" for n in range(200))
    (folder / "many.csv").write_text(rows)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lipsync", "evaluate", str(folder / "many.csv"), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        [*command, "--variants", "builtin", *QUICK], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        wait_until((out / "builtin" / "pair1.mp4").exists, seconds=120)
        begun = len(list((out / "builtin").iterdir()))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert len(list((out / "builtin").iterdir())) <= begun + 3  # at most what was under way is finished
    assert process.returncode == 130
    assert "Run the same command again to continue" in told
    assert json.loads((out / "builtin" / "pair0.json").read_text())["figures"]
    assert not [file for file in out.rglob("*") if file.name.startswith(".")]
