"""Audio mix: clips of several recordings placed on one timeline.

Clips that follow each other are concatenated, clips that overlap are summed; the gaps are silence or
the video's own audio. All clips of a file that come in the order of that file are read in one pass,
so that a long recording with many turns needs few decoders and no buffering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ffmpeg

from lipsync.errors import NoAudioError
from lipsync.media.audio import encoder_settings
from lipsync.media.audio.reader import AudioReader, open_audio
from lipsync.media.video.reader import VideoReader
from lipsync.segments import PlacedSegment
from lipsync.types import AudioInfo

FADE_SECONDS = 0.01
"""Fade at both ends of a clip, so that cuts make no click."""

_FRAME_SAMPLES = 1 << 15


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
        audio = open_audio(video.info.path)
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

    Its sample rate and channel count are the largest among the files.

    Args:
        clips: in any order; those that overlap are summed.
        seconds: length of the mix, filled with silence or cut off.
        named: the recording that error messages name.
    """

    def __init__(self, clips: Sequence[MixClip], seconds: float, named: AudioReader) -> None:
        infos = [named.info, *(clip.audio.info for clip in clips)]
        fitted = [info.channels if info.channels in encoder_settings.LAYOUTS else 2 for info in infos]
        self._layout = encoder_settings.LAYOUTS[max(fitted)]
        channels = 8 if self._layout == encoder_settings.LAYOUTS[8] else max(fitted)
        rate = max(info.sample_rate for info in infos)
        self.info = AudioInfo(named.info.path, rate, channels, seconds)
        self.paths = tuple(dict.fromkeys(info.path for info in infos))
        self.ranges = ((0.0, seconds),)
        self.shift = 0.0
        self.duration = seconds
        self._groups = _overlap_groups([clip for clip in clips if clip.start < seconds and clip.seconds > 0])

    def stream(self, first: int = 0) -> Any:
        """The mix as an ffmpeg-python stream; see `AudioReader.stream`."""
        if not self._groups:
            return self._silence()
        streams: dict[int, Any] = {}
        for clips in _passes(self._groups):
            base = self._converted(clips[0].audio, first)
            first += len(clips[0].audio.ranges)
            copies = base.asplit() if len(clips) > 1 else None
            for place, clip in enumerate(clips):
                streams[id(clip)] = self._trimmed(copies[place] if copies else base, clip)
        ends = [*(self._samples(group.start) for group in self._groups[1:]), self._samples(self.duration)]
        parts = [
            self._summed(group, streams, self._samples(group.start), end)
            for group, end in zip(self._groups, ends, strict=True)
        ]
        if lead := self._samples(self._groups[0].start):
            parts[0] = parts[0].filter("adelay", f"{lead}S", all=1)
        return parts[0] if len(parts) == 1 else ffmpeg.concat(*parts, v=0, a=1)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.info.sample_rate)

    def _silence(self) -> Any:
        source = f"anullsrc=sample_rate={self.info.sample_rate}:channel_layout={self._layout}"
        return ffmpeg.input(source, f="lavfi", t=f"{self.duration:.9f}").audio

    def _converted(self, audio: AudioReader, first: int) -> Any:
        """A recording in the sample rate, format and channel layout of the mix."""
        stream = encoder_settings.fit_channels(audio.stream(first), audio.info)
        if audio.info.channels == 1 and self._layout == "stereo":
            stream = stream.filter("pan", "stereo|c0<c0|c1<c0")  # ffmpeg's own upmix is 3 dB softer
        stream = stream.filter("aresample", self.info.sample_rate)
        stream = stream.filter("aformat", sample_fmts="fltp", channel_layouts=self._layout)
        # Every clip's filter processes every audio frame of the pass, so frames should be few.
        return stream.filter("asetnsamples", _FRAME_SAMPLES, p=0)

    def _trimmed(self, stream: Any, clip: MixClip) -> Any:
        """The clip cut out of its recording, with fades."""
        length = self._samples(clip.end) - self._samples(clip.start)
        start, fade = self._samples(clip.source_start), min(self._samples(FADE_SECONDS), length // 2)
        stream = stream.filter("atrim", start_sample=start, end_sample=start + length)
        stream = stream.filter("asetpts", "N/SR/TB")
        # No fade where the mix itself begins or ends.
        if fade and clip.start > 0:
            stream = stream.filter("afade", ns=fade)
        if fade and clip.end < self.duration:
            stream = stream.filter("afade", "out", length - fade, fade)
        return stream

    def _summed(self, group: _OverlapGroup, streams: dict[int, Any], start: int, end: int) -> Any:
        """The group's clips summed, from its own first sample to the first one of the next group."""
        delayed = []
        for clip in group.clips:
            stream = streams[id(clip)]
            if delay := self._samples(clip.start) - start:
                stream = stream.filter("adelay", f"{delay}S", all=1)
            delayed.append(stream)
        mixed = delayed[0]
        if len(delayed) > 1:
            mixed = ffmpeg.filter(delayed, "amix", inputs=len(delayed), normalize=0, duration="longest")
        return mixed.filter("apad", whole_len=end - start)


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
