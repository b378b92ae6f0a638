"""A run leaves no file that it was not asked for, and no package in it sends usage data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.material import FACE, make_voice

SWITCHES = ("ORT_DISABLE_TELEMETRY", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_result_and_nothing_else(tmp_path: Path) -> None:
    home, temporary, results = (tmp_path / name for name in ("home", "temporary", "results"))
    for folder in (home, temporary, results):
        folder.mkdir()
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    folders = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "TMPDIR": str(temporary)}
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES} | folders
    command = [
        sys.executable,
        "-m",
        "lipsync",
        "run",
        str(FACE),
        str(voice),
        "--variant",
        "builtin",
        "--no-cache",
    ]
    command += ["-o", str(results / "out.mp4")]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert files_below(results) == {"out.mp4"}
    assert files_below(temporary) == set()
    assert files_below(home) == set()


def test_who_wants_to_send_usage_data_can() -> None:
    code = f"import lipsync, os; print(*map(os.environ.get, {SWITCHES[:2]}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "0", "GRADIO_ANALYTICS_ENABLED": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "True"]
