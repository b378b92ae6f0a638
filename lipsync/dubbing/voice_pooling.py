"""Evidence of who speaks, pooled over all speech of the same voice.

Two seconds of lips are often not enough to tell who speaks, but a voice that speaks again later brings more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lipsync.progress import CancelToken
from lipsync.speech import SpeechSpans
from lipsync.sync_score.base import EXPERT_FPS
from lipsync.types import AudioClip, FloatArray, IntArray

if TYPE_CHECKING:
    from lipsync.speech.voice_embedding import VoiceEncoder

_EVERY = 5
"""Frames between embeddings."""
_SAME, _OTHER, _SHARPNESS = 0.65, 0.55, 30.0
"""Cosine similarity from which on two embeddings are of one voice, up to which of two, and slope between. On
held-out people 1.6 s of one voice have 0.74 in the middle, of two voices 0.46; 4 % are confused."""
_POOLED = 0.8
"""Share of the pooled log odds; the rest is the frame's own, for voices that are too much alike."""
_RIVAL = 2.0
"""Weight of what another voice has more: a face has one voice."""
_CONSTANT = 0.9
"""Added where log odds are pooled, which are surer than two seconds.

This and the numbers above were chosen on 16 scenes of validation people: 68 % of the speech went to the right
face without pooling and 86 % with it, 86 and 83 % of the speech from outside to nobody. Of test people
(`python -m benchmarks.speakers --use test`) it is 85 and 92 %, 79 and 82 %; in eight other scenes 85 and
88 %, 80 and 91 %.
"""
_LIMIT = 12.0
"""Log odds of a frame count up to here."""
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class Voices:
    """Whose voice is heard when.

    Attributes:
        frames: int64 (N,) ascending, at 25 frames a second.
        embeddings: float32 (N, D) of length 1, of the sound around each.
    """

    frames: IntArray
    embeddings: FloatArray


def hear_voices(
    encoder: VoiceEncoder, audio: AudioClip, spans: SpeechSpans, frames: int, cancel: CancelToken
) -> Voices:
    """Embeddings of the voices in all speech.

    Args:
        audio: mono at 16 kHz.
        frames: of the video, at 25 a second.

    Raises:
        Cancelled: the token was cancelled.
    """
    from lipsync.speech.voice_embedding import embed_voices  # and torch with it

    speech = np.zeros(frames, np.bool_)
    for start, end in spans.spans.tolist():
        speech[round(start * EXPERT_FPS) : round(end * EXPERT_FPS)] = True
    at = np.arange(0, frames, _EVERY)
    at = at[speech[at]]
    return Voices(at, embed_voices(encoder, audio, (at / EXPERT_FPS).astype(np.float32), cancel))


def pool_by_voice(odds: FloatArray, voices: Voices) -> FloatArray:
    """Log odds (faces, frames) that use all frames in which the voice of each is heard.

    Args:
        odds: against nobody in the picture; -inf where a face is not seen.
    """
    if not len(voices.frames):
        return odds
    places = np.searchsorted(voices.frames, np.arange(odds.shape[1]) - _EVERY / 2)
    nearest = np.minimum(places, len(voices.frames) - 1)
    heard = odds[:, voices.frames]
    seen = np.isfinite(heard)
    means = _means_of_voice(np.where(seen, np.clip(heard, -_LIMIT, _LIMIT), 0), seen, voices.embeddings)
    rivals = _strongest_of_others(np.where(seen, means, 0), voices.embeddings)
    claimed = _POOLED * means - _RIVAL * np.maximum(0, rivals - np.maximum(means, 0)) + _CONSTANT
    return np.asarray((1 - _POOLED) * odds + claimed[:, nearest], np.float32)


def _means_of_voice(values: FloatArray, seen: np.ndarray, embeddings: FloatArray) -> FloatArray:
    """Mean of the values (faces, N) where the same voice is heard and the face is seen."""
    out = np.zeros_like(values, np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        part = slice(start, start + _BLOCK)
        same = _above(embeddings[part] @ embeddings.T - _SAME)
        weight = seen @ same.T
        out[:, part] = np.where(weight > 1e-3, values @ same.T / np.maximum(weight, 1e-3), 0)
    return out


def _strongest_of_others(means: FloatArray, embeddings: FloatArray) -> FloatArray:
    """The greatest mean (faces, N) that another voice has for the face; at least 0."""
    out = np.zeros_like(means)
    for start in range(0, len(embeddings), _BLOCK):
        part = slice(start, start + _BLOCK)
        other = _above(_OTHER - embeddings[part] @ embeddings.T)
        for face, mean in enumerate(means):
            out[face, part] = np.maximum(0, (other * mean).max(axis=1))
    return out


def _above(similarity: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-_SHARPNESS * similarity)), np.float32)
