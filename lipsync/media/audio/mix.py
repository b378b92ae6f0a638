"""Audio mix: clips of several recordings placed on one timeline.

Clips that follow each other are concatenated, clips that overlap are summed; the gaps are silence or
the video's own audio. All clips of a file that come in the order of that file are read in one pass,
so that a long recording with many turns needs few decoders and no buffering.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from lipsync.errors import NoAudioError
from lipsync.media.audio import channels
from lipsync.media.audio.blocks import equal_blocks, faded, silence
from lipsync.media.audio.reader import (
    RAMP_SECONDS,
    AudioReader,
    SampleCursor,
    fitting_matrix,
    open_audio,
    resampled,
)
from lipsync.media.video.reader import VideoReader
from lipsync.progress import CancelToken
from lipsync.segments import PlacedSegment
from lipsync.types import AudioInfo, FloatArray

FADE_SECONDS = RAMP_SECONDS
"""Fade at both ends of a clip, so that cuts make no click."""
_BEYOND = 0.25
"""Part of a sample by which clips end after an excerpt that cuts them, so that they do not fade out."""
Replace: TypeAlias = Callable[[AudioReader, int, int], AudioReader | None]
"""Gives another reader of the samples from one to another of a recording; None for the recording itself."""


@dataclass(frozen=True, eq=False)
class MixClip:
    """Part of a recording, placed on the timeline of the mix.

    Attributes:
        audio: the recording.
        source_start: where the clip begins in the recording, seconds.
        start: where it begins in the mix, seconds.
        seconds: its length.
    """

    audio: AudioReader
    source_start: float
    start: float
    seconds: float

    @property
    def end(self) -> float:
        """Where it ends in the mix, seconds."""
        return self.start + self.seconds


def mix_segments(
    segments: Sequence[PlacedSegment],
    voices: Sequence[AudioReader],
    seconds: float,
    background: VideoReader | None = None,
) -> MixedAudio:
    """The audio of a job with segments.

    Args:
        segments: with times in the result, which are times in the video.
        voices: the recordings; `Segment.voice_file` is an index into them.
        seconds: length of the result.
        background: the video whose own audio fills the gaps between segments; None for silence.

    Raises:
        MediaError: the audio of `background` cannot be read.
    """
    clips = [
        MixClip(
            voices[placed.segment.voice_file], placed.voice_start, placed.start, placed.end - placed.start
        )
        for placed in segments
    ]
    if background is not None:
        clips += _background_clips(background, _gaps(clips, seconds))
    return MixedAudio(clips, seconds, voices[0])


def _gaps(clips: Sequence[MixClip], seconds: float) -> list[tuple[float, float]]:
    """Start and end of the spans without any clip."""
    groups = _overlap_groups(clips)
    edges = [0.0, *(edge for group in groups for edge in (group.start, group.end)), seconds]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def _background_clips(video: VideoReader, gaps: Sequence[tuple[float, float]]) -> list[MixClip]:
    """The video's own audio in the gaps, as far as the video and its audio last."""
    try:
        audio = open_audio(video.info.path, video_track=video.track)
    except NoAudioError:
        return []
    clips, at = [], 0.0
    for start, length in video.range_spans:
        for first, last in gaps:
            first, last = max(first, at), min(last, at + length, at + audio.duration - start)
            if first < last:
                clips.append(MixClip(audio, start + first - at, first, last - first))
        at += length
    return clips


