"""Run context: options, progress, cancel, timer and models as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lipsync.options import EnhanceOptions, GeneratorOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.utils.prefetch import StageTimer

if TYPE_CHECKING:
    from lipsync.enhancers.base import Enhancer, Upscaler
    from lipsync.generators.base import LipGenerator
    from lipsync.sync_score.base import SyncExpert


class ModelProvider(Protocol):
    """Source of networks that are ready to run; called from any thread.

    The pipeline never asks where they run: loaded for one job, cached for many
    (`lipsync.pipeline.model_provider`), or in another process with a GPU (`lipsync.ui.zerogpu`).
    """

    def generator(self, variant: str, weights: Path | None, options: GeneratorOptions) -> LipGenerator:
        """The generator `variant` with the checkpoint `weights`.

        Raises:
            WeightsError: the file is of another network.
            OptionError: there is no such device, or the generator does not support the number format.
        """
        ...

    def enhancer(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Enhancer | None, str]:
        """The enhancer named in `options`, or None; and a warning, "" if none.

        Raises:
            DownloadError, WeightsError: its weights are unavailable, and `without_enhancer` is off.
        """
        ...

    def upscaler(
        self, options: EnhanceOptions, device: str, progress: ProgressCallback, cancel: CancelToken
    ) -> tuple[Upscaler | None, str]:
        """The upscaler named in `options`, or None; otherwise as `enhancer`."""
        ...

    def expert(self) -> SyncExpert:
        """The shipped sync expert, on the CPU; it computes the sync score."""
        ...


@dataclass(frozen=True, eq=False)
class RunContext:
    """Options, callbacks and models of one run.

    Attributes:
        models: provides the networks.
        options: all settings.
        progress: called with a `Progress` at most ten times a second.
        cancel: ends the run within about a second.
        timer: seconds of work per stage.
    """

    models: ModelProvider
    options: SyncOptions = field(default_factory=SyncOptions)
    progress: ProgressCallback = ignore_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    timer: StageTimer = field(default_factory=StageTimer)

    def stage(self, name: str, total: int, done: int = 0) -> StageProgress:
        """Progress of a stage of `total` units, of which `done` are finished already."""
        return StageProgress(name, total, self.progress, self.cancel, done=done)
