"""Music and noise of the source under the new voices (the setting `background`).

own sound of the source -> separate_vocals -> voices           -> loudness that the new voices get
                                           -> music and noise  -> lowered while somebody speaks
voices as placed, at that loudness, with music and noise -> true peak limiter -> sound of the result
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lipsync.context import RunContext
from lipsync.media import AudioReader, open_audio
from lipsync.media.audio import channels
from lipsync.media.audio.derived import SampledAudio, ScaledAudio
from lipsync.media.audio.loudness import STEP_SECONDS, STEPS_PER_BLOCK, KWeightedEnergy, gated_loudness
from lipsync.media.audio.mix import MixClip, MixedAudio, mix_segments
from lipsync.media.audio.reader import fitting_matrix, resampled
from lipsync.media.audio.true_peak import CEILING, LimitedAudio, true_peak
from lipsync.options import SpeechOptions
from lipsync.pipeline.job import KEEP, Job
from lipsync.progress import CancelToken
from lipsync.speech import SpeechSpans, detect_speech, even_level
from lipsync.speech.separation import separate_vocals
from lipsync.types import FloatArray
from lipsync.utils.mapped_array import large_zeros, pieces, release

_USUAL_RATE = 44_100
"""Hz of a source whose rate the separation does not take."""
_CROSSFADE = 0.03
"""Seconds in which the source's voices go where a new one begins."""
_DUCKING_FADE = 0.2
_PAUSE = 0.5
"""Seconds of a pause within speech in which the background stays lowered."""
_UNDER = 9.0
"""dB by which voices are below all of the sound at most; softer ones are music left in them."""
_AROUND = 6.0
"""LU by which one voice may be louder or softer than all of the source's: a whisper, a shout."""
_MOST_GAIN = 20.0  # dB
_ENCODED = 10 ** (-0.5 / 20)
"""By which a peak is lower before it is encoded; AAC adds a few tenths of a dB."""
_NOTHING_TO_MATCH = "No voice was found in the video's own sound; the new voices keep their own loudness."


@dataclass(frozen=True, eq=False)
class _Source:
    """The source's own sound on the timeline of the result, and the voices in it.

    Attributes:
        audio: the file.
        samples, vocals: float32 (n, channels).
        layout, rate: of both.
    """

    audio: AudioReader
    samples: FloatArray
    vocals: FloatArray
    layout: channels.Layout
    rate: int


def keep_background(job: Job, context: RunContext) -> tuple[Job, tuple[str, ...]]:
    """The job with the source's music and noise under its voices, and warnings.

    Outside of segments the source's own sound stays, voices included. The new voices are as loud as those
    that they replace (integrated loudness of EBU R 128), each file by itself, and the true peak of the result
    stays below -1 dBTP, or below the source's own. Where the setting is off, the job is returned as it is.

    Raises:
        ToolError, DownloadError, WeightsError: the separation is missing.
        MediaError: a sound cannot be decoded.
        Cancelled: the token was cancelled.
    """
    options, cancel = context.options.speech, context.cancel
    if options.background != KEEP:
        return job, ()
    with context.timer("separate"):
        source = _separated(job, context)
    speech, matched = _matched_voices(job, source, cancel)
    peak = true_peak(pieces(source.samples, source.rate), source.rate)
    background = _background(job, source, speech, options, cancel)
    both = [MixClip(one, 0.0, 0.0, job.seconds) for one in (background, speech)]
    audio = LimitedAudio(MixedAudio(both, job.seconds, job.voices[0]), _ENCODED * max(CEILING, peak))
    return replace(job, audio=audio), (*matched, *_mixed_down(source.audio), *_shorter(job))


def _mixed_down(audio: AudioReader) -> tuple[str, ...]:
    """A warning where the source has more channels than can be separated."""
    if len(audio.layout) <= len(channels.STEREO):
        return ()
    name = audio.info.path.name
    return (f"To keep the background, the {len(audio.layout)} channels of {name} are mixed into 2.",)


def _shorter(job: Job) -> tuple[str, ...]:
    """A warning where the result goes on after the source's own sound."""
    seconds = float(job.video.frame_count / job.video.fps)
    if job.seconds - seconds <= 1 / float(job.video.fps):
        return ()
    return (f"The video's own sound ends after {seconds:.2f} s; from there on there is no background.",)


