from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lipsync.errors import DiskFullError, OptionError, WeightsError
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, TrainingRun, device_of, to_device


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
        x = torch.linspace(0, 1, 10, device=device_of(network))[:, None]
        return {"score": (network(x) - 2 * x - 1).square().mean().item()}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        assert not network.training
        return {}


OPTIONS = LoopOptions(
    steps=60, learning_rate=0.05, warmup_steps=5, evaluate_every=20, ema_decay=0.9, device="cpu"
)


def quiet(step: int, figures: dict[str, float]) -> None: ...


def test_learns_and_says_how_it_ended(tmp_path: Path) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    outcome = train(Line(), TrainingRun(tmp_path, OPTIONS, lambda *report: reports.append(report)))
    scores = [figures["score"] for _, figures in reports if "score" in figures]
    assert outcome.finished and outcome.step == 60
    assert scores[-1] < 0.1 * 4 and outcome.best == min(scores)
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 3
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path, schedule: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = replace(OPTIONS, schedule=schedule)
    train(Line(), TrainingRun(whole, options, quiet))
    first, steps = Line(), iter(range(1000))
    stopped = train(first, TrainingRun(parts, options, quiet, stop=lambda: next(steps) >= 27))
    assert stopped.step == 27 and not stopped.finished
    train(Line(), TrainingRun(parts, options, quiet))
    a, b = read_checkpoint(whole / "last.pt"), read_checkpoint(parts / "last.pt")
    for name in a["network"]:
        assert torch.equal(a["network"][name], b["network"][name]), name
        assert torch.equal(a["ema"][name], b["ema"][name]), name
    assert any("running_mean" in name for name in a["network"])  # batch statistics are part of it
    for one, other in zip(a["optimizer"]["state"].values(), b["optimizer"]["state"].values(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert a["best"] == b["best"]
    assert (whole / "log.jsonl").read_text() == (parts / "log.jsonl").read_text()


def test_patience_and_minutes_end_a_training(tmp_path: Path) -> None:
    stopped = train(
        Line(),
        TrainingRun(
            tmp_path / "a", LoopOptions(steps=500, learning_rate=0.0, evaluate_every=5, patience=2), quiet
        ),
    )
    assert stopped.finished and stopped.step < 100
    short = train(Line(), TrainingRun(tmp_path / "b", LoopOptions(steps=100_000, max_minutes=0.001), quiet))
    assert not short.finished and 0 < short.step < 100_000


def test_a_broken_batch_is_passed_over(tmp_path: Path) -> None:
    class Broken(Line):
        def batch(self, step: int) -> dict[str, Tensor]:
            batch = super().batch(step)
            return {**batch, "y": batch["y"] * float("nan")} if step == 10 else batch

    train(Broken(), TrainingRun(tmp_path, OPTIONS, quiet))
    state = read_checkpoint(tmp_path / "last.pt")["network"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_a_damaged_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"half of a file")
    with pytest.raises(WeightsError, match="cannot be read"):
        train(Line(), TrainingRun(tmp_path, OPTIONS, quiet))


def test_a_checkpoint_of_another_network_is_refused_in_words(tmp_path: Path) -> None:
    class Wider(Line):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential(nn.Linear(1, 9), nn.Linear(9, 1))

    train(Line(), TrainingRun(tmp_path, OPTIONS, quiet))
    with pytest.raises(WeightsError, match="another network"):
        train(Wider(), TrainingRun(tmp_path, OPTIONS, quiet))


def test_the_rate_rises_and_then_falls_or_stays(tmp_path: Path) -> None:
    rates: dict[str, list[float]] = {"cosine": [], "constant": []}
    for schedule, seen in rates.items():
        options = replace(OPTIONS, warmup_steps=30, schedule=schedule)
        train(
            Line(),
            TrainingRun(
                tmp_path / schedule, options, lambda _, f, seen=seen: seen.append(f.get("learning_rate", -1))
            ),
        )  # type: ignore[misc]
        seen[:] = [rate for rate in seen if rate >= 0]
    assert rates["constant"] == pytest.approx([0.05 * 20 / 30, 0.05, 0.05])
    assert rates["cosine"][0] == rates["constant"][0] and rates["cosine"][2] < 0.001


def test_the_settings_of_the_optimizer_are_those_given_last(tmp_path: Path) -> None:
    train(Line(), TrainingRun(tmp_path, replace(OPTIONS, until=5), quiet))
    train(
        Line(),
        TrainingRun(tmp_path, replace(OPTIONS, until=10, beta1=0.5, beta2=0.999, weight_decay=0.0), quiet),
    )
    (group,) = read_checkpoint(tmp_path / "last.pt")["optimizer"]["param_groups"]
    assert tuple(group["betas"]) == (0.5, 0.999) and group["weight_decay"] == 0.0


def test_the_minutes_hold_whatever_the_measurements_take(tmp_path: Path) -> None:
    now = 0.0

    class Slow(Line):
        def evaluate(self, network: nn.Module) -> dict[str, float]:
            nonlocal now
            now += 45
            return super().evaluate(network)

    def run(**changes: object) -> Outcome:
        options = replace(OPTIONS, max_minutes=1.0, **changes)
        return train(Slow(), TrainingRun(tmp_path, options, quiet, clock=lambda: now))

    outcome = run(steps=500, evaluate_every=7)
    assert outcome.step == 14 and not outcome.finished
    assert run(until=20).step == 20


def test_a_full_disk_ends_the_training_and_spares_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(Line(), TrainingRun(tmp_path, replace(OPTIONS, until=15), quiet))
    whole = (tmp_path / "last.pt").read_bytes()

    def half(state: object, file: object) -> None:
        file.write(whole[: len(whole) // 2])  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(DiskFullError, match="start again"):
            train(Line(), TrainingRun(tmp_path, replace(OPTIONS, save_every=0.0), quiet))
    assert (tmp_path / "last.pt").read_bytes() == whole
    assert not list(tmp_path.glob("*.part*"))
    assert train(Line(), TrainingRun(tmp_path, OPTIONS, quiet)).finished


def test_the_forward_pass_runs_in_the_number_format_asked_for(tmp_path: Path) -> None:
    class Watched(Line):
        def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
            self.seen = self.network(batch["x"]).dtype
            return super().loss(batch, step)

    for name, dtype in {"auto": torch.float32, "fp32": torch.float32, "bf16": torch.bfloat16}.items():
        task = Watched()
        outcome = train(task, TrainingRun(tmp_path / name, replace(OPTIONS, number_format=name), quiet))
        assert task.seen == dtype and outcome.best < 0.4
        assert next(task.network.parameters()).dtype == torch.float32
    with pytest.raises(OptionError, match="bf16"):
        train(Line(), TrainingRun(tmp_path, replace(OPTIONS, number_format="fp16"), quiet))


def test_the_log_has_every_figure_once(tmp_path: Path) -> None:
    task = Line()
    options = replace(OPTIONS, evaluate_every=30)
    train(task, TrainingRun(tmp_path, replace(options, until=50), quiet))
    (tmp_path / "last.pt").unlink()
    train(
        task, TrainingRun(tmp_path, replace(options, until=10), quiet)
    )  # as if killed before a save: all comes anew
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 20, "train": {}}\n{"step": 4')
    train(task, TrainingRun(tmp_path, options, quiet))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], sorted(line.keys() - {"step"})) for line in lines] == [
        (10, ["val"]),
        (20, ["train"]),
        (30, ["val"]),
        (40, ["train"]),
        (60, ["train", "val"]),
    ]
    assert lines[1]["train"].keys() == {"loss", "grad_norm", "learning_rate"}


def test_an_error_in_making_a_batch_comes_out(tmp_path: Path) -> None:
    class Short(Line):
        def batch(self, step: int) -> dict[str, Tensor]:
            if step == 3:
                raise ValueError("no more")
            return super().batch(step)

    with pytest.raises(ValueError, match="no more"):
        train(Short(), TrainingRun(tmp_path, OPTIONS, quiet))


def test_a_batch_goes_to_a_device() -> None:
    moved = to_device({"x": torch.zeros(2)}, torch.device("meta"))
    assert moved["x"].device.type == "meta"


@pytest.mark.gpu
@pytest.mark.parametrize("number_format", ["auto", "fp32", "bf16", "fp16"])
def test_trains_on_a_gpu_and_goes_on_without_one(tmp_path: Path, number_format: str) -> None:
    task = Line()
    options = replace(OPTIONS, device="cuda", number_format=number_format)
    train(task, TrainingRun(tmp_path, replace(options, until=30), quiet))
    assert device_of(task.network).type == "cuda"
    assert train(task, TrainingRun(tmp_path, replace(options, until=45), quiet)).step == 45
    rest = Line()
    outcome = train(rest, TrainingRun(tmp_path, replace(OPTIONS, device="cpu"), quiet))
    assert outcome.finished and outcome.best < 0.4 and device_of(rest.network).type == "cpu"
