"""The state of one training: weights, their average, the optimizer, and what was best so far."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lipsync.errors import WeightsError
from lipsync.training.engine.checkpoint import read_checkpoint, write_checkpoint
from lipsync.training.engine.distributed import Distributed
from lipsync.training.engine.mixed_precision import autocast, choose_precision, make_scaler
from lipsync.training.engine.run_log import RunLog
from lipsync.training.engine.task import Batch, LoopOptions, Report, Task
from lipsync.utils.atomic_write import remove_parts

_REPORT_EVERY = 20


class Trainer:
    """The state of one training, and the only things that change it."""

    def __init__(self, task: Task, options: LoopOptions, folder: Path, world: Distributed) -> None:
        self.task, self.options, self.folder, self.world = task, options, folder, world
        self.dtype = choose_precision(options.precision, world.device)
        self.network = task.network.to(world.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.scaler = make_scaler(self.dtype)
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.step, self.best, self.worse = 0, math.inf, 0
        if world.first:
            remove_parts(folder)
        self._resume()
        self.saved = time.monotonic()
        self.shared = world.share(task)
        self.journal = RunLog(folder, self.step, options.board) if world.first else None

    @property
    def tired(self) -> bool:
        """Patience ran out; only the first process knows."""
        return 0 < self.options.patience <= self.worse

    def advance(self, batch: Batch) -> dict[str, float]:
        """Do one step with this process's batch; gives the figures of the step."""
        options, world = self.options, self.world
        rate = _rate(self.step, options)
        for group in self.optimizer.param_groups:  # every time, as a checkpoint brings its own along
            group.update(lr=rate, betas=(options.beta1, options.beta2), weight_decay=options.weight_decay)
        self.network.train()
        with torch.random.fork_rng(devices=[world.device] if world.device.type == "cuda" else []):
            torch.manual_seed(options.seed * 1_000_003 + self.step * world.size + world.rank)
            with autocast(world.device, self.dtype):
                loss, figures = self.shared(batch, self.step)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        length = torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.clip or math.inf)
        if torch.isfinite(length):  # one broken batch must not end a night's training
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if world.first:
            self._follow()
        return {"loss": loss.item(), "gradient": length.item(), "rate": rate, **figures}

    def _follow(self) -> None:
        # Early on the average is young: it follows faster, else it would remember the first weights.
        keep = min(self.options.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            mean = self.average[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach(), 1 - keep)
            else:
                mean.copy_(value)

    def note(self, figures: dict[str, float], report: Report, ending: bool) -> None:
        """Report, measure, log and save what is due after a step; the first process alone does."""
        if self.journal is None:
            return
        found: dict[str, dict[str, float]] = {}
        pictures: dict[str, Tensor] = {}
        if self.step % _REPORT_EVERY == 0:
            found["training"] = figures
            report(self.step, figures)
        if self.step % self.options.evaluate_every == 0 or ending:
            found["held_out"], pictures = self._measure(self.journal.shows_pictures)
            report(self.step, found["held_out"])
        if found:
            self.journal.add(self.step, found, pictures)
        if time.monotonic() - self.saved > self.options.save_every * 60:
            self.save()

    def _measure(self, with_pictures: bool) -> tuple[dict[str, float], dict[str, Tensor]]:
        network = self.network
        trained = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.average)
        network.eval()
        try:
            with torch.inference_mode():
                figures = self.task.evaluate(network)
                pictures = self.task.pictures(network) if with_pictures else {}
        finally:
            network.load_state_dict(trained)
        if figures["score"] < self.best:
            self.best, self.worse = figures["score"], 0
            write_checkpoint(self.folder / "best.pt", {"network": self.average, "step": self.step, **figures})
        else:
            self.worse += 1
        return figures, pictures

    def save(self) -> None:
        """Write `last.pt`; the first process alone does."""
        if not self.world.first:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "best": self.best,
            "worse": self.worse,
        }
        write_checkpoint(self.folder / "last.pt", state)
        self.saved = time.monotonic()

    def _resume(self) -> None:
        path = self.folder / "last.pt"
        if path.exists():
            state = read_checkpoint(path)
            try:
                self._load(state)
            except (KeyError, ValueError, RuntimeError) as error:
                hint = "Choose another folder for this training, or delete that file."
                raise WeightsError("A checkpoint is of another network", given=path, hint=hint) from error
        if len(set(self.world.gather(self.step))) > 1:
            hint = "Give a folder that all processes see."
            raise WeightsError("Not all processes found the same checkpoint", given=self.folder, hint=hint)

    def _load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, value in self.average.items():
            value.copy_(state["average"][name])
        if self.scaler.is_enabled() and state.get("scaler"):  # empty after training in another format
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.best, self.worse = state["step"], state["best"], state["worse"]

    def close(self) -> None:
        """Write out what is held back."""
        if self.journal is not None:
            self.journal.close()


def _rate(step: int, options: LoopOptions) -> float:
    """Linear up, then half a cosine down or level."""
    if step < options.warm_up:
        return options.learning_rate * (step + 1) / options.warm_up
    if options.schedule == "constant":
        return options.learning_rate
    share = (step - options.warm_up) / max(1, options.steps - options.warm_up)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
