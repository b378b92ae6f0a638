"""The training loop, the same for every task.

A task defines batches, loss and evaluation; the loop does the rest. A batch, and
every random choice of a step, depends on the seed and the step number alone, so that a run that was
stopped and resumed equals one that was not, bit for bit on the same CPU.

Under torchrun (`torchrun --nproc_per_node 2 ...`) the processes train together: the effective batch is
as many batches as there are processes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from lipsync.training.engine.distributed import Distributed, process_group
from lipsync.training.engine.task import (
    Batch,
    Task,
    TrainingRun,
    to_device,
)
from lipsync.training.engine.trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """Outcome of a training run.

    Attributes:
        step: steps done, including those of earlier runs in the same folder.
        finished: whether all steps are done or the run was stopped early for lack of progress.
        best: lowest validation score; inf when none was measured.
    """

    step: int
    finished: bool
    best: float


def train(task: Task, run: TrainingRun) -> Outcome:
    """Train until steps, minutes or patience run out; resumes the folder's run.

    Writes into the folder: `last.pt` (everything needed to resume), `best.pt` (averaged weights of the
    best validation score), `log.jsonl`, and `tensorboard` for TensorBoard. The network stays on the device.

    Raises:
        OptionError: this machine lacks the device, or the device the number format.
        WeightsError: the checkpoint in the folder is damaged or of another network.
        DiskFullError, OutputError: the folder cannot be written; the last checkpoint is intact.
    """
    options = run.options
    run.folder.mkdir(parents=True, exist_ok=True)
    with process_group(options.device) as distributed:
        trainer = Trainer(task, run, distributed)
        deadline = run.clock() + (options.max_minutes * 60 or math.inf)
        last = min(options.until or options.steps, options.steps)
        steps = range(trainer.step, last)
        with closing(trainer), closing(_batches(task, distributed, steps, options.prefetch)) as batches:
            while trainer.step < last and not distributed.any(
                trainer.early_stop or run.stop() or run.clock() > deadline
            ):
                figures = trainer.train_step(next(batches))
                trainer.after_step(figures, is_last=trainer.step == last)
            trainer.save()
        # Known to rank 0 alone; gathering them also makes the other ranks wait until it has saved.
        best = distributed.gather(trainer.best)[0]
        early_stop = bool(distributed.gather(trainer.early_stop)[0])
    return Outcome(trainer.step, trainer.step >= options.steps or early_stop, best)


def _batches(
    task: Task, distributed: Distributed, steps: range, prefetch: int
) -> Generator[Batch, None, None]:
    """Batches of this rank, prepared on another thread up to `prefetch` steps ahead."""

    def make(step: int) -> Batch:
        batch = task.batch(step * distributed.world_size + distributed.rank)
        if distributed.device.type == "cuda":  # pinned memory is copied while the GPU computes
            return {name: value.pin_memory() for name, value in batch.items()}
        return batch

    queue: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as executor:
        try:
            for step in steps:
                for later in range(step + len(queue), min(step + prefetch, steps.stop)):
                    queue.append(executor.submit(make, later))
                yield to_device(queue.popleft().result(), distributed.device)
        finally:
            for future in queue:
                future.cancel()
