"""Workers on Ray: actors that declare CPU cores, memory and a share of a GPU."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lipsync
from lipsync.batch.items import BatchItem, BatchSettings, FileMark, Outcome
from lipsync.batch.scheduler import Event, Finished, Helped, Lost, Ready
from lipsync.batch.worker import BatchWorker, Reply, Standing, Task, WorkerInfo, check_size
from lipsync.errors import LipsyncError, ToolError
from lipsync.options import ClusterOptions
from lipsync.utils.atomic_write import move_into_place, working_path
from lipsync.utils.disk_errors import write_error

WORKER_BYTES = 2 << 30
"""Memory that a worker declares."""
WORKER_GPU_BYTES = 4 << 30
"""Memory of a GPU that a worker declares, where its share is not given."""
MAX_GPU_WORKERS = 8
_THREADS = 5
"""Calls of an actor at the same time: the video, its progress, claims of its parts, the cancel."""


@dataclass(frozen=True)
class Resources:
    """What a worker takes of a cluster."""

    cpus: int
    gpus: float

    def fitting(self, available: dict[str, float]) -> int:
        """How many workers a cluster with these resources has room for."""
        needs = {"CPU": float(self.cpus), "GPU": self.gpus, "memory": float(WORKER_BYTES)}
        return int(min(available.get(name, 0.0) / need for name, need in needs.items() if need) + 1e-9)


def gpu_share(memory: int) -> float:
    """Share of a GPU with so many bytes for each of the workers whose memory fits into it."""
    return 1 / max(1, min(MAX_GPU_WORKERS, memory // WORKER_GPU_BYTES))


@dataclass(eq=False)
class _Actor:
    """A worker.

    Attributes:
        handle: Ray's.
        started: whether it has said that it is ready.
        task: what it is doing.
        standing: how far that is.
        asked: Ray's reference to the next standing.
        helps: the worker whose video it draws a part of, and the name of its claim.
    """

    handle: Any
    started: bool = False
    task: Task | None = None
    standing: Standing = field(default_factory=Standing)
    asked: Any = None
    helps: tuple[int, str] | None = None


class RayPool:
    """`WorkerPool` of Ray's actors.

    Args:
        ray: the package, connected.
        settings: of the batch.
        options: number of workers, and what each takes.
        marker: a file in the folder of the results; see `BatchWorker`.

    Raises:
        ToolError: no machine of the cluster has room for a worker.
    """

    def __init__(self, ray: Any, settings: BatchSettings, options: ClusterOptions, marker: FileMark) -> None:
        self._ray, self._settings, self._marker = ray, settings, marker
        self._most, self._limit = options.workers, options.send_limit * 10**6
        self._resources = Resources(options.worker_cpus, _gpus(ray, options, settings))
        self._actors: dict[int, _Actor] = {}
        self._calls: dict[Any, int] = {}
        self._made = 0
        self._class = ray.remote(BatchWorker)
        self._check_room(options)

    def _check_room(self, options: ClusterOptions) -> None:
        resources = self._ray.cluster_resources()
        if not self._resources.fitting(resources):
            given = f"{resources.get('CPU', 0):g} CPU cores, {resources.get('GPU', 0):g} GPUs, "
            given += f"{resources.get('memory', 0) / 1e9:.1f} GB of memory"
            needs = f"A worker takes {options.worker_cpus} cores, {self._resources.gpus:g} GPUs"
            hint = f"{needs} and {WORKER_BYTES / 1e9:.1f} GB ('worker_cpus', 'worker_gpus')."
            raise ToolError("The cluster has no room for a worker", given=given, hint=hint)

    # --- WorkerPool -------------------------------------------------------------------------------

    def room(self) -> int:
        """As `WorkerPool`."""
        fitting = self._resources.fitting(self._ray.cluster_resources())
        return min(self._most, fitting) if self._most else fitting

    def start(self) -> int:
        """As `WorkerPool`."""
        declared = self._class.options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus,
            memory=WORKER_BYTES,
            max_concurrency=_THREADS,
            max_restarts=0,  # the scheduler counts attempts by the video
        )
        actor = _Actor(declared.remote(self._settings, self._marker, self._limit))
        number, self._made = self._made, self._made + 1
        self._actors[number] = actor
        self._calls[actor.handle.ready.remote()] = number
        return number

    def assign(self, worker: int, task: Task) -> None:
        """As `WorkerPool`."""
        actor = self._actors[worker]
        actor.task, actor.standing = task, Standing()
        self._calls[actor.handle.make.remote(task)] = worker

    def help(self, worker: int, host: int) -> None:
        """As `WorkerPool`; the part goes from worker to worker, not through this process."""
        actor, claim = self._actors[worker], secrets.token_hex(8)
        actor.helps = (host, claim)
        part = self._actors[host].handle.claim.remote(claim)
        self._calls[actor.handle.draw.remote(part)] = worker

    def events(self, seconds: float) -> list[Event]:
        """As `WorkerPool`."""
        if not self._calls:
            return []
        try:
            done, _ = self._ray.wait(list(self._calls), timeout=seconds)
            more, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise ToolError("The cluster is gone", given=str(error).partition("\n")[0]) from error
        events = []
        for call in dict.fromkeys([*done, *more]):
            event = self._event(self._calls.pop(call), call)
            if event is not None:
                events.append(event)
        return events

    def standings(self) -> dict[int, Standing]:
        """As `WorkerPool`."""
        for actor in self._actors.values():
            if actor.task is None:
                continue
            if actor.asked is None:
                actor.asked = actor.handle.standing.remote()
            elif self._ray.wait([actor.asked], timeout=0)[0]:
                with suppress(self._ray.exceptions.RayError):  # `events` tells that it is lost
                    actor.standing = self._ray.get(actor.asked)
                actor.asked = None
        return {number: actor.standing for number, actor in self._actors.items() if actor.task}

    def cancel(self) -> None:
        """As `WorkerPool`."""
        for actor in self._actors.values():
            actor.handle.cancel.remote()

    def stop(self, worker: int) -> None:
        """As `WorkerPool`."""
        actor = self._actors.pop(worker, None)
        self._calls = {call: number for call, number in self._calls.items() if number != worker}
        if actor is not None:
            with suppress(Exception):  # it is gone already, or the cluster is
                self._ray.kill(actor.handle)

    # --- answers ----------------------------------------------------------------------------------

    def _event(self, worker: int, call: Any) -> Event | None:
        """What an answer means; None where files have to be sent first."""
        actor = self._actors[worker]
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            self._tell_host(actor, False)
            return Lost(worker, _first_line(error), actor.started)
        if isinstance(answer, WorkerInfo):
            _check_worker(answer)
            actor.started = True
            return Ready(worker)
        if isinstance(answer, bool):
            self._tell_host(actor, answer)
            return Helped(worker)
        task, actor.task = actor.task, None
        if not isinstance(answer, Reply) or task is None:
            raise ToolError("A worker gave an answer that is none", given=type(answer).__name__)
        if answer.outcome is None:
            return self._send(worker, task, answer.missing)
        return Finished(worker, _with_files(answer.outcome, task.item, answer.files))

    def _tell_host(self, actor: _Actor, made: bool) -> None:
        """Tell the worker whose video was helped with what became of the part."""
        helps, actor.helps = actor.helps, None
        if helps is not None and helps[0] in self._actors:
            self._actors[helps[0]].handle.finish.remote(helps[1], made)

    def _send(self, worker: int, task: Task, missing: Sequence[FileMark]) -> Event | None:
        """Send the files that a worker does not see, with its task."""
        try:
            for mark in missing:
                check_size(mark.path, mark.size, self._limit)
            contents = [self._ray.put(mark.path.read_bytes()) for mark in missing]
        except LipsyncError as error:
            return Finished(worker, Outcome(task.number, error=error))
        except OSError as error:
            given = f"{error.filename} ({error.strerror})"
            return Finished(
                worker, Outcome(task.number, error=ToolError("A file cannot be read", given=given))
            )
        actor = self._actors[worker]
        actor.task = task
        self._calls[actor.handle.make.remote(task, list(missing), *contents)] = worker
        return None


def _with_files(outcome: Outcome, item: BatchItem, files: dict[str, bytes]) -> Outcome:
    """The outcome, with the files that a worker has sent written where they belong."""
    if outcome.result is None or not files:
        return outcome
    places: dict[str, Path] = {}
    try:
        for name, content in files.items():
            with working_path(item.output.with_name(name)) as part:
                part.write_bytes(content)
                places[name] = move_into_place(part, item.output.with_name(name), overwrite=False)
    except OSError as error:
        for path in places.values():
            path.unlink(missing_ok=True)
        return Outcome(outcome.number, error=write_error(error, item.output))
    subtitles = outcome.result.subtitles and places.get(outcome.result.subtitles.name)
    result = replace(outcome.result, path=places[outcome.result.path.name], subtitles=subtitles)
    return replace(outcome, result=result)


def _check_worker(info: WorkerInfo) -> None:
    """Check that a worker may be used.

    Raises:
        ToolError: it is of another version, or its cluster asks for no token.
    """
    if info.version != lipsync.__version__:
        given = f"{info.version} on {info.host}, {lipsync.__version__} here"
        hint = "Install the same version on all machines."
        raise ToolError("The cluster has another version of this program", given=given, hint=hint)
    if not info.needs_token:
        hint = "Start it with RAY_AUTH_MODE=token, and the same token on all machines."
        raise ToolError("The cluster asks for no token, so anybody could use it", given=info.host, hint=hint)


def _gpus(ray: Any, options: ClusterOptions, settings: BatchSettings) -> float:
    """Share of a GPU for each worker."""
    if settings.options.generator.device == "cpu":
        return 0.0
    if options.worker_gpus is not None:
        return options.worker_gpus
    if not ray.cluster_resources().get("GPU"):
        return 0.0
    memory = ray.remote(_gpu_memory).options(num_gpus=0.01, num_cpus=0).remote()
    try:
        return gpu_share(int(ray.get(memory, timeout=120)))
    except ray.exceptions.RayError:  # no GPU is free, or torch cannot use it
        return 1.0


def _gpu_memory() -> int:
    """Bytes of memory of the GPU that this process sees."""
    import torch  # in the worker alone

    return int(torch.cuda.get_device_properties(0).total_memory)


def _first_line(error: Exception) -> str:
    """The line of Ray's message that tells most: for an error in a worker the last, else the first."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if "Error" in (lines or [""])[-1] else (lines or [type(error).__name__])[0])[:300]
