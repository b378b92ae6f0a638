"""Speed of generators in whole runs, for `benchmarks.model_scores`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.common import make_talking_head
from benchmarks.model_scores_drawing import variant_of
from lipsync import sync
from lipsync.options import GeneratorOptions, SyncOptions

_ROUNDS = 3


def time_models(models: Mapping[str, Path], seconds: float = 10.0) -> dict[str, float]:
    """Seconds that `sync` takes for a clip of 1280x720 with each model, loading included.

    The models take turns, so that other work on the machine slows all of them; the best of three runs.
    """
    best = dict.fromkeys(models, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        video, voice = make_talking_head(Path(folder), 1280, 720, seconds)
        for _ in range(_ROUNDS):
            for name, weights in models.items():
                options = SyncOptions(
                    generator=GeneratorOptions(variant=variant_of(weights), weights=weights)
                )
                started = time.perf_counter()
                sync(video, voice, options, output=Path(folder) / f"{name}.mp4")
                best[name] = min(best[name], time.perf_counter() - started)
    return best
