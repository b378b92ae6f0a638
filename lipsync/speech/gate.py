"""Voice gate: mouth at rest in silence (the setting `in_silence`).

voice -> gate_voice -> audio for the generator, and opacity of the generated mouth in each frame
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipsync.options import SpeechOptions
from lipsync.progress import CancelToken
from lipsync.speech.level import is_noisy, rhythm_spans
from lipsync.speech.vad import SpeechSpans, detect_speech
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.mapped_array import copy_samples, large_zeros, pieces

NO_SPEECH = (
    "No speech was found in the voice (singing, music or an animal, perhaps), "
    "so the lips follow all of its audio that has the rhythm of a voice."
)
ONLY_NOISE = (
    "The voice is noise or hum without speech, so the mouth rests. "
    "If the lips are to follow it, set in_silence=speak."
)
NOISY = (
    "The voice is hardly louder than its noise or music, so the lips may be wrong. "
    "Use a cleaner recording, or 'separate_voice'."
)

_FADE = 0.12
"""Seconds of crossfade between the generated mouth and the source's own."""
_LEAD = 0.1
"""Seconds by which the lips open before speech starts."""
_MIN_REST = 0.2  # seconds of the source's own mouth that are worth two fades
_RAMP = 0.02  # seconds of fade in the audio; a hard cut is a click, which looks like a "t"
_MOSTLY = 0.5  # of the length with the rhythm of a voice, from which on all of it counts as a voice
_LOUD = 0.3  # relative to the level of speech


@dataclass(frozen=True)
class SpeechGate:
    """Result of gating one voice.

    Attributes:
        audio: the clip for the generator.
        weights: float32 (frames,) in [0, 1], opacity of the generated mouth in each frame; 0 leaves
            the frame unchanged.
        spans: detected speech; None if it was not detected.
        warnings: for the user.
    """

    audio: AudioClip
    weights: FloatArray
    spans: SpeechSpans | None = None
    warnings: tuple[str, ...] = ()


def gate_voice(
    voice: AudioClip,
    fps: Fraction | float,
    frames: int,
    options: SpeechOptions,
    cancel: CancelToken | None = None,
) -> SpeechGate:
    """Keep the mouth at rest in silence, as set by `options.in_silence`.

    "close" gives the generator silence there, so that it generates closed lips; "keep" shows the
    source's own mouth instead; "speak" changes nothing. If no speech is found at all, the lips follow
    what has the rhythm of a voice, such as singing, but no noise, and there is a warning.

    Args:
        voice: 16 kHz.
        fps: frame rate of the result.
        frames: number of frames of the result.

    Raises:
        ToolError, Cancelled: as `detect_speech`.
    """
    always = np.ones(frames, np.float32)
    if options.in_silence == "speak":
        return SpeechGate(voice, always)
    spans = detect_speech(voice, cancel)
    heard = spans if spans.found else rhythm_spans(voice)
    if not spans.found and heard.seconds > _MOSTLY * voice.duration:
        return SpeechGate(voice, always, spans, (NO_SPEECH,))
    muted = mute_non_speech(voice, heard)
    weights = always
    if options.in_silence == "keep":
        weights = speech_weights(heard, fps, frames) if heard.found else np.zeros(frames, np.float32)
    if not spans.found:
        return SpeechGate(muted, weights, spans, (NO_SPEECH if heard.found else ONLY_NOISE,))
    noisy = (NOISY,) if is_noisy(voice) and not options.separate_voice else ()
    return SpeechGate(muted, weights, spans, (*_warnings(voice, muted), *noisy))


def _warnings(voice: AudioClip, muted: AudioClip) -> tuple[str, ...]:
    """A warning if less than half of the parts as loud as speech were detected as speech."""
    before, after = _levels(voice), _levels(muted)
    if not after.any():
        return ()
    loud = before > _LOUD * np.quantile(after[after > 0], 0.9)
    share = float((after[loud] > 0).mean())
    if share >= 0.5:
        return ()
    return (
        f"Only {100 * share:.0f} % of the loud parts of the voice were detected as speech; the mouth rests "
        "elsewhere. If that is sung or whispered, set in_silence=speak.",
    )


def _levels(clip: AudioClip) -> FloatArray:
    """RMS of every tenth of a second."""
    step = clip.sample_rate // 10
    power = [np.zeros(0, np.float32)]
    for part in pieces(clip.samples[: len(clip.samples) // step * step], 600 * step):
        blocks = part.reshape(-1, step)
        power.append(np.einsum("ij,ij->i", blocks, blocks))
    return np.asarray(np.sqrt(np.concatenate(power) / step), np.float32)


def speech_weights(
    spans: SpeechSpans, fps: Fraction | float, frames: int, fade: float = _FADE, lead: float = _LEAD
) -> FloatArray:
    """Weight of speech in each frame of the result.

    A pause too short to fade out, rest for 0.2 s and fade in again counts as speech.

    Args:
        fps: frames per second; frame i is shown from i / fps to (i + 1) / fps.
        frames: number of frames.
        fade: seconds from 1 to 0; fades lie in the silence, so that no frame of speech is weakened.
        lead: seconds by which the lips open before speech starts.

    Returns:
        float32 (frames,) in [0, 1]: 1 in speech, 0 in silence; all 1 without any speech.
    """
    if not spans.found:
        return np.ones(frames, np.float32)
    begins = np.arange(frames) / float(fps)
    ends = begins + 1 / float(fps)
    opening, closing = (spans.merged(lead + 2 * fade + _MIN_REST).spans - np.array([lead, 0])).T
    opened = np.searchsorted(opening, ends)  # spans that open before the end of the frame
    since = begins - np.concatenate([[-np.inf], closing])[opened]
    until = np.concatenate([opening, [np.inf]])[opened] - ends
    distance = np.maximum(0, np.minimum(since, until))
    weights = np.clip(1 - distance / fade, 0, 1) if fade > 0 else distance <= 0
    return np.asarray(weights, np.float32)


def mute_non_speech(clip: AudioClip, spans: SpeechSpans) -> AudioClip:
    """Silence everything outside the spans, with a fade of 20 ms at each edge."""
    ramp = round(_RAMP * clip.sample_rate)
    up = np.linspace(0, 1, ramp, endpoint=False, dtype=np.float32)
    samples = large_zeros(len(clip.samples))
    for start, end in np.round(spans.spans * clip.sample_rate).astype(int):
        first, last = max(0, start - ramp), min(len(samples), end + ramp)
        copy_samples(clip.samples[first:last], samples[first:last])
        samples[first:start] *= up[ramp - (start - first) :]
        samples[end:last] *= up[::-1][: last - end]
    return AudioClip(samples, clip.sample_rate)
