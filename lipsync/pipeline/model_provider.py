"""Model providers: networks loaded for one job, or cached for many.

A program that serves several visitors gives every job the same `CachedModels`, so that one copy of the
weights serves all. The interface is `lipsync.context.ModelProvider`.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lipsync.context import ModelProvider
from lipsync.devices import choose_device
from lipsync.enhancers import Enhancer, Upscaler, load_enhancer, load_upscaler
from lipsync.errors import OptionError
from lipsync.generators import GENERATORS, LipGenerator
from lipsync.options import EnhanceOptions, GeneratorOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sync_score import SyncExpert
from lipsync.utils.given_values import short_repr
from lipsync.weights import create_model, require

T = TypeVar("T")
_KINDS = ("generator", "enhancer", "upscaler", "expert")


class FreshModels:
    """Model provider without a cache: every call loads the network."""

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
        from lipsync.sync_score.loading import load_expert  # and torch with it

        return load_expert(require("expert"))


class CachedModels(FreshModels):
    """Model provider with a least-recently-used cache.

    A weights file that has changed counts as another one.

    Args:
        most: cached networks of each kind.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._cache: dict[str, OrderedDict[Hashable, Any]] = {kind: OrderedDict() for kind in _KINDS}
        # One at a time: two visitors who ask for the same network at once must not load it twice.
        self._locks = {kind: threading.Lock() for kind in _KINDS}

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """As `ModelProvider`."""
        key = (variant, _identity(weights), options.device, options.number_format, options.batch_size)
        return self._cached("generator", key, lambda: FreshModels.generator(self, variant, weights, options))

    def enhancer(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Enhancer | None, str]:
        """As `ModelProvider`."""
        key = (options.enhancer, _identity(options.enhancer_weights), device)
        load = partial(load_enhancer, options, device, progress, cancel)
        return self._cached("enhancer", key, load, _is_loaded)

    def upscaler(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Upscaler | None, str]:
        """As `ModelProvider`."""
        key = (options.upscaler, _identity(options.upscaler_weights), device)
        load = partial(load_upscaler, options, device, progress, cancel)
        return self._cached("upscaler", key, load, _is_loaded)

    def expert(self) -> SyncExpert:
        """As `ModelProvider`."""
        return self._cached("expert", "", lambda: FreshModels.expert(self))

    def _cached(
        self,
        kind: str,
        key: Hashable,
        load: Callable[[], T],
        is_cacheable: Callable[[T], bool] = lambda _: True,
    ) -> T:
        cache = self._cache[kind]
        with self._locks[kind]:
            if key in cache:
                cache.move_to_end(key)
                found: T = cache[key]
                return found
            while len(cache) >= self._most:  # first, so that there is room for the new one
                cache.popitem(last=False)
            loaded = load()
            if is_cacheable(loaded):
                cache[key] = loaded
            return loaded


def choose_provider(models: ModelProvider | None, networks: ModelProvider | None) -> ModelProvider:
    """The provider that a caller of `sync` or `preview` gave; a new one by default.

    Args:
        models: the provider.
        networks: the provider, under the keyword's deprecated name.

    Raises:
        OptionError: it provides no models.
    """
    if networks is not None:
        warnings.warn("The keyword networks= is now called models=", DeprecationWarning, stacklevel=3)
    chosen = networks if models is None else models
    if chosen is None:
        return FreshModels()
    if not callable(getattr(chosen, "generator", None)):
        hint = "It takes a provider of models, such as lipsync.CachedModels()."
        raise OptionError("'models' is of the wrong kind", given=short_repr(chosen), hint=hint)
    return chosen


def _is_loaded(loaded: tuple[object | None, str]) -> bool:
    """Whether there is a network: it may be switched off, or unavailable for now."""
    return loaded[0] is not None


def _identity(weights: Path | None) -> Hashable:
    """Identity of a file's current content: path, modification time, size and inode."""
    if weights is None:
        return None
    status = weights.stat() if weights.exists() else None
    return str(weights), status and (status.st_mtime_ns, status.st_size, status.st_ino)
