"""Stream selection and trimming; no network."""

from __future__ import annotations

from typing import Any

import pytest

from lipsync.sources import FetchedMedia
from lipsync.sources.streams import (
    Stream,
    can_trim,
    enclosing_span,
    height,
    select_streams,
    trim_fragments,
    trim_playlist,
)
from lipsync.types import TimeRange


def stream(name: str, tall: int | None = None, protocol: str = "https", **more: Any) -> Stream:
    video = {"vcodec": "h264", "width": tall * 16 // 9, "height": tall} if tall else {"vcodec": "none"}
    return {"format_id": name, "protocol": protocol, "acodec": "none" if tall else "aac", **video, **more}


AUDIO = stream("audio")
AUDIO_HLS = stream("audio hls", protocol="m3u8_native")
LOW, HIGH = stream("low", 360), stream("high", 1080)
HIGH_HLS = stream("high hls", 1080, "m3u8_native")
LOW_HLS = stream("low hls", 360, "m3u8_native")
BOTH = stream("both", 720, acodec="aac")


def names(streams: list[Stream]) -> list[str]:
    return [one["format_id"] for one in streams]


@pytest.mark.parametrize(
    ("given", "span", "chosen"),
    [
        ([AUDIO, LOW, HIGH], None, ["high", "audio"]),
        ([AUDIO, LOW, BOTH], None, ["both"]),
        ([AUDIO, AUDIO_HLS, LOW, HIGH_HLS, HIGH], None, ["high", "audio hls"]),
        ([AUDIO_HLS, AUDIO, LOW, HIGH_HLS, HIGH], (1.0, 2.0), ["high hls", "audio hls"]),
        ([AUDIO_HLS, AUDIO, LOW_HLS, HIGH], (1.0, 2.0), ["high", "audio hls"]),  # quality goes first
        ([AUDIO], None, ["audio"]),
        ([LOW], None, ["low"]),
        ([], None, []),
        ([stream("drm", 1080, has_drm=True)], None, []),
        ([stream("rtmp", 1080, "rtmp"), stream("ftp", 720, "ftp"), LOW], None, ["low"]),
        ([{"format_id": "unknown", "protocol": "http"}], None, ["unknown"]),
    ],
)
def test_stream_selection(given: list[Stream], span: tuple[float, float] | None, chosen: list[str]) -> None:
    assert names(select_streams(given, span)) == chosen


def test_stream_selection_for_audio() -> None:
    assert names(select_streams([AUDIO, LOW, BOTH], None, audio_only=True)) == ["audio"]
    assert names(select_streams([LOW, BOTH], None, audio_only=True)) == ["both"]
    assert select_streams([LOW], None, audio_only=True) == []


def test_height_is_the_shorter_side() -> None:
    assert height({"width": 1080, "height": 1920}) == 1080
    assert height({"height": 720}) == 720
    assert height({}) is None


def test_what_can_be_trimmed() -> None:
    fragments = [{"url": "init"}, {"url": "a", "duration": 2}, {"url": "b", "duration": 2}]
    assert can_trim(HIGH_HLS)
    assert can_trim(stream("dash", 720, "http_dash_segments", fragments=fragments))
    assert not can_trim(stream("lazy", 720, "http_dash_segments", fragments=iter(fragments)))
    assert not can_trim(
        stream("no lengths", 720, "http_dash_segments", fragments=[{"url": "a"}, {"url": "b"}])
    )
    assert not can_trim(HIGH)


@pytest.mark.parametrize(
    ("ranges", "span"),
    [
        ([], None),
        ([TimeRange(0, None)], None),
        ([TimeRange(4, 5)], (4, 5)),
        ([TimeRange(8, 9), TimeRange(2, 3)], (2, 9)),
        ([TimeRange(8, None), TimeRange(2, 3)], (2, None)),
        ([TimeRange(0, 3)], (0, 3)),
    ],
)
def test_the_span_holds_all_ranges(ranges: list[TimeRange], span: tuple[float, float | None] | None) -> None:
    assert enclosing_span(ranges) == span


def playlist(count: int = 10, extra: str = "") -> str:
    fragments = "".join(f"#EXTINF:2.0,\n{n}.ts\n" for n in range(count))
    return f'#EXTM3U\n#EXT-X-MAP:URI="head.mp4"\n{extra}{fragments}#EXT-X-ENDLIST\n'


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        ((8.5, 9.5), 3, 5),
        ((9.0, 9.5), 4, 5),
        ((0.0, 1.0), 0, 0),
        ((0.0, 1.5), 0, 1),
        ((17.0, None), 8, 9),
        ((500.0, 501.0), 9, 9),
    ],
)
def test_fragments_that_cover_a_span(span: tuple[float, float | None], first: int, last: int) -> None:
    expected = [f"{n}.ts" for n in range(first, last + 1)]
    cut = trim_playlist(playlist(), span)
    assert cut is not None
    text, start = cut
    assert [line for line in text.splitlines() if line.endswith(".ts")] == expected
    assert text.splitlines()[1] == '#EXT-X-MAP:URI="head.mp4"'
    assert text.splitlines()[-1] == "#EXT-X-ENDLIST"
    assert start == 2 * first
    fragments = [{"url": "head.mp4"}, *({"url": f"{n}.ts", "duration": 2.0} for n in range(10))]
    kept, start = trim_fragments(fragments, span)
    assert [piece["url"] for piece in kept] == ["head.mp4", *expected]
    assert start == 2 * first


@pytest.mark.parametrize(
    "text",
    [
        playlist().replace("#EXT-X-ENDLIST", ""),
        playlist(extra='#EXT-X-KEY:METHOD=AES-128,URI="key"\n'),
        playlist().replace("3.ts", "#EXT-X-DISCONTINUITY\n3.ts"),
        playlist().replace("3.ts", '#EXT-X-MAP:URI="other.mp4"\n3.ts'),
        playlist().replace("#EXTINF:2.0,\n3.ts", "3.ts"),
        "#EXTM3U\n#EXT-X-ENDLIST",
        "",
    ],
)
def test_a_playlist_that_cannot_be_trimmed_safely(text: str) -> None:
    assert trim_playlist(text, (8, 9)) is None


def test_ranges_move_with_the_file() -> None:
    fetched = FetchedMedia(__file__, start=3.5)  # type: ignore[arg-type]
    moved = fetched.to_file_time((TimeRange(4, 5), TimeRange(3.5, None)))
    assert moved == (TimeRange(0.5, 1.5), TimeRange(0, None))
