"""Media probe: streams, sizes, frame rates and timestamps of a file.

PyAV reads the packets of the whole file without decoding them, because headers are unreliable about
length and frame rate; only the first few frames are decoded.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.errors import MediaError, NoVideoError
from lipsync.media import claims
from lipsync.media.clock import (
    DEFAULT_TRACK,
    default_track,
    exact,
    frame_delay,
    numbered_track,
    start_of_file,
    stream_start,
    video_tracks,
)
from lipsync.media.container import (
    BROADCAST_DEMUXERS,
    StreamPackets,
    decoded_frames,
    open_container,
    read_packets,
    timed_streams,
)
from lipsync.media.ffmpeg import has_part
from lipsync.media.video import color_tags, frame_rate, images
from lipsync.types import IntArray, VideoInfo
from lipsync.utils.checked_file import checked_file

INDEXED_DEMUXERS = ("mov", "matroska")
INTERLACED_CODECS = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "dvvideo", "prores", "dnxhd")
"""Codecs whose frames may be interlaced, each of them marked."""
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha channel which Matroska and WebM store beside the frames."""
_TRUNCATED_SECONDS = 0.5
_LATE_SECONDS = 1.0  # of a first frame, after which a length in the header may be a time of its clock
_PROBED_FRAMES = 3
_OPAQUE = 250  # of 255; lossy codecs do not quite reach it


@dataclass(frozen=True, repr=False)
class FrameIndex:
    """Presentation timestamps of a video stream, for random access to its frames.

    Attributes:
        demuxer, stream: ffmpeg's demuxer for the file, and the index of the stream.
        pts: int64 (n,) increasing timestamps of the frames, in ticks of `time_base` seconds.
        key_pts: int64 (k,) timestamps of the key frames.
        time_base: seconds of a tick.
        start: seconds on the file's own clock that count as time 0.
        has_timestamps: False for files without usable timestamps; their frames are counted instead.
        codec: ffmpeg's name of the codec.
        decoder: ffmpeg's name of the decoder to use; "" for its own choice.
    """

    demuxer: str
    stream: int
    pts: IntArray
    key_pts: IntArray
    time_base: Fraction
    start: Fraction = Fraction(0)
    has_timestamps: bool = True
    codec: str = ""
    decoder: str = ""


def probe_video(path: Path | str, track: int = DEFAULT_TRACK) -> VideoInfo:
    """Properties of a video in any container, or of a photo.

    Args:
        track: index among the video tracks; by default the one that the file marks as default.

    Raises:
        NoVideoError: it has audio only; cover art does not count as video.
        MediaError: it is missing, not media, or cut off.
        OptionError: there is no track of this index.
    """
    return scan_video(path, track)[0]


def scan_video(path: Path | str, track: int = DEFAULT_TRACK) -> tuple[VideoInfo, FrameIndex | None]:
    """`probe_video` together with the frames' timestamps; None for a photo.

    Raises:
        NoVideoError, MediaError: as `probe_video`.
    """
    path = checked_file(path)
    count = images.count_images(path)
    if count == 1:
        return _photo_info(path), None
    try:
        state = path.stat()
        return _kept_scan(path, track, state.st_mtime_ns, state.st_size)
    except MediaError:
        if count:  # an animation that ffmpeg cannot read: its first image counts as a photo
            return _photo_info(path), None
        raise


@functools.lru_cache(maxsize=4)
def _kept_scan(path: Path, track: int, _written: int, _size: int) -> tuple[VideoInfo, FrameIndex]:
    """`_scan_video`, kept for the next opening of the same state of the file: hours take it seconds."""
    info, index = _scan_video(path, track)
    for times in (index.pts, index.key_pts):
        times.setflags(write=False)
    return info, index


