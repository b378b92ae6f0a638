"""One training loop for everything that is trained here.

A task says what a batch is, what the loss is and what is measured; the loop does the rest. A batch,
and every random choice of a step, comes from the seed and the number of the step alone, so that a
run that was stopped and resumed equals one that was not, to the last bit on the same CPU.

Under torchrun (`torchrun --nproc_per_node 2 ...`) the processes train together: a step then takes
as many batches as there are processes.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lipsync.training.engine.checkpoint import read_checkpoint, write_checkpoint
from lipsync.training.engine.distributed import Distributed, join
from lipsync.training.engine.task import Batch, LoopOptions, Report, Task, device_of, to_device
from lipsync.training.engine.trainer import Trainer

__all__ = [
    "Batch",
    "LoopOptions",
    "Outcome",
    "Report",
    "Task",
    "device_of",
    "read_checkpoint",
    "to_device",
    "train",
    "write_checkpoint",
]


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
    score), `log.jsonl` and `board` (for TensorBoard) into `folder`. The network stays on the device.

    Args:
        folder: of the run. Several processes must all see it.
        report: gets the step and its figures, about once in twenty steps and after measurements; with
            several processes in the first alone.
        stop: asked between steps; True, in any process, saves and returns.

    Raises:
        OptionError: this machine lacks the device, or the device the precision.
        WeightsError: the checkpoint in `folder` is damaged or of another network.
        OutputError: the disk is full or not writable; the last checkpoint is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with join(options.device) as world:
        run = Trainer(task, options, folder, world)
        ends = time.monotonic() + (options.max_minutes * 60 or math.inf)
        last = min(options.until or options.steps, options.steps)
        with closing(run), closing(_batches(task, world, range(run.step, last), options.ahead)) as batches:
            while run.step < last and not world.any(run.tired or stop() or time.monotonic() > ends):
                run.note(run.advance(next(batches)), report, ending=run.step == last)
            run.save()
        # Only the first process knows these; asking for them also waits until it has saved.
        best, tired = world.gather(run.best)[0], bool(world.gather(run.tired)[0])
    return Outcome(run.step, run.step >= options.steps or tired, best)


def _batches(task: Task, world: Distributed, steps: range, ahead: int) -> Generator[Batch, None, None]:
    """The batches of this process, made on another thread up to `ahead` steps early."""

    def make(step: int) -> Batch:
        batch = task.batch(step * world.size + world.rank)
        if world.device.type == "cuda":  # pinned memory is copied while the GPU computes
            return {name: value.pin_memory() for name, value in batch.items()}
        return batch

    queue: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
        try:
            for step in steps:
                for later in range(step + len(queue), min(step + ahead, steps.stop)):
                    queue.append(maker.submit(make, later))
                yield to_device(queue.popleft().result(), world.device)
        finally:
            for future in queue:
                future.cancel()
