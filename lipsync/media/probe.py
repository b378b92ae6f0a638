"""What is in a file, found out by looking at its content: streams, sizes, rates, timestamps.

PyAV reads the packets of the whole file without decoding them, because headers lie about length
and rate; only the first few frames are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.errors import MediaError, NoAudioError, NoVideoError
from lipsync.media.container import BROADCAST_DEMUXERS, Packets, checked_file, demux, opened, with_packets
from lipsync.media.video import color_tags, frame_rate, images
from lipsync.types import AudioInfo, IntArray, VideoInfo

INDEXED_DEMUXERS = ("mov", "matroska")
LEAD_SECONDS = 0.05
"""A picture that starts this little after the sound starts with it: that is codec priming, and
nobody sees it. A later start is kept, by showing the first frame from the beginning."""
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC; PyAV has moved its own name for it
_CUT_OFF_SECONDS = 0.5
_PADDING_SECONDS = 0.1


@dataclass(frozen=True, repr=False)
class PacketIndex:
    """When each frame of the picture is shown, for reading frames by number.

    Attributes:
        demuxer, stream: how ffmpeg is told to open the file, and which stream it takes.
        pts: int64 (n,) increasing timestamps of the frames, in ticks of `time_base` seconds.
        keys: the same of the key frames.
        zero: seconds, in the file's own clock, of what we call its start.
        timed: False for files without usable timestamps, which are read by counting frames.
    """

    demuxer: str
    stream: int
    pts: IntArray
    keys: IntArray
    time_base: Fraction
    zero: Fraction = Fraction(0)
    timed: bool = True


def probe_video(path: Path | str) -> VideoInfo:
    """What is known of a picture source: a video in any container, or a photo.

    Raises:
        NoVideoError: it is sound only (cover art is no picture).
        MediaError: it is missing, no media, or cut off.
    """
    return scan_video(path)[0]


def scan_video(path: Path | str) -> tuple[VideoInfo, PacketIndex | None]:
    """`probe_video` together with the frames' timestamps; None for a photo."""
    path = checked_file(path)
    pictures = images.count_images(path)
    if pictures == 1:
        return _photo(path), None
    try:
        return _scan_video(path)
    except MediaError:
        if pictures:  # an animation that ffmpeg does not know: its first picture is a photo
            return _photo(path), None
        raise


def _photo(path: Path) -> VideoInfo:
    height, width = images.read_image(path).shape[:2]
    fps = frame_rate.FALLBACK_RATE
    return VideoInfo(path, width, height, fps, float(1 / fps), 1, is_still=True, color_space="gbr")


def _scan_video(path: Path) -> tuple[VideoInfo, PacketIndex]:
    with opened(path) as container:
        stream = _video_stream(container, path)
        packets = demux(container)
        found = packets[stream.index]
        _refuse_cut_off(container, stream, packets, path)
        hints = tuple(_fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate)
        base = _fraction(stream.time_base or Fraction(1, 1_000_000))
        jumps = found.jumps and container.format.name in BROADCAST_DEMUXERS
        timed = len(found.pts) >= max(1, 0.9 * found.count) and not jumps
        starts = [
            p.pts[0] * _fraction(s.time_base)
            for s, p in with_packets(container, packets)
            if s.type == "audio"
        ]
        index_of = (container.format.name.split(",")[0], stream.index)
    if not found.count:
        raise MediaError("The video holds no frame", given=path, hint="It is cut off or damaged.")
    if timed:
        pts = _in_order(found.pts)
        fps, variable = frame_rate.frame_rate(pts, base, hints)
        first = int(pts[0]) * base
        # A sound that starts long after the picture, or just before it, moves nothing.
        zero = min([first, *(start for start in starts if first - start > LEAD_SECONDS)])
        last = found.last[1] * base if found.last[1] * base * fps >= 1 - frame_rate.SLACK else 1 / fps
        duration = int(pts[-1]) * base + last - zero
        frames = max(1, round(duration * fps))
        index = PacketIndex(*index_of, pts, _in_order(found.keys), base, zero)
    else:
        fps, variable = next(iter(hints), frame_rate.FALLBACK_RATE), False
        frames, duration = found.count, found.count / fps
        pts = np.arange(frames, dtype=np.int64)
        index = PacketIndex(*index_of, pts, pts[:1], 1 / fps, timed=False)
    look = _look(path, stream_index=index.stream)
    return (
        VideoInfo(
            path,
            fps=fps,
            duration=float(duration),
            frame_count=frames,
            variable_frame_rate=variable,
            has_audio=bool(starts),
            **look,
        ),
        index,
    )


def _in_order(times: list[int]) -> IntArray:
    # Not np.unique: it imports NumPy's masked arrays, which takes longer than all the rest here.
    return np.array(sorted(set(times)), np.int64)


def _fraction(rational: Any) -> Fraction:
    """PyAV 19 has a type of its own that cannot be rounded, written out or pickled like a fraction."""
    return Fraction(rational.numerator, rational.denominator)


