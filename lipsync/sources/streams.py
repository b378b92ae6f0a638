"""Stream selection for yt-dlp; trimming of fragmented streams to the needed parts.

A stream is one of yt-dlp's format dictionaries. Fragmented streams (HLS, DASH) are reduced to the
needed fragments before yt-dlp's own downloader sees them. yt-dlp's other way, letting ffmpeg seek
over the network, would reach addresses that nobody has checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from lipsync.types import TimeRange

Stream: TypeAlias = dict[str, Any]
Span: TypeAlias = tuple[float, float | None]
"""Start and end in seconds of the original; end None means to the end."""

MARGIN_SECONDS = 1.0
"""Downloaded on both sides of a span, as sites round the durations of fragments."""
_HLS = ("m3u8", "m3u8_native")
_DASH = "http_dash_segments"
_PROTOCOLS = ("http", "https", *_HLS, _DASH)  # those that yt-dlp downloads by itself, over HTTP
_UNTRIMMABLE = ("#EXT-X-KEY", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-SKIP", "#EXT-X-PART")


def enclosing_span(ranges: Sequence[TimeRange]) -> Span | None:
    """Return the smallest span that holds all ranges; None when that is the whole."""
    if not ranges:
        return None
    ends = [part.end for part in ranges]
    end = None if None in ends else max(end for end in ends if end is not None)
    start = min(part.start for part in ranges)
    return None if start == 0 and end is None else (start, end)


def downloadable_streams(streams: Sequence[Stream]) -> list[Stream]:
    """Return the streams that can be downloaded at all, in the order given."""
    return [s for s in streams if s.get("protocol") in _PROTOCOLS and s.get("has_drm") is not True]


def select_streams(streams: Sequence[Stream], span: Span | None, audio_only: bool = False) -> list[Stream]:
    """Select the stream to download, or the pair (video, audio) where a site separates them.

    Args:
        streams: in yt-dlp's order of preference, the best last.
        span: the needed part; among streams of one height, those that can be trimmed are preferred.
        audio_only: the video is not needed.

    Returns:
        One or two streams; empty when there are none.
    """
    available = downloadable_streams(streams)
    videos = [s for s in available if s.get("vcodec") != "none"]
    audios = [s for s in available if s.get("vcodec") == "none" and s.get("acodec") != "none"]
    if audio_only:
        with_audio = audios or [s for s in videos if s.get("acodec") != "none"]
        return [_best(with_audio, span)] if with_audio else []
    if not videos:
        return [_best(audios, span)] if audios else []
    highest = [s for s in videos if height(s) == height(videos[-1])]
    video = _best(highest, span)
    if video.get("acodec") != "none" or not audios:
        return [video]
    return [video, _best(audios, span)]


def _best(streams: list[Stream], span: Span | None) -> Stream:
    trimmable = [s for s in streams if can_trim(s)] if span else []
    return (trimmable or streams)[-1]


def height(stream: Stream) -> int | None:
    """Return the shorter side in pixels; None when unknown."""
    sides = [side for side in (stream.get("width"), stream.get("height")) if side]
    return int(min(sides)) if stream.get("height") else None


def can_trim(stream: Stream) -> bool:
    """Whether a stream consists of fragments of known duration."""
    if stream.get("protocol") in _HLS:
        return True
    fragments = stream.get("fragments")
    return stream.get("protocol") == _DASH and isinstance(fragments, list) and _have_durations(fragments)


def is_hls(stream: Stream) -> bool:
    """Whether the fragments are listed in an HLS playlist."""
    return stream.get("protocol") in _HLS


def is_fragmented(stream: Stream) -> bool:
    """Whether the file is concatenated from fragments, so that it has to be remuxed."""
    return is_hls(stream) or stream.get("protocol") == _DASH


def _have_durations(fragments: list[dict[str, Any]]) -> bool:
    """Whether all have one, except for the header that may come first."""
    return len(fragments) > 1 and all(fragment.get("duration") for fragment in fragments[1:])


def trim_fragments(fragments: list[dict[str, Any]], span: Span) -> tuple[list[dict[str, Any]], float]:
    """Return the header and the DASH fragments that cover a span, and their start in seconds."""
    header = [] if fragments[0].get("duration") else fragments[:1]
    body = fragments[len(header) :]
    first, last, start = _fragment_window([float(fragment["duration"]) for fragment in body], span)
    return header + body[first:last], start


def trim_playlist(text: str, span: Span) -> tuple[str, float] | None:
    """Trim an HLS media playlist (RFC 8216, section 4.3) to the fragments that cover a span.

    Returns:
        The playlist and the start of its first fragment in seconds; None when it cannot be trimmed
        safely: it is still growing, or a fragment depends on those before it (keys, byte ranges,
        discontinuities).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "#EXT-X-ENDLIST" not in lines or any(line.startswith(_UNTRIMMABLE) for line in lines):
        return None
    head: list[str] = []
    fragments: list[tuple[float, list[str]]] = []
    pending: list[str] = []
    duration: float | None = None
    for line in lines:
        if match := re.match(r"#EXTINF:\s*([\d.]+)", line):
            duration = float(match[1])
        if line.startswith("#EXT-X-MAP") and fragments:
            return None
        if duration is None and not pending and line.startswith("#"):
            head.append(line)
            continue
        pending.append(line)
        if not line.startswith("#"):
            if duration is None:
                return None
            fragments.append((duration, pending))
            pending, duration = [], None
    if not fragments:
        return None
    first, last, start = _fragment_window([seconds for seconds, _ in fragments], span)
    body = [line for _, fragment in fragments[first:last] for line in fragment]
    return "\n".join([*(line for line in head if line != "#EXT-X-ENDLIST"), *body, "#EXT-X-ENDLIST"]), start


def _fragment_window(durations: list[float], span: Span) -> tuple[int, int, float]:
    """Indices [first, last) of the fragments that cover a span and its margin; start of the first (s)."""
    wanted_start = span[0] - MARGIN_SECONDS
    wanted_end = float("inf") if span[1] is None else span[1] + MARGIN_SECONDS
    starts = [sum(durations[:number]) for number in range(len(durations) + 1)]
    last_number = len(durations) - 1
    first = next((n for n in range(last_number) if starts[n + 1] > wanted_start), last_number)
    last = next((n for n in range(first + 1, len(durations)) if starts[n] >= wanted_end), len(durations))
    return first, last, starts[first]
