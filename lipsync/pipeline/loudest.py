"""Loudest moment of a job's voice, where a preview shows most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lipsync.media import Waveform, read_waveform
from lipsync.pipeline.job import Job

_WINDOW_SECONDS = 0.4
"""Length over which loudness is averaged: about a syllable and a half, so that no click wins."""


def loudest_moment(job: Job, read: Callable[[Path], Waveform] = read_waveform) -> float:
    """Time in a job's result at which its voice is loudest, seconds; 0 where it is silent.

    Args:
        read: the waveform of a file, which is decoded whole for it: pass a function that keeps it.

    Raises:
        MediaError: a voice cannot be decoded.
    """
    best, loudest = 0.0, 0.0
    waves: dict[Path, Waveform] = {}
    for path, start, end, at in _heard(job):
        if path not in waves:
            waves[path] = read(path)
        time, loudness = _loudest(waves[path], start, min(end, start + job.seconds - at))
        if loudness > loudest:
            best, loudest = at + time - start, loudness
    return min(best, max(0.0, job.seconds - float(1 / job.video.fps)))


def _heard(job: Job) -> Iterator[tuple[Path, float, float, float]]:
    """The pieces of voice files that are heard: file, start and end in it, and its start in the result."""
    placed = [(one.segment.voice_file, one.voice_start, one.start, one.end) for one in job.segments]
    for index, heard, start, end in placed or [(0, 0.0, 0.0, job.voices[0].duration)]:
        voice = job.voices[index]
        at = voice.shift
        for low, high in voice.ranges:
            first, last = max(heard, at), min(heard + end - start, at + high - low)
            begins = start + first - heard
            if first < last and begins < job.seconds:
                yield voice.info.path, low + first - at, low + last - at, begins
            at += high - low


def _loudest(wave: Waveform, start: float, end: float) -> tuple[float, float]:
    """When a part of a waveform is loudest, and how loud; (start, 0) for a part without any."""
    rate = len(wave.peaks) / max(wave.seconds, 1e-3)
    first, last = int(start * rate), int(np.ceil(min(end, wave.seconds) * rate))
    peaks = wave.peaks[first:last]
    if not len(peaks):
        return start, 0.0
    window = max(1, min(len(peaks), round(_WINDOW_SECONDS * rate)))
    means = np.convolve(peaks, np.full(window, 1 / window), "valid")
    middle = int(means.argmax()) + window / 2
    return max(start, (first + middle) / rate), float(means.max())
