"""What is trained, and how: the loop's view of a task, its settings, and batches on devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from lipsync.options import DEVICES, NUMBER_FORMATS, OptionGroup, option

Batch = dict[str, Tensor]
Report = Callable[[int, dict[str, float]], None]

SCHEDULES = ("cosine", "constant")


class Task(Protocol):
    """What the loop has to know of a thing to train.

    The loop moves `network` and the batches to the device; tensors of the task's own it does not
    know. What must outlive a stop belongs into the network, as a parameter or buffer.
    """

    @property
    def network(self) -> nn.Module:
        """What is trained; its weights are changed in place."""
        ...

    def batch(self, step: int) -> Batch:
        """The examples of one step, on the CPU; must depend on `step` and the task's seed alone.

        It is called on another thread, ahead of time. With several processes the numbers are dealt
        out among them: of two, the second gets 1, 3, 5, ...
        """
        ...

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one batch, a mean over its examples, and figures worth logging."""
        ...

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Held-out figures of `network`, which is in evaluation mode; "score" is the one to lower.

        With several processes the first alone is asked.
        """
        ...

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """What to look at after a measurement: (N, 3, H, W) in [0, 1] by name; empty for nothing."""
        ...


@dataclass(frozen=True)
class LoopOptions(OptionGroup):
    """How long, how fast and how carefully to train."""

    steps: int = option(4000, "steps in all; the learning rate falls to nothing over them", min=1)
    until: int = option(0, "stop at this step, with the rate still up; 0 goes through all steps", min=0)
    learning_rate: float = option(1e-3, "at its highest", min=0.0, max=1.0)
    schedule: str = option(
        "cosine", "'cosine' lets the rate fall to nothing, 'constant' keeps it up", choices=SCHEDULES
    )
    warm_up: int = option(100, "steps in which the learning rate rises", min=0)
    beta1: float = option(
        0.9, "of AdamW: share of the gradients' mean that a step keeps", min=0.0, max=0.9999
    )
    beta2: float = option(0.98, "of AdamW: the same of their squares' mean", min=0.0, max=0.99999)
    weight_decay: float = option(1e-4, "of AdamW; 0 makes it Adam", min=0.0, max=1.0)
    clip: float = option(1.0, "longest gradient that is followed in full", min=0.0)
    average: float = option(0.998, "share of the averaged weights that a step keeps", min=0.0, max=0.99999)
    evaluate_every: int = option(500, "steps between held-out measurements", min=1)
    save_every: float = option(2.0, "minutes between checkpoints", min=0.0)
    max_minutes: float = option(
        0.0, "stop after this long; 0 goes through all steps", min=0.0, unit="minutes"
    )
    patience: int = option(0, "stop after so many measurements without a better one; 0 never does", min=0)
    ahead: int = option(4, "batches made in advance", min=1, max=64)
    device: str = option("auto", "where to train", choices=DEVICES)
    precision: str = option(
        "auto",
        "number format of the forward pass: bf16 on CUDA that has it, else fp32",
        choices=NUMBER_FORMATS,
    )
    board: bool = option(True, "write figures and pictures for TensorBoard, where it is installed")
    seed: int = option(1, "of every random choice", min=0)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on `device`; from pinned memory to CUDA without waiting."""
    # The other way round, from CUDA, not to wait would give numbers that have not arrived yet.
    return {name: value.to(device, non_blocking=device.type == "cuda") for name, value in batch.items()}


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(network.parameters()).device
