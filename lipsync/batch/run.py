"""A batch on a cluster, from its items to their outcomes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from lipsync.batch.items import BatchItem, BatchSettings, FileMark, Outcome
from lipsync.batch.ray_pool import RayPool
from lipsync.batch.scheduler import make_all
from lipsync.batch.worker import Task
from lipsync.errors import MediaError
from lipsync.media.video.resumable_writer import parts_folder
from lipsync.options import ClusterOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.utils.disk_errors import write_error
from lipsync.utils.owned_folder import new_folders, owned_folder, remove_abandoned


@dataclass(frozen=True)
class Cluster:
    """A cluster that batches are made on, one at a time.

    Attributes:
        ray: the package, connected; see `ray_cluster.cluster`.
        options: number of workers, and what each takes.
    """

    ray: Any
    options: ClusterOptions

    def make(
        self,
        items: Sequence[BatchItem],
        settings: BatchSettings,
        progress: ProgressCallback,
        cancel: CancelToken,
    ) -> Iterator[Outcome]:
        """Make videos; as `make_on_cluster`."""
        return make_on_cluster(self.ray, items, settings, self.options, progress, cancel)


def make_on_cluster(
    ray: Any,
    items: Sequence[BatchItem],
    settings: BatchSettings,
    options: ClusterOptions,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Iterator[Outcome]:
    """Make videos on a cluster; yields each outcome when it is there, in any order.

    An item that fails does not stop the others. Closing the iterator cancels what runs.

    Args:
        ray: the package, connected; see `ray_cluster.cluster`.
        items: their results are all in one folder.

    Raises:
        ToolError: the cluster has no room, workers of another version, or is gone.
        OutputError, DiskFullError: nothing can be written where the results go.
        Cancelled: the token was cancelled; what was whole by then has been yielded.
    """
    if not items:
        return
    folder, tasks = items[0].output.parent, list[Task]()
    with ExitStack() as cleanup:
        try:
            cleanup.enter_context(new_folders(folder))
            marker = cleanup.enter_context(owned_folder(folder)) / "marker"
            marker.write_bytes(os.fsencode(marker))
            mark = FileMark.of(marker)
        except OSError as error:
            raise write_error(error, folder) from error
        for number, item in enumerate(items):
            try:
                tasks.append(_task(number, item))
            except MediaError as error:
                yield Outcome(number, error=error)
        if tasks:
            cleanup.callback(remove_abandoned, folder)  # by workers that were lost
            for parts in (parts_folder(item.output) for item in items):
                if not parts.exists():
                    cleanup.callback(shutil.rmtree, parts, ignore_errors=True)
            sent = replace(settings.with_absolute_paths(), part_seconds=options.part_seconds)
            yield from make_all(RayPool(ray, sent, options, mark), tasks, progress, cancel)


def _task(number: int, item: BatchItem) -> Task:
    """The task of an item.

    Raises:
        MediaError: a file of it cannot be read.
    """
    marks = []
    for path in dict.fromkeys((item.video, item.voice)):
        try:
            marks.append(FileMark.of(path))
        except OSError as error:
            given = f"{path} ({error.strerror})"
            raise MediaError("The file cannot be read", given=given) from error
    return Task(number, item, tuple(marks))
