"""Level and rhythm of a voice, for lips and speech detection.

The audio of the result is not touched by any of this.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.speech.vad import SpeechSpans
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.mapped_array import large_zeros, pieces, release

BoolArray: TypeAlias = npt.NDArray[np.bool_]

_STEP_SECONDS = 0.05
_BLOCK_STEPS = 1024
_WINDOW = 20  # steps: one second, a few syllables
_REACH = 40  # steps before and after that belong to the level of a place: two seconds
_NOMINAL = -20.0
"""Level of speech in dBFS, as of recordings that the networks were trained with."""
_SOFT = -30.0  # dBFS below which a voice is raised
_MAX_RAISE = 50.0  # dB
_LEVEL_QUANTILE = 0.95  # of the steps: the level of vowels
_FLOOR = -100.0  # dBFS of digital silence
_PREEMPHASIS = 0.97  # so that hum and rumble count little
_MIN_VARIATION = 2.5
"""Standard deviation of the level in dB within a second; noise and hum have less than 1, speech 8."""
_MIN_CROSSINGS = 2  # of the mean level in a second; a sound that begins has one
_MIN_RANGE = 10.0
"""Decibels between vowels and pauses; with noise as loud as the voice there are 5, in a room 30."""


def even_level(clip: AudioClip) -> AudioClip:
    """The clip with soft speech raised to the usual level; the same object where nothing is soft.

    What is soft for seconds is raised alone, unless it is noise without the rhythm of speech.
    """
    steps, moving = _levels(clip.samples, clip), _has_rhythm(clip)
    if not moving.any():
        return clip
    around = _running_maximum(np.where(moving, steps, _FLOOR))
    gain = np.where(around < _SOFT, np.minimum(_NOMINAL - around, _MAX_RAISE), 0)
    gain = _spread(gain, around > _FLOOR)
    if not gain.any():
        return clip
    size = _step(clip)
    places = (np.arange(len(gain)) + 0.5) * size
    samples, start = large_zeros(len(clip.samples)), 0
    for block in pieces(
        clip.samples, size * _BLOCK_STEPS
    ):  # an hour's gain would be three copies of the clip
        decibels = np.interp(np.arange(start, start + len(block)), places, gain)
        raised = block * (10 ** (decibels / 20)).astype(np.float32)
        np.clip(raised, -1, 1, out=samples[start : start + len(block)])
        start += len(block)
        release(samples)
    return AudioClip(samples, clip.sample_rate)


def rhythm_spans(clip: AudioClip) -> SpeechSpans:
    """Spans that have the rhythm of a voice: speech, singing, most music, an animal; no noise or hum."""
    moving = np.concatenate([[False], _has_rhythm(clip), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(moving))
    spans = edges.reshape(-1, 2) * (_step(clip) / clip.sample_rate)
    return SpeechSpans(np.clip(spans.astype(np.float64), 0, clip.duration), clip.duration)


def is_noisy(clip: AudioClip) -> bool:
    """Whether noise or music is about as loud as the speech in the clip."""
    steps = _levels(clip.samples, clip)
    steps = steps[steps > _FLOOR + 1]
    return len(steps) > _WINDOW and float(np.ptp(np.quantile(steps, [0.1, _LEVEL_QUANTILE]))) < _MIN_RANGE


def _step(clip: AudioClip) -> int:
    return round(_STEP_SECONDS * clip.sample_rate)


def _levels(samples: FloatArray, clip: AudioClip, emphasis: float = 0.0) -> FloatArray:
    """RMS of each step in dBFS, float32; what is left over at the end counts as a step."""
    size = _step(clip)
    parts = []
    for start in range(0, len(samples), size * _BLOCK_STEPS):  # in blocks, without a copy of an hour
        block = samples[start : start + size * _BLOCK_STEPS]
        if emphasis:
            block = (
                block
                - np.float32(emphasis) * np.append(samples[max(0, start - 1) : start], block)[: len(block)]
            )
        whole = len(block) // size * size
        parts.append(np.square(block[:whole]).reshape(-1, size).mean(axis=1))
        if whole < len(block):
            parts.append(np.square(block[whole:]).mean(keepdims=True))
        release(samples)
    power = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (_FLOOR / 10))), np.float32)


def _has_rhythm(clip: AudioClip) -> BoolArray:
    """Steps with the rhythm of a voice, without hum and rumble."""
    return _moving(_levels(clip.samples, clip, _PREEMPHASIS))


def _moving(steps: FloatArray) -> BoolArray:
    """Steps around which the level goes up and down as that of speech does."""
    count = len(steps)
    if count < 2:
        return np.zeros(count, np.bool_)
    width = min(_WINDOW, count)
    windows = np.lib.stride_tricks.sliding_window_view(steps, width)
    above = windows > windows.mean(axis=1, keepdims=True)
    crossings = (above[:, 1:] != above[:, :-1]).sum(axis=1)
    moving = (windows.std(axis=1) >= _MIN_VARIATION) & (crossings >= _MIN_CROSSINGS)
    # A step belongs to all windows that contain it; one that moves is enough.
    reached = np.convolve(moving, np.ones(width), "full") > 0.5
    return np.asarray(reached[:count] & (steps > _FLOOR + 1))


def _running_maximum(steps: FloatArray) -> FloatArray:
    """The highest level within two seconds of each step, without single peaks."""
    count = len(steps)
    smooth = np.convolve(np.pad(steps, 1, mode="edge"), np.full(3, 1 / 3), "valid").astype(np.float32)
    padded = np.pad(smooth, _REACH, constant_values=_FLOOR)
    return np.asarray(
        np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1).max(axis=1)[:count], np.float32
    )


def _spread(gain: FloatArray, known: BoolArray) -> FloatArray:
    """The gain where the level is known, no gain elsewhere, and a second of change between them."""
    kernel = np.full(_WINDOW + 1, 1 / (_WINDOW + 1))
    padded = np.pad(np.where(known, gain, 0), _WINDOW // 2, mode="edge")
    return np.asarray(np.convolve(padded, kernel, "valid"), np.float32)
