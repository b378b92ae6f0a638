"""Audio probe: the track to read, its length, and its place on the file's clock."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from lipsync.errors import MediaError, NoAudioError
from lipsync.media import claims
from lipsync.media.audio import channels
from lipsync.media.clock import (
    DEFAULT_TRACK,
    audio_seconds,
    default_track,
    exact,
    file_zero,
    later_zeros,
    numbered_track,
    stream_start,
)
from lipsync.media.container import BROADCAST_DEMUXERS, open_container, read_packets
from lipsync.media.video import images
from lipsync.types import AudioInfo
from lipsync.utils.checked_file import checked_file

RAW_DEMUXERS = "aac,ac3,aiff,amr,ape,au,dts,eac3,flac,mp3,mpc,mpc8,tta,voc,w64,wav,wv"
"""Audio without a clock: its timestamps are counted frames, all as long as the first."""
_PADDING_SECONDS = 0.1
_PADDING_PACKETS = 3
"""Packets that encoders fill up at the end, of delay and rest; they last longer at low sample rates."""
_PROBED_PACKETS = 200  # of a damaged beginning
_VOICE_HINT = "Give an audio file, or a video with audio, as the voice."
_DECODER_HINT = "Convert it to WAV or MP3 with the program that made it, and give that as the voice."


@dataclass(frozen=True)
class AudioStream:
    """An audio stream inside its file, and its clock.

    Attributes:
        index: index of the stream.
        zero: seconds on the stream's clock that count as time 0, for audio and video alike.
        sample_rate, layout: form of its beginning; a stream may change it on the way.
        has_clock: its timestamps say when it is heard; those of raw streams are only counted frames.
        may_jump: its clock may start anew at any time, as in broadcasts.
        language: ISO 639-2, as the file says; "" where it does not.
        later_zeros: what `zero` is each time the clock has started anew.
    """

    index: int
    zero: Fraction
    sample_rate: int
    layout: channels.Layout
    has_clock: bool = True
    may_jump: bool = False
    language: str = ""
    later_zeros: tuple[Fraction, ...] = ()


def probe_audio(path: Path | str, track: int = DEFAULT_TRACK) -> AudioInfo:
    """Properties of an audio track of any media file, also of a video.

    Args:
        track: index among the audio tracks; `DEFAULT_TRACK` for the one that the file marks as default.

    Raises:
        NoAudioError: there is none.
        MediaError: the file is missing or not media, or claims a length that it cannot hold.
        OptionError: there is no track of this index.
    """
    return scan_audio(path, track)[0]


def scan_audio(
    path: Path | str, track: int = DEFAULT_TRACK, video_track: int = DEFAULT_TRACK
) -> tuple[AudioInfo, AudioStream]:
    """`probe_audio` together with where the stream is in the file.

    Args:
        track: as of `probe_audio`.
        video_track: whose first frame is time 0; by default that of the default track.

    Raises:
        NoAudioError, MediaError, OptionError: as `probe_audio`.
    """
    path = checked_file(path)
    if images.count_images(path):
        raise NoAudioError("The file is an image and has no audio", given=path, hint=_VOICE_HINT)
    with open_container(path) as container:
        stream = _audio_stream(container, path, track)
        claims.check_sample_rate(path, stream.codec_context.sample_rate)
        index, packets = stream.index, read_packets(container)
        found = packets[index]
        demuxer = container.format.name.split(",")[0]
        zero = file_zero(container, packets, video_track)
        start = stream_start(stream, found)
        may_jump = demuxer in BROADCAST_DEMUXERS
        by_packets = audio_seconds(found, exact(stream.time_base), start, may_jump)
        by_header = (stream.duration or 0) * exact(stream.time_base)
        packet_seconds = found.last[1] * exact(stream.time_base)
        if found.pts:
            claims.check_clock(path, demuxer, stream.codec_context, exact(stream.time_base))
            if len(container.streams) == 1:
                ticks = found.end * exact(stream.time_base)
                claims.check_last_page(path, demuxer, ticks, round(1 / exact(stream.time_base)))
            if not may_jump:
                claims.check_gaps(path, found, exact(stream.time_base), claims.AUDIO_PACKET_SECONDS)
            claims.check_pcm(path, demuxer, stream.codec_context, found.size, (by_packets, by_header))
            claims.check_size(path, start - zero + by_packets, claims.AUDIO_BITS)
        anew = later_zeros(container, packets, video_track) if may_jump else ()
        language = stream.metadata.get("language", "").replace("und", "")
    form = _first_form(path, index) if found.pts else None
    if form is None:
        raise MediaError("The audio is empty or damaged", given=path, hint="Try another copy of it.")
    rate, layout = form
    source = AudioStream(
        index, zero, rate, layout, demuxer not in RAW_DEMUXERS.split(","), may_jump, language, anew
    )
    # A header that agrees with the packets is more exact: it excludes the encoder's padding at the end.
    padding = max(Fraction(_PADDING_SECONDS), _PADDING_PACKETS * packet_seconds)
    length = by_header if -_PADDING_SECONDS < by_packets - by_header < padding else by_packets
    return AudioInfo(path, rate, len(layout), float(start - zero + length)), source


def _audio_stream(container: Any, path: Path, track: int) -> Any:
    """The audio track of this index; or the default one, else the first, of those that can be decoded."""
    tracks = list(container.streams.audio)
    if not tracks:
        raise NoAudioError("The file has no audio", given=path, hint=_VOICE_HINT)
    if track != DEFAULT_TRACK:
        tracks = [numbered_track(tracks, track, "audio", path)]
    known = [stream for stream in tracks if stream.codec_context is not None]
    if not known:
        raise NoAudioError("No decoder is known for the audio", given=path, hint=_DECODER_HINT)
    return default_track(known)


def _first_form(path: Path, index: int) -> tuple[int, channels.Layout] | None:
    """Sample rate and layout of the first frame that can be decoded; headers do not know them all."""
    with open_container(path) as container:
        stream = container.streams[index]
        context = stream.codec_context
        for packet in itertools.islice(container.demux(stream), _PROBED_PACKETS):
            with contextlib.suppress(av.FFmpegError):
                for frame in packet.decode():
                    if frame.samples and frame.sample_rate:
                        return frame.sample_rate, channels.layout_of(frame.layout)
        if not context.sample_rate or not context.channels:
            return None
        return context.sample_rate, channels.usual_layout(context.channels)
