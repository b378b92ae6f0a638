"""Observations of a mouth that speaks, made up, for tests of the metrics of lips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lipsync.metrics.closure_rate import real_closures
from lipsync.metrics.lip_base import LipObservation, LipSeries
from lipsync.types import FloatArray

FRAMES = 200


def speaking_mouth(seed: int = 0) -> LipSeries:
    """A mouth that opens and closes four times a second with noise, and rests in the last quarter."""
    random = np.random.default_rng(seed)
    time = np.arange(FRAMES) / 25
    phase = random.uniform(0, 2 * np.pi, 2)
    opening = 0.06 + 0.05 * np.sin(2 * np.pi * 3.7 * time + phase[0]) + 0.02 * np.sin(9 * time + phase[1])
    opening = np.clip(opening + random.normal(0, 0.004, FRAMES), 0.002, None)
    opening[150:] = 0.004 + 0.001 * random.random(50)
    contrast = np.where(opening > 0.03, 40 + random.normal(0, 3, FRAMES), np.nan)
    sharpness, flicker = 90 + random.normal(0, 5, FRAMES), 4 + random.normal(0, 0.3, FRAMES)
    return LipSeries(*(np.asarray(v, np.float32) for v in (opening, sharpness, contrast, flicker)))


def observe(result: LipSeries, source: LipSeries | None, own_voice: bool = True) -> LipObservation:
    """The result with a voice as loud as the source's mouth is open, which pauses in the last quarter."""
    pauses = np.arange(FRAMES) >= 150
    real = source or result
    return LipObservation(
        result=result,
        source=source,
        level=np.asarray(-50 + 300 * real.opening, np.float32),
        pauses=pauses,
        closures=real_closures(real.opening, pauses),
        seam=np.zeros(FRAMES, np.float32),
        own_voice=own_voice,
    )


def with_opening(series: LipSeries, opening: FloatArray) -> LipSeries:
    """The same mouth with other openings."""
    return replace(series, opening=np.asarray(opening, np.float32))
