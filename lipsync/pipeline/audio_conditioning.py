"""What each speaker says, in the form that the generator hears, and how strongly it shows.

one voice               -> one speaker, who says all of it
voices and segments     -> a speaker for each face that a segment names, who says their pieces
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lipsync.generators import AudioRows, LipGenerator
from lipsync.media import AudioReader
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.segments import FaceChoice, PlacedSegment
from lipsync.speech import SpeechSpans, gate_voice, separate_voice, speech_weights
from lipsync.types import AudioClip, FloatArray

SAMPLE_RATE = 16_000
SEPARATION_RATE = 44_100
"""What separating a voice wants to hear: what is above 8 kHz helps to tell music from speech."""
SILENT = "The voice is silent, so the lips will hardly move."


@dataclass(frozen=True, eq=False)
class SpeakerAudio:
    """What one speaker says.

    Attributes:
        rows: what the generator hears, one row a frame of the result.
        weights: float32, one a frame: how strongly the drawn mouth shows.
    """

    rows: AudioRows
    weights: FloatArray


@dataclass(frozen=True, eq=False)
class AudioConditioning:
    """What is said in the whole result.

    Attributes:
        speakers: one or more.
        voice: all of them together, in mono, before pauses were silenced.
        warnings: things to know, in words.
    """

    speakers: tuple[SpeakerAudio, ...]
    voice: AudioClip
    warnings: tuple[str, ...]


def speaking_faces(segments: Sequence[PlacedSegment]) -> tuple[FaceChoice, ...]:
    """The faces that the segments name, each once, in the order of their first words."""
    return tuple(dict.fromkeys(one.segment.face for one in segments))


def condition_audio(
    voices: Sequence[AudioReader],
    segments: Sequence[PlacedSegment],
    generator: LipGenerator,
    fps: Fraction,
    frames: int,
    options: SyncOptions,
    cancel: CancelToken,
) -> AudioConditioning:
    """Read the voices and prepare what the generator hears.

    Args:
        segments: who says what; without any, one speaker says the first voice.
        frames: of the result.

    Raises:
        MediaError: a voice cannot be read.
        ToolError, WeightsError: something that the settings ask for is not installed.
        Cancelled: the token was thrown.
    """
    if not segments:
        clip = _read(voices[0], options, cancel)
        said, warnings = _say(clip, None, generator, fps, frames, options, cancel)
        return AudioConditioning((said,), clip, warnings)
    clips = {
        number: _read(voices[number], options, cancel) for number in {s.segment.voice_file for s in segments}
    }
    together = np.zeros(round(frames / fps * SAMPLE_RATE), np.float32)
    speakers: list[SpeakerAudio] = []
    found: dict[str, None] = {}  # each warning once, in order
    for face in speaking_faces(segments):
        mine = [one for one in segments if one.segment.face == face]
        clip = _placed(mine, clips, len(together))
        together += clip.samples
        spans = SpeechSpans(np.array([(one.start, one.end) for one in mine]), clip.duration)
        said, words = _say(clip, spans, generator, fps, frames, options, cancel)
        speakers.append(said)
        found |= dict.fromkeys(words)
    return AudioConditioning(tuple(speakers), AudioClip(together, SAMPLE_RATE), tuple(found))


def _read(voice: AudioReader, options: SyncOptions, cancel: CancelToken) -> AudioClip:
    if not options.speech.separate_voice:
        return voice.read(SAMPLE_RATE, cancel=cancel)
    clip = voice.read(SEPARATION_RATE, cancel=cancel)
    return separate_voice(clip, cancel=cancel, device=options.generator.device)


def _say(
    clip: AudioClip,
    turns: SpeechSpans | None,
    generator: LipGenerator,
    fps: Fraction,
    frames: int,
    options: SyncOptions,
    cancel: CancelToken,
) -> tuple[SpeakerAudio, tuple[str, ...]]:
    """One speaker; outside of their `turns` the mouth is the source's."""
    warnings: tuple[str, ...]
    if AudioReader.is_silent(clip):
        heard, weights, warnings = clip, np.ones(frames, np.float32), (SILENT,)
    else:
        gate = gate_voice(clip, fps, frames, options.speech, cancel)
        heard, weights, warnings = gate.voice, gate.weights, gate.warnings
    if turns is not None:
        weights = weights * speech_weights(turns, fps, frames, lead=0.0)
    rows = generator.encode_audio(heard, fps, frames, options.generator.voice_lead)
    return SpeakerAudio(rows, weights), warnings


def _placed(segments: Sequence[PlacedSegment], clips: dict[int, AudioClip], count: int) -> AudioClip:
    """The pieces of one speaker, each at its time."""
    samples = np.zeros(count, np.float32)
    for one in segments:
        source = clips[one.segment.voice_file].samples
        at, begin = round(one.start * SAMPLE_RATE), round(one.voice_start * SAMPLE_RATE)
        length = min(round(one.end * SAMPLE_RATE) - at, len(source) - begin, count - at)
        samples[at : at + length] = source[begin : begin + length]
    return AudioClip(samples, SAMPLE_RATE)
