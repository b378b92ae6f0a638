"""Scenes of speech and pauses that Audio2Shape is trained on.

A scene is a few seconds of audio: parts of clips, pauses between them that are digital silence, noise or
hum, and reverberation, filter, noise and gain over all of it. In a pause the mouth is closed. Some scenes
have no speech at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from lipsync.generators.builtin.log_mel import SAMPLE_RATE, loudness, speech_level
from lipsync.training.data.augment import Rng, augment_audio, change_speed
from lipsync.training.data.dataset import Clip, PersonBalancedSampler
from lipsync.training.data.dataset_format import FPS
from lipsync.types import FloatArray

SHAPE_RATE = 50
"""Target shapes per second."""
_HOP = SAMPLE_RATE // SHAPE_RATE
_LEVEL_DB = -20.0
_LONGEST_PART = 6 * SHAPE_RATE
_MARGIN = SHAPE_RATE // 8
"""Shapes to either side of a cut where nothing is asked, so that the mouth has time to close and to open."""
_FADE = SAMPLE_RATE // 100


@dataclass(frozen=True, repr=False)
class Scene:
    """Audio with target shapes.

    Attributes:
        audio: float32 (n,) at 16 kHz.
        shapes: float32 (coefficients, T) at 50 Hz.
        speech: bool (T,) where a clip speaks and its shape is known.
        rest: bool (T,) where the mouth is closed since nobody speaks.
    """

    audio: FloatArray
    shapes: FloatArray
    speech: npt.NDArray[np.bool_]
    rest: npt.NDArray[np.bool_]


def make_scene(sampler: PersonBalancedSampler[Clip], seconds: float, rest_share: float, rng: Rng) -> Scene:
    """A random scene.

    Args:
        rest_share: probability of a scene without speech.
    """
    length = round(seconds * SHAPE_RATE)
    first = sampler.sample(rng)
    scene = Scene(
        np.zeros(length * _HOP, np.float32),
        np.zeros((first.shapes.shape[1], length), np.float32),
        np.zeros(length, np.bool_),
        np.zeros(length, np.bool_),
    )
    at = 0
    if rng.random() < rest_share:
        _add_pause(scene, 0, length, rng)
        at = length
    elif rng.random() < 0.5:
        at = _add_pause(scene, 0, _pause_length(rng), rng)
    clip = first
    while at < length:
        at = _add_part(scene, at, clip, rng)
        at = _add_pause(scene, at, _pause_length(rng), rng)
        clip = sampler.sample(rng)
    audio = augment_audio(scene.audio, rng) if rng.random() < 0.8 else scene.audio
    return Scene(audio, scene.shapes, scene.speech, scene.rest)


def _pause_length(rng: Rng) -> int:
    """0.25 to 0.6 s, or up to 2.5 s."""
    return round(SHAPE_RATE * (rng.uniform(0.25, 0.6) if rng.random() < 0.5 else rng.uniform(0.6, 2.5)))


def _add_part(scene: Scene, at: int, clip: Clip, rng: Rng) -> int:
    """Write part of a clip into a scene; returns where it ends."""
    speed = float(rng.uniform(0.85, 1.18)) if rng.random() < 0.7 else 1.0
    audio = change_speed(clip.audio, speed)
    shapes = target_shapes(clip, speed)
    start = int(rng.integers(max(1, shapes.shape[1] - _LONGEST_PART + 1)))
    length: int = min(_LONGEST_PART, shapes.shape[1] - start, len(scene.speech) - at)
    samples = audio[start * _HOP : (start + length) * _HOP]
    gain_db = _LEVEL_DB + rng.normal(0, 3) - max(speech_level(loudness(audio)), -60.0)
    spoken = scene.audio[at * _HOP : at * _HOP + len(samples)]
    spoken[:] = _faded(samples * np.float32(10 ** (gain_db / 20)))
    scene.shapes[:, at : at + length] = shapes[:, start : start + length]
    scene.speech[at + _MARGIN * (at > 0) : at + length - _MARGIN * (at + length < len(scene.speech))] = True
    return at + length


def _add_pause(scene: Scene, at: int, length: int, rng: Rng) -> int:
    """Write a pause into a scene; returns where it ends."""
    stop: int = min(at + length, len(scene.rest))
    scene.audio[at * _HOP : stop * _HOP] = _faded(room_sound((stop - at) * _HOP, rng))
    scene.rest[at + _MARGIN * (at > 0) : stop - _MARGIN * (stop < len(scene.rest))] = True
    return stop


def _faded(samples: FloatArray) -> FloatArray:
    """Audio with 10 ms of fade at both ends, so that a cut makes no click."""
    ramp = np.minimum(1, np.arange(len(samples), dtype=np.float32) / _FADE)
    return samples * ramp * ramp[::-1]


def room_sound(samples: int, rng: Rng) -> FloatArray:
    """What is heard while nobody speaks: silence, noise of any colour, hum; float32 (samples,).

    Two fifths are digital silence; noise and hum lie between -70 and -20 dB of full scale.
    """
    kind = rng.random()
    if kind < 0.4 or not samples:
        return np.zeros(samples, np.float32)
    level = 10 ** (rng.uniform(-70, -20) / 20)
    if kind < 0.9:
        sound = lfilter([1], [1, -rng.choice([0.0, rng.uniform(0, 0.98), 0.995])], rng.normal(0, 1, samples))
        if rng.random() < 0.3:  # comes and goes, as wind and traffic do
            sound = sound * (1 + 0.9 * np.sin(np.arange(samples) / SAMPLE_RATE * rng.uniform(0.5, 20)))
    else:
        clock = 2 * np.pi * np.arange(samples) / SAMPLE_RATE * rng.choice([50.0, 60.0, rng.uniform(80, 2000)])
        sound = sum(np.sin(clock * n) * rng.uniform(0, 1 / n) for n in range(1, 6))
    return np.asarray(sound / (np.std(sound) + 1e-9) * level, np.float32)


def target_shapes(clip: Clip, speed: float = 1.0) -> FloatArray:
    """A clip's smoothed shapes in the time of its audio, (coefficients, T) at 50 Hz.

    Args:
        speed: at which the audio is played.
    """
    padded = np.pad(clip.shapes, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    count = int(len(smooth) / FPS / speed * SHAPE_RATE)
    at = (np.arange(count) / SHAPE_RATE * speed - clip.audio_delay) * FPS
    frames = np.arange(len(smooth))
    return np.stack([np.interp(at, frames, column) for column in smooth.T]).astype(np.float32)