@dataclass(frozen=True)
class Header:
    """What the header of a long video says, without reading its packets.

    Attributes:
        stream: index of the video stream.
        seconds, fps: length and mean frame rate.
        width, height: upright, in pixels of the file; `sample_aspect_ratio` as in `VideoInfo`.
        rotation: clockwise, degrees.
    """

    stream: int
    seconds: float
    fps: float
    width: int
    height: int
    sample_aspect_ratio: Fraction
    rotation: int


def read_header(path: Path | str) -> Header | None:
    """The header of a video, in a container whose headers have an index; None for any other file.

    Raises:
        NoVideoError: the file has audio only.
        MediaError: it is missing, or not media.
    """
    path = checked_file(path)
    if images.count_images(path) == 1:
        return None
    with open_container(path) as container:
        stream = _video_stream(container, path, DEFAULT_TRACK)
        rate = stream.average_rate or stream.guessed_rate
        if container.format.name.split(",")[0] not in INDEXED_DEMUXERS or not container.duration or not rate:
            return None
        number, seconds = stream.index, container.duration / av.time_base
    found = _decoded_properties(path, number)
    names = ("width", "height", "sample_aspect_ratio", "rotation")
    return Header(number, seconds, float(rate), **{name: found[name] for name in names})


def _photo_info(path: Path) -> VideoInfo:
    height, width = images.read_image(path).shape[:2]
    fps = frame_rate.FALLBACK_RATE
    return VideoInfo(path, width, height, fps, float(1 / fps), 1, is_still=True, color_space="gbr")


def _scan_video(path: Path, track: int) -> tuple[VideoInfo, FrameIndex]:
    with open_container(path) as container:
        stream = _video_stream(container, path, track)
        packets = read_packets(container)
        found = packets[stream.index]
        _check_not_truncated(container, stream, packets, path)
        hints = tuple(exact(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate)
        base = exact(stream.time_base or Fraction(1, 1_000_000))
        jumps = found.jumps and container.format.name in BROADCAST_DEMUXERS
        is_timed = len(found.pts) >= max(1, 0.9 * found.count) and not jumps
        has_timestamps = is_timed and not _counts_packets(container, stream, found)
        audio_starts = [
            stream_start(s, p)
            for s, p in timed_streams(container, packets)
            if s.type == "audio" and s.codec_context is not None
        ]
        index_of = (container.format.name.split(",")[0], stream.index)
        delay = frame_delay(container, found, base) if found.pts else Fraction(0)
        codec = stream.codec_context.codec.canonical_name
        decoder = _ALPHA_DECODERS.get(codec, "") if stream.metadata.get("alpha_mode") == "1" else ""
        decoder = decoder if decoder and has_part("decoder", decoder) else ""
    if not found.count:
        raise MediaError("The video has no frames", given=path, hint="It is cut off or damaged.")
    if has_timestamps:
        claims.check_gaps(path, found, base, claims.FRAME_SECONDS)
        pts = _sorted_unique(found.pts)
        fps, variable = frame_rate.frame_rate(pts, base, hints)
        first = int(pts[0]) * base
        start = start_of_file(first, audio_starts, delay)
        last = found.last[1] * base if found.last[1] * base * fps >= 1 - frame_rate.SLACK else 1 / fps
        duration = int(pts[-1]) * base + last - start
        frames = max(1, round(duration * fps))
        index = FrameIndex(*index_of, pts, _sorted_unique(found.key_pts), base, start)
    else:
        fps, variable = next(iter(hints), frame_rate.FALLBACK_RATE), False
        # The packet at a joint is marked as damaged, for the counter that does not go on; it is decoded too.
        frames = found.count + min(found.corrupt, len(found.starts))
        duration = frames / fps
        pts = np.arange(frames, dtype=np.int64)
        index = FrameIndex(*index_of, pts, pts[:1], 1 / fps, has_timestamps=False)
    claims.check_size(path, duration, claims.VIDEO_BITS)
    index = replace(index, codec=codec, decoder=decoder)
    decoded = _decoded_properties(path, stream_index=index.stream)
    if decoder:  # PyAV has decoded the frames without their alpha channel
        decoded |= {"has_alpha": True, "transparent": True}
    return (
        VideoInfo(
            path,
            fps=fps,
            duration=float(duration),
            frame_count=frames,
            variable_frame_rate=variable,
            has_audio=bool(audio_starts),
            **decoded,
        ),
        index,
    )


def _counts_packets(container: Any, stream: Any, found: StreamPackets) -> bool:
    """Whether the timestamps are no times of presentation: AVI counts packets in the order of decoding.

    With B-frames libavformat's guess is a frame late for all but the first.
    """
    is_steady = len(found.pts) == found.count == max(found.pts) - min(found.pts) + 1
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames) and is_steady


