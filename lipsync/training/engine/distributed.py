"""Data-parallel training in the processes that torchrun started.

Each process (rank) draws its own batch. PyTorch's DistributedDataParallel averages their gradients,
so that the weights of all ranks stay equal. Rank 0 alone evaluates and writes.
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

# The other ranks wait while rank 0 evaluates. When one dies, torchrun ends them all.
_TIMEOUT = timedelta(hours=12)


@dataclass(frozen=True)
class Distributed:
    """One process of a distributed training run.

    Attributes:
        device: where this process computes.
        rank: number of this process, from 0.
        world_size: number of processes.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the process that evaluates and writes."""
        return self.rank == 0

    def gather(self, value: float) -> list[float]:
        """The value of every rank, in rank order; blocks until all ranks have called this."""
        if self.world_size == 1:
            return [value]
        parts = [torch.zeros(1, dtype=torch.float64, device=self.device) for _ in range(self.world_size)]
        dist.all_gather(parts, torch.full_like(parts[0], value))
        return [part.item() for part in parts]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any rank; the same answer in all."""
        return any(self.gather(float(flag)))

    def wrap(self, task: Task) -> nn.Module:
        """A module for `task.loss(batch, step)` with gradients averaged over all ranks."""
        module = _LossModule(task)
        if self.world_size == 1:
            return module
        # A task may leave parts of its network out of the loss, such as a discriminator that starts late.
        return DistributedDataParallel(module, find_unused_parameters=True)


class _LossModule(nn.Module):
    """A task's loss as the `forward` that DistributedDataParallel needs."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.network
        self._loss = task.loss

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        return self._loss(batch, step)


@contextmanager
def process_group(device: str) -> Iterator[Distributed]:
    """Context that joins torchrun's process group, if there is one.

    Args:
        device: a name of `devices.choose_device`; on CUDA each process of a machine takes one GPU.

    Raises:
        OptionError: the device is missing or cannot be shared, or torchrun's variables are incomplete.
    """
    world_size = int(os.environ.get("WORLD_SIZE") or 1)
    if world_size == 1:
        yield Distributed(choose_device(device))
        return
    if "RANK" not in os.environ:
        hint = "Start the processes with torchrun, or unset WORLD_SIZE."
        raise OptionError("WORLD_SIZE asks for several processes without a RANK", given=world_size, hint=hint)
    rank = int(os.environ["RANK"])
    chosen = _device_of_rank(choose_device(device), int(os.environ.get("LOCAL_RANK", rank)))
    store, _, _ = next(rendezvous("env://", rank, world_size))
    # Under torchrun the store outlives a process group, and a second group must not find the addresses
    # of the first. Every rank counts its training runs in the store, so all get the same prefix.
    run_number = store.add(f"lipsync/{rank}", 1)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        store=PrefixStore(f"lipsync/training{run_number}", store),
        rank=rank,
        world_size=world_size,
        timeout=_TIMEOUT,
    )
    try:
        yield Distributed(chosen, rank, world_size)
    finally:
        dist.destroy_process_group()


def _device_of_rank(device: torch.device, local_rank: int) -> torch.device:
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
            hint="Start one process for each GPU with --nproc_per_node.",
        )
    torch.cuda.set_device(local_rank)  # NCCL uses the current device
    return torch.device("cuda", local_rank)
