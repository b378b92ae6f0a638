"""Progress reports and the cancel token: how a long job talks to whoever started it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lipsync.errors import Cancelled
from lipsync.types import Frame


@dataclass(frozen=True)
class Progress:
    """One report.

    Attributes:
        stage: short name of what is being done, for people ("Finding faces").
        done, total: work units (mostly frames) of this stage; `total` 0 when unknown.
        seconds_left: estimate for this stage, in seconds; None until there is one.
        picture: the newest frame that is finished, reduced, to be looked at; None in most reports.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None
    picture: Frame | None = field(default=None, compare=False, repr=False)

    @property
    def fraction(self) -> float:
        """Share of this stage that is done, 0..1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else 0.0


ProgressCallback = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """The callback used when the caller gave none."""


class CancelToken:
    """A switch that another thread may throw; the job looks at it between pieces of work.

    One token belongs to one job. Code that waits must wait with a timeout of at most
    `POLL_SECONDS`, so that a cancel is answered within a second.
    """

    POLL_SECONDS = 0.1

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop. May be called from any thread, any number of times."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether a cancel was asked for."""
        return self._event.is_set()

    def check(self, stage: str = "") -> None:
        """Raise `Cancelled` if a cancel was asked for."""
        if self._event.is_set():
            raise Cancelled(stage)


@dataclass
class StageProgress:
    """Counts the work of one stage and reports it, at most ten times a second.

    The time left comes from the mean rate since the first unit was done, so that the time a
    stage needs to get going does not spoil the estimate.
    """

    stage: str
    total: int
    callback: ProgressCallback = ignore_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    done: int = 0

    REPORT_EVERY_SECONDS = 0.1
    PICTURE_EVERY_SECONDS = 1.0

    def __post_init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._last_report = 0.0
        self._last_picture = 0.0
        self.callback(Progress(self.stage, self.done, self.total))

    def advance(self, units: int = 1, picture: Callable[[], Frame] | None = None) -> None:
        """Note that `units` more are done; raises `Cancelled` when asked to stop.

        Args:
            picture: gives the newest finished frame, reduced; called at most once a second.
        """
        self.cancel.check(self.stage)
        self.done += units
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self.done)
        if now - self._last_report >= self.REPORT_EVERY_SECONDS or self.done >= self.total:
            self._last_report = now
            shown = self._picture(now, picture)
            self.callback(Progress(self.stage, self.done, self.total, self._seconds_left(now), shown))

    def _picture(self, now: float, picture: Callable[[], Frame] | None) -> Frame | None:
        if picture is None or now - self._last_picture < self.PICTURE_EVERY_SECONDS:
            return None
        self._last_picture = now
        return picture()

    def _seconds_left(self, now: float) -> float | None:
        if self._first is None or self.done <= self._first[1]:
            return None
        since, done_then = self._first
        return (now - since) / (self.done - done_then) * max(0, self.total - self.done)