def _sorted_unique(times: list[int]) -> IntArray:
    # np.unique imports NumPy's masked arrays, which takes longer than the rest of the probe.
    return np.array(sorted(set(times)), np.int64)


def _video_stream(container: Any, path: Path, track: int) -> Any:
    """The video track of this index; or the default one, else the first, of those that can be decoded."""
    tracks = video_tracks(container)
    if tracks and track != DEFAULT_TRACK:
        return numbered_track(tracks, track, "video", path)
    if tracks:
        return default_track(tracks)
    raise NoVideoError(
        "The file has no video",
        given=path,
        hint="Give a video or a photo here, and the voice as the other file.",
    )


def _check_not_truncated(container: Any, stream: Any, packets: dict[int, StreamPackets], path: Path) -> None:
    """Raise if a header that can be trusted announces much more than the file holds."""
    demuxer, found = container.format.name, packets[stream.index]
    if demuxer.startswith("mov") and stream.duration and found.pts:
        announced = float(stream.duration * stream.time_base)
        first = float(min(found.pts) * stream.time_base)
        present = float(found.end * stream.time_base) - first
    elif demuxer.startswith("matroska") and container.duration:
        announced = container.duration / av.time_base
        first = (container.start_time or 0) / av.time_base
        ends = [float(p.end * s.time_base) for s, p in timed_streams(container, packets)]
        present = max(ends, default=first) - first
    else:
        return
    if first > _LATE_SECONDS and first + present >= announced - _TRUNCATED_SECONDS:
        return  # recorded from a stream that had been running: the header says when it ends
    if announced - present > max(_TRUNCATED_SECONDS, 0.01 * announced):
        raise MediaError(
            f"The file is cut off: it ends after {present:.1f} of {announced:.1f} s",
            given=path,
            hint="Copy or download it again.",
        )


def _decoded_properties(path: Path, stream_index: int) -> dict[str, Any]:
    """Size, rotation, interlacing, bit depth and colours of the first decoded frames.

    Headers are unreliable about them.
    """
    frames = []
    with open_container(path) as container:
        stream = container.streams[stream_index]
        for frame in decoded_frames(container, stream):
            frames.append(frame)
            if len(frames) == _PROBED_FRAMES:
                break
        aspect = exact(stream.sample_aspect_ratio or Fraction(1))
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
        "has_alpha": _has_alpha(frame),
        "chroma": _chroma(frame.format),
        "transparent": any(map(_is_transparent, frames)),
    }


def _chroma(pixels: Any) -> str:
    """How a pixel format samples chroma, as `VideoInfo.chroma`."""
    if pixels.is_rgb or len(pixels.components) < 3:
        return "444" if pixels.is_rgb else "420"
    chroma = pixels.components[1]
    if chroma.width * 2 > pixels.components[0].width + 1:
        return "444"
    return "422" if chroma.height * 2 > pixels.components[0].height + 1 else "420"


def _has_alpha(frame: Any) -> bool:
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _is_transparent(frame: Any) -> bool:
    return _has_alpha(frame) and bool(frame.to_ndarray(format="rgba")[..., 3].min() < _OPAQUE)
