"""Loudness and pauses of a voice, frame by frame."""

from __future__ import annotations

import numpy as np

from lipsync.speech.vad import detect_speech
from lipsync.types import AudioClip, Bools, FloatArray
from lipsync.utils.mapped_array import pieces, release

_WINDOW = 0.08
"""Seconds over which the level of a frame is measured."""
_LOWEST_DB = -60.0
_RELEASED_FRAMES = 1000
_MIN_PAUSE = 0.3
"""Seconds; shorter gaps are closures of stops, see THEval, arXiv 2511.04520."""
_MARGIN = 0.12
"""Seconds at both ends of a pause that do not count: lips part before the voice and close after it."""


def frame_levels(audio: AudioClip, fps: float, frames: int) -> FloatArray:
    """RMS level around the middle of each frame, float32 (frames,), dB of full scale, -60 at least.

    Args:
        audio: the voice; time 0 is the start of frame 0.
    """
    middle = (np.arange(frames) + 0.5) / fps
    first, last = (
        np.clip(np.round((middle + side) * audio.sample_rate).astype(int), 0, len(audio.samples))
        for side in (-_WINDOW / 2, _WINDOW / 2)
    )
    power = np.zeros(frames)
    for number, (start, stop) in enumerate(zip(first, last, strict=True)):
        power[number] = np.square(audio.samples[start:stop], dtype=np.float64).sum()
        if number % _RELEASED_FRAMES == 0:
            release(audio.samples)
    mean = power / np.maximum(last - first, 1)
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (_LOWEST_DB / 10))), np.float32)


def pause_frames(audio: AudioClip, fps: float, frames: int) -> Bools:
    """Frames in pauses of the voice of at least 0.3 s, without their ends; bool (frames,).

    All frames of digital silence, also those after the end of the audio.

    Args:
        audio: at 16 kHz.

    Raises:
        ToolError: the package silero-vad is missing.
    """
    times = (np.arange(frames) + 0.5) / fps
    paused = np.ones(frames, np.bool_)
    if not any(part.any() for part in pieces(audio.samples)):
        return paused
    end = 0.0
    pauses = []
    for start, stop in detect_speech(audio).spans:
        pauses.append((end, float(start), end > 0))
        end = float(stop)
    pauses.append((end, frames / fps, end > 0))
    paused[:] = False
    for first, last, after_speech in pauses:
        if last - first >= _MIN_PAUSE:
            ends = last < frames / fps
            start = first + (_MARGIN if after_speech else 0)
            paused |= (times >= start) & (times < last - (_MARGIN if ends else 0))
    return paused
