"""The GPU worker: a process that runs models on request, and its client.

The worker starts with the client's first request and ends when the client closes the connection.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import html
import logging
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lipsync import errors
from lipsync.errors import Cancelled, LipsyncError, ToolError
from lipsync.generators import LipGenerator
from lipsync.options import EnhanceOptions, GeneratorOptions
from lipsync.pipeline.model_provider import FreshModels
from lipsync.progress import CancelToken, ignore_progress
from lipsync.ui.languages import strings
from lipsync.ui.zerogpu.transport import Array, receive, send
from lipsync.utils.owned_folder import temporary_folder

GpuRunner: TypeAlias = Callable[[str, int], None]
"""Runs `serve_models(address, seconds)` in a process that has a GPU for so long, and waits for its end."""
_EXIT_SECONDS = 5
"""How long a worker whose connection broke may take to report why."""
_log = logging.getLogger(__name__)


# --- client ----------------------------------------------------------------------------------------


class GpuWorkerClient:
    """Thread-safe client of one GPU worker.

    The first `run` starts the worker, `close` ends it.
    """

    def __init__(self, runner: GpuRunner, seconds: int, cancel: CancelToken) -> None:
        self._runner, self._seconds, self._cancel = runner, seconds, cancel
        # The visitor, whose GPU quota is used, is stored in the context of the HTTP request.
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._cleanup = contextlib.ExitStack()
        self._running: Future[None] | None = None
        self._connection: Connection | None = None

    def run(self, model: dict[str, Any], *arrays: Array) -> list[Array]:
        """Run a model on arrays; returns the arrays of its result.

        Args:
            model: kind, weights and options, as `serve_models` loads it; JSON-serializable.
            arrays: uint8 or float32.

        Raises:
            Cancelled: the job was cancelled; the worker ends by itself.
            LipsyncError: the error in the worker, or no GPU is available.
        """
        with self._lock:
            connection = self._connection or self._start()
            try:
                send(connection, model, *arrays)
                while not connection.poll(CancelToken.POLL_SECONDS):
                    self._cancel.check(strings.GPU_STAGE)
                error, answer = receive(connection)
            except (EOFError, OSError) as exception:
                raise self._exit_error() from exception
        if error:
            raise _rebuild_error(error)
        return answer

    def _start(self) -> Connection:
        # A private folder with a short path: a socket's name is limited to about a hundred characters.
        folder = self._cleanup.enter_context(temporary_folder())
        address = str(folder / "gpu")
        server = self._cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(address)
        server.listen(1)
        server.settimeout(CancelToken.POLL_SECONDS)
        # Never joined: waiting for a GPU cannot be interrupted. A worker that starts too late finds
        # nobody listening and ends.
        self._running = Future()
        threading.Thread(
            target=self._context.run,
            args=(_run_worker, self._running, self._runner, address, self._seconds),
            name="lipsync gpu",
            daemon=True,
        ).start()
        while True:
            self._cancel.check(strings.GPU_WAITING)
            try:
                accepted, _ = server.accept()
            except TimeoutError:
                if self._running.done():
                    raise self._exit_error() from None
                continue
            accepted.setblocking(True)
            self._connection = self._cleanup.enter_context(Connection(accepted.detach()))
            return self._connection

    def _exit_error(self) -> LipsyncError:
        """Why the worker has ended early."""
        assert self._running is not None
        try:
            error = self._running.exception(timeout=_EXIT_SECONDS)
        except TimeoutError:
            error = None
        # Hugging Face words it for a web page: "You have exceeded your <b>GPU quota</b>…".
        reason = html.unescape(re.sub(r"<[^>]*>", "", str(error))) if error is not None else ""
        return ToolError(strings.GPU_GONE, given=reason, hint=strings.GPU_GONE_HINT)

    def close(self) -> None:
        """Close the connection; the worker, if there is one, ends."""
        self._cleanup.close()


def _run_worker(running: Future[None], runner: GpuRunner, address: str, seconds: int) -> None:
    try:
        runner(address, seconds)
    except Exception as error:  # reported by the client's next request
        running.set_exception(error)
    else:
        running.set_result(None)


def _rebuild_error(values: dict[str, str]) -> Exception:
    """The error that `_error_values` described."""
    kind = getattr(errors, values["kind"], None)
    if isinstance(kind, type) and issubclass(kind, LipsyncError) and kind is not Cancelled:
        return kind(values["what"], given=values["given"], hint=values["hint"])
    return RuntimeError(values["what"])


# --- worker ----------------------------------------------------------------------------------------


def serve_models(address: str, seconds: int) -> None:
    """Run models for the client that listens at `address`, until it closes the connection.

    Args:
        address: path of a Unix socket.
        seconds: how long the GPU is needed; read by ZeroGPU's decorator.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(address)
        except OSError:  # the client has stopped waiting
            return
        connection = Connection(caller.detach())
    with connection, contextlib.suppress(EOFError, OSError):
        models = _LoadedModels()
        while True:
            model, arrays = receive(connection)
            try:
                result = models.run(model, arrays)
            except Exception as error:  # sent to the client, which raises it
                send(connection, _error_values(error))
            else:
                send(connection, {}, *result)


class _LoadedModels:
    """The models of a worker, each loaded on first use."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def run(self, spec: dict[str, Any], arrays: list[Array]) -> list[Array]:
        strength = spec.pop("strength", 1.0)
        key = repr(spec)
        if key not in self._loaded:
            self._loaded[key] = _load(dict(spec))
        model = self._loaded[key]
        if spec["kind"] == "generator":
            return _generate(model, arrays)
        if spec["kind"] == "enhancer":
            return [model.enhance(*arrays, strength)]
        return [model.upscale(*arrays)]


def _generate(generator: LipGenerator, arrays: list[Array]) -> list[Array]:
    """Mouths for a batch of crops, or for crops one by one, and their audio rows, the last array."""
    *crops, audio_rows = arrays
    if generator.spec.crop_size is None:
        return [*generator.generate(crops, audio_rows)]
    mouths = generator.generate(crops[0], audio_rows)
    return [np.asarray(mouths)]


def _load(spec: dict[str, Any]) -> Any:
    models, kind = FreshModels(), spec.pop("kind")
    if kind == "generator":
        weights = spec.pop("weights")
        options = GeneratorOptions(**spec)
        return models.generator(options.variant, Path(weights) if weights else None, options)
    device = spec.pop("device")
    paths = {name: Path(value) for name, value in spec.items() if name.endswith("_weights") and value}
    enhance = EnhanceOptions(**{**spec, **paths})
    load = models.enhancer if kind == "enhancer" else models.upscaler
    model, _ = load(enhance, device, ignore_progress, CancelToken())
    if model is None:
        raise ToolError(strings.GPU_NO_WEIGHTS)
    return model


def _error_values(error: Exception) -> dict[str, str]:
    """An error as JSON values; one that is not a `LipsyncError` is logged."""
    if isinstance(error, LipsyncError):
        return {"kind": type(error).__name__, "what": error.what, "given": error.given, "hint": error.hint}
    _log.error("unexpected", exc_info=error)
    return {"kind": "", "what": f"{type(error).__name__}: {error}", "given": "", "hint": ""}


def options_as_json(options: GeneratorOptions | EnhanceOptions) -> dict[str, Any]:
    """Return the settings as JSON-serializable values."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(options).items()
    }
