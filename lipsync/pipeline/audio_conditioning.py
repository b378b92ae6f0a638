"""Audio conditioning: voices to the generator's audio features of each speaker.

one voice            -> one speaker, who speaks throughout
voices and segments  -> one speaker for each face that the segments name
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.context import RunContext
from lipsync.errors import MediaError
from lipsync.generators import AudioRows, LipGenerator
from lipsync.media import AudioReader
from lipsync.media.audio.mix import mix_segments
from lipsync.pipeline.job import Job, speaking_faces
from lipsync.segments import PlacedSegment
from lipsync.speech import (
    SpeechSpans,
    detect_speech,
    even_level,
    gate_voice,
    separate_voice,
    speech_weights,
)
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.mapped_array import copy_samples, large_zeros, release

SAMPLE_RATE = 16_000
SEPARATION_RATE = 44_100
"""Sample rate of voice separation, Hz: the band above 8 kHz helps to separate music from speech."""
CONTEXT_SECONDS = 30.0
"""Audio after the end of the result that is read too: networks look ahead, and levels are those of a longer
part. What follows cannot matter, and of a long recording it may be hours."""
SILENT = "The voice is silent, so the lips will hardly move."
SOURCE_SPEAKS = (
    "The person in the video speaks for {seconds:.0f} s while the voice rests; closed lips may be "
    "blurred where the mouth was wide open. Use other parts of the video there, or set in_silence=keep."
)
_LONG_REST = 2.0  # seconds of silence in which a mouth that speaks on would be seen
_FRAMES_AT_A_TIME = 1000
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SpeakerAudio:
    """Audio features and mouth weights of one speaker, from conditioning to drawing.

    Attributes:
        rows: the generator's audio features, one row a frame of the result.
        weights: float32 (T,) in [0, 1], opacity of the generated mouth in each frame; 0 generates none.
        resting: bool (T,), frames in which the generator hears silence; None where unknown.
    """

    rows: AudioRows
    weights: FloatArray
    resting: BoolArray | None = None


@dataclass(frozen=True, eq=False)
class AudioConditioning:
    """Conditioned audio of all speakers of the result.

    Attributes:
        speakers: at least one, in the order of their first segments.
        voice: the mix of all speakers, mono at 16 kHz, before pauses are muted.
        warnings: sentences for the user.
    """

    speakers: tuple[SpeakerAudio, ...]
    voice: AudioClip
    warnings: tuple[str, ...]


def condition_audio(job: Job, generator: LipGenerator, context: RunContext) -> AudioConditioning:
    """Read the voices and encode them for the generator, one `SpeakerAudio` per speaking face.

    Raises:
        MediaError: a voice cannot be read.
        ToolError, DownloadError, WeightsError: a package or a network that the settings need is missing.
        Cancelled: the token was cancelled.
    """
    conditioner = _Conditioner(job, generator, context)
    if not job.segments:
        clip = conditioner.read(job.voices[0], job.seconds, float(job.first / job.video.fps))
        speaker, warnings = conditioner.encode(clip, None)
        return AudioConditioning((speaker,), clip, warnings)
    clips = {number: _read_part(conditioner, number) for number in _voice_files(job.segments)}
    mixed = large_zeros(round(len(job.timeline) / job.video.fps * SAMPLE_RATE))
    speakers: list[SpeakerAudio] = []
    unique: dict[str, None] = {}  # warnings of several speakers are often the same
    for face in speaking_faces(job.segments):
        own = [one for one in job.segments if one.segment.face == face]
        clip = _place(own, clips, len(mixed))
        copy_samples(clip.samples, mixed, add=True)
        spans = SpeechSpans(np.array([(one.start, one.end) for one in own]), clip.duration)
        speaker, warnings = conditioner.encode(clip, spans)
        speakers.append(speaker)
        unique |= dict.fromkeys(warnings)
    return AudioConditioning(tuple(speakers), AudioClip(mixed, SAMPLE_RATE), tuple(unique))


def _voice_files(segments: Sequence[PlacedSegment]) -> dict[int, None]:
    """Numbers of the voices of these segments, each once."""
    return dict.fromkeys(one.segment.voice_file for one in segments)


def _read_part(conditioner: _Conditioner, number: int) -> tuple[float, AudioClip]:
    """First second and audio of what the segments use of a voice.

    It is a whole second, so that resampling gives the samples of the whole voice.
    """
    own = [one for one in conditioner.job.segments if one.segment.voice_file == number]
    start = max(0, math.floor(min(one.voice_start for one in own) - CONTEXT_SECONDS))
    end = max(one.voice_start + one.end - one.start for one in own)
    return start, conditioner.read(conditioner.job.voices[number], end - start, start)


@dataclass(frozen=True)
class _Conditioner:
    """Reads voices, gates them, and encodes them for one generator."""

    job: Job
    generator: LipGenerator
    context: RunContext

    def read(self, voice: AudioReader, length: float, start: float = 0.0) -> AudioClip:
        """One voice, mono at 16 kHz, soft speech raised; separated from music if `separate_voice` is on.

        Args:
            length: seconds that the result needs; `CONTEXT_SECONDS` more are read.
            start: seconds of the voice before them.
        """
        options, cancel, seconds = self.context.options, self.context.cancel, length + CONTEXT_SECONDS
        if not options.speech.separate_voice:
            return _audible(voice.read(SAMPLE_RATE, start=start, seconds=seconds, cancel=cancel))
        clip = voice.read(SEPARATION_RATE, start=start, seconds=seconds, cancel=cancel)
        return _audible(separate_voice(clip, cancel=cancel, device=options.generator.device))

    def encode(self, clip: AudioClip, turns: SpeechSpans | None) -> tuple[SpeakerAudio, tuple[str, ...]]:
        """One speaker, and warnings; outside of `turns` the source's mouth is kept."""
        fps, frames, options = self.job.video.fps, len(self.job.timeline), self.context.options
        warnings: tuple[str, ...]
        if AudioReader.is_silent(clip):
            unheard = turns is not None and not turns.seconds  # as in a preview between the turns
            voice, weights, warnings = clip, np.ones(frames, np.float32), () if unheard else (SILENT,)
        else:
            gate = gate_voice(clip, fps, frames, options.speech, self.context.cancel)
            voice, weights, warnings = gate.audio, gate.weights, gate.warnings
        resting = _silent_frames(voice, fps, frames)
        if warnings != (SILENT,) and options.speech.in_silence == "close" and turns is None:
            warnings += self._source_speech(resting)
        if turns is not None:
            weights = weights * speech_weights(turns, fps, frames, lead=0.0)
        rows = self.generator.encode_audio(
            voice, fps, frames, options.generator.voice_lead, self.context.cancel
        )
        return SpeakerAudio(rows, weights, resting), warnings

    def _source_speech(self, resting: BoolArray) -> tuple[str, ...]:
        """A warning if the person in the video speaks on while the voice rests for seconds."""
        job, cancel, fps = self.job, self.context.cancel, self.job.video.fps
        shortest = round(_LONG_REST * fps)
        if job.part is not None or job.video.is_still or not job.video.info.has_audio:  # or it is a preview
            return ()
        if _longest_run(resting) < shortest:
            return ()
        try:
            own = mix_segments((), job.voices, job.video.frame_count / float(fps), job.video)
            spans = detect_speech(even_level(own.read(SAMPLE_RATE, cancel=cancel)), cancel)
        except MediaError:  # that the source's own audio is damaged is of no importance to the result
            return ()
        if not spans.found:
            return ()
        speaking = speech_weights(spans, fps, job.video.frame_count, fade=0.0, lead=0.0)[job.timeline] > 0
        longest = _longest_run(resting & speaking)
        if longest < shortest:
            return ()
        return (SOURCE_SPEAKS.format(seconds=longest / float(fps)),)


