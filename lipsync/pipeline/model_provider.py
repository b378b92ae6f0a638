"""Where the pipeline gets its networks from: loaded for one job, or kept for many.

The pipeline asks a `ModelProvider` for what it needs and never asks where it runs. A program that serves
several visitors gives every job the same `CachedModels`, so that one copy of the weights serves all.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lipsync.devices import choose_device
from lipsync.enhancers import Enhancer, Upscaler, load_enhancer, load_upscaler
from lipsync.generators import GENERATORS, LipGenerator
from lipsync.options import EnhanceOptions, GeneratorOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sync_score import SyncExpert, load_expert
from lipsync.weights import create_model, require

T = TypeVar("T")
_KINDS = ("generator", "enhancer", "upscaler", "expert")


class ModelProvider(Protocol):
    """Gives networks that are ready to run. Called from any thread."""

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """The generator `variant` with the checkpoint `weights`.

        Raises:
            WeightsError: the file is not of this generator.
            OptionError: there is no such device or number format.
        """
        ...

    def enhancer(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Enhancer | None, str]:
        """The enhancer that `options` name, or None; and what to know about that, "" mostly.

        Raises:
            DownloadError, WeightsError: its weights cannot be had, and `options` don't go on without.
        """
        ...

    def upscaler(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Upscaler | None, str]:
        """The same for what enlarges whole frames."""
        ...

    def expert(self) -> SyncExpert:
        """The expert that ships with the program, which the sync score comes from; on the CPU."""
        ...


class FreshModels:
    """Loads a network whenever it is asked for one."""

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """As `ModelProvider`."""
        return create_model(
            GENERATORS,
            variant,
            weights=weights,
            device=choose_device(options.device),
            number_format=options.number_format,
            batch_size=options.batch_size,
        )

    def enhancer(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Enhancer | None, str]:
        """As `ModelProvider`."""
        return load_enhancer(options, device, progress, cancel)

    def upscaler(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Upscaler | None, str]:
        """As `ModelProvider`."""
        return load_upscaler(options, device, progress, cancel)

    def expert(self) -> SyncExpert:
        """As `ModelProvider`."""
        return load_expert(require("expert"))


class CachedModels(FreshModels):
    """Loads each network once, and keeps the last few that were used.

    A file that has changed since counts as another one.

    Args:
        most: networks of a kind that are kept; the one not used for longest goes first.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {kind: OrderedDict() for kind in _KINDS}
        # One at a time: two visitors who ask for the same network at once must not load it twice.
        self._locks = {kind: threading.Lock() for kind in _KINDS}

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """As `ModelProvider`."""
        key = (variant, _identity(weights), options.device, options.number_format, options.batch_size)
        return self._keep("generator", key, lambda: FreshModels.generator(self, variant, weights, options))

    def enhancer(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Enhancer | None, str]:
        """As `ModelProvider`."""
        key = (options.enhancer, _identity(options.enhancer_weights), device)
        load = partial(load_enhancer, options, device, progress, cancel)
        return self._keep("enhancer", key, load, worth=_is_there)

    def upscaler(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Upscaler | None, str]:
        """As `ModelProvider`."""
        key = (options.upscaler, _identity(options.upscaler_weights), device)
        load = partial(load_upscaler, options, device, progress, cancel)
        return self._keep("upscaler", key, load, worth=_is_there)

    def expert(self) -> SyncExpert:
        """As `ModelProvider`."""
        return self._keep("expert", "", lambda: FreshModels.expert(self))

    def _keep(
        self, kind: str, key: Hashable, load: Callable[[], T], worth: Callable[[T], bool] = lambda _: True
    ) -> T:
        kept = self._kept[kind]
        with self._locks[kind]:
            if key in kept:
                kept.move_to_end(key)
                found: T = kept[key]
                return found
            while len(kept) >= self._most:  # first, so that there is room for the new one
                kept.popitem(last=False)
            loaded = load()
            if worth(loaded):
                kept[key] = loaded
            return loaded


def _is_there(loaded: tuple[object | None, str]) -> bool:
    """Whether there is a network at all: none was asked for, or it cannot be had this time."""
    return loaded[0] is not None


def _identity(weights: Path | None) -> Hashable:
    """What tells one state of a file from another."""
    if weights is None:
        return None
    status = weights.stat() if weights.exists() else None
    return str(weights), status and (status.st_mtime_ns, status.st_size, status.st_ino)
