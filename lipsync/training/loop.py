"""One training loop for everything that is trained here.

A task says what a batch is, what the loss is and what is measured; the loop does the rest. A batch,
and every random choice of a step, comes from the seed and the number of the step alone, so that a
run that was stopped and resumed equals one that was not, to the last bit on the same machine.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lipsync.errors import WeightsError
from lipsync.options import OptionGroup, option

Batch = dict[str, Tensor]
Report = Callable[[int, dict[str, float]], None]


class Task(Protocol):
    """What the loop has to know of a thing to train."""

    @property
    def network(self) -> nn.Module:
        """What is trained; its weights are changed in place."""
        ...

    def batch(self, step: int) -> Batch:
        """The examples of one step; must depend on `step` and the task's seed alone.

        It is called on another thread, ahead of time.
        """
        ...

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, and figures worth logging."""
        ...

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Held-out figures of `network`, which is in evaluation mode; "score" is the one to lower."""
        ...


@dataclass(frozen=True)
class LoopOptions(OptionGroup):
    """How long, how fast and how carefully to train."""

    steps: int = option(4000, "steps in all; the learning rate falls to nothing over them", min=1)
    until: int = option(0, "stop at this step, with the rate still up; 0 goes through all steps", min=0)
    learning_rate: float = option(1e-3, "at its highest", min=0.0, max=1.0)
    warm_up: int = option(100, "steps in which the learning rate rises", min=0)
    weight_decay: float = option(1e-4, "of AdamW", min=0.0, max=1.0)
    clip: float = option(1.0, "longest gradient that is followed in full", min=0.0)
    average: float = option(0.998, "share of the averaged weights that a step keeps", min=0.0, max=0.99999)
    evaluate_every: int = option(500, "steps between held-out measurements", min=1)
    save_every: float = option(2.0, "minutes between checkpoints", min=0.0)
    max_minutes: float = option(
        0.0, "stop after this long; 0 goes through all steps", min=0.0, unit="minutes"
    )
    patience: int = option(0, "stop after so many measurements without a better one; 0 never does", min=0)
    ahead: int = option(4, "batches made in advance", min=1, max=64)
    seed: int = option(1, "of every random choice", min=0)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        step: steps done, those of earlier runs among them.
        finished: all steps are done, or patience ran out.
        best: the lowest held-out score; inf when none was measured.
    """

    step: int
    finished: bool
    best: float


def train(
    task: Task, options: LoopOptions, folder: Path, report: Report, stop: Callable[[], bool] = lambda: False
) -> Outcome:
    """Train until the steps, the minutes or the patience are used up; resumes what `folder` holds.

    Writes `last.pt` (everything needed to go on), `best.pt` (averaged weights of the best held-out
    score) and `log.jsonl` into `folder`.

    Args:
        report: gets the step and its figures, about once in twenty steps and after measurements.
        stop: asked between steps; True saves and returns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, options, folder)
    run.resume()
    started = saved = time.monotonic()
    last = min(options.until or options.steps, options.steps)
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
        queue: deque[Future[Batch]] = deque()
        while run.step < last and not run.tired and not stop():
            for step in range(run.step + len(queue), min(run.step + options.ahead, last)):
                queue.append(maker.submit(task.batch, step))
            figures = run.advance(queue.popleft().result())
            if run.step % 20 == 0:
                report(run.step, figures)
            if run.step % options.evaluate_every == 0 or run.step == last:
                report(run.step, run.measure())
            now = time.monotonic()
            if options.max_minutes and now - started > options.max_minutes * 60:
                break
            if now - saved > options.save_every * 60:
                run.save()
                saved = now
        for future in queue:
            future.cancel()
    run.save()
    return Outcome(run.step, run.step >= options.steps or run.tired, run.best)


class _Run:
    """The state of one training, and the only things that change it."""

    def __init__(self, task: Task, options: LoopOptions, folder: Path) -> None:
        self.task, self.options, self.folder = task, options, folder
        self.optimizer = torch.optim.AdamW(
            task.network.parameters(),
            lr=options.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=options.weight_decay,
        )
        self.average = {name: value.detach().clone() for name, value in task.network.state_dict().items()}
        self.step, self.best, self.worse = 0, math.inf, 0

    @property
    def tired(self) -> bool:
        return 0 < self.options.patience <= self.worse

    def advance(self, batch: Batch) -> dict[str, float]:
        options, network = self.options, self.task.network
        rate = _rate(self.step, options)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed * 1_000_003 + self.step)
            loss, figures = self.task.loss(batch, self.step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        length = torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip or math.inf)
        if torch.isfinite(length):  # one broken batch must not end a night's training
            self.optimizer.step()
        self.step += 1
        self._follow()
        return {"loss": loss.item(), "gradient": length.item(), "rate": rate, **figures}

    def _follow(self) -> None:
        # Early on the average is young: it follows faster, else it would remember the first weights.
        keep = min(self.options.average, (1 + self.step) / (10 + self.step))
        for name, value in self.task.network.state_dict().items():
            mean = self.average[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach(), 1 - keep)
            else:
                mean.copy_(value)

    def measure(self) -> dict[str, float]:
        network = self.task.network
        trained = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.average)
        network.eval()
        with torch.inference_mode():
            figures = self.task.evaluate(network)
        network.load_state_dict(trained)
        if figures["score"] < self.best:
            self.best, self.worse = figures["score"], 0
            write_checkpoint(self.folder / "best.pt", {"network": self.average, "step": self.step, **figures})
        else:
            self.worse += 1
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.step, **figures}) + "\n")
        return figures

    def save(self) -> None:
        state = {
            "network": self.task.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "worse": self.worse,
        }
        write_checkpoint(self.folder / "last.pt", state)

    def resume(self) -> None:
        path = self.folder / "last.pt"
        if not path.exists():
            return
        state = read_checkpoint(path)
        self.task.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.step, self.best, self.worse = state["step"], state["best"], state["worse"]


def _rate(step: int, options: LoopOptions) -> float:
    """Linear up, then half a cosine down."""
    if step < options.warm_up:
        return options.learning_rate * (step + 1) / options.warm_up
    share = (step - options.warm_up) / max(1, options.steps - options.warm_up)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write whole or not at all: to a neighbour first, then moved into place."""
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    os.replace(part, path)  # noqa: PTH105 - replaces on every system, in one step


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote; never runs code from the file."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            "A checkpoint cannot be read", given=path, hint="Delete it to start anew."
        ) from error
    return state
