from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lipsync.errors import OptionError
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.distributed import process_group
from lipsync.training.engine.loop import train
from lipsync.training.engine.task import LoopOptions, TrainingRun

OPTIONS = LoopOptions(
    steps=12,
    learning_rate=0.02,
    warmup_steps=2,
    evaluate_every=4,
    ema_decay=0.9,
    device="cpu",
    tensorboard=False,
)


class Curve:
    """Learns a sine with a network whose examples do not know of each other."""

    def __init__(self, together: int = 1) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.network.register_module("unused", nn.Linear(1, 1))
        self.together = together
        self.random: list[float] = []
        self.measured = 0

    def batch(self, step: int) -> dict[str, Tensor]:
        numbers = range(step * self.together, (step + 1) * self.together)
        x = [torch.rand(8, 1, generator=torch.Generator().manual_seed(number)) for number in numbers]
        return {"x": torch.cat(x)}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        self.random.append(torch.rand(()).item())
        return (self.draw(batch["x"]) - (6 * batch["x"]).sin()).square().mean(), {}

    def draw(self, x: Tensor) -> Tensor:
        layers = list(self.network)[:3]
        for layer in layers:
            x = layer(x)
        return x

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        self.measured += 1
        x = torch.linspace(0, 1, 10)[:, None]
        return {"score": (self.draw(x) - (6 * x).sin()).square().mean().item()}

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        return {}


def work(folder: Path) -> None:
    """What each of the two processes does."""
    rank = int(os.environ["RANK"])
    results: dict[str, Any] = {}

    def run(name: str, options: LoopOptions, stop_at: int = 1000) -> Curve:
        task, reports, steps = Curve(), [], iter(range(2000))
        outcome = train(
            task,
            TrainingRun(
                folder / name.split(" ")[0],
                options,
                lambda step, _: reports.append(step),
                stop=lambda: next(steps) >= stop_at,
            ),
        )
        results[name] = {**vars(outcome), "reports": len(reports), "measured": task.measured}
        return task

    results["random"] = run("whole", OPTIONS).random
    # Only the second process is stopped, only the first one counts the patience.
    run("parts", OPTIONS, stop_at=5 if rank == 1 else 1000)
    run("parts again", OPTIONS)
    run("patience", replace(OPTIONS, steps=500, learning_rate=0.0, patience=2))
    run("minutes", replace(OPTIONS, steps=100_000, max_minutes=0.005))
    (folder / f"results{rank}.json").write_text(json.dumps(results))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of two processes' trainings, and the results of each."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom tests.training.engine.test_distributed import work\n"
        "work(Path(sys.argv[1]))\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, [json.loads((folder / f"results{rank}.json").read_text()) for rank in (0, 1)]


Two = tuple[Path, list[dict[str, Any]]]


def test_two_processes_equal_one_with_both_batches(two: Two, tmp_path: Path) -> None:
    folder, results = two
    outcome = train(Curve(together=2), TrainingRun(tmp_path, OPTIONS, lambda *_: None))
    alone, shared = (read_checkpoint(run / "last.pt") for run in (tmp_path, folder / "whole"))
    start = Curve().network.state_dict()
    for part in ("network", "ema"):
        for name, value in alone[part].items():
            torch.testing.assert_close(shared[part][name], value, rtol=1e-4, atol=1e-5)
            assert name.startswith("unused") or (value - start[name]).abs().max() > 0.01
    for process in results:
        assert process["whole"]["step"] == 12 and process["whole"]["finished"]
        assert process["whole"]["best"] == pytest.approx(outcome.best, rel=1e-3)


def test_the_first_alone_measures_reports_and_writes(two: Two) -> None:
    folder, (first, second) = two
    assert first["whole"]["measured"] == 3 and first["whole"]["reports"] == 3
    assert second["whole"]["measured"] == 0 and second["whole"]["reports"] == 0
    assert (folder / "whole" / "log.jsonl").read_text().count("\n") == 3


def test_their_random_choices_differ(two: Two) -> None:
    _, (first, second) = two
    assert len({*first["random"], *second["random"]}) == 24


def test_they_stop_together_and_resume(two: Two) -> None:
    folder, results = two
    for process in results:
        assert process["parts"]["step"] == 5 and not process["parts"]["finished"]
        assert process["parts again"]["step"] == 12 and process["parts again"]["finished"]
    whole, parts = (read_checkpoint(folder / name / "last.pt") for name in ("whole", "parts"))
    for part in ("network", "ema"):
        assert all(torch.equal(whole[part][name], parts[part][name]) for name in whole[part])
    assert whole["best"] == parts["best"]


def test_patience_and_minutes_end_all_of_them(two: Two) -> None:
    _, (first, second) = two
    assert first["patience"]["step"] == second["patience"]["step"] < 100
    assert first["patience"]["finished"] and second["patience"]["finished"]
    assert first["minutes"]["step"] == second["minutes"]["step"] < 100_000
    assert not first["minutes"]["finished"] and not second["minutes"]["finished"]


def test_one_process_makes_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with process_group("cpu") as group:
        assert group.is_main and group.gather(3.0) == [3.0] and group.any(True) and not group.any(False)
    assert not torch.distributed.is_initialized()


def test_half_of_torchruns_variables_are_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(OptionError, match="torchrun"):
        train(Curve(), TrainingRun(tmp_path, OPTIONS, lambda *_: None))