def _video_stream(container: Any, path: Path) -> Any:
    """The first stream that moves: cover art and thumbnails do not count."""
    for stream in container.streams.video:
        if not int(stream.disposition) & _ATTACHED_PICTURE:
            return stream
    raise NoVideoError(
        "The file has no picture",
        given=path,
        hint="Give a video or a photo here, and the voice as the other file.",
    )


def _refuse_cut_off(container: Any, stream: Any, packets: dict[int, Packets], path: Path) -> None:
    """Raise if the header promises much more than the file holds (where headers can be trusted)."""
    demuxer, found = container.format.name, packets[stream.index]
    if demuxer.startswith("mov") and stream.duration and found.pts:
        promised = float(stream.duration * stream.time_base)
        held = float((found.end - min(found.pts)) * stream.time_base)
    elif demuxer.startswith("matroska") and container.duration:
        promised = container.duration / av.time_base
        start = (container.start_time or 0) / av.time_base
        ends = [float(p.end * s.time_base) for s, p in with_packets(container, packets)]
        held = max(ends, default=start) - start
    else:
        return
    if promised - held > max(_CUT_OFF_SECONDS, 0.01 * promised):
        raise MediaError(
            f"The file is cut off: it ends after {held:.1f} of {promised:.1f} s",
            given=path,
            hint="Copy or download it again.",
        )


def _look(path: Path, stream_index: int) -> dict[str, Any]:
    """What only decoded frames tell for sure: size, rotation, interlacing, depth and colours."""
    frames = []
    with opened(path) as container:
        stream = container.streams[stream_index]
        for frame in container.decode(stream):
            frames.append(frame)
            if len(frames) == 3:
                break
        aspect = _fraction(stream.sample_aspect_ratio or Fraction(1))
        context = stream.codec_context
        tags = (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
    if not frames:
        raise MediaError("No frame of the video can be decoded", given=path, hint="It is cut off or damaged.")
    frame = frames[0]
    counterclockwise = round(getattr(frame, "rotation", 0) or 0)
    turned = counterclockwise % 180 == 90
    space, color_range, primaries, transfer = map(int, tags)
    rgb = frame.format.is_rgb or "pal8" in frame.format.name
    full = rgb or frame.format.name.startswith("yuvj") or color_tags.RANGES.get(color_range) == "pc"
    return {
        "width": frame.height if turned else frame.width,
        "height": frame.width if turned else frame.height,
        "rotation": -counterclockwise % 360,
        "interlaced": any(each.interlaced_frame for each in frames),
        "bit_depth": frame.format.components[0].bits,
        "color_range": "pc" if full else "tv",
        "color_space": "gbr" if rgb else color_tags.SPACES.get(space, ""),
        "color_primaries": color_tags.PRIMARIES.get(primaries, ""),
        "color_transfer": color_tags.TRANSFERS.get(transfer, ""),
        "sample_aspect_ratio": (1 / aspect if turned else aspect),
    }


@dataclass(frozen=True)
class AudioSource:
    """How ffmpeg is told to open the sound, and how many seconds after the file it starts."""

    demuxer: str
    stream: int
    lead: Fraction


def probe_audio(path: Path | str) -> AudioInfo:
    """What is known of a sound source: the first audio stream of any file, a video too.

    Raises:
        NoAudioError: there is none.
        MediaError: the file is missing or no media.
    """
    return scan_audio(path)[0]


def scan_audio(path: Path | str) -> tuple[AudioInfo, AudioSource]:
    """`probe_audio` together with how to open it."""
    path = checked_file(path)
    if images.count_images(path):
        raise NoAudioError("The file is a picture and has no sound", given=path, hint=_VOICE_HINT)
    with opened(path) as container:
        if not container.streams.audio:
            raise NoAudioError("The file has no sound", given=path, hint=_VOICE_HINT)
        stream = container.streams.audio[0]
        packets = demux(container)
        found = packets[stream.index]
        context = stream.codec_context
        lead, held, header = _audio_times(container, stream, found)
        source = AudioSource(container.format.name.split(",")[0], stream.index, lead)
        rate, channels = context.sample_rate, context.channels
    if not found.pts or not rate or not channels:
        raise MediaError("The sound is empty or damaged", given=path, hint="Try another copy of it.")
    # A header that agrees with the packets also knows of the encoder's padding at the end.
    length = header if abs(header - held) < _PADDING_SECONDS else held
    return AudioInfo(path, rate, channels, float(lead + length)), source


def _audio_times(container: Any, stream: Any, found: Packets) -> tuple[Fraction, ...]:
    """Seconds by which the sound starts after the file does, its length by its packets and by the header."""
    ticks = stream.start_time if stream.start_time is not None else min(found.pts, default=0)
    base = _fraction(stream.time_base)
    start = ticks * base
    begin = start if container.start_time is None else Fraction(container.start_time, av.time_base)
    held = found.end * base - start if found.pts else Fraction(0)
    return max(Fraction(0), start - begin), held, (stream.duration or 0) * base


_VOICE_HINT = "Give a sound file, or a video with sound, as the voice."
