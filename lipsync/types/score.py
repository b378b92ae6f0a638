"""Sync score of a video: figures, verdict, and a summary for the user.

The figures come from the sync expert that ships. They are defined like SyncNet's LSE-D and LSE-C, but on
another scale, so they have other names: sync distance and sync confidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lipsync.utils.timecodes import clock_time

REAL_CONFIDENCE = (0.15, 0.31)
"""Sync confidence of real video of people whom the expert was not trained on: a quarter is below 0.157, a
tenth above 0.315. A wrong voice of eight seconds stays below 0.12 nineteen times in twenty
(`benchmarks/sync_score.py`, 24 people)."""
OFFSETS_IN_SYNC = (-4, 2)
"""Offsets that count as in sync, in frames of `FRAME_MS`: ITU-R BT.1359-1 (figure 2) accepts audio up to
90 ms early and 185 ms late."""
SOFT_MOUTH = 0.6
"""Mouth sharpness below which the score card says so; an unchanged mouth has 1."""
WEAK_MOVEMENT, STRONG_MOVEMENT = 0.5, 2.0
"""Movement over the source's outside of which the score card says so: between two voices of real people it
differs by less."""
OPEN_PAUSES = 0.2
"""Share of pauses with an open mouth above which the score card says so."""
FRAME_MS = 40
"""Unit of offsets: a frame at 25 fps, milliseconds."""


class Verdict(Enum):
    """Verdict on the sync of a video."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    OFF = "off"
    TOO_SHORT = "too short to judge"


