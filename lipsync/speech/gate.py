"""What the mouth does while nobody speaks: the setting `in_silence`.

voice -> gate_voice -> what the generator hears, and how strongly each frame shows what it draws
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipsync.options import SpeechOptions
from lipsync.progress import CancelToken
from lipsync.speech.vad import SpeechSpans, detect_speech
from lipsync.types import AudioClip, FloatArray

NO_SPEECH = (
    "No speech was found in the voice (singing, music or an animal, perhaps), "
    "so the lips follow all of its sound."
)

_FADE = 0.12
"""Seconds in which the drawn mouth gives way to the source's own."""
_LEAD = 0.1
"""Seconds by which lips open before they are heard."""
_SHORTEST_REST = 0.2  # seconds for which showing the source's own mouth is worth two fades
_RAMP = 0.02  # seconds in which the sound is faded; a hard cut is a click, which looks like a "t"
_LOUD = 0.3  # of the level of speech


@dataclass(frozen=True)
class Gate:
    """What the setting `in_silence` does to one voice.

    Attributes:
        voice: what the generator hears.
        weights: float32 (frames,) how strongly each frame shows what is drawn; 0 leaves it untouched.
        spans: where speech is; None when it was not looked for.
        warnings: in words.
    """

    voice: AudioClip
    weights: FloatArray
    spans: SpeechSpans | None = None
    warnings: tuple[str, ...] = ()


def gate_voice(
    voice: AudioClip,
    fps: Fraction | float,
    frames: int,
    options: SpeechOptions,
    cancel: CancelToken | None = None,
) -> Gate:
    """Keep the mouth at rest while nobody speaks, as `options.in_silence` says.

    "close" lets the generator hear silence there, so that it draws closed lips itself; "keep" shows
    the source's own mouth instead; "speak" changes nothing. Nor is anything changed, but for a
    warning, where no speech is found at all.

    Raises:
        ToolError, Cancelled: as `detect_speech`.
    """
    open_all = np.ones(frames, np.float32)
    if options.in_silence == "speak":
        return Gate(voice, open_all)
    spans = detect_speech(voice, cancel)
    if not spans.found:
        return Gate(voice, open_all, spans, (NO_SPEECH,))
    hushed = mute_non_speech(voice, spans)
    weights = speech_weights(spans, fps, frames) if options.in_silence == "keep" else open_all
    return Gate(hushed, weights, spans, _doubts(voice, hushed))


def _doubts(voice: AudioClip, hushed: AudioClip) -> tuple[str, ...]:
    """A warning where more of what is as loud as speech was taken for something else than for speech."""
    heard, kept = _levels(voice), _levels(hushed)
    if not kept.any():
        return ()
    loud = heard > _LOUD * np.quantile(kept[kept > 0], 0.9)
    share = float((kept[loud] > 0).mean())
    if share >= 0.5:
        return ()
    return (
        f"Only {100 * share:.0f} % of what is loud in the voice was taken for speech; the mouth rests in "
        "the rest. If that is sung or whispered, set in_silence to 'speak'.",
    )


def _levels(clip: AudioClip) -> FloatArray:
    """Root mean square of every tenth of a second."""
    step = clip.sample_rate // 10
    blocks = clip.samples[: len(clip.samples) // step * step].reshape(-1, step)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", blocks, blocks) / step), np.float32)


def speech_weights(
    spans: SpeechSpans, fps: Fraction | float, frames: int, fade: float = _FADE, lead: float = _LEAD
) -> FloatArray:
    """How much each frame of the result belongs to speech.

    A pause too short to fade out, rest for 0.2 s and fade in again counts as speech.

    Args:
        fps: frames per second; frame i is shown from i / fps to (i + 1) / fps.
        frames: how many.
        fade: seconds from 1 to 0. They lie in the silence, so that no frame of speech is weakened.
        lead: seconds by which the lips open before they are heard.

    Returns:
        float32 (frames,) in [0, 1]: 1 in speech, 0 in silence; all 1 when there is no speech at all.
    """
    if not spans.found:
        return np.ones(frames, np.float32)
    begins = np.arange(frames) / float(fps)
    ends = begins + 1 / float(fps)
    opening, closing = (spans.joined(lead + 2 * fade + _SHORTEST_REST).spans - np.array([lead, 0])).T
    begun = np.searchsorted(opening, ends)  # spans that opened before the frame was over
    since = begins - np.concatenate([[-np.inf], closing])[begun]
    until = np.concatenate([opening, [np.inf]])[begun] - ends
    away = np.maximum(0, np.minimum(since, until))
    weights = np.clip(1 - away / fade, 0, 1) if fade > 0 else away <= 0
    return np.asarray(weights, np.float32)


def mute_non_speech(clip: AudioClip, spans: SpeechSpans) -> AudioClip:
    """The clip with silence wherever nobody speaks; the sound is faded within 20 ms at each edge."""
    ramp = round(_RAMP * clip.sample_rate)
    up = np.linspace(0, 1, ramp, endpoint=False, dtype=np.float32)
    samples = np.zeros_like(clip.samples)
    for start, end in np.round(spans.spans * clip.sample_rate).astype(int):
        first, last = max(0, start - ramp), min(len(samples), end + ramp)
        samples[first:last] = clip.samples[first:last]
        samples[first:start] *= up[ramp - (start - first) :]
        samples[end:last] *= up[::-1][: last - end]
    return AudioClip(samples, clip.sample_rate)