class MixedAudio(AudioReader):
    """Clips of several recordings mixed into one `AudioReader`.

    Its sample rate is the largest among the files, its layout the smallest of AAC's that holds them all.

    Args:
        clips: in any order; those that overlap are summed.
        seconds: length of the mix, filled with silence or cut off.
        named: the recording that error messages name.
    """

    def __init__(self, clips: Sequence[MixClip], seconds: float, named: AudioReader) -> None:
        readers = [named, *(clip.audio for clip in clips)]
        layouts = [channels.AAC_LAYOUTS[channels.aac_layout(one.layout)] for one in readers]
        self.layout = max(layouts, key=len)
        rate = max(one.info.sample_rate for one in readers)
        self.info = AudioInfo(named.info.path, rate, len(self.layout), seconds)
        self.paths = tuple(dict.fromkeys(path for one in readers for path in one.paths))
        self._mixed_down = tuple(dict.fromkeys(each for one in readers for each in one.mixed_down))
        self.ranges = ((0.0, seconds),)
        self.shift = 0.0
        self.language = ""  # each speaker may have another
        self.duration = seconds
        self.groups = _overlap_groups([clip for clip in clips if clip.start < seconds and clip.seconds > 0])

    @property
    def mixed_down(self) -> tuple[AudioReader, ...]:
        """As of an `AudioReader`."""
        return self._mixed_down

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The mix; see `AudioReader.blocks`."""
        at, total = 0, self.samples(self.duration)
        sources = _Sources(self, cancel or CancelToken())
        with closing(sources):
            for number, group in enumerate(self.groups):
                start = self.samples(group.start)
                yield from silence(start - at, len(self.layout), self.info.sample_rate)
                last = number + 1 == len(self.groups)
                end = min(total, self.samples(group.end if last else self.groups[number + 1].start))
                at = start
                for block in self._summed(group, sources, start):
                    kept = block[: end - at]
                    at += len(kept)
                    yield kept
            yield from silence(total - at, len(self.layout), self.info.sample_rate)

    def samples(self, seconds: float) -> int:
        """Number of the sample at a time of the mix, or of a recording in the form of the mix."""
        return round(seconds * self.info.sample_rate)

    def at_rate(self, rate: int) -> MixedAudio:
        """The same mix at another sample rate."""
        other = copy(self)
        other.info = replace(self.info, sample_rate=rate)
        return other

    def excerpt(self, first: int, last: int, other_reader: Replace) -> MixedAudio:
        """The mix from one sample to another, without fades there.

        Args:
            other_reader: gives other readers of the samples that are used of recordings.
        """
        rate = self.info.sample_rate
        clips = []
        for clip in (clip for group in self.groups for clip in group.clips):
            start, end, begin = (self.samples(at) for at in (clip.start, clip.end, clip.source_start))
            used = max(start, first), min(end, last)
            if used[0] >= used[1]:
                continue
            source = begin + used[0] - start
            other = other_reader(clip.audio, source, source + used[1] - used[0])
            length = used[1] - used[0] + (_BEYOND if end >= last else 0)
            where = 0.0 if other is not None else source / rate
            clips.append(MixClip(other or clip.audio, where, (used[0] - first) / rate, length / rate))
        return MixedAudio(clips, (last - first) / rate, self).at_rate(rate)

    def _summed(self, group: _OverlapGroup, sources: _Sources, start: int) -> Iterator[FloatArray]:
        """The group's clips summed, in blocks of a second from `start` on."""
        rate = self.info.sample_rate
        streams = [equal_blocks(self._clip(clip, sources, start), rate) for clip in group.clips]
        while streams:
            parts = {number: next(stream, None) for number, stream in enumerate(streams)}
            streams = [stream for number, stream in enumerate(streams) if parts[number] is not None]
            present = [part for part in parts.values() if part is not None]
            if not present:
                return
            block = np.zeros((max(map(len, present)), len(self.layout)), np.float32)
            for part in present:
                block[: len(part)] += part
            yield block

    def _clip(self, clip: MixClip, sources: _Sources, start: int) -> Iterator[FloatArray]:
        """The clip in the form of the mix with fades, after silence from `start` to its own start."""
        first, last = self.samples(clip.start), self.samples(clip.end)
        yield from silence(first - start, len(self.layout), self.info.sample_rate)
        # No fade where the mix itself begins or ends.
        rise, fall = FADE_SECONDS * (clip.start > 0), FADE_SECONDS * (clip.end < self.duration)
        begin = self.samples(clip.source_start)
        part = sources.read(clip, begin, begin + last - first)
        yield from faded(part, last - first, self.info.sample_rate, rise, fall)


class _Sources:
    """Recordings in the form of the mix, and the positions read so far."""

    def __init__(self, mix: MixedAudio, cancel: CancelToken) -> None:
        self._stack = ExitStack()
        self._cursors: dict[int, SampleCursor] = {}
        for clips in _passes(mix.groups):
            converted = _Converted(clips[0].audio, mix)
            cursor = self._stack.enter_context(closing(SampleCursor(converted, cancel)))
            self._cursors |= {id(clip): cursor for clip in clips}

    def read(self, clip: MixClip, start: int, end: int) -> Iterator[FloatArray]:
        """Samples of the clip's recording."""
        return self._cursors[id(clip)].read(start, end)

    def close(self) -> None:
        """Stop decoding."""
        self._stack.close()


class _Converted(AudioReader):
    """A recording with its ranges and shift, in the form of a mix."""

    def __init__(self, audio: AudioReader, mix: MixedAudio) -> None:
        self._audio, self.layout = audio, mix.layout
        self.info = AudioInfo(audio.info.path, mix.info.sample_rate, len(mix.layout), audio.duration)

    def whole_file(self, cancel: CancelToken) -> Generator[FloatArray, None, None]:
        """All that the recording gives."""
        matrix = fitting_matrix(self._audio, self.layout, cancel)
        with closing(self._audio.blocks(cancel=cancel)) as blocks:
            mixed = (channels.mix_channels(block, matrix) for block in blocks)
            yield from resampled(mixed, self._audio, self.info.sample_rate, len(self.layout))


@dataclass
class _OverlapGroup:
    """Clips that overlap each other; `start` and `end` in seconds of the mix."""

    start: float
    end: float
    clips: list[MixClip] = field(default_factory=list)


def _overlap_groups(clips: Sequence[MixClip]) -> list[_OverlapGroup]:
    groups: list[_OverlapGroup] = []
    for clip in sorted(clips, key=lambda clip: clip.start):
        if not groups or clip.start >= groups[-1].end:
            groups.append(_OverlapGroup(clip.start, clip.end))
        groups[-1].clips.append(clip)
        groups[-1].end = max(groups[-1].end, clip.end)
    return groups


def _passes(groups: Sequence[_OverlapGroup]) -> list[list[MixClip]]:
    """Clips by decoding pass over their recording: in its order, and at most one of each group."""
    passes: list[list[MixClip]] = []
    for group in groups:
        available = list(passes)
        for clip in group.clips:
            for candidate in available:
                last = candidate[-1]
                if last.audio is clip.audio and last.source_start + last.seconds <= clip.source_start:
                    candidate.append(clip)
                    available.remove(candidate)
                    break
            else:
                passes.append([clip])
    return passes


__all__ = ["MixClip", "MixedAudio", "mix_segments"]
