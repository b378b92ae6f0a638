"""The sound of a job with segments: pieces of several voices, each at its time, in one stream.

Pieces that follow each other are joined, those that sound together are added up; between them is
silence, or the picture's own sound cut to the gaps. All pieces of one file that come in the
order of that file are read by one pass over it, so that a long talk of many turns starts few
decoders and holds nothing back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ffmpeg

from lipsync.errors import NoAudioError
from lipsync.media.audio.reader import AudioReader, open_audio
from lipsync.media.video import encoder_settings
from lipsync.media.video.reader import VideoReader
from lipsync.segments import PlacedSegment
from lipsync.types import AudioInfo

RAMP_SECONDS = 0.01
"""How long a piece takes to come and to go, so that a join makes no click."""

_FRAME_SAMPLES = 1 << 15


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a voice, and where it is heard.

    Attributes:
        voice: what it is from.
        start: where in the voice, seconds.
        at: where in the result, seconds.
        seconds: how long.
    """

    voice: AudioReader
    start: float
    at: float
    seconds: float

    @property
    def end(self) -> float:
        """Where in the result it ends, seconds."""
        return self.at + self.seconds


def mix_segments(
    segments: Sequence[PlacedSegment],
    voices: Sequence[AudioReader],
    seconds: float,
    own: VideoReader | None = None,
) -> MixedAudio:
    """What is heard in a job with segments.

    Args:
        segments: with times in the result, which are times in the picture.
        voices: what `Segment.voice_file` counts.
        seconds: length of the result.
        own: the picture whose sound is heard between the segments; None for silence.

    Raises:
        MediaError: the sound of `own` cannot be read.
    """
    pieces = [
        Piece(voices[one.segment.voice_file], one.voice_start, one.start, one.end - one.start)
        for one in segments
    ]
    if own is not None:
        pieces += _own_pieces(own, _gaps(pieces, seconds))
    return MixedAudio(pieces, seconds, voices[0])


def _gaps(pieces: Sequence[Piece], seconds: float) -> list[tuple[float, float]]:
    """Start and end of the stretches without any piece."""
    groups = _groups(pieces)
    edges = [0.0, *(edge for group in groups for edge in (group.at, group.end)), seconds]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def _own_pieces(picture: VideoReader, gaps: Sequence[tuple[float, float]]) -> list[Piece]:
    """The picture's own sound in the gaps; nothing where the picture or its sound has ended."""
    try:
        voice = open_audio(picture.info.path)
    except NoAudioError:
        return []
    pieces, at = [], 0.0
    for start, length in picture.parts:
        for first, last in gaps:
            first, last = max(first, at), min(last, at + length, at + voice.duration - start)
            if first < last:
                pieces.append(Piece(voice, start + first - at, first, last - first))
        at += length
    return pieces


