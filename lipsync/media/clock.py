"""Clock of a file: its time 0, and how long its audio lasts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import OptionError
from lipsync.media.container import JUMP_SECONDS, StreamPackets, timed_streams
from lipsync.media.video import images

MAX_PRIMING_SECONDS = 0.05
"""A video stream that starts at most this much after the audio counts as starting with it: such a delay
is encoder priming and not visible. After a longer delay the first frame is shown from the start."""
DEFAULT_TRACK = -1
"""Stands for the track that the file marks as its default, else the first that can be decoded."""
DEFAULT, _ATTACHED_PICTURE = 1, 0x400  # AV_DISPOSITION_...; PyAV has moved its own names for them
JUMP_BACK_SECONDS = 0.5
"""A clock that goes back by more than this has started anew."""


def exact(rational: Any) -> Fraction:
    """PyAV 19 has a rational type of its own that cannot be rounded, formatted or pickled like Fraction."""
    return Fraction(rational.numerator, rational.denominator)


def video_tracks(container: Any) -> list[Any]:
    """The video streams that can be decoded and are neither cover art nor thumbnails.

    An image sequence has its first image a second time, as a stream of one frame before the track.
    """
    streams = [one for one in container.streams.video if not int(one.disposition) & _ATTACHED_PICTURE]
    if container.metadata.get("major_brand") in images.SEQUENCE_BRANDS:
        streams.sort(key=lambda one: -one.frames)
    return [one for one in streams if one.codec_context is not None]


def default_track(tracks: list[Any]) -> Any:
    """The first stream that the file marks as its default; else the first."""
    return next((one for one in tracks if int(one.disposition) & DEFAULT), tracks[0])


def numbered_track(tracks: list[Any], track: int, kind: str, path: Path) -> Any:
    """The stream at an index among the tracks of its kind.

    Raises:
        OptionError: there is none.
    """
    if not 0 <= track < len(tracks):
        raise OptionError(
            f"The file has no {kind} track of this number",
            given=f"{kind}_track {track} of {path.name!r}",
            hint=f"It has {len(tracks)}, counted from 0; `lipsync inspect` lists them.",
        )
    return tracks[track]


def stream_start(stream: Any, found: StreamPackets) -> Fraction:
    """Seconds on the file's clock at which the stream starts, without what its decoder drops."""
    ticks = stream.start_time if stream.start_time is not None else min(found.pts, default=0)
    return ticks * exact(stream.time_base)


def file_zero(
    container: Any, packets: dict[int, StreamPackets], video_track: int = DEFAULT_TRACK
) -> Fraction:
    """Seconds on the file's clock that count as time 0.

    That is its first frame, or its audio if that starts long before; without video, its first audio.

    Args:
        video_track: whose first frame that is, see `numbered_track`.
    """
    timed = timed_streams(container, packets)
    audio = [stream_start(s, p) for s, p in timed if s.type == "audio" and s.codec_context is not None]
    stream = _shown_track(container, packets, video_track)
    if stream is None:
        return min(audio, default=Fraction(0))
    found, base = packets[stream.index], exact(stream.time_base)
    return start_of_file(found.first * base, audio, frame_delay(container, found, base))


def _shown_track(container: Any, packets: dict[int, StreamPackets], video_track: int) -> Any:
    """The video stream of this index, else the default one; None without any that has timestamps."""
    tracks = video_tracks(container)
    timed = [stream for stream in tracks if packets[stream.index].pts]
    if 0 <= video_track < len(tracks) and tracks[video_track] in timed:
        return tracks[video_track]
    return default_track(timed) if timed else None


def later_zeros(
    container: Any, packets: dict[int, StreamPackets], video_track: int = DEFAULT_TRACK
) -> tuple[Fraction, ...]:
    """What `file_zero` is each time the clock of the video has started anew; its frames are counted there."""
    stream = _shown_track(container, packets, video_track)
    if stream is None:
        return ()
    found, rate = packets[stream.index], stream.guessed_rate or stream.average_rate
    starts = [(index, frames) for index, frames in found.starts if index < len(found.pts)]
    if not rate:
        return ()
    base, rate = exact(stream.time_base), exact(rate)
    return tuple(found.first_from(index) * base - frames / rate for index, frames in starts)


def frame_delay(container: Any, found: StreamPackets, base: Fraction) -> Fraction:
    """Seconds between decoding and showing of an MP4's first frame.

    A fragmented MP4 has no edit list that would take this delay of the encoder off.
    """
    if not container.format.name.startswith("mov") or found.first_dts is None:
        return Fraction(0)
    return max(Fraction(0), (found.first - found.first_dts) * base)


def start_of_file(video: Fraction, audio: list[Fraction], delay: Fraction = Fraction(0)) -> Fraction:
    """Time 0 of a file whose first frame and audio streams start at these seconds of its clock.

    Audio that starts after the video, or only just before it, does not move the start.

    Args:
        delay: by which the first frame may be late because its encoder reordered frames.
    """
    priming = MAX_PRIMING_SECONDS + delay
    return min([video, *(time for time in audio if video - time > priming)])


def audio_seconds(found: StreamPackets, base: Fraction, start: Fraction, may_jump: bool) -> Fraction:
    """Length of an audio stream that starts at `start`, by its packets.

    A clock that starts anew, as in files that were joined byte by byte, adds up.

    Args:
        base: seconds of a tick.
        may_jump: a large step forward is no gap either.
    """
    if found.frames:
        return sum((count * Fraction(*frame) for frame, count in found.frames.items()), Fraction(0))
    if not found.pts:
        return Fraction(0)
    times = np.array(found.pts, np.int64)
    steps = np.diff(times) * float(base)
    anew = np.flatnonzero((steps < -JUMP_BACK_SECONDS) | ((steps > JUMP_SECONDS) & may_jump)) + 1
    if not len(anew):
        return found.end * base - start
    usual = int(np.median(np.diff(times)))
    ends = times[np.append(anew - 1, len(times) - 1)] + usual
    length = int((ends - times[np.insert(anew, 0, 0)]).sum()) * base
    return length - max(Fraction(0), start - int(times[0]) * base)
