"""Links, through the same code as in production, to a site on this machine that tests allow."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.errors import AddressError, Cancelled, InputError, LinkError, MediaError, OutputError
from lipsync.media import open_video, probe_audio, probe_video
from lipsync.options import LinkOptions, MediaOptions
from lipsync.progress import CancelToken, Progress, ignore_progress
from lipsync.sources import FetchedMedia, LinkSource
from lipsync.types import TimeRange
from tests.make_media import read_number
from tests.sources import serving
from tests.sources.serving import HERE, Site

FRAMES = 250
FRAGMENTS = {
    "hls.m3u8": {"/hls0.ts", "/hls9.ts"},
    "dash.mpd": {f"/chunk-stream{n}" for n in ("0-00001.m4s", "0-00008.m4s", "1-00001.m4s", "1-00010.m4s")},
}
"""Pieces at the beginning and at the end, far from the marked parts."""
COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tpass\tsesame\n"


def source(site: Site, path: str, *, audio_only: bool = False, **options: object) -> LinkSource:
    return LinkSource(site.url(path), LinkOptions(**options), audio_only=audio_only, allow=HERE)  # type: ignore[arg-type]


def fetch(given: LinkSource, into: Path, *ranges: TimeRange) -> FetchedMedia:
    return given.fetch(into, ignore_progress, CancelToken(), ranges)


def left_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


# --- what comes out ---------------------------------------------------------------------------


def test_a_direct_link_gives_the_file_as_it_is(site: Site, media: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    fetched = source(site, "/clip.mp4").fetch(tmp_path, seen.append, CancelToken())
    data = (media / "clip.mp4").read_bytes()
    assert fetched == FetchedMedia(tmp_path / "clip.mp4", 0.0)
    assert fetched.path.read_bytes() == data
    assert left_in(tmp_path) == [fetched.path]
    assert seen[-1] == Progress("Downloading video", len(data), len(data))


def test_a_name_that_is_taken_is_numbered(site: Site, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("mine")
    assert fetch(source(site, "/clip.mp4"), tmp_path).path == tmp_path / "clip_2.mp4"
    assert (tmp_path / "clip.mp4").read_text() == "mine"


def test_fragmented_streams_become_one_file(site: Site, tmp_path: Path) -> None:
    fetched = fetch(source(site, "/dash.mpd"), tmp_path)
    info = probe_video(fetched.path)
    assert fetched.path.suffix == ".mp4"
    assert (info.frame_count, info.has_audio, fetched.start) == (FRAMES, True, 0)
    assert probe_audio(fetched.path).duration == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("name", ["clip.mp4", "hls.m3u8", "dash.mpd"])
def test_marked_parts_are_the_same_frames_wherever_they_come_from(
    site: Site, tmp_path: Path, name: str
) -> None:
    ranges = (TimeRange(4, 5), TimeRange(5.4, 5.8))
    fetched = fetch(source(site, f"/{name}"), tmp_path, *ranges)
    video = open_video(fetched.path, MediaOptions(video_ranges=fetched.to_file_time(ranges)))
    numbers = [read_number(frame) for frame in video.read(range(video.frame_count))]
    assert numbers == [*range(100, 125), *range(135, 145)]
    if name != "clip.mp4":  # only what is needed was asked for
        assert fetched.start > 0
        assert FRAGMENTS[name] <= set(site.answers)
        assert not FRAGMENTS[name] & set(site.hits)


def test_audio_only_leaves_the_video_out(site: Site, tmp_path: Path) -> None:
    fetched = fetch(source(site, "/dash.mpd", audio_only=True), tmp_path)
    assert fetched.path.suffix == ".m4a"
    assert probe_audio(fetched.path).duration == pytest.approx(10, abs=0.1)
    assert not any("stream0" in hit for hit in site.hits)


def test_probing_downloads_nothing(site: Site, tmp_path: Path) -> None:
    info = source(site, "/hls.m3u8").probe(CancelToken())
    assert (info.title, info.seconds, info.can_trim) == ("hls", pytest.approx(10, abs=1), True)
    assert info.page == site.url("/hls.m3u8")
    assert not any(hit.endswith(".ts") for hit in site.hits)
    plain = source(site, "/clip.mp4").probe(CancelToken())
    assert (plain.licence, plain.seconds, plain.can_trim) == (None, pytest.approx(10, abs=0.1), False)
    assert plain.picture is not None
    with Image.open(io.BytesIO(plain.picture)) as picture:
        assert read_number(np.asarray(picture.convert("RGB"))) == 0


def test_the_quality_stays_under_the_cap(site: Site, media: Path, tmp_path: Path) -> None:
    qualities = {360: (640, 360), 720: (1280, 720), 1080: (608, 1080)}
    playlist = (media / "hls.m3u8").read_text().replace("hls", "/hls")
    main = "#EXTM3U\n"
    for name, (width, height) in qualities.items():
        codecs = 'CODECS="avc1.4d401e,mp4a.40.2"'
        main += f"#EXT-X-STREAM-INF:BANDWIDTH={name}000,RESOLUTION={width}x{height},{codecs}\n/{name}.m3u8\n"
        site.answers[f"/{name}.m3u8"] = serving.send(playlist.encode(), serving.TYPES[".m3u8"])
    site.answers["/main.m3u8"] = serving.send(main.encode(), serving.TYPES[".m3u8"])
    given = source(site, "/main.m3u8", max_height=480)
    assert given.probe(CancelToken()).heights == (360, 608, 720)
    site.hits.clear()
    fetch(given, tmp_path, TimeRange(4, 5))
    assert site.hits.count("/360.m3u8") > site.hits.count("/720.m3u8") + site.hits.count("/1080.m3u8")


def test_a_page_with_one_video_gives_it(site: Site, tmp_path: Path) -> None:
    site.answers["/page"] = serving.send(
        b"<html><title>My <b>clip</title><video src='/clip.mp4'></video></html>"
    )
    fetched = fetch(source(site, "/page"), tmp_path)
    assert probe_video(fetched.path).frame_count == FRAMES
    assert fetched.path.parent == tmp_path
    assert "<" not in fetched.path.name


def test_cookies_are_sent_and_their_file_is_only_read(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "cookies.txt"
    file.write_text(COOKIES)
    source(site, "/clip.mp4", cookies=file).probe(CancelToken())
    assert "pass=sesame" in site.cookies[-1]
    assert file.read_text() == COOKIES


# --- what is never opened -----------------------------------------------------------------------

SECRET = b"the secret"


@pytest.mark.parametrize("host", ["127.0.0.2", "169.254.169.254"])
def test_a_redirect_to_a_private_address_is_not_followed(site: Site, tmp_path: Path, host: str) -> None:
    site.answers["/away"] = serving.redirect(f"http://{host}:{site.port}/secret.mp4")
    site.answers["/secret.mp4"] = serving.send(SECRET, "video/mp4")
    with pytest.raises(AddressError, match=host):
        fetch(source(site, "/away"), tmp_path)
    assert "/secret.mp4" not in site.hits
    assert left_in(tmp_path) == []


def test_a_name_that_resolves_to_a_private_address_is_not_opened(site: Site) -> None:
    given = LinkSource(f"http://localhost:{site.port}/clip.mp4")
    with pytest.raises(AddressError):
        given.probe(CancelToken())
    assert site.hits == []


def test_fragments_at_private_addresses_are_not_opened(site: Site, tmp_path: Path) -> None:
    fragments = "".join(f"#EXTINF:1.0,\nhttp://127.0.0.2:{site.port}/hls{n}.ts\n" for n in range(4))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{fragments}#EXT-X-ENDLIST\n".encode()
    site.answers["/bad.m3u8"] = serving.send(playlist, "application/vnd.apple.mpegurl")
    with pytest.raises(AddressError):
        fetch(source(site, "/bad.m3u8"), tmp_path, TimeRange(1, 2))
    assert not any(hit.endswith(".ts") for hit in site.hits)
    assert left_in(tmp_path) == []


def test_a_fragment_may_not_be_a_file_of_this_machine(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret.ts"
    secret.write_bytes(SECRET)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    site.answers["/bad.m3u8"] = serving.send(playlist, "application/vnd.apple.mpegurl")
    with pytest.raises(LinkError):
        fetch(source(site, "/bad.m3u8"), tmp_path / "into")
    assert left_in(tmp_path / "into") == []


def test_a_proxy_of_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, site.url("/"))
    with pytest.raises(LinkError, match="name of the site"):  # the proxy would have answered
        LinkSource("http://unknown.invalid/clip.mp4", allow=HERE).probe(CancelToken())
    assert site.hits == []


# --- limits ---------------------------------------------------------------------------------------


def test_an_endless_body_is_cut_off(site: Site, tmp_path: Path) -> None:
    site.answers["/endless.mp4"] = serving.endless(site)
    with pytest.raises(LinkError, match="too large"):
        fetch(source(site, "/endless.mp4", max_megabytes=1), tmp_path)
    assert left_in(tmp_path) == []


def test_an_announced_size_above_the_limit_is_not_downloaded(site: Site, tmp_path: Path) -> None:
    site.answers["/large.mp4"] = serving.promising(5 * 10**9)
    with pytest.raises(LinkError, match=r"too large.*5000 of at most 2000 MB"):
        fetch(source(site, "/large.mp4"), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["hls.m3u8", "clip.mp4"])
def test_what_is_too_long_is_refused(site: Site, tmp_path: Path, name: str) -> None:
    with pytest.raises(LinkError, match="too long"):
        fetch(source(site, f"/{name}", max_minutes=0.1), tmp_path)
    assert not any(hit.endswith(".ts") for hit in site.hits)
    assert left_in(tmp_path) == []


def test_a_short_part_of_a_long_video_is_not_too_long(site: Site, tmp_path: Path) -> None:
    fetched = fetch(source(site, "/hls.m3u8", max_minutes=0.1), tmp_path, TimeRange(2, 7.9))
    assert fetched.path.exists()


# --- cancel ---------------------------------------------------------------------------------------


def test_a_page_that_never_ends_is_told(site: Site, tmp_path: Path) -> None:
    site.answers["/page"] = serving.endless_page(site)
    with pytest.raises(LinkError, match=r"page is too large.*more than 17 MB"):
        fetch(source(site, "/page"), tmp_path)
    assert not left_in(tmp_path)


def test_a_page_that_takes_too_long_is_told(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.sources.link.PAGE_SECONDS", 4)
    site.answers["/page"] = serving.trickle(site, "text/html")
    with pytest.raises(LinkError, match="page takes too long to read"):
        source(site, "/page").probe(CancelToken())


def test_a_video_that_comes_by_bytes_is_told(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.sources.link.STALL_SECONDS", 1.5)
    site.answers["/slow.mp4"] = serving.trickle(site, "video/mp4", 0.05)
    with pytest.raises(LinkError, match="stopped sending data"):
        fetch(source(site, "/slow.mp4"), tmp_path)
    assert not left_in(tmp_path)


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancel_ends_a_stuck_download(site: Site, media: Path, tmp_path: Path, begun: bool) -> None:
    data = (media / "clip.mp4").read_bytes()[: 2**15] if begun else b""
    site.answers["/stuck.mp4"] = serving.stuck(site, data)
    cancel = CancelToken()
    failed: list[BaseException] = []

    def job() -> None:
        try:
            source(site, "/stuck.mp4").fetch(tmp_path, ignore_progress, cancel)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=job)
    thread.start()
    while thread.is_alive() and site.hits.count("/stuck.mp4") < 1 + begun:
        thread.join(0.05)
    cancel.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(failed[0], Cancelled)
    assert "/stuck.mp4" in site.hits
    assert left_in(tmp_path) == []


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "words"), [(403, "refused"), (429, "too many requests")])
def test_http_errors_have_messages_of_their_own(site: Site, code: int, words: str) -> None:
    site.answers["/no.mp4"] = serving.status(code)
    with pytest.raises(LinkError, match=words):
        source(site, "/no.mp4").probe(CancelToken())


def test_a_page_without_a_video(site: Site) -> None:
    site.answers["/page"] = serving.send(b"<html><title>Text</title><p>Nothing to see</p></html>")
    with pytest.raises(LinkError, match="No video was found"):
        source(site, "/page").probe(CancelToken())


def test_a_page_with_several_videos(site: Site) -> None:
    page = b"<html><video src='/clip.mp4'></video><video src='/other.mp4'></video></html>"
    site.answers["/page"] = serving.send(page)
    with pytest.raises(LinkError, match="several videos"):
        source(site, "/page").probe(CancelToken())


def test_a_live_stream(site: Site, media: Path) -> None:
    growing = (media / "hls.m3u8").read_bytes().replace(b"#EXT-X-ENDLIST", b"")
    site.answers["/live.m3u8"] = serving.send(growing, "application/vnd.apple.mpegurl")
    with pytest.raises(LinkError, match="live stream"):
        source(site, "/live.m3u8").probe(CancelToken())


def test_a_download_that_is_no_media_is_rejected(site: Site, tmp_path: Path) -> None:
    site.answers["/fake.mp4"] = serving.send(b"not a video at all" * 100, "video/mp4")
    with pytest.raises(MediaError):
        fetch(source(site, "/fake.mp4"), tmp_path)
    assert left_in(tmp_path) == []


def test_a_truncated_download_is_rejected(site: Site, tmp_path: Path) -> None:
    site.answers["/short.mp4"] = serving.promising(10**6)
    with pytest.raises(LinkError, match="only a part"):
        fetch(source(site, "/short.mp4"), tmp_path)
    assert left_in(tmp_path) == []


def test_a_missing_fragment_is_no_shorter_video(site: Site, tmp_path: Path) -> None:
    del site.answers["/hls4.ts"]
    with pytest.raises(LinkError):
        fetch(source(site, "/hls.m3u8"), tmp_path)
    assert left_in(tmp_path) == []


def test_an_unusable_cookies_file(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "cookies.json"
    file.write_text("{}")
    with pytest.raises(InputError, match="Netscape"):
        source(site, "/clip.mp4", cookies=file).probe(CancelToken())
    with pytest.raises(InputError, match="cookies file cannot be read"):
        source(site, "/clip.mp4", cookies=tmp_path / "none.txt").probe(CancelToken())


def test_a_folder_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        fetch(source(site, "/clip.mp4"), tmp_path / "file")
