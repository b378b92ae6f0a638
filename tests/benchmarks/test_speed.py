"""Arithmetic of the speed benchmarks; the measured values are not tested."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import against_original
from benchmarks.against_original import EDITS, Original, scaled
from benchmarks.common import Measurement, measure_command
from benchmarks.generator import collect_faces, operations
from benchmarks.growth import Run, table_rows
from lipsync.generators.wav2lip.network import Wav2LipNetwork


def test_operations_of_the_official_network() -> None:
    assert operations(Wav2LipNetwork()) == pytest.approx(7.93e9, rel=1e-3)


def test_faces_are_taken_from_the_sample() -> None:
    mel, face = collect_faces([])
    assert mel.shape[1:] == (1, 80, 16) and face.shape == (len(mel), 6, 96, 96)
    assert (face[:, :3, 48:] == 0).all() and np.array_equal(face[:, :3, :48], face[:, 3:, :48])
    assert 0 < face[:, 3:].mean() < 1


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    work = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    run = f"subprocess.run([sys.executable, '-c', {work!r}])"
    nested = f"import subprocess, sys; {run}; print(open('here').read())"
    (tmp_path / "here").write_text("read in the folder")
    measured = measure_command([sys.executable, "-c", nested], tmp_path, {"PYTHONUTF8": "1"})
    assert measured.output.strip() == "read in the folder"
    assert measured.cpu_seconds >= 0.3 and measured.seconds >= 0.3 and measured.peak_bytes > 1 << 20


def test_detection_is_scaled_to_the_whole_clip() -> None:
    whole, short = Measurement("", 50, 80, 5 << 30), Measurement("", 20, 30, 2 << 30)
    found = scaled(whole, short, Measurement("", 45, 70, 6 << 30), 50)
    assert (found.seconds, found.cpu_seconds, found.peak_bytes) == (50 + 50 * 25, 80 + 50 * 40, 6 << 30)


def test_the_original_is_edited_in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_original, "ffmpeg_path", lambda: Path(sys.executable))
    [(name, old, new)] = EDITS
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / name).write_text(f"basis = {old} n_mels=80)")
    original = Original(checkout, tmp_path / "work")
    assert (original.folder / name).read_text() == f"basis = {new} n_mels=80)"
    assert (checkout / name).read_text() == f"basis = {old} n_mels=80)"
    assert (original.folder / "temp").is_dir()
    (checkout / name).write_text("something else")
    with pytest.raises(SystemExit, match="not as expected"):
        Original(checkout, tmp_path / "again")


def test_growth_leaves_the_start_out() -> None:
    rows = table_rows("854x480", [Run(10, 9.0, 12.0, 1 << 30), Run(20, 14.0, 22.0, 1 << 30)])
    assert rows[0][0] == "854x480, 10 s" and "further" not in rows[0][1]
    assert "40.0 ms of CPU a further frame" in rows[1][1] and "memory x 1.00" in rows[1][1]
