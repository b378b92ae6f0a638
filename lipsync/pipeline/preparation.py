"""Background loading of networks and conditioning of the audio."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lipsync.context import RunContext
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.faces import DetectionCache
from lipsync.generators import LipGenerator, choose_variant
from lipsync.pipeline.audio_conditioning import AudioConditioning, condition_audio
from lipsync.pipeline.job import Job
from lipsync.pipeline.run_cache import with_cache
from lipsync.progress import CancelToken
from lipsync.sync_score import SyncExpert
from lipsync.weights import model_weights


@dataclass(frozen=True, eq=False)
class Prepared:
    """Networks and conditioned audio, ready for drawing.

    Attributes:
        generator: the lip generator.
        audio: audio features of each speaker.
        expert: the sync expert; None if the result is not scored.
    """

    generator: LipGenerator
    audio: AudioConditioning
    expert: SyncExpert | None


class Preparation:
    """Background thread that loads networks and conditions the audio.

    A context manager; runs while faces are detected.

    Args:
        model: variant and weights of the generator, from `choose_weights`.
        cache: a `RunCache` keeps the generator's mouths.
    """

    def __init__(
        self,
        job: Job,
        model: tuple[str, Path | None],
        context: RunContext,
        cache: DetectionCache | None = None,
    ) -> None:
        self._job, self._model, self._context, self._cache = job, model, context, cache
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lipsync load")
        self._future: Future[Prepared] = self._pool.submit(self._prepare)

    def __enter__(self) -> Preparation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Loading a network cannot be interrupted; on an error or a cancel nothing waits for it.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check(self) -> None:
        """Raise the error of the preparation if it has failed, so that other work ends at once."""
        if self._future.done():
            self._future.result()

    def wait(self) -> Prepared:
        """Wait for the networks and the audio; a cancel takes effect at once.

        Raises:
            WeightsError, OptionError, MediaError, ToolError: as the model provider and `condition_audio`.
            Cancelled: the token was cancelled.
        """
        while not self._future.done():
            self._context.cancel.check("Loading")
            wait([self._future], timeout=CancelToken.POLL_SECONDS)
        return self._future.result()

    def _prepare(self) -> Prepared:
        context, job = self._context, self._job
        with context.timer("load"):
            loaded = context.models.generator(*self._model, context.options.generator)
            generator = with_cache(loaded, self._model, self._cache, context)
            expert = context.models.expert() if context.options.report.score else None
        with context.timer("listen"):
            audio = condition_audio(job, generator, context)
        return Prepared(generator, audio, expert)


def choose_weights(context: RunContext) -> tuple[str, Path | None]:
    """The variant to use and its checkpoint, downloaded if it is missing.

    Raises:
        OptionError: there is no such variant.
        DownloadError, Cancelled: as `lipsync.weights.require`.
    """
    options = context.options.generator
    variant = choose_variant(options.variant)
    weights = options.weights or model_weights(variant, progress=context.progress, cancel=context.cancel)
    return variant, weights


def load_enhancers(context: RunContext) -> tuple[FaceEnhancement | None, Upscaler | None, list[str]]:
    """Face enhancement and upscaler, None where switched off; and warnings about missing weights.

    Raises:
        DownloadError, WeightsError, ToolError: as `ModelProvider.enhancer`.
    """
    options, device = context.options.enhance, context.options.generator.device
    enhancer, no_enhancer = context.models.enhancer(options, device, context.progress, context.cancel)
    upscaler, no_upscaler = context.models.upscaler(options, device, context.progress, context.cancel)
    enhancement = FaceEnhancement(enhancer, options) if enhancer else None
    return enhancement, upscaler, [warning for warning in (no_enhancer, no_upscaler) if warning]
