"""The benchmark of LSE around the programs that it measures, with a fake reference."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import lse_reference
from benchmarks.lse import medians, run_turn, table_rows
from benchmarks.lse_reference import EDITS, face_loc, prepare_reference
from benchmarks.lse_worker import PROGRAMS, Turn

PIPELINE = """
import sys
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--data_dir") + 1])
(folder / "found").write_text(sys.argv[sys.argv.index("--videofile") + 1])
print("not a score")
"""
SCORES = """
import sys
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--data_dir") + 1])
assert (folder / "found").read_text() == "talk.mp4"
assert sys.argv[sys.argv.index("--initial_model") + 1] == "syncnet.model"
print("8.0 2.0")
print("6.0 3.0")
"""


@pytest.fixture
def checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Fake checkouts of Wav2Lip and SyncNet."""
    monkeypatch.setattr(lse_reference, "ffmpeg_path", lambda: Path(sys.executable))
    wav2lip, syncnet = tmp_path / "wav2lip", tmp_path / "syncnet"
    scripts = wav2lip / "evaluation" / "scores_LSE"
    scripts.mkdir(parents=True)
    (scripts / "calculate_scores_real_videos.py").write_text(SCORES)
    (scripts / "SyncNetInstance_calc_scores.py").write_text("")
    for name, old, _ in EDITS:
        path = syncnet / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {old}\n")
    (syncnet / "detectors" / "__init__.py").write_text("")
    with (syncnet / "run_pipeline.py").open("a") as script:
        script.write(PIPELINE)
    return wav2lip, syncnet


def test_the_reference_is_run_as_its_script_does(tmp_path: Path, checkouts: tuple[Path, Path]) -> None:
    reference = prepare_reference(*checkouts, tmp_path)
    for name, old, new in EDITS:
        assert new in (reference / name).read_text() and old in (checkouts[1] / name).read_text()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "scenedetect.py").write_text("")
    turn = Turn("tracks", "reference", "talk.mp4", "syncnet.model", str(reference), str(tmp_path / "old"))
    found = run_turn(turn, threads=1)
    assert (found["distance"], found["confidence"], found["rows"]) == (7.0, 2.5, 2)
    assert math.isnan(found["offset"]) and found["wall_seconds"] > 0


def test_another_reference_is_refused(tmp_path: Path, checkouts: tuple[Path, Path]) -> None:
    (checkouts[1] / "run_pipeline.py").write_text("something else")
    with pytest.raises(SystemExit, match="not as expected"):
        prepare_reference(*checkouts, tmp_path)


def test_the_face_of_the_detector_weights_is_in_its_place() -> None:
    """S3FD's decoding, with the prior box of the first coarsest cell: 512 pixels around (64, 64)."""
    width, height = 1280, 720
    x, y, log_width, log_height = face_loc((width, height), (500, 170, 780, 490))
    sides = 512 * np.exp(0.2 * np.array([log_width, log_height]))
    middle = 64 + 0.1 * 512 * np.array([x, y])
    corners = (
        np.concatenate([middle - sides / 2, middle + sides / 2]) * 4
    )  # the detector gets the frame at a quarter of its size
    np.testing.assert_allclose(corners, (500, 170, 780, 490), rtol=1e-6)


def test_ratios_are_to_the_reference() -> None:
    figures = dict.fromkeys(("distance", "confidence", "offset", "rows"), 1.0)
    times = [{"wall_seconds": wall, "cpu_seconds": 2.0, "peak_megabytes": 3.0} for wall in (9.0, 10.0, 90.0)]
    reference = medians([{**figures, **time} for time in times])
    ours = {**reference, "wall_seconds": 4.0}
    rows = table_rows({"reference": reference, "ours": ours})
    assert rows[1] == ("wall_seconds", f"{10.0:14.2f}{4.0:14.2f}")
    assert rows[2][1].split() == ["1.00", "2.50"]
    assert all(set(programs) == set(PROGRAMS["frames"]) for programs in PROGRAMS.values())
