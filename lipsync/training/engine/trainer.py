"""State of a training run: weights, their moving average, optimizer, best score."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lipsync.errors import WeightsError
from lipsync.training.engine.checkpoint import read_checkpoint, write_checkpoint
from lipsync.training.engine.distributed import Distributed
from lipsync.training.engine.mixed_precision import autocast, choose_training_dtype, make_scaler
from lipsync.training.engine.run_log import RunLog
from lipsync.training.engine.task import Batch, LoopOptions, Task, TrainingRun
from lipsync.utils.atomic_write import remove_parts

_REPORT_EVERY = 20


class Trainer:
    """Optimizer steps, evaluation and checkpoints of one training run.

    Attributes:
        ema: exponential moving average of the weights, by name; what is evaluated and exported.
        step: steps done.
        best: lowest validation score so far; inf before the first evaluation. Valid on rank 0 only.
        bad_evaluations: evaluations in a row without a better score. Valid on rank 0 only.

    Raises:
        OptionError: the device cannot train in that number format.
        WeightsError: the folder's checkpoint is damaged, of another network, or missing on some ranks.
    """

    def __init__(self, task: Task, run: TrainingRun, distributed: Distributed) -> None:
        self.task, self.run, self.options, self.distributed = task, run, run.options, distributed
        self.dtype = choose_training_dtype(run.options.number_format, distributed.device)
        self.network = task.network.to(distributed.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.scaler = make_scaler(self.dtype)
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.step, self.best, self.bad_evaluations = 0, math.inf, 0
        if distributed.is_main:
            remove_parts(run.folder)
        self._resume()
        self._last_save = self.run.clock()
        self._loss = distributed.wrap(task)
        self._log = RunLog(run.folder, self.step, run.options.tensorboard) if distributed.is_main else None

    @property
    def early_stop(self) -> bool:
        """Whether patience has run out; valid on rank 0 only."""
        return 0 < self.options.patience <= self.bad_evaluations

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One optimizer step with this rank's batch; returns the figures to log."""
        options, distributed = self.options, self.distributed
        rate = learning_rate_at(self.step, options)
        for group in self.optimizer.param_groups:  # at every step, since a checkpoint restores its own
            group.update(lr=rate, betas=(options.beta1, options.beta2), weight_decay=options.weight_decay)
        self.network.train()
        with torch.random.fork_rng(devices=[distributed.device] if distributed.device.type == "cuda" else []):
            batch_number = self.step * distributed.world_size + distributed.rank
            torch.manual_seed(options.seed * 1_000_003 + batch_number)
            with autocast(distributed.device, self.dtype):
                loss, figures = self._loss(batch, self.step)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.grad_clip or math.inf)
        if torch.isfinite(norm):  # one broken batch must not end a night's training
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if distributed.is_main:
            self._update_ema()
        return {"loss": loss.item(), "grad_norm": norm.item(), "learning_rate": rate, **figures}

    def _update_ema(self) -> None:
        # A low decay at first: else the average would remember the initial weights for long.
        decay = min(self.options.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            mean = self.ema[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach(), 1 - decay)
            else:
                mean.copy_(value)

    def after_step(self, figures: dict[str, float], is_last: bool) -> None:
        """Report, evaluate, log and save, whichever is due; on rank 0 only."""
        if self._log is None:
            return
        logged: dict[str, dict[str, float]] = {}
        images: dict[str, Tensor] = {}
        if self.step % _REPORT_EVERY == 0:
            logged["train"] = figures
            self.run.report(self.step, figures)
        if self.step % self.options.evaluate_every == 0 or is_last:
            logged["val"], images = self._evaluate(self._log.takes_images)
            self.run.report(self.step, logged["val"])
        if logged:
            self._log.add(self.step, logged, images)
        if self.run.clock() - self._last_save > self.options.save_every * 60:
            self.save()

    def _evaluate(self, with_images: bool) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Evaluate the averaged weights; writes `best.pt` where the score improves."""
        network = self.network
        trained = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.ema)
        network.eval()
        try:
            with torch.inference_mode():
                figures = self.task.evaluate(network)
                images = self.task.sample_images(network) if with_images else {}
        finally:
            network.load_state_dict(trained)
        if figures["score"] < self.best:
            self.best, self.bad_evaluations = figures["score"], 0
            write_checkpoint(self.run.folder / "best.pt", {"network": self.ema, "step": self.step, **figures})
        else:
            self.bad_evaluations += 1
        return figures, images

    def save(self) -> None:
        """Write `last.pt`; on rank 0 only.

        Raises:
            DiskFullError, OutputError: it cannot be written.
        """
        if not self.distributed.is_main:
            return
        state = {
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "best": self.best,
            "bad_evaluations": self.bad_evaluations,
        }
        write_checkpoint(self.run.folder / "last.pt", state)
        self._last_save = self.run.clock()

    def _resume(self) -> None:
        path = self.run.folder / "last.pt"
        if path.exists():
            state = read_checkpoint(path)
            try:
                self._load(state)
            except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
                hint = "Choose another folder for this training, or delete that file."
                raise WeightsError("A checkpoint is of another network", given=path, hint=hint) from error
        if len(set(self.distributed.gather(self.step))) > 1:
            hint = "Give a folder that all processes see."
            raise WeightsError(
                "Not all processes found the same checkpoint", given=self.run.folder, hint=hint
            )

    def _load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, value in self.ema.items():
            value.copy_(state["ema"][name])
        if self.scaler.is_enabled() and state.get("scaler"):  # empty after training in another format
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.best = state["step"], state["best"]
        self.bad_evaluations = state["bad_evaluations"]

    def close(self) -> None:
        """Close the logs."""
        if self._log is not None:
            self._log.close()


def learning_rate_at(step: int, options: LoopOptions) -> float:
    """Learning rate of a step: linear warm-up, then cosine decay or constant."""
    if step < options.warmup_steps:
        return options.learning_rate * (step + 1) / options.warmup_steps
    if options.schedule == "constant":
        return options.learning_rate
    progress = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
