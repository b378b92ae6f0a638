from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.errors import Cancelled, InputError
from lipsync.evaluation import LseScore
from lipsync.evaluation import evaluator as evaluator_module
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.evaluator import Evaluator, EvaluatorOptions
from lipsync.evaluation.runner import evaluate_all, fid_of_rows
from lipsync.evaluation.table import ClipResult
from lipsync.metrics.lse_tracks import TrackScore
from lipsync.options import SyncOptions
from lipsync.sync_score import SyncNet
from lipsync.types import PixelBox
from tests.make_media import make_video
from tests.metrics.networks import color_features

QUICK = EvaluatorOptions(sync=False, lse=False, lips=False)
TONE = ("-f", "lavfi", "-i", "sine=d=0.4")


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    videos = [make_video(tmp_path / f"{name}.mp4", frames=10, sound=TONE) for name in "ab"]
    return [Pair(video.stem, number, video, video, "en") for number, video in enumerate(videos)]


class Copier:
    """Makes a result by copying the video; counts calls, and fails on demand."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails: Callable[[Pair], BaseException | None] = lambda _: None

    def __call__(self, pair: Pair, target: Path) -> Path:
        if error := self.fails(pair):
            raise error
        self.made.append(pair.name)
        shutil.copy(pair.video, target)
        return target


def run(
    pairs: list[Pair], copier: Copier, folder: Path, made_with: str = "", **more: object
) -> list[ClipResult]:
    evaluator = Evaluator(QUICK, SyncOptions(), extractor=color_features, **more)  # type: ignore[arg-type]
    return list(evaluate_all(pairs, {"copy": copier}, folder, evaluator, made_with))


def test_results_and_values_are_reused(pairs: list[Pair], tmp_path: Path) -> None:
    folder, copier = tmp_path / "out", Copier()
    first = run(pairs, copier, folder)
    assert [one.values["psnr_outside"] for one in first] == [float("inf")] * 2
    assert all(one.values["seconds"] > 0 for one in first)
    again = run(pairs, copier, folder)
    assert copier.made == ["a", "b"]
    assert [one.values for one in again] == [pytest.approx(one.values, abs=1e-6) for one in first]
    (folder / "copy" / "a.mp4").unlink()
    run(pairs, copier, folder)
    assert copier.made == ["a", "b", "a"]


def test_changed_inputs_and_settings_are_made_again(pairs: list[Pair], tmp_path: Path) -> None:
    folder, copier = tmp_path / "out", Copier()
    run(pairs, copier, folder)
    run(pairs, copier, folder, made_with="another mask")
    assert copier.made == ["a", "b"] * 2
    make_video(pairs[1].video, frames=12, sound=TONE)
    run(pairs, copier, folder, made_with="another mask")
    assert copier.made == ["a", "b"] * 2 + ["b"]


def test_a_changed_result_is_evaluated_again(pairs: list[Pair], tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.mp4"

    def evaluate() -> ClipResult:
        evaluator = Evaluator(QUICK, SyncOptions(), extractor=color_features)
        [one] = evaluate_all(pairs[:1], {"theirs": lambda pair, _: theirs}, tmp_path / "out", evaluator)
        return one

    shutil.copy(pairs[0].video, theirs)
    assert evaluate().values["psnr"] == float("inf")
    make_video(theirs, frames=[np.full((120, 160, 3), 99, np.uint8)] * 10)
    assert evaluate().values["psnr"] < 20


def test_a_cancel_keeps_finished_results(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, copier = tmp_path / "out", Copier()
    with monkeypatch.context() as patch:

        def stopped(*_: object, **__: object) -> ClipResult:
            raise Cancelled

        patch.setattr(Evaluator, "evaluate", stopped)
        with pytest.raises(Cancelled):
            run(pairs, copier, folder)
    found = run(pairs, copier, folder)
    assert copier.made == ["a", "b"]
    assert found[0].values["seconds"] > 0


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (InputError("No face", hint="Look closer."), "No face. Look closer."),
        (RuntimeError("shape"), "RuntimeError: shape"),
    ],
)
def test_a_pair_that_fails_does_not_stop_the_rest(
    pairs: list[Pair], tmp_path: Path, error: Exception, failure: str
) -> None:
    copier = Copier()
    copier.fails = lambda pair: error if pair.name == "a" else None
    one, other = run(pairs, copier, tmp_path / "out")
    assert (one.failure, one.result, one.values) == (failure, None, {})
    assert not other.failure
    assert other.values["psnr"] == float("inf")


def test_a_result_that_is_no_video_fails_by_itself(pairs: list[Pair], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    evaluator = Evaluator(QUICK, SyncOptions(), extractor=color_features)
    found = list(evaluate_all(pairs, {"theirs": lambda pair, _: broken}, tmp_path / "out", evaluator))
    assert all("not a video" in one.failure for one in found)


def test_fid_is_of_all_frames_of_a_row(pairs: list[Pair], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    found = run(pairs, Copier(), folder)
    [(key, values)] = fid_of_rows(found, folder).items()
    assert key == ("", "en", "copy")
    assert values["fid"] == pytest.approx(0, abs=1e-9)


def test_missing_weights_are_noted_once(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.evaluation.evaluator.find", lambda _: None)
    evaluator = Evaluator(EvaluatorOptions(sync=False, lips=False, lpips=True), SyncOptions())
    assert evaluator.measures == ("pictures",)
    assert [note.split()[0] for note in evaluator.notes] == ["LSE", "FID", "LPIPS"]
    assert "syncnet_v2" in evaluator.notes[0]
    [one] = evaluate_all(pairs[:1], {"copy": Copier()}, tmp_path / "out", evaluator)
    assert "psnr" in one.values
    assert not one.notes


def test_lse_of_whole_frames_and_of_tracks(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In LRS sets a face fills the frame; else faces are tracked, and tracks must be long enough."""
    torch.manual_seed(0)
    weights = tmp_path / "syncnet_v2.model"
    torch.save(SyncNet().state_dict(), weights)
    monkeypatch.setenv("LIPSYNC_WEIGHTS", str(tmp_path))
    evaluator = Evaluator(EvaluatorOptions(sync=False, lips=False, pictures=False, fid=False), SyncOptions())
    assert evaluator.measures == ("lse",)
    whole = evaluator.evaluate(replace(pairs[0], whole_frame=True), "x", pairs[1].video)
    assert set(whole.values) == {"lse_d", "lse_c", "lse_offset"}
    faces = evaluator.evaluate(pairs[0], "x", pairs[1].video)
    assert faces.values == {}
    assert faces.notes == ("LSE: No face track is 101 frames long and 100 pixels wide.",)

    rows = [
        TrackScore(
            pairs[0].video, n, 5.0 * n, 5.0 * n + 4, PixelBox(0, 0, 120, 120), LseScore(7.0 + n, 5.0, -1, 96)
        )
        for n in range(2)
    ]
    monkeypatch.setattr(evaluator_module, "evaluate_tracks", lambda *_, **__: rows)
    [both] = evaluate_all(pairs[:1], {"copy": Copier()}, tmp_path / "out", evaluator)
    assert both.values["lse_d"] == 7.5
    assert [(track["start"], track["lse_d"]) for track in both.tracks] == [(0.0, 7.0), (5.0, 8.0)]
    [again] = evaluate_all(pairs[:1], {"copy": Copier()}, tmp_path / "out", evaluator)
    assert again.tracks == both.tracks