# ------------------------------------------------------------------------------------ the source


def _separated(job: Job, context: RunContext) -> _Source:
    """The source's own sound in mono or stereo, as the voices and itself need it."""
    audio = open_audio(job.video.info.path, video_track=job.video.track)
    mix = mix_segments((), [audio], job.seconds, job.video)
    wide = any(len(one.layout) > 1 for one in (audio, *job.voices))
    layout = channels.STEREO if wide else channels.MONO
    rate = mix.info.sample_rate if mix.info.sample_rate % 100 == 0 else _USUAL_RATE
    matrix = fitting_matrix(mix, layout, context.cancel)
    samples, at = large_zeros((round(job.seconds * rate), len(layout))), 0
    with closing(mix.blocks(cancel=context.cancel)) as blocks:
        fitting = (channels.mix_channels(block, matrix) for block in blocks)
        for block in resampled(fitting, mix, rate, len(layout)):
            part = block[: len(samples) - at]
            samples[at : at + len(part)] = part
            at += len(part)
            release(samples)
    device = context.options.generator.device
    vocals = separate_vocals(samples, rate, context.progress, context.cancel, device=device)
    return _Source(audio, samples, vocals[: len(samples)], layout, rate)


def _replaced(job: Job) -> SpeechSpans:
    """Where new voices replace those of the source."""
    whole = job.audio is job.voices[0]
    spans = [(0.0, job.seconds)] if whole else [(one.start, one.end) for one in job.segments]
    ordered = SpeechSpans(np.array(sorted(spans), np.float64).reshape(-1, 2), job.seconds)
    running = np.maximum.accumulate(ordered.spans[:, 1])  # of voices that overlap
    return SpeechSpans(np.stack([ordered.spans[:, 0], running], axis=1), job.seconds).merged(2 * _CROSSFADE)


def _background(
    job: Job, source: _Source, speech: AudioReader, options: SpeechOptions, cancel: CancelToken
) -> SampledAudio:
    """The source's sound without the voices that are replaced; takes the place of its samples."""
    rate, at = source.rate, 0
    removed = _ramps(_replaced(job), 1.0, 0.0, _CROSSFADE)
    level = _ramps(_speaking(job, speech, options, cancel), -options.background_ducking, 0.0, _DUCKING_FADE)
    for part, vocals in zip(pieces(source.samples, rate), pieces(source.vocals, rate), strict=True):
        cancel.check("Mixing the sound")
        times = np.arange(at, at + len(part)) / rate
        kept = (1 - np.interp(times, *removed)).astype(np.float32)[:, None]
        decibels = options.background_level + np.interp(times, *level)
        gain = (10 ** (decibels / 20)).astype(np.float32)[:, None]
        part[:] = gain * (part - vocals) + kept * vocals
        at += len(part)
    return SampledAudio(source.audio, source.samples, source.layout, rate)


def _speaking(job: Job, speech: AudioReader, options: SpeechOptions, cancel: CancelToken) -> SpeechSpans:
    """Where the background is lowered: while somebody speaks, without short pauses."""
    if not options.background_ducking:
        return SpeechSpans(np.zeros((0, 2)), job.seconds)
    found = detect_speech(even_level(speech.read(cancel=cancel)), cancel)
    return found.merged(max(_PAUSE, 2 * _DUCKING_FADE)) if found.found else _replaced(job)


def _ramps(spans: SpeechSpans, inside: float, outside: float, fade: float) -> tuple[FloatArray, FloatArray]:
    """Times and values of a line that is `inside` in the spans, and fades before and after them."""
    if not spans.found:
        return np.zeros(1, np.float32), np.full(1, outside, np.float32)
    times = (spans.spans[:, [0, 0, 1, 1]] + np.array([-fade, 0, 0, fade])).reshape(-1)
    values = np.tile([outside, inside, inside, outside], len(spans.spans))
    return np.asarray(times), np.asarray(values)


# ------------------------------------------------------------------------------------ the voices


