"""Which streams are taken, and which of their pieces; no network."""

from __future__ import annotations

from typing import Any

import pytest

from lipsync.sources import Fetched
from lipsync.sources.streams import Stream, can_cut, choose_streams, cut_pieces, cut_playlist, height, span_of
from lipsync.types import TimeRange


def stream(name: str, tall: int | None = None, protocol: str = "https", **more: Any) -> Stream:
    picture = {"vcodec": "h264", "width": tall * 16 // 9, "height": tall} if tall else {"vcodec": "none"}
    return {"format_id": name, "protocol": protocol, "acodec": "none" if tall else "aac", **picture, **more}


SOUND = stream("sound")
SOUND_HLS = stream("sound hls", protocol="m3u8_native")
LOW, HIGH = stream("low", 360), stream("high", 1080)
HIGH_HLS = stream("high hls", 1080, "m3u8_native")
LOW_HLS = stream("low hls", 360, "m3u8_native")
BOTH = stream("both", 720, acodec="aac")


def names(streams: list[Stream]) -> list[str]:
    return [one["format_id"] for one in streams]


@pytest.mark.parametrize(
    ("given", "span", "chosen"),
    [
        ([SOUND, LOW, HIGH], None, ["high", "sound"]),
        ([SOUND, LOW, BOTH], None, ["both"]),
        ([SOUND, SOUND_HLS, LOW, HIGH_HLS, HIGH], None, ["high", "sound hls"]),
        ([SOUND_HLS, SOUND, LOW, HIGH_HLS, HIGH], (1.0, 2.0), ["high hls", "sound hls"]),
        ([SOUND_HLS, SOUND, LOW_HLS, HIGH], (1.0, 2.0), ["high", "sound hls"]),  # quality goes first
        ([SOUND], None, ["sound"]),
        ([LOW], None, ["low"]),
        ([], None, []),
        ([stream("drm", 1080, has_drm=True)], None, []),
        ([stream("rtmp", 1080, "rtmp"), stream("ftp", 720, "ftp"), LOW], None, ["low"]),
        ([{"format_id": "unknown", "protocol": "http"}], None, ["unknown"]),
    ],
)
def test_what_is_taken(given: list[Stream], span: tuple[float, float] | None, chosen: list[str]) -> None:
    assert names(choose_streams(given, span)) == chosen


def test_what_is_taken_for_a_voice() -> None:
    assert names(choose_streams([SOUND, LOW, BOTH], None, sound_only=True)) == ["sound"]
    assert names(choose_streams([LOW, BOTH], None, sound_only=True)) == ["both"]
    assert choose_streams([LOW], None, sound_only=True) == []


def test_height_is_the_shorter_side() -> None:
    assert height({"width": 1080, "height": 1920}) == 1080
    assert height({"height": 720}) == 720
    assert height({}) is None


def test_what_can_be_cut() -> None:
    pieces = [{"url": "init"}, {"url": "a", "duration": 2}, {"url": "b", "duration": 2}]
    assert can_cut(HIGH_HLS)
    assert can_cut(stream("dash", 720, "http_dash_segments", fragments=pieces))
    assert not can_cut(stream("lazy", 720, "http_dash_segments", fragments=iter(pieces)))
    assert not can_cut(
        stream("no lengths", 720, "http_dash_segments", fragments=[{"url": "a"}, {"url": "b"}])
    )
    assert not can_cut(HIGH)


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
    assert span_of(ranges) == span


def playlist(count: int = 10, extra: str = "") -> str:
    pieces = "".join(f"#EXTINF:2.0,\n{n}.ts\n" for n in range(count))
    return f'#EXTM3U\n#EXT-X-MAP:URI="head.mp4"\n{extra}{pieces}#EXT-X-ENDLIST\n'


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
def test_pieces_that_cover_a_span(span: tuple[float, float | None], first: int, last: int) -> None:
    expected = [f"{n}.ts" for n in range(first, last + 1)]
    cut = cut_playlist(playlist(), span)
    assert cut is not None
    text, start = cut
    assert [line for line in text.splitlines() if line.endswith(".ts")] == expected
    assert text.splitlines()[1] == '#EXT-X-MAP:URI="head.mp4"'
    assert text.splitlines()[-1] == "#EXT-X-ENDLIST"
    assert start == 2 * first
    pieces = [{"url": "head.mp4"}, *({"url": f"{n}.ts", "duration": 2.0} for n in range(10))]
    kept, start = cut_pieces(pieces, span)
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
def test_a_playlist_that_cannot_be_cut_safely(text: str) -> None:
    assert cut_playlist(text, (8, 9)) is None


def test_ranges_move_with_the_file() -> None:
    fetched = Fetched(__file__, start=3.5)  # type: ignore[arg-type]
    moved = fetched.shift((TimeRange(4, 5), TimeRange(3.5, None)))
    assert moved == (TimeRange(0.5, 1.5), TimeRange(0, None))
