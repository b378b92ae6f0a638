"""Inputs of the training loop: task, settings, and one run's folder and callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from lipsync.options import DEVICES, NUMBER_FORMATS, OptionGroup, option

Batch = dict[str, Tensor]
Report = Callable[[int, dict[str, float]], None]
"""Callback that gets a step and its figures."""

SCHEDULES = ("cosine", "constant")


class Task(Protocol):
    """Interface of a training task: network, batches, loss and validation.

    The loop moves `network` and the batches to the device, but no other tensors of the task. State
    that must survive a restart belongs into the network, as a parameter or buffer.
    """

    @property
    def network(self) -> nn.Module:
        """The module to train; its weights change in place."""
        ...

    def batch(self, step: int) -> Batch:
        """The examples of one step, on the CPU.

        They must depend on `step` and the task's seed alone.

        Called ahead of time, on another thread. With several processes the step numbers are dealt out
        among them: of two, rank 1 gets 1, 3, 5, ...
        """
        ...

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss, a mean over the batch's examples, and figures to log."""
        ...

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation split; "score" is the one to minimise.

        Called with the averaged weights in evaluation mode; with several processes on rank 0 alone.
        """
        ...

    def sample_images(self, network: nn.Module) -> dict[str, Tensor]:
        """Images to log after an evaluation, (N, 3, H, W) in [0, 1] by name."""
        ...


@dataclass(frozen=True)
class LoopOptions(OptionGroup):
    """Settings of the training loop."""

    steps: int = option(4000, "steps in all; the cosine schedule ends with them", min=1)
    until: int = option(
        0, "pause at this step, the schedule still being that of all steps; 0 does not", min=0
    )
    learning_rate: float = option(1e-3, "peak learning rate", min=0.0, max=1.0)
    schedule: str = option(
        "cosine", "learning rate after the warm-up: 'cosine' decays to 0, 'constant' stays", choices=SCHEDULES
    )
    warmup_steps: int = option(100, "steps in which the learning rate rises to its peak", min=0)
    beta1: float = option(0.9, "beta1 of AdamW", min=0.0, max=0.9999)
    beta2: float = option(0.98, "beta2 of AdamW", min=0.0, max=0.99999)
    weight_decay: float = option(1e-4, "weight decay of AdamW; 0 makes it Adam", min=0.0, max=1.0)
    grad_clip: float = option(1.0, "gradient-norm clip; 0 does not clip", min=0.0)
    ema_decay: float = option(
        0.998, "decay of the exponential moving average of the weights", min=0.0, max=0.99999
    )
    evaluate_every: int = option(500, "steps between evaluations on the validation split", min=1)
    save_every: float = option(2.0, "time between checkpoints", min=0.0, unit="minutes")
    max_minutes: float = option(0.0, "stop after this time; 0 has no limit", min=0.0, unit="minutes")
    patience: int = option(
        0, "early stop after so many evaluations in a row without a better score; 0 never", min=0
    )
    prefetch: int = option(4, "batches prepared in advance", min=1, max=64)
    device: str = option("auto", "where to train", choices=DEVICES)
    number_format: str = option(
        "auto",
        "number format of the forward pass (mixed precision): bf16 on CUDA that has it, else fp32",
        choices=NUMBER_FORMATS,
    )
    tensorboard: bool = option(True, "log for TensorBoard, where it is installed")
    seed: int = option(1, "seed of all random choices", min=0)


def never_stop() -> bool:
    """A `TrainingRun.stop` that lets the run reach its end."""
    return False


@dataclass(frozen=True)
class TrainingRun:
    """Folder, settings and callbacks of one training run.

    Attributes:
        folder: gets checkpoints and logs; a run resumes from it. With several processes
            all of them must see it.
        options: of the loop.
        report: gets a step and its figures, every 20 steps and after each evaluation, on rank 0 alone.
        stop: polled between steps; True, in any process, saves a checkpoint and returns.
        clock: seconds, for the minutes that a run and the time between two checkpoints may take.
    """

    folder: Path
    options: LoopOptions
    report: Report
    stop: Callable[[], bool] = never_stop
    clock: Callable[[], float] = time.monotonic


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on `device`; copies from pinned memory to CUDA are asynchronous."""
    # In the other direction, from CUDA, an asynchronous copy could be read before it has arrived.
    return {name: value.to(device, non_blocking=device.type == "cuda") for name, value in batch.items()}


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's weights."""
    return next(network.parameters()).device
