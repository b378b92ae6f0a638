"""Lips of results, read from real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.evaluator import Evaluator, EvaluatorOptions
from lipsync.evaluation.table import ClipResult, columns
from lipsync.options import SyncOptions
from lipsync.registries import LIP_METRICS
from lipsync.speech import Transcript
from tests.make_media import run_ffmpeg
from tests.material import make_head, make_voice

ONLY_LIPS = EvaluatorOptions(sync=False, lse=False, pictures=False, fid=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that moves, blurred and small copies of it, a voice and silence."""
    path = tmp_path_factory.mktemp("lips")
    head = make_head(path / "head.mp4", parts=[0.8])
    run_ffmpeg("-i", str(head), "-vf", "gblur=2", "-c:v", "libx264", "-crf", "12", str(path / "soft.mp4"))
    run_ffmpeg("-i", str(head), "-vf", "scale=iw/2:-2", str(path / "small.mp4"))
    make_voice(path / "voice.wav", seconds=0.8)
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "0.8", str(path / "silence.wav"))
    return path


def evaluate(folder: Path, result: str, voice: str = "voice.wav", **options: bool) -> ClipResult:
    pair = Pair("head", 0, folder / "head.mp4", folder / voice)
    evaluator = Evaluator(replace(ONLY_LIPS, **options), SyncOptions())
    return evaluator.evaluate(pair, "given", folder / result)


def test_a_result_like_its_source_is_as_sharp_and_has_no_seam(folder: Path) -> None:
    same = evaluate(folder, "head.mp4")  # the source itself, which is not compared with itself
    assert "mouth_sharpness" not in same.values
    soft = evaluate(folder, "soft.mp4").values
    assert soft["mouth_sharpness"] < 0.5
    assert soft["seam"] < 1


def test_silence_as_the_voice_makes_every_frame_a_pause(folder: Path) -> None:
    values = evaluate(folder, "soft.mp4", "silence.wav").values
    assert 0 <= values["lip_leak"] <= 1
    assert values["silent_lip_stability"] >= 0
    assert "loudness_match" not in values


def test_values_are_columns_of_the_table(folder: Path) -> None:
    keys = {column.key for column in columns()}
    assert set(LIP_METRICS) <= keys
    assert set(evaluate(folder, "soft.mp4").values) <= keys


def test_another_size_is_told_and_nothing_is_lost(folder: Path) -> None:
    clip = evaluate(folder, "small.mp4")
    assert any("different sizes" in note for note in clip.notes)
    assert clip.values == {}


def test_without_lips_nothing_is_measured(folder: Path) -> None:
    assert evaluate(folder, "soft.mp4", lips=False).values == {}


def test_closures_of_another_voice_come_from_its_transcript(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def transcribe(*arguments: object) -> Transcript:
        asked.append(arguments)
        return Transcript((), "en", None, "test")

    monkeypatch.setattr("lipsync.evaluation.evaluator.transcribe", transcribe)
    assert "closure_rate" not in evaluate(folder, "soft.mp4").values
    assert not asked
    evaluate(folder, "soft.mp4", closures=True)
    assert len(asked) == 1


def test_measures_name_lips_and_closures() -> None:
    def measures(**options: bool) -> tuple[str, ...]:
        return Evaluator(replace(ONLY_LIPS, **options), SyncOptions()).measures

    assert "lips" in measures()
    assert "closures" in measures(closures=True)
    assert not {"lips", "closures"} & set(measures(lips=False, closures=True))
    assert np.unique(measures(closures=True)).size == len(measures(closures=True))
