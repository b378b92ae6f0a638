"""Parts of one run that other processes draw.

The run finds faces and conditions the voice once, then draws its parts in order. What is not drawn yet can be
claimed by others, who write it beside the run's own parts; the run takes it from there.

    run:    open ─► take(0), draw ─► take(1): made elsewhere, read back for the score ─► take(2), draw ─► join
    others:         claim ─► draw_part(1) ─► finish
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from lipsync.generators import LipGenerator
from lipsync.media import OutputSpec
from lipsync.pipeline.blend_stage import MAX_STEP
from lipsync.pipeline.stages import RenderPlan
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, IntArray

PART_SECONDS = 60.0
"""Usual length of a part: what a process does twice at its start takes a twentieth of that."""
LEAD_SECONDS = 3.0
"""Frames that are drawn before a part without being written: colours and detail are smoothed over 0.2 s, so
that after so many time constants no value of a pixel depends on where the part begins."""
_LEAST_PARTS = 2
_SHORTEST, _LONGEST = 0.5, 1.5
"""Limits of a part that ends with a shot, in usual lengths."""


@dataclass(frozen=True, eq=False)
class PartRows:
    """Audio features of some consecutive frames, by their numbers in the result.

    Attributes:
        first: number of the first frame.
        rows: float32, one row per frame.
        count: frames of the result.
    """

    first: int
    rows: FloatArray
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, frames: slice | IntArray, /) -> FloatArray:
        if isinstance(frames, slice):
            frames = np.arange(*frames.indices(self.count))
        return self.rows[frames - self.first]


@dataclass(frozen=True, eq=False)
class PartFile:
    """A part of a result, as a file.

    Attributes:
        part: its frames.
        path: where it is.
        spec: what it is like.
    """

    part: range
    path: Path
    spec: OutputSpec


@dataclass(frozen=True, eq=False)
class PartTask:
    """A part for another process to draw: values alone, no networks.

    Attributes:
        number: of the part.
        file: what is to be written.
        lead: number of the first frame that is drawn, see `LEAD_SECONDS`.
        plan: of the run, without its generator.
    """

    number: int
    file: PartFile
    lead: int
    plan: RenderPlan


class PartBoard:
    """The parts of one run, and who draws which; thread-safe.

    Args:
        part_seconds: usual length of a part; shorter videos than two are not cut.
    """

    def __init__(self, part_seconds: float = PART_SECONDS) -> None:
        self._part_seconds = part_seconds
        self._changed = threading.Condition()
        self._open: set[int] = set()
        self._made: set[int] = set()
        self._failed: set[int] = set()
        self._claims: dict[str, int] = {}
        self._plan: RenderPlan | None = None
        self._files: list[PartFile] = []

    def divides(self, frames: int, fps: Fraction) -> bool:
        """Whether a result of so many frames is cut."""
        return frames >= _LEAST_PARTS * self._usual(fps)

    def starts(self, plan: RenderPlan) -> list[int]:
        """The first frames of the parts."""
        return part_starts(len(plan.timeline), shot_starts(plan), self._usual(plan.video.fps))

    def _usual(self, fps: Fraction) -> int:
        return max(1, round(self._part_seconds * float(fps)))

    def open(self, plan: RenderPlan, files: Sequence[PartFile], made: Collection[int]) -> None:
        """Offer the parts, but those that are there from an earlier run."""
        with self._changed:
            self._plan, self._files, self._made = plan, list(files), set(made)
            self._open = set(range(len(files))) - self._made

    @property
    def count(self) -> int:
        """Parts that nobody draws yet."""
        with self._changed:
            return len(self._open)

    def claim(self, claim: str) -> PartTask | None:
        """Take the next part for another process; None where there is none.

        Args:
            claim: a name for `finish`.
        """
        with self._changed:
            if self._plan is None or not self._open:
                return None
            number, plan = min(self._open), self._plan
            self._open.discard(number)
            self._claims[claim] = number
            file = self._files[number]
        lead = lead_of(plan, file.part)
        return PartTask(number, file, lead, _without_the_rest(plan, range(lead, file.part.stop)))

    def finish(self, claim: str, made: bool) -> None:
        """Tell that a claimed part is there; or that it is not, so that the run draws it by itself."""
        with self._changed:
            number = self._claims.pop(claim, None)
            if number is not None:
                (self._made if made else self._failed).add(number)
                self._changed.notify_all()

    def take(self, number: int, cancel: CancelToken) -> bool:
        """Whether another process has made a part, which is waited for; else the caller has to draw it.

        Raises:
            Cancelled: the token was cancelled.
        """
        with self._changed:
            while number not in self._made:
                cancel.check("Drawing lips")
                if number in self._open | self._failed:
                    self._open.discard(number)
                    return False
                self._changed.wait(CancelToken.POLL_SECONDS)
        return True

    def close(self) -> None:
        """Offer nothing any more."""
        with self._changed:
            self._plan = None


def shot_starts(plan: RenderPlan) -> IntArray:
    """Numbers of the frames of the result with which shots begin, also where the video jumps; int64 (n,)."""
    cuts = plan.speakers[0].cuts if plan.speakers else ()
    shots = np.searchsorted(np.asarray(cuts, np.int64), plan.timeline, side="right")
    jumps = np.abs(np.diff(plan.timeline)) > MAX_STEP
    return np.flatnonzero((np.diff(shots) != 0) | jumps) + 1


def part_starts(frames: int, shots: IntArray, usual: int) -> list[int]:
    """First frames of parts that begin with shots, or where none is near, after the usual length.

    Args:
        frames: of the result.
        shots: first frames of its shots.
        usual: length of a part.
    """
    starts = [0]
    while frames - starts[-1] > _LONGEST * usual:
        first = starts[-1]
        near = shots[(shots >= first + _SHORTEST * usual) & (shots <= first + _LONGEST * usual)]
        near = near[near <= frames - _SHORTEST * usual]
        nearest = near[np.argmin(np.abs(near - first - usual))] if len(near) else first + usual
        starts.append(int(nearest))
    return starts


def lead_of(plan: RenderPlan, part: range) -> int:
    """Number of the first frame to draw for a part that is as in a run that draws all; see `LEAD_SECONDS`."""
    shots = shot_starts(plan)
    shot = int(shots[bisect_right(shots.tolist(), part.start) - 1]) if len(shots) else 0
    shot = shot if shot <= part.start else 0
    return max(shot, part.start - math.ceil(LEAD_SECONDS * plan.video.fps), 0)


def _without_the_rest(plan: RenderPlan, frames: range) -> RenderPlan:
    """The plan for these frames alone, without its generator."""
    speakers = tuple(
        replace(
            speaker,
            audio=replace(
                speaker.audio,
                rows=PartRows(
                    frames.start, speaker.audio.rows[frames.start : frames.stop], len(plan.timeline)
                ),
            ),
        )
        for speaker in plan.speakers
    )
    return replace(plan, speakers=speakers, generator=cast(LipGenerator, None))
