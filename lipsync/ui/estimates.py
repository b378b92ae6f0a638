"""Estimates of a run's time and size, from the last runs on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lipsync.errors import OutputError
from lipsync.generators import choose_variant
from lipsync.options import SyncOptions
from lipsync.types import Plan, SyncResult
from lipsync.utils.atomic_write import write_text

_MOST = 60
"""Runs that are remembered."""
_ALIKE = 5
"""Last runs of the same kind that an estimate is made from."""
_CRF_HALVES = 6.0
"""Steps of the constant rate factor by which x264's files become half as large."""


@dataclass(frozen=True)
class PastRun:
    """What is remembered of a run: nothing of whom or what it showed.

    Attributes:
        kind: model, enhancer, upscaler and score, which decide how long a frame takes.
        frames, pixels: of the result; pixels in one frame.
        quality: constant rate factor.
        seconds: how long the run took.
        bytes: of the result.
    """

    kind: str
    frames: int
    pixels: int
    quality: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Estimate:
    """Expected time of a run in seconds, and size of its result in bytes."""

    seconds: float
    bytes: float


class PastRuns:
    """The last runs on this machine, in a small file that all visits share.

    Args:
        path: of the file; by default in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        folder = Path(platformdirs.user_cache_dir("lipsync", appauthor=False))
        self._path = path or folder / "runs.json"
        self._lock = threading.Lock()

    def add(self, result: SyncResult, options: SyncOptions) -> None:
        """Remember a run; where the file cannot be written, nothing is."""
        with contextlib.suppress(OSError, OutputError), self._lock:
            run = PastRun(
                kind=_kind(options, result.variant),
                frames=result.frames,
                pixels=result.width * result.height,
                quality=options.media.quality,
                seconds=result.timings["total"],
                bytes=result.path.stat().st_size,
            )
            kept = [dataclasses.asdict(one) for one in [*self._read(), run][-_MOST:]]
            write_text(self._path, json.dumps(kept))

    def estimate(self, plan: Plan, options: SyncOptions) -> Estimate | None:
        """What a run would take; None where none of its kind was made here before."""
        kind, pixels = _kind(options, choose_variant(options.generator.variant)), plan.width * plan.height
        alike = [run for run in self._read() if run.kind == kind and run.frames and run.pixels]
        if not alike:
            return None
        alike.reverse()  # the newest first
        # The nearest in size, for how time grows with it depends on the model.
        alike.sort(key=lambda run: max(run.pixels, pixels) / min(run.pixels, pixels))
        alike = alike[:_ALIKE]
        seconds = statistics.median(run.seconds / run.frames for run in alike)
        size = statistics.median(
            run.bytes / run.frames / run.pixels * 2 ** ((run.quality - options.media.quality) / _CRF_HALVES)
            for run in alike
        )
        return Estimate(seconds * plan.frames, size * plan.frames * pixels)

    def _read(self) -> list[PastRun]:
        """The remembered runs; those that cannot be read are forgotten."""
        try:
            return [PastRun(**one) for one in json.loads(self._path.read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []


def _kind(options: SyncOptions, variant: str) -> str:
    enhance = options.enhance
    parts = (variant, enhance.enhancer, enhance.upscaler, options.report.score, options.generator.device)
    return " ".join(map(str, parts))