def _silent_frames(clip: AudioClip, fps: Fraction, frames: int) -> BoolArray:
    """Frames of the result during which the clip is digital silence."""
    starts = np.round(np.arange(frames) * float(clip.sample_rate / fps)).astype(np.int64)
    silent = np.ones(frames, np.bool_)
    heard = starts[starts < len(clip.samples)]
    ends = np.append(heard, len(clip.samples))
    for first in range(0, len(heard), _FRAMES_AT_A_TIME):
        part = heard[first : first + _FRAMES_AT_A_TIME]
        sound = clip.samples[part[0] : ends[first + len(part)]] != 0
        silent[first : first + len(part)] = ~np.logical_or.reduceat(sound, part - part[0])
        release(clip.samples)
    return silent


def _longest_run(true: BoolArray) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _audible(clip: AudioClip) -> AudioClip:
    """The clip with its soft speech raised; what counts as silent has no noise that the lips would follow."""
    if AudioReader.is_silent(clip):
        return AudioClip(large_zeros(len(clip.samples)), clip.sample_rate)
    return even_level(clip)


def _place(
    segments: Sequence[PlacedSegment], clips: dict[int, tuple[float, AudioClip]], count: int
) -> AudioClip:
    """The segments of one speaker placed on the timeline, `count` samples in all."""
    samples = large_zeros(count)
    for one in segments:
        first, clip = clips[one.segment.voice_file]
        source = clip.samples
        at, begin = round(one.start * SAMPLE_RATE), round((one.voice_start - first) * SAMPLE_RATE)
        length = max(0, min(round(one.end * SAMPLE_RATE) - at, len(source) - begin, count - at))
        copy_samples(source[begin : begin + length], samples[at : at + length])
    return AudioClip(samples, SAMPLE_RATE)