def _matched_voices(job: Job, source: _Source, cancel: CancelToken) -> tuple[AudioReader, tuple[str, ...]]:
    """All voices as placed, each file as loud as those that it replaces; and a warning if there are none."""
    clips = _clips(job)
    form = SampledAudio(source.audio, source.samples, source.layout, source.rate)
    energy, spoken = _energy(pieces(source.vocals, source.rate), source.rate), _spoken(source, cancel)
    replaced = [(clip.start, clip.end) for one in clips for clip in one]
    overall = _loudness(energy[_steps(replaced, energy) & _steps(spoken, energy)])
    if overall is None:
        return MixedAudio([clip for one in clips for clip in one], job.seconds, form), (_NOTHING_TO_MATCH,)
    scaled: list[MixClip] = []
    for one in clips:
        spans = [(clip.start, clip.end) for clip in one]
        there = _loudness(energy[_steps(spans, energy) & _steps(spoken, energy)])
        target = overall if there is None else min(max(there, overall - _AROUND), overall + _AROUND)
        own = _own_loudness(one, job.seconds, form, cancel)
        gain = 0.0 if own is None else min(max(target - own, -_MOST_GAIN), _MOST_GAIN)
        louder = ScaledAudio(one[0].audio, 10 ** (gain / 20))
        scaled += [replace(clip, audio=louder) for clip in one]
    return MixedAudio(scaled, job.seconds, form), ()


def _spoken(source: _Source, cancel: CancelToken) -> list[tuple[float, float]]:
    """Where the source's voices speak; elsewhere the separation leaves some of the music in them."""
    vocals = SampledAudio(source.audio, source.vocals, source.layout, source.rate)
    found = detect_speech(even_level(vocals.read(cancel=cancel)), cancel)
    spans: list[tuple[float, float]] = [(start, end) for start, end in found.spans.tolist()]
    return [one for one in spans if _decibels(source, *one) > -_UNDER]


def _decibels(source: _Source, start: float, end: float) -> float:
    """Level of the voices against all of the sound."""
    part = slice(int(start * source.rate), int(end * source.rate) + 1)
    powers = [
        sum(float(np.square(piece, dtype=np.float64).sum()) for piece in pieces(array[part], source.rate))
        for array in (source.vocals, source.samples)
    ]
    return 10 * float(np.log10(max(powers[0], 1e-12) / max(powers[1], 1e-12)))


def _own_loudness(
    clips: Sequence[MixClip], seconds: float, form: AudioReader, cancel: CancelToken
) -> float | None:
    """Loudness of clips one after another: steps at their ends would else be partly silent."""
    joined, at = [], 0.0
    for clip in clips:
        length = min(clip.seconds, seconds - clip.start)
        joined.append(replace(clip, start=at, seconds=length))
        at += length
    placed = MixedAudio(joined, at, form)
    with closing(placed.read_blocks(cancel=cancel)) as blocks:
        return _loudness(_energy(blocks, placed.info.sample_rate))


def _loudness(energy: npt.NDArray[np.float64]) -> float | None:
    """Loudness of steps, also of fewer than a gating block takes."""
    return gated_loudness(np.resize(energy, max(len(energy), STEPS_PER_BLOCK))) if len(energy) else None


def _clips(job: Job) -> list[list[MixClip]]:
    """The voices as placed in the result, by file."""
    if job.audio is job.voices[0]:
        voice = job.voices[0]
        return [[MixClip(voice, 0.0, 0.0, min(voice.duration, job.seconds))]]
    files: dict[int, list[MixClip]] = {}
    for one in job.segments:
        number = one.segment.voice_file
        clip = MixClip(job.voices[number], one.voice_start, one.start, one.end - one.start)
        files.setdefault(number, []).append(clip)
    return list(files.values())


def _energy(blocks: Iterable[FloatArray], rate: int) -> npt.NDArray[np.float64]:
    """K-weighted energy of each step."""
    energy = KWeightedEnergy(rate)
    for block in blocks:
        energy.update(block)
    return np.array(energy.steps)


def _steps(spans: Sequence[tuple[float, float]], energy: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether each step lies in the spans."""
    inside = np.zeros(len(energy), np.bool_)
    for start, end in spans:
        inside[int(start / STEP_SECONDS) : round(end / STEP_SECONDS)] = True
    return inside