class MixedAudio(AudioReader):
    """Pieces of several voices as one; read and written like any other voice.

    Rate and channels are the largest among the files.

    Args:
        pieces: in any order; those that overlap are added up.
        seconds: the length of it all, filled with silence or cut off.
        named: the voice that errors name.
    """

    def __init__(self, pieces: Sequence[Piece], seconds: float, named: AudioReader) -> None:
        infos = [named.info, *(piece.voice.info for piece in pieces)]
        fitted = [info.channels if info.channels in encoder_settings.LAYOUTS else 2 for info in infos]
        self._layout = encoder_settings.LAYOUTS[max(fitted)]
        channels = 8 if self._layout == encoder_settings.LAYOUTS[8] else max(fitted)
        rate = max(info.sample_rate for info in infos)
        self.info = AudioInfo(named.info.path, rate, channels, seconds)
        self.paths = tuple(dict.fromkeys(info.path for info in infos))
        self.ranges = ((0.0, seconds),)
        self.shift = 0.0
        self.duration = seconds
        self._groups = _groups([piece for piece in pieces if piece.at < seconds and piece.seconds > 0])

    def stream(self, first: int = 0) -> Any:
        """See `AudioReader.stream`."""
        if not self._groups:
            return self._silence()
        heard: dict[int, Any] = {}
        for one in _passes(self._groups):
            base, first = self._common_form(one[0].voice, first), first + len(one[0].voice.ranges)
            copies = base.asplit() if len(one) > 1 else None
            for place, piece in enumerate(one):
                heard[id(piece)] = self._cut(copies[place] if copies else base, piece)
        ends = [*(self._samples(group.at) for group in self._groups[1:]), self._samples(self.duration)]
        parts = [
            self._join(group, heard, self._samples(group.at), end)
            for group, end in zip(self._groups, ends, strict=True)
        ]
        if lead := self._samples(self._groups[0].at):
            parts[0] = parts[0].filter("adelay", f"{lead}S", all=1)
        return parts[0] if len(parts) == 1 else ffmpeg.concat(*parts, v=0, a=1)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.info.sample_rate)

    def _silence(self) -> Any:
        source = f"anullsrc=sample_rate={self.info.sample_rate}:channel_layout={self._layout}"
        return ffmpeg.input(source, f="lavfi", t=f"{self.duration:.9f}").audio

    def _common_form(self, voice: AudioReader, first: int) -> Any:
        stream = encoder_settings.fit_channels(voice.stream(first), voice.info)
        if voice.info.channels == 1 and self._layout == "stereo":
            stream = stream.filter("pan", "stereo|c0<c0|c1<c0")  # ffmpeg's own way is 3 dB softer
        stream = stream.filter("aresample", self.info.sample_rate)
        stream = stream.filter("aformat", sample_fmts="fltp", channel_layouts=self._layout)
        # Every piece is offered every frame, so there should be few.
        return stream.filter("asetnsamples", _FRAME_SAMPLES, p=0)

    def _cut(self, stream: Any, piece: Piece) -> Any:
        """A piece that comes and goes gently."""
        length = self._samples(piece.end) - self._samples(piece.at)
        start, ramp = self._samples(piece.start), min(self._samples(RAMP_SECONDS), length // 2)
        stream = stream.filter("atrim", start_sample=start, end_sample=start + length)
        stream = stream.filter("asetpts", "N/SR/TB")
        # Where the whole begins or ends there is nothing to join.
        if ramp and piece.at > 0:
            stream = stream.filter("afade", ns=ramp)
        if ramp and piece.end < self.duration:
            stream = stream.filter("afade", "out", length - ramp, ramp)
        return stream

    def _join(self, group: _Group, heard: dict[int, Any], start: int, end: int) -> Any:
        """What is heard from sample `start`, where the group begins, to `end`, where the next one does."""
        streams = []
        for piece in group.pieces:
            stream = heard[id(piece)]
            if late := self._samples(piece.at) - start:
                stream = stream.filter("adelay", f"{late}S", all=1)
            streams.append(stream)
        mixed = streams[0]
        if len(streams) > 1:
            mixed = ffmpeg.filter(streams, "amix", inputs=len(streams), normalize=0, duration="longest")
        return mixed.filter("apad", whole_len=end - start)


@dataclass
class _Group:
    """Pieces that overlap each other, from `at` to `end`."""

    at: float
    end: float
    pieces: list[Piece] = field(default_factory=list)


def _groups(pieces: Sequence[Piece]) -> list[_Group]:
    groups: list[_Group] = []
    for piece in sorted(pieces, key=lambda piece: piece.at):
        if not groups or piece.at >= groups[-1].end:
            groups.append(_Group(piece.at, piece.end))
        groups[-1].pieces.append(piece)
        groups[-1].end = max(groups[-1].end, piece.end)
    return groups


def _passes(groups: Sequence[_Group]) -> list[list[Piece]]:
    """Which pieces one pass over their voice can serve: never two of a group, never back in time."""
    passes: list[list[Piece]] = []
    for group in groups:
        waiting = list(passes)
        for piece in group.pieces:
            for one in waiting:
                last = one[-1]
                if last.voice is piece.voice and last.start + last.seconds <= piece.start:
                    one.append(piece)
                    waiting.remove(one)
                    break
            else:
                passes.append([piece])
    return passes


__all__ = ["MixedAudio", "Piece", "mix_segments"]
