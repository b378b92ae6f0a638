from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lipsync.errors import OutputError
from lipsync.training.engine.loop import train
from lipsync.training.engine.run_log import RunLog
from lipsync.training.engine.task import LoopOptions, TrainingRun
from tests.training.engine.test_loop import Line, quiet

PICTURES = {"faces": torch.linspace(-0.5, 1.5, 2 * 3 * 8 * 8).view(2, 3, 8, 8)}


def shown(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[int]]]:
    """What TensorBoard would show: values by tag and step, and the steps of pictures by tag."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    scalars = {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in tags["scalars"]}
    return scalars, {tag: [event.step for event in board.Images(tag)] for tag in tags["images"]}


def test_tensorboard_shows_figures_and_images_of_a_training(tmp_path: Path) -> None:
    class Seen(Line):
        def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
            assert not network.training
            return PICTURES

    options = LoopOptions(steps=40, evaluate_every=20, device="cpu")
    train(Seen(), TrainingRun(tmp_path, options, quiet))
    scalars, pictures = shown(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [step for step, _ in scalars["train/loss"]] == [20, 40]
    scores = [(line["step"], pytest.approx(line["val"]["score"])) for line in lines]
    assert scalars["val/score"] == scores
    assert list(pictures) == ["faces"] and pictures["faces"][-1] == 40


def test_what_comes_again_is_shown_once(tmp_path: Path) -> None:
    first = RunLog(tmp_path, 0, tensorboard=True)
    for step in (20, 40, 60):
        first.add(step, {"train": {"loss": float(step)}}, {})
    first.close()
    second = RunLog(tmp_path, 40, tensorboard=True)
    second.add(60, {"train": {"loss": -60.0}}, {})
    second.close()
    values = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], line["train"]["loss"]) for line in values] == [(20, 20), (40, 40), (60, -60)]
    assert shown(tmp_path)[0]["train/loss"] == [(20, 20), (40, 40), (60, -60)]


def test_without_tensorboard_the_training_goes_on_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it now fails
    with caplog.at_level(logging.WARNING, logger="lipsync"):
        outcome = train(
            Line(), TrainingRun(tmp_path, LoopOptions(steps=40, evaluate_every=20, device="cpu"), quiet)
        )
    assert outcome.finished and (tmp_path / "log.jsonl").exists() and not (tmp_path / "tensorboard").exists()
    assert len(caplog.records) == 1 and "pip install tensorboard" in caplog.text


def test_no_images_are_made_where_nothing_takes_them(tmp_path: Path) -> None:
    class Unseen(Line):
        def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
            raise AssertionError

    options = LoopOptions(steps=5, tensorboard=False, device="cpu")
    assert train(Unseen(), TrainingRun(tmp_path, options, quiet)).finished
    assert not (tmp_path / "tensorboard").exists()


def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, tensorboard=False)
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(OutputError, match="writable"):
        log.add(1, {"train": {}}, {})
