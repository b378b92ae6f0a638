"""Networks on a GPU that is lent for one call to a process of its own, while all else stays here.

    the page's process                                  the lent process
    read · find faces · blend · encode                  serve()
    LentNetworks ── LentCall ── socket, `wire` ───────► generate, enhance, upscale

The call begins with the first thing to draw, after the faces were found, and it ends with the job.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import html
import logging
import re
import socket
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from lipsync import errors
from lipsync.context import ModelProvider
from lipsync.enhancers import Enhancer, EnhancerSpec, Upscaler, UpscalerSpec
from lipsync.errors import Cancelled, LipsyncError, ToolError
from lipsync.generators import AudioRows, GeneratorSpec, LipGenerator
from lipsync.generators.batched import BatchedGenerator
from lipsync.options import EnhanceOptions, GeneratorOptions
from lipsync.pipeline.model_provider import FreshModels
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.sync_score import SyncExpert
from lipsync.types import AudioClip, FloatArray, Frame
from lipsync.ui import strings
from lipsync.ui.zerogpu.transport import Array, receive, send

Lend: TypeAlias = Callable[[str, int], None]
"""Runs `serve(address, seconds)` in a process that has a GPU for so long, and waits for its end."""
_log = logging.getLogger(__name__)


class RemoteModels:
    """The networks of one job, running on a lent GPU; use it in a `with` block.

    The page's own copies, on the CPU, say what a network takes and hear the voice; only drawing is lent.

    Args:
        kept: gives those copies.
        lend: starts a lent process.
        seconds: for how long the GPU is asked for.
        device: what the lent process draws on.
    """

    def __init__(
        self, kept: ModelProvider, lend: Lend, seconds: int, cancel: CancelToken, device: str = "cuda"
    ) -> None:
        self._kept, self._device = kept, device
        self._call = GpuCall(lend, seconds, cancel)

    def __enter__(self) -> RemoteModels:
        return self

    def __exit__(self, *_: object) -> None:
        self._call.close()

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """As `ModelProvider`."""
        own = self._kept.generator(variant, weights, dataclasses.replace(options, device="cpu"))
        there = _plain(dataclasses.replace(options, device=self._device))
        network = {**there, "kind": "generator", "variant": variant, "weights": str(weights)}
        size = options.batch_size or BatchedGenerator.default_batch_size(torch.device(self._device))
        return _RemoteGenerator(own, self._call, network, size)

    def enhancer(
        self,
        options: EnhanceOptions,
        device: str = "cpu",
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> tuple[Enhancer | None, str]:
        """As `ModelProvider`."""
        own, note = self._kept.enhancer(options, "cpu", progress, cancel or CancelToken())
        if own is None:
            return None, note
        return _RemoteEnhancer(own, self._call, {"kind": "enhancer", **self._there(options)}), note

    def upscaler(
        self,
        options: EnhanceOptions,
        device: str = "cpu",
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> tuple[Upscaler | None, str]:
        """As `ModelProvider`."""
        own, note = self._kept.upscaler(options, "cpu", progress, cancel or CancelToken())
        if own is None:
            return None, note
        return _RemoteUpscaler(own, self._call, {"kind": "upscaler", **self._there(options)}), note

    def _there(self, options: EnhanceOptions) -> dict[str, Any]:
        return {"device": self._device, **_plain(options)}

    def expert(self) -> SyncExpert:
        """As `ModelProvider`: on the CPU, here."""
        return self._kept.expert()


class _RemoteGenerator:
    """Hears here and draws there."""

    def __init__(self, own: LipGenerator, call: GpuCall, network: dict[str, Any], batch_size: int) -> None:
        self._own, self._call, self._network = own, call, network
        self.batch_size = batch_size

    @property
    def concurrent_batches(self) -> int:
        return 1

    @property
    def spec(self) -> GeneratorSpec:
        return self._own.spec

    def encode_audio(self, audio: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> AudioRows:
        return self._own.encode_audio(audio, fps, frames, lead)

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        return self._call.ask(self._network, crops, audio_rows)


class _RemoteEnhancer:
    """Sharpens there."""

    def __init__(self, own: Enhancer, call: GpuCall, network: dict[str, Any]) -> None:
        self._call, self._network = call, network
        self.spec: EnhancerSpec = own.spec
        self.batch_size = own.batch_size

    def enhance(
        self, faces: npt.NDArray[np.uint8], strength: float = 1.0, cancel: CancelToken | None = None
    ) -> npt.NDArray[np.uint8]:
        return self._call.ask({**self._network, "strength": strength}, faces)


class _RemoteUpscaler:
    """Enlarges there."""

    def __init__(self, own: Upscaler, call: GpuCall, network: dict[str, Any]) -> None:
        self._call, self._network = call, network
        self.spec: UpscalerSpec = own.spec
        self.tile = own.tile

    def upscale(self, frame: Frame, cancel: CancelToken | None = None) -> Frame:
        return self._call.ask(self._network, frame)


# --- the page's side of the call ---------------------------------------------------------------


class GpuCall:
    """One lent process, begun by the first question, asked from any thread, ended by `close`."""

    def __init__(self, lend: Lend, seconds: int, cancel: CancelToken) -> None:
        self._lend, self._seconds, self._cancel = lend, seconds, cancel
        # Who asks for the GPU, and so whose quota it is, stands in the context of the request.
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._cleanup = contextlib.ExitStack()
        self._running: Future[None] | None = None
        self._connection: Connection | None = None

    def ask(self, network: dict[str, Any], *arrays: Array) -> Array:
        """What a network makes of the arrays.

        Raises:
            Cancelled: the visitor stopped the job; the lent process ends by itself.
            LipsyncError: what went wrong there, or that there is no GPU to be had.
        """
        with self._lock:
            connection = self._connection or self._begin()
            try:
                send(connection, network, *arrays)
                while not connection.poll(CancelToken.POLL_SECONDS):
                    self._cancel.check(strings.LENT_STAGE)
                header, answer = receive(connection)
            except (EOFError, OSError) as error:
                raise self._ended() from error
        if header:
            raise _rebuilt(header)
        [made] = answer
        return made

    def _begin(self) -> Connection:
        # Private, and short: the name of a socket holds about a hundred characters.
        folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lipsync-"))
        address = str(Path(folder) / "lent")
        server = self._cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(address)
        server.listen(1)
        server.settimeout(CancelToken.POLL_SECONDS)
        # Never waited for: whoever waits for a GPU cannot be woken, and finds nobody here when it comes.
        self._running = Future()
        threading.Thread(
            target=self._context.run,
            args=(_settle, self._running, self._lend, address, self._seconds),
            name="lipsync lent",
            daemon=True,
        ).start()
        while True:
            self._cancel.check(strings.LENT_WAITING)
            try:
                accepted, _ = server.accept()
            except TimeoutError:
                if self._running.done():
                    raise self._ended() from None
                continue
            accepted.setblocking(True)
            self._connection = self._cleanup.enter_context(Connection(accepted.detach()))
            return self._connection

    def _ended(self) -> LipsyncError:
        """Why the lent process has gone before its time."""
        assert self._running is not None
        try:
            error = self._running.exception(timeout=_END_SECONDS)
        except TimeoutError:
            error = None
        # Its words are made for a page: "You have exceeded your <b>GPU quota</b>…".
        words = html.unescape(re.sub(r"<[^>]*>", "", str(error))) if error is not None else ""
        return ToolError(strings.LENT_GONE, given=words, hint=strings.LENT_GONE_HINT)

    def close(self) -> None:
        """End the lent process, if there is one: it ends when nobody asks any more."""
        self._cleanup.close()


def _settle(running: Future[None], lend: Lend, address: str, seconds: int) -> None:
    try:
        lend(address, seconds)
    except Exception as error:  # whatever it is, it is told to whoever asks
        running.set_exception(error)
    else:
        running.set_result(None)


_END_SECONDS = 5
"""How long after its connection broke a lent process may take to say why."""


def _rebuilt(told: dict[str, str]) -> Exception:
    """The error that `_told` told of."""
    kind = getattr(errors, told["kind"], None)
    if isinstance(kind, type) and issubclass(kind, LipsyncError) and kind is not Cancelled:
        return kind(told["what"], given=told["given"], hint=told["hint"])
    return RuntimeError(told["what"])


# --- the lent process --------------------------------------------------------------------------


def serve(address: str, seconds: int) -> None:
    """Run networks for whoever listens at `address`, until they are gone. `seconds` is for the lender."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(address)
        except OSError:  # the visitor did not wait
            return
        connection = Connection(caller.detach())
    with connection, contextlib.suppress(EOFError, OSError):
        models = _Served()
        while True:
            network, arrays = receive(connection)
            try:
                made = models.run(network, arrays)
            except Exception as error:  # whatever it is, it is told to whoever asked
                send(connection, _told(error))
            else:
                send(connection, {}, made)


