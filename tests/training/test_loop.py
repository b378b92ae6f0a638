from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lipsync.errors import WeightsError
from lipsync.training.loop import LoopOptions, read_checkpoint, train


class Line:
    """Learns y = 2 x + 1 with a network that has dropout and batch statistics of its own."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1)
        )
        self.made: list[int] = []

    def batch(self, step: int) -> dict[str, Tensor]:
        self.made.append(step)
        x = torch.rand(16, 1, generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 2 * x + 1}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        return (self.network(batch["x"]) - batch["y"]).square().mean(), {}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        assert not network.training
        x = torch.linspace(0, 1, 10)[:, None]
        return {"score": (network(x) - 2 * x - 1).square().mean().item()}


OPTIONS = LoopOptions(steps=60, learning_rate=0.05, warm_up=5, evaluate_every=20, average=0.9)


def quiet(step: int, figures: dict[str, float]) -> None: ...


def test_learns_and_says_how_it_ended(tmp_path: Path) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    outcome = train(Line(), OPTIONS, tmp_path, lambda *report: reports.append(report))
    scores = [figures["score"] for _, figures in reports if "score" in figures]
    assert outcome.finished and outcome.step == 60
    assert scores[-1] < 0.1 * 4 and outcome.best == min(scores)
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 3
    assert not list(tmp_path.glob("*.part"))


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(Line(), OPTIONS, whole, quiet)
    first, steps = Line(), iter(range(1000))
    stopped = train(first, OPTIONS, parts, quiet, stop=lambda: next(steps) >= 27)
    assert stopped.step == 27 and not stopped.finished
    train(Line(), OPTIONS, parts, quiet)
    a, b = read_checkpoint(whole / "last.pt"), read_checkpoint(parts / "last.pt")
    for name in a["network"]:
        assert torch.equal(a["network"][name], b["network"][name]), name
        assert torch.equal(a["average"][name], b["average"][name]), name
    assert a["best"] == b["best"]


def test_patience_and_minutes_end_a_training(tmp_path: Path) -> None:
    tired = train(
        Line(), LoopOptions(steps=500, learning_rate=0.0, evaluate_every=5, patience=2), tmp_path / "a", quiet
    )
    assert tired.finished and tired.step < 100
    short = train(Line(), LoopOptions(steps=100_000, max_minutes=0.001), tmp_path / "b", quiet)
    assert not short.finished and 0 < short.step < 100_000


def test_a_broken_batch_is_passed_over(tmp_path: Path) -> None:
    class Broken(Line):
        def batch(self, step: int) -> dict[str, Tensor]:
            batch = super().batch(step)
            return {**batch, "y": batch["y"] * float("nan")} if step == 10 else batch

    train(Broken(), OPTIONS, tmp_path, quiet)
    state = read_checkpoint(tmp_path / "last.pt")["network"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"half of a file")
    with pytest.raises(WeightsError, match="cannot be read"):
        train(Line(), OPTIONS, tmp_path, quiet)
