"""One training in several processes, started by torchrun; with one process all this does nothing.

Each process draws a batch of its own, and PyTorch's DistributedDataParallel takes the mean of their
gradients, so that the processes' weights stay equal. The first process alone measures and writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from lipsync.devices import choose_device
from lipsync.errors import OptionError
from lipsync.training.engine.task import Batch, Task

# The others wait while the first process measures. When one dies, torchrun ends them all.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Distributed:
    """The processes of a training, as seen by one of them.

    Attributes:
        device: where this process computes.
        rank: the number of this process, from 0.
        size: how many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that measures and writes."""
        return self.rank == 0

    def gather(self, number: float) -> list[float]:
        """Every process's number, in the order of their ranks; waits until all have come here."""
        if self.size == 1:
            return [number]
        parts = [torch.zeros(1, dtype=torch.float64, device=self.device) for _ in range(self.size)]
        dist.all_gather(parts, torch.full_like(parts[0], number))
        return [part.item() for part in parts]

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all get the same answer."""
        return any(self.gather(float(flag)))

    def share(self, task: Task) -> nn.Module:
        """A module that gives `task.loss(batch, step)`, with gradients shared by all processes."""
        step = _Step(task)
        # A task may leave parts of its network out of the loss, a critic that starts late for one.
        return step if self.size == 1 else DistributedDataParallel(step, find_unused_parameters=True)


class _Step(nn.Module):
    """Gives DistributedDataParallel the one `forward` it needs, while tasks call their own methods."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        return self._loss(batch, step)


@contextmanager
def join(device: str) -> Iterator[Distributed]:
    """Meet the other processes that torchrun started, if any; parts from them at the end.

    Args:
        device: a name of `devices.choose_device`; on CUDA each process of a machine takes a GPU.

    Raises:
        OptionError: the device is missing, cannot be shared, or torchrun's variables are incomplete.
    """
    size = int(os.environ.get("WORLD_SIZE") or 1)
    if size == 1:
        yield Distributed(choose_device(device))
        return
    if "RANK" not in os.environ:
        hint = "Start the processes with torchrun, or unset WORLD_SIZE."
        raise OptionError("WORLD_SIZE asks for several processes without a RANK", given=size, hint=hint)
    rank = int(os.environ["RANK"])
    chosen = _own_device(choose_device(device), int(os.environ.get("LOCAL_RANK", rank)))
    store, _, _ = next(rendezvous("env://", rank, size))
    # A store outlives a process group under torchrun, and a second group must not find the first
    # one's addresses. Every process counts its trainings there, so all reach the same number.
    training = store.add(f"lipsync/{rank}", 1)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        store=PrefixStore(f"lipsync/training{training}", store),
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
    )
    try:
        yield Distributed(chosen, rank, size)
    finally:
        dist.destroy_process_group()


def _own_device(device: torch.device, local_rank: int) -> torch.device:
    if device.type == "mps":
        raise OptionError(
            "Several processes cannot share this device", given=device, hint="Use 'cpu', or one process."
        )
    if device.type != "cuda":
        return device
    if local_rank >= torch.cuda.device_count():
        raise OptionError(
            "There are more processes than GPUs",
            given=f"{torch.cuda.device_count()} GPUs",
            hint="Start as many with --nproc_per_node.",
        )
    torch.cuda.set_device(local_rank)  # NCCL takes the current one
    return torch.device("cuda", local_rank)
