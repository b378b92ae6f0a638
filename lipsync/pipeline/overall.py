"""Progress of a run as a whole, from the reports of its stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields

from lipsync.options import SyncOptions
from lipsync.progress import Progress

_OTHER_WEIGHT = 2.0
_LAST_REST = 0.02
_LAST_SHARE = 0.99
"""Of a run that is not finished."""


@dataclass(frozen=True)
class RunProgress(Progress):
    """Progress of a stage, with that of the run.

    Attributes:
        seconds_left: estimate for the run; None while nothing is known.
        share: completed share of the run, 0..1; it never falls.
    """

    share: float = 0.0

    @property
    def fraction(self) -> float:
        """Completed share of the run."""
        return self.share


def stage_weights(options: SyncOptions) -> dict[str, float]:
    """The stages of a run in their order, and about how long each takes in relation to the others."""
    weights = {"Separating the voice": 40.0} if options.speech.separate_voice else {}
    weights |= {"Finding faces": 25.0 if options.faces.box is None else 1.0, "Drawing lips": 70.0}
    if options.report.subtitles != "none":
        weights["Transcribing speech"] = 15.0
    return weights


@dataclass
class Overall:
    """Share and time left of a run of one or more results.

    Each result goes through the same stages.

    The time left is that of the current stage, as its own rate says, and that of the stages and results that
    follow: by past runs, else in proportion to what has been done.

    Attributes:
        weights: as `stage_weights` returns them.
        count: results.
        expected: seconds for one result, from past runs; None if unknown.
        clock: monotonic time in seconds.
    """

    weights: dict[str, float]
    count: int = 1
    expected: float | None = None
    clock: Callable[[], float] = time.monotonic
    _stage: str = field(default="", init=False)
    _share: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._start = self._item_start = self._stage_start = self.clock()
        self._finished: list[float] = []  # seconds of the results that are done

    def finish(self) -> None:
        """Count a result as done, or as given up."""
        now = self.clock()
        self._finished.append(now - self._item_start)
        self._item_start, self._stage = now, ""

    def update(self, progress: Progress) -> RunProgress:
        """The report of a stage as one of the run."""
        now = self.clock()
        if progress.stage != self._stage:
            self._stage_start = now
        self._stage = progress.stage
        left = self._seconds_left(progress, now)
        elapsed = now - self._start
        share = self._by_weight(progress) if left is None else elapsed / max(elapsed + left, 1e-6)
        self._share = max(self._share, min(share, _LAST_SHARE))
        values = {one.name: getattr(progress, one.name) for one in fields(Progress)}
        return RunProgress(**{**values, "seconds_left": left}, share=self._share)

    def _seconds_left(self, progress: Progress, now: float) -> float | None:
        spent, own = now - self._stage_start, progress.seconds_left
        weight, later = self._weight(progress.stage), self._later(progress.stage)
        per_weight = None
        if self.expected is not None:
            per_weight = self.expected / sum(self.weights.values())
        elif own is not None:
            rest = 1 - progress.fraction
            per_weight = (own / rest if rest > _LAST_REST else spent + own) / weight
        if per_weight is None:
            return None
        here = max(0.0, per_weight * weight - spent) if own is None else own
        here += per_weight * later
        others = self.count - len(self._finished) - 1
        whole = now - self._item_start + here
        if self._finished:
            whole = sum(self._finished) / len(self._finished)
        return here + max(0, others) * whole

    def _by_weight(self, progress: Progress) -> float:
        """The share by the usual lengths of the stages, while no time is known."""
        total = sum(self.weights.values())
        weight = self._weight(progress.stage)
        done = total - self._later(progress.stage) - weight + weight * progress.fraction
        return min(1.0, (len(self._finished) + max(0.0, done) / total) / self.count)

    def _weight(self, stage: str) -> float:
        return self.weights.get(stage, _OTHER_WEIGHT)

    def _later(self, stage: str) -> float:
        """Weight of the stages that follow; all do after an unlisted one (a download)."""
        names = list(self.weights)
        if len(self._finished) >= self.count:
            return 0.0
        after = names[names.index(stage) + 1 :] if stage in names else names
        return sum(self.weights[name] for name in after)