class _Served:
    """The networks of a lent process, each loaded when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def run(self, asked: dict[str, Any], arrays: list[Array]) -> Array:
        """Give the arrays to the network that is asked for."""
        strength = asked.pop("strength", 1.0)
        key = repr(asked)
        if key not in self._loaded:
            self._loaded[key] = _load(dict(asked))
        network = self._loaded[key]
        made: Array
        if asked["kind"] == "generator":
            made = network.generate(*arrays)
        elif asked["kind"] == "enhancer":
            made = network.enhance(*arrays, strength)
        else:
            made = network.upscale(*arrays)
        return made


def _load(asked: dict[str, Any]) -> Any:
    fresh, kind = FreshModels(), asked.pop("kind")
    if kind == "generator":
        weights = Path(asked.pop("weights"))
        return fresh.generator(asked["variant"], weights, GeneratorOptions(**asked))
    device = asked.pop("device")
    paths = {name: Path(value) for name, value in asked.items() if name.endswith("_weights") and value}
    options = EnhanceOptions(**{**asked, **paths})
    load = fresh.enhancer if kind == "enhancer" else fresh.upscaler
    network, _ = load(options, device, ignore_progress, CancelToken())
    if network is None:
        raise ToolError(strings.LENT_LOST)
    return network


def _told(error: Exception) -> dict[str, str]:
    """An error as what can be sent; what should not be is written to the log here."""
    if isinstance(error, LipsyncError):
        return {"kind": type(error).__name__, "what": error.what, "given": error.given, "hint": error.hint}
    _log.error("unexpected", exc_info=error)
    return {"kind": "", "what": f"{type(error).__name__}: {error}", "given": "", "hint": ""}


def _plain(options: GeneratorOptions | EnhanceOptions) -> dict[str, Any]:
    """The settings as JSON holds them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(options).items()
    }
