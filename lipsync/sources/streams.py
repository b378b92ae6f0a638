"""Which of a site's streams to take, and the pieces of them that hold the marked parts.

A stream is one of yt-dlp's format dictionaries. Streams that come in pieces (HLS, DASH) are
shortened to the pieces that are needed before yt-dlp's own downloader sees them. Its other way, to
let ffmpeg seek over the network, would reach addresses that nobody has checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from lipsync.types import TimeRange

Stream: TypeAlias = dict[str, Any]
Span: TypeAlias = tuple[float, float | None]
"""Start and end in seconds of the whole; end None means to the end."""

MARGIN_SECONDS = 1.0
"""Fetched on both sides of a span, for lengths of pieces that a site has rounded."""
_HLS = ("m3u8", "m3u8_native")
_DASH = "http_dash_segments"
_PROTOCOLS = ("http", "https", *_HLS, _DASH)  # those that yt-dlp downloads by itself, over HTTP
_UNCUTTABLE = ("#EXT-X-KEY", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-SKIP", "#EXT-X-PART")


def span_of(ranges: Sequence[TimeRange]) -> Span | None:
    """The smallest span that holds all ranges; None when nothing is marked or it is the whole."""
    if not ranges:
        return None
    ends = [part.end for part in ranges]
    end = None if None in ends else max(end for end in ends if end is not None)
    start = min(part.start for part in ranges)
    return None if start == 0 and end is None else (start, end)


def usable_streams(streams: Sequence[Stream]) -> list[Stream]:
    """Those that can be downloaded at all, in the order given."""
    return [s for s in streams if s.get("protocol") in _PROTOCOLS and s.get("has_drm") is not True]


def choose_streams(streams: Sequence[Stream], span: Span | None, sound_only: bool = False) -> list[Stream]:
    """The stream to take, or the two (picture, sound) where a site keeps them apart.

    Args:
        streams: as yt-dlp sorts them by our wishes, the best last.
        span: the part that is needed; streams that can be cut then win over others of their height.
        sound_only: the picture is not needed.

    Returns:
        One or two streams; none when there are none.
    """
    usable = usable_streams(streams)
    pictures = [s for s in usable if s.get("vcodec") != "none"]
    sounds = [s for s in usable if s.get("vcodec") == "none" and s.get("acodec") != "none"]
    if sound_only:
        with_sound = sounds or [s for s in pictures if s.get("acodec") != "none"]
        return [_best(with_sound, span)] if with_sound else []
    if not pictures:
        return [_best(sounds, span)] if sounds else []
    top = [s for s in pictures if height(s) == height(pictures[-1])]
    picture = _best(top, span)
    if picture.get("acodec") != "none" or not sounds:
        return [picture]
    return [picture, _best(sounds, span)]


def _best(streams: list[Stream], span: Span | None) -> Stream:
    cuttable = [s for s in streams if can_cut(s)] if span else []
    return (cuttable or streams)[-1]


def height(stream: Stream) -> int | None:
    """Pixels of the shorter side; None when unknown."""
    sides = [side for side in (stream.get("width"), stream.get("height")) if side]
    return int(min(sides)) if stream.get("height") else None


def can_cut(stream: Stream) -> bool:
    """Whether it comes in pieces of known length."""
    if stream.get("protocol") in _HLS:
        return True
    pieces = stream.get("fragments")
    return stream.get("protocol") == _DASH and isinstance(pieces, list) and _has_lengths(pieces)


def is_hls(stream: Stream) -> bool:
    """Whether its pieces are listed in an HLS playlist."""
    return stream.get("protocol") in _HLS


def in_pieces(stream: Stream) -> bool:
    """Whether it is put together from pieces, so that the file wants to be written anew."""
    return is_hls(stream) or stream.get("protocol") == _DASH


def _has_lengths(pieces: list[dict[str, Any]]) -> bool:
    """All have one, but for the header that may come first."""
    return len(pieces) > 1 and all(piece.get("duration") for piece in pieces[1:])


def cut_pieces(pieces: list[dict[str, Any]], span: Span) -> tuple[list[dict[str, Any]], float]:
    """The DASH pieces that cover a span, and the time at which the first of them starts (s)."""
    header = [] if pieces[0].get("duration") else pieces[:1]
    body = pieces[len(header) :]
    first, last, start = _window([float(piece["duration"]) for piece in body], span)
    return header + body[first:last], start


def cut_playlist(text: str, span: Span) -> tuple[str, float] | None:
    """An HLS media playlist with only the pieces that cover a span, and the start of the first (s).

    RFC 8216, section 4.3. None when it cannot be cut safely: it is still growing, or a piece means
    something only together with those before it (keys, byte ranges, discontinuities).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "#EXT-X-ENDLIST" not in lines or any(line.startswith(_UNCUTTABLE) for line in lines):
        return None
    head: list[str] = []
    pieces: list[tuple[float, list[str]]] = []
    pending: list[str] = []
    length: float | None = None
    for line in lines:
        if match := re.match(r"#EXTINF:\s*([\d.]+)", line):
            length = float(match[1])
        if line.startswith("#EXT-X-MAP") and pieces:
            return None
        if length is None and not pending and line.startswith("#"):
            head.append(line)
            continue
        pending.append(line)
        if not line.startswith("#"):
            if length is None:
                return None
            pieces.append((length, pending))
            pending, length = [], None
    if not pieces:
        return None
    first, last, start = _window([seconds for seconds, _ in pieces], span)
    body = [line for _, piece in pieces[first:last] for line in piece]
    return "\n".join([*(line for line in head if line != "#EXT-X-ENDLIST"), *body, "#EXT-X-ENDLIST"]), start


def _window(lengths: list[float], span: Span) -> tuple[int, int, float]:
    """First and last (excluded) of the pieces that cover a span with its margin; start of the first."""
    wanted_start = span[0] - MARGIN_SECONDS
    wanted_end = float("inf") if span[1] is None else span[1] + MARGIN_SECONDS
    starts = [sum(lengths[:number]) for number in range(len(lengths) + 1)]
    last_number = len(lengths) - 1
    first = next((n for n in range(last_number) if starts[n + 1] > wanted_start), last_number)
    last = next((n for n in range(first + 1, len(lengths)) if starts[n] >= wanted_end), len(lengths))
    return first, last, starts[first]
