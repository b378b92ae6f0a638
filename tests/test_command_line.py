"""The command line as people type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.__main__ import main
from lipsync.media import probe_video
from lipsync.options import declared_options
from tests.material import FACE, PROMPT_SECONDS, make_head, make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "lipsync", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


def test_run_makes_a_video_and_says_so_as_json(
    voice: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    arguments = ["run", FACE, voice, "-o", output, "--variant", "wav2lip", "--weights", checkpoint, "--json"]
    settings = [
        "--pad-bottom",
        "-3",
        "--pads-px",
        "0",
        "10",
        "-2",
        "0",
        "--voice-ranges",
        "0-0.2",
        "--no-static",
    ]
    assert main([*map(str, arguments), *settings]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["frames"], printed["path"], printed["fps"]) == (5, str(output), "25")
    assert probe_video(output).frame_count == 5


def test_preview_writes_a_picture(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "preview.png"
    arguments = ["preview", FACE, voice, "-o", output, "--at", "0.2"]
    assert main([*map(str, arguments), "--variant", "wav2lip", "--weights", str(checkpoint)]) == 0
    with Image.open(output) as picture:
        sheet = np.asarray(picture.convert("RGB")).astype(int)
    assert sheet.shape[0] >= 512
    assert sheet.shape[1] >= 1024  # source with box and mask, and the result beside it
    left, right = sheet[:512, :512], sheet[:512, -512:]
    assert np.abs(left - right).max() > 50


def test_every_setting_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = capsys.readouterr().out
    for _, field in declared_options():
        assert "--" + field.name.replace("_", "-") in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pad-top", "900"], "'pad_top' is out of range: 900.0. It goes from -50 to 100"),
        (["--video-ranges", "5-2"], "empty or runs backwards"),
        (["--box", "10", "5", "0", "20"], "box"),
        (["--fps", "nan"], "out of range"),
    ],
)
def test_bad_settings_are_explained(
    flags: list[str], says: str, voice: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(FACE), str(voice), "--weights", str(checkpoint), *flags]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["-face.mp4", "my 'face' \"1\".mp4", "лицо%d.mp4", "a:b\nc.mp4"])
def test_names_that_break_scripts(name: str, voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=(0.2,)).rename(tmp_path / name)
    output = tmp_path / f"out {name}"
    command = [sys.executable, "-m", "lipsync", "run", "--variant", "wav2lip", "--weights", str(checkpoint)]
    command += [f"--output={output.name}", "--", video.name, str(voice)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert probe_video(output).frame_count == 10


def test_interrupting_stops_at_once_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    voice = make_voice(tmp_path / "long.wav", seconds=6)
    command = [sys.executable, "-m", "lipsync", "run", str(FACE), str(voice), "-o", str(tmp_path / "out.mp4")]
    process = subprocess.Popen(
        [*command, "--variant", "wav2lip", "--weights", str(checkpoint)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.iterdir())) == 1:
        time.sleep(0.05)  # until the hidden file of the writer appears
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - started < PROMPT_SECONDS
    assert "Cancelled" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_the_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    for name in ("ffmpeg", "device", "number formats", "model wav2lip", "JavaScript runtime"):
        assert name in report


def test_the_doctor_works_where_opencv_does_not(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    done = run("doctor", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "MISSING OpenCV: libGL.so.1" in done.stdout
    assert "apt-get install libgl1" in done.stdout
    assert "ok      ffmpeg" in done.stdout


def test_weights_are_listed_with_their_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    report = capsys.readouterr().out
    assert "wav2lip_gan" in report
    assert "non-commercial" in report
    assert main(["weights", "nonsense"]) == 1
