"""Progress reports and cancellation of long jobs."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from lipsync.errors import Cancelled
from lipsync.types import Frame


@dataclass(frozen=True)
class Progress:
    """Progress report of one stage.

    Attributes:
        stage: name of the stage as shown to the user ("Finding faces").
        done, total: units of work of this stage; `total` is 0 while unknown.
        seconds_left: estimate for this stage, in seconds; None before the first estimate.
        preview: the newest finished frame at reduced size, RGB uint8 (H, W, 3); None in most reports.
        unit: what is counted, in the singular: "frame", "line", "s" of audio, "byte" and so on.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None
    preview: Frame | None = field(default=None, compare=False, repr=False)
    unit: str = field(default="frame", compare=False, repr=False)

    @property
    def amount(self) -> str:
        """How much is done, such as "3 of 10 frames"; "" while the total is unknown."""
        if not self.total:
            return ""
        if self.counts_bytes:
            return f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        return f"{self.done} of {self.total} {self.unit}{'' if self.unit == 's' else 's'}"

    @property
    def counts_bytes(self) -> bool:
        """Whether bytes are counted; so many frames no video has."""
        return self.unit == "byte" or (self.unit == "frame" and self.total > _MOST_FRAMES)

    @property
    def fraction(self) -> float:
        """Completed share of this stage, 0..1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def picture(self) -> Frame | None:
        """Deprecated name of `preview`."""
        warnings.warn("Progress.picture is now called Progress.preview", DeprecationWarning, stacklevel=2)
        return self.preview


_MOST_FRAMES = 10**6
ProgressCallback = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Progress callback that does nothing."""


class CancelToken:
    """Thread-safe cancellation flag, polled by the job between units of work.

    One token belongs to one job. Code that waits must wait with a timeout of at most
    `POLL_SECONDS`, so that a job stops within a second of being cancelled.
    """

    POLL_SECONDS = 0.1

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop. May be called from any thread, any number of times."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self, stage: str = "") -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self._event.is_set():
            raise Cancelled(stage)


@dataclass
class StageProgress:
    """Progress counter of one stage; reports at most ten times a second.

    The remaining time is estimated from the mean rate since the first unit was done, so the
    stage's start-up time does not distort it.

    Attributes:
        stage: name of the stage as shown to the user.
        total: units of work; 0 if unknown.
        callback: receives the reports.
        cancel: checked by every `advance`.
        done: units done so far.
        unit: as of `Progress`.
        clock: monotonic time in seconds.
    """

    stage: str
    total: int
    callback: ProgressCallback = ignore_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    unit: str = "frame"

    REPORT_EVERY_SECONDS = 0.1
    PREVIEW_EVERY_SECONDS = 1.0

    def __post_init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._last_report = 0.0
        self._last_preview = 0.0
        self.callback(Progress(self.stage, self.done, self.total, unit=self.unit))

    def advance(self, units: int = 1, preview: Callable[[], Frame] | None = None) -> None:
        """Count `units` more as done, and report if a report is due.

        Args:
            units: units of work done since the last call.
            preview: returns the newest finished frame at reduced size; called at most once a second.

        Raises:
            Cancelled: the token was cancelled.
        """
        self.cancel.check(self.stage)
        self.done += units
        now = self.clock()
        if self._first is None:
            self._first = (now, self.done)
        if now - self._last_report >= self.REPORT_EVERY_SECONDS or self.done >= self.total:
            self._last_report = now
            frame = self._preview_if_due(now, preview)
            left = self._seconds_left(now)
            self.callback(Progress(self.stage, self.done, self.total, left, frame, self.unit))

    def _preview_if_due(self, now: float, preview: Callable[[], Frame] | None) -> Frame | None:
        if preview is None or now - self._last_preview < self.PREVIEW_EVERY_SECONDS:
            return None
        self._last_preview = now
        return preview()

    def _seconds_left(self, now: float) -> float | None:
        if self._first is None or self.done <= self._first[1]:
            return None
        since, done_then = self._first
        return (now - since) / (self.done - done_then) * max(0, self.total - self.done)