@dataclass(frozen=True)
class TimeSpan:
    """Time span in a video, seconds from its start."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"{clock_time(math.floor(self.start))}-{clock_time(math.ceil(self.end))}"


@dataclass(frozen=True, repr=False)
class SyncScore:
    """Sync of lips and voice in one video, by the sync expert that ships.

    Attributes:
        verdict: what the figures mean.
        windows: number of five-frame windows with a face and audio that were compared.
        distance: sync distance, 1 less the mean cosine similarity at the best offset: 0 .. 2, lower is
            better. None, like all figures below, where the video is too short.
        confidence: sync confidence, mean similarity at the best offset less the median over all 31:
            higher is better.
        certainty: significance of the peak: `confidence` over its standard error, each second counting as
            one sample. A wrong voice has 0.8, and 1.2 one time in twenty, whatever the length.
        offset: frames of 40 ms by which the audio is early; negative where it is late.
        offset_ms: the same in milliseconds, to a fraction of a frame.
        by_offset: mean similarity at offsets -15 .. 15; NaN where there was too little audio.
        times, curve: midpoints of one-second segments, seconds, and the confidence in each at `offset`; NaN
            without a face or speech.
        weak: spans of at least two seconds in which the lips do not follow the audio.
    """

    verdict: Verdict
    windows: int
    distance: float | None = None
    confidence: float | None = None
    certainty: float | None = None
    offset: int | None = None
    offset_ms: float | None = None
    by_offset: tuple[float, ...] = ()
    times: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()
    weak: tuple[TimeSpan, ...] = ()

    @property
    def words(self) -> str:
        """Summary in one sentence, for the user."""
        if self.verdict is Verdict.TOO_SHORT:
            return "Too short to judge: it takes a few seconds in which a face is seen and a voice heard."
        if self.verdict is Verdict.OFF:
            return f"Lips and voice belong together, but {self.offset_words}."
        if self.verdict is Verdict.POOR:
            return "The lips do not follow the voice: no better than with a voice from elsewhere."
        late = abs(self.offset or 0) > 1
        though = f"; {self.offset_words}, which few people notice" if late else ""
        if self.verdict is Verdict.FAIR:
            return f"The lips follow the voice loosely, less closely than in most real video{though}."
        return f"The lips follow the voice as closely as in real video{though}."

    @property
    def offset_words(self) -> str:
        """The offset as text, such as "the sound comes 3 frames (120 ms) early"."""
        assert self.offset is not None and self.offset_ms is not None
        if self.offset == 0:
            return "the sound is in time"
        frames = f"{abs(self.offset)} frame{'s' if abs(self.offset) > 1 else ''}"
        side = "early" if self.offset > 0 else "late"
        return f"the sound comes {frames} ({abs(self.offset_ms):.0f} ms) {side}"

    def as_dict(self) -> dict[str, Any]:
        """JSON form; unknown values are null."""
        return {
            "verdict": self.verdict.value,
            "words": self.words,
            "windows": self.windows,
            "sync_distance": _known(self.distance),
            "sync_confidence": _known(self.confidence),
            "certainty": _known(self.certainty),
            "offset_frames": self.offset,
            "offset_ms": _known(self.offset_ms, 1),
            "by_offset": [_known(value) for value in self.by_offset],
            "curve": [
                [_known(time, 2), _known(value)] for time, value in zip(self.times, self.curve, strict=True)
            ],
            "weak": [[round(part.start, 2), round(part.end, 2)] for part in self.weak],
        }

    def __repr__(self) -> str:
        known = self.confidence is not None
        figures = f", confidence {self.confidence:.3f}, offset {self.offset}" if known else ""
        return f"SyncScore({self.verdict.value}{figures}, {self.windows} windows)"


@dataclass(frozen=True)
class ScoreCard:
    """Sync scores of a result and of its source.

    Attributes:
        result: score of the result with the given voice.
        source: score of the source with its own audio; None if it cannot be scored.
        no_source: why the source is not scored, for the user; "" if it is.
        lips: metrics of the result's lips by their names in `lipsync.registries.LIP_METRICS`; those that
            could be computed from a few frames a second.
    """

    result: SyncScore
    source: SyncScore | None = None
    no_source: str = ""
    lips: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> tuple[str, ...]:
        """Summary in sentences for the user, the most important one first."""
        sentences = [self.result.words]
        if self.result.weak:
            sentences.append(f"They lose it in {_listed(self.result.weak)}.")
        sentences.append(self._compared_with_source())
        if self.source is not None and self.source.verdict is Verdict.OFF:
            sentences.append(
                f"In the source itself {self.source.offset_words}; where that sound is the voice, "
                f"voice_shift={self.source.offset_ms:.0f} puts it right."
            )
        return tuple(sentence for sentence in (*sentences, *self._lip_words()) if sentence)

    def _lip_words(self) -> Iterator[str]:
        """What a viewer would object to in the lips; nothing where they are fine."""
        sharpness, movement = self.lips.get("mouth_sharpness", 1.0), self.lips.get("lip_dynamics", 1.0)
        if sharpness < SOFT_MOUTH:
            yield f"The mouth is softer than the source's: {100 * sharpness:.0f} % of its sharpness."
        if not WEAK_MOVEMENT <= movement <= STRONG_MOVEMENT:
            yield f"The mouth moves {movement:.1f} times as much as the source's."
        if (leak := self.lips.get("lip_leak", 0.0)) > OPEN_PAUSES:
            yield f"In {100 * leak:.0f} % of the pauses the mouth is open."

    def _compared_with_source(self) -> str:
        if self.source is None:
            return f"There is nothing to compare with: {self.no_source}." if self.no_source else ""
        before, after = self.source.confidence, self.result.confidence
        if before is None or after is None:
            too_short = self.source.verdict is Verdict.TOO_SHORT and after is not None
            return "The source's own voice is too short to compare with." if too_short else ""
        if self.source.verdict is Verdict.POOR:
            return "In the source itself lips and sound do not belong together."
        figures = f"confidence {after:.2f}, in the source {before:.2f}"
        if after >= 0.8 * before:
            return f"That is as close as the source with its own voice ({figures})."
        return f"The source with its own voice is closer ({figures})."

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "result": self.result.as_dict(),
            "source": self.source.as_dict() if self.source else None,
            "no_source": self.no_source,
            "words": list(self.words),
            "lips": {name: round(value, 4) for name, value in self.lips.items()},
        }


def _known(value: float | None, digits: int = 4) -> float | None:
    return None if value is None or math.isnan(value) else round(value, digits)


def _listed(parts: tuple[TimeSpan, ...], most: int = 5) -> str:
    named = [str(part) for part in parts[:most]]
    if len(parts) > most:
        return f"{', '.join(named)} and {len(parts) - most} more places"
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
