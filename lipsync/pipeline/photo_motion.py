"""Movement of a head that speaks: nods at stressed syllables, slow sway, blinks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.types import AudioClip
from lipsync.utils.mapped_array import release

Values: TypeAlias = npt.NDArray[np.floating]
_NOD_GAP = 0.9
"""Seconds between nods at least."""
_NOD_SECONDS = 0.55
_RELEASED_FRAMES = 1000
_BLINK = (0.45, 1.0, 0.9, 0.4)
"""Closure of the lids over 0.2 s, at the middles of four parts."""
_BLINK_SECONDS = 0.2
_BLINK_GAPS = (2.0, 6.0)
"""Seconds from blink to blink, at least and at most."""
_SWAY = np.array([0.012, 0.006, np.radians(0.9), 0.028, 0.012])
"""Greatest slow movement in each part of a `HeadPose`, at liveliness 1."""
_SWAY_SECONDS = (5.5, 4.0, 7.0, 5.0, 3.7)
_NOD = np.array([0.0, 0.016, 0.0, 0.0, 0.03])
"""Movement of a nod at its lowest."""
_RAMP = 0.6
"""Seconds in which the movement begins: the first frame is the photo."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Movement over T frames.

    Attributes:
        poses: float32 (T, 5), rows as in `HeadPose`.
        closures: float32 (T,) of the lids, 0 open, 1 closed.
    """

    poses: Values
    closures: Values


def plan_motion(voice: AudioClip, fps: float, speaking: Values, liveliness: float, seed: int) -> Motion:
    """Head movement and blinks for a voice; the same for the same arguments.

    Args:
        speaking: (T,) in [0, 1], where the voice is this speaker's.
        liveliness: 0 to 1, size of the head's movement; blinks are whole above 0.
        seed: of the random choices.
    """
    rng = np.random.default_rng(seed)
    frames = len(speaking)
    clock = np.arange(frames) / fps
    level = _loudness(voice, fps, frames) * speaking
    size = liveliness * np.clip(clock / _RAMP, 0, 1)
    lively = size * (0.5 + 0.5 * _smoothed(np.clip(level * 1.5, 0, 1), 1.0, fps))
    sway = np.stack([_sway(clock, rng, period) for period in _SWAY_SECONDS], axis=1)
    nods = size * _nods(level, fps)
    poses = lively[:, None] * sway * _SWAY + nods[:, None] * _NOD
    closures = _blinks(clock, rng) if liveliness > 0 else np.zeros(frames)
    return Motion(poses.astype(np.float32), closures.astype(np.float32))


def _sway(clock: Values, rng: np.random.Generator, period: float) -> Values:
    """A slow movement in [-1, 1] that does not repeat soon, and begins at 0."""
    periods = period * np.array([1.0, 0.618, 0.37]) * rng.uniform(0.85, 1.15, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * clock[:, None] / periods + phases) - np.sin(phases)
    return np.asarray(waves @ np.array([0.5, 0.25, 0.1]))


def _loudness(voice: AudioClip, fps: float, frames: int) -> Values:
    """Level of the voice at each frame, 0 to about 1 for its loud syllables."""
    step = voice.sample_rate / fps
    edges = np.clip(np.rint(np.arange(frames + 1) * step), 0, len(voice.samples)).astype(int)
    power = np.zeros(frames)
    for number, (start, stop) in enumerate(pairwise(edges.tolist())):
        power[number] = np.square(voice.samples[start:stop], dtype=np.float64).sum()
        if number % _RELEASED_FRAMES == 0:
            release(voice.samples)
    power /= np.maximum(np.diff(edges), 1)
    level = np.sqrt(_smoothed(power, 0.12, fps))
    loud = float(np.quantile(level, 0.95)) if frames else 0.0
    return level / loud if loud > 1e-4 else np.zeros(frames)


def _nods(level: Values, fps: float) -> Values:
    """Nods at stressed syllables, downwards positive."""
    stress = level - _smoothed(level, 1.2, fps)
    free = stress > 0.15
    gap = max(1, math.ceil(_NOD_GAP * fps))
    clock = np.arange(len(level)) / fps
    total = np.zeros(len(level))
    reach = math.ceil(_NOD_SECONDS * fps)
    for frame in np.argsort(-stress, kind="stable").tolist():
        if not free[frame]:
            continue
        free[max(0, frame - gap + 1) : frame + gap] = False
        near = slice(max(0, frame - reach), frame + reach + 1)
        since = (clock[near] - clock[frame]) / _NOD_SECONDS
        size = np.clip(stress[frame], 0, 0.6) / 0.6
        total[near] += size * np.where(np.abs(since) < 1, np.cos(np.pi * since / 2) ** 2, 0)
    return total


def _blinks(clock: Values, rng: np.random.Generator) -> Values:
    """Closure of the lids."""
    closures = np.zeros(len(clock))
    start = float(rng.uniform(1.0, 2.5))
    while len(clock) and start < clock[-1]:
        near = slice(*np.searchsorted(clock, [start, start + 2 * _BLINK_SECONDS]))
        part = (clock[near] - start) / _BLINK_SECONDS
        during = part < 1
        places = (np.arange(len(_BLINK)) + 0.5) / len(_BLINK)
        closures[near][during] = np.interp(part[during], [0, *places, 1], [0.2, *_BLINK, 0.15])
        start += float(rng.uniform(*_BLINK_GAPS))
    return closures


def _smoothed(values: Values, seconds: float, fps: float) -> Values:
    """Gaussian blur over time, of about that length."""
    from scipy.ndimage import gaussian_filter1d  # imported here: it takes a second

    return np.asarray(gaussian_filter1d(values, seconds * fps / 2, mode="nearest"))
