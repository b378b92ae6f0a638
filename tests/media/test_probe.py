"""Probe of video and audio by content; unusable files are refused with the reason."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.errors import MediaError, NoAudioError, NoVideoError
from lipsync.media import open_audio, open_video, probe_audio, probe_video
from tests.make_media import make_sound, make_video, read_number, run_ffmpeg

SINE = ("-f", "lavfi", "-i", "sine=d=1")
NAMES = [
    "with spaces.mp4",
    'it\'s "quoted".mp4',
    "ünï–cødé 中文 🎬.mp4",
    "new\nline.mp4",
    "-leading dash.mp4",
    "-i",
    "a%d.mp4",
    "frame%03d.png",
    "a*?[x].jpg",
    "http:colon.mp4",
    "concat:a.mp4|b.mp4",
    "pipe:0",
    "semi;colon, comma='x'.mp4",
    "back\\slash.mp4",
    "no extension",
    "wrong.txt",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_works(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_video(tmp_path / "plain.mp4", frames=5, sound=SINE)
    plain.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)  # a relative name is where a dash or a protocol would be misread
    clip = open_video(name)
    assert [read_number(frame) for frame in clip.read([0, 4])] == [0, 4]
    assert open_audio(name).read().duration == pytest.approx(1.0, abs=0.03)


def test_exact_rate_size_length_and_audio(tmp_path: Path) -> None:
    info = probe_video(make_video(tmp_path / "a.mp4", frames=30, fps=Fraction(30_000, 1001), sound=SINE))
    assert (info.width, info.height, info.fps, info.frame_count) == (160, 120, Fraction(30_000, 1001), 30)
    assert info.duration == pytest.approx(1.001)
    assert info.has_audio and not info.is_still and not info.interlaced and not info.variable_frame_rate
    assert not probe_video(make_video(tmp_path / "b.mp4", frames=3)).has_audio


def test_the_header_is_not_believed(tmp_path: Path) -> None:
    """A live recording: no duration and no frame count in the header."""
    path = tmp_path / "live.webm"
    make_video(tmp_path / "a.mkv", frames=30)
    path.write_bytes(run_ffmpeg("-i", tmp_path / "a.mkv", "-c", "copy", "-f", "matroska", "-live", 1, "-"))
    info = probe_video(path)
    assert (info.fps, info.frame_count, info.duration) == (25, 30, pytest.approx(1.2, abs=0.01))


@pytest.mark.parametrize("extension", ["mp3", "m4a", "flac"])
def test_cover_art_is_no_video(tmp_path: Path, extension: str) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.png")
    path = tmp_path / f"song.{extension}"
    run_ffmpeg(
        *SINE, "-i", tmp_path / "cover.png", "-map", 0, "-map", 1, "-c:v", "copy",
        "-disposition:v", "attached_pic", path,
    )  # fmt: skip
    with pytest.raises(NoVideoError, match="no video"):
        probe_video(path)
    assert probe_audio(path).duration == pytest.approx(1.0, abs=0.03)


def test_no_audio(tmp_path: Path) -> None:
    with pytest.raises(NoAudioError, match="no audio"):
        open_audio(make_video(tmp_path / "silent.mp4", frames=2))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(NoAudioError, match="image"):
        open_audio(tmp_path / "a.png")


@pytest.mark.parametrize("probe", [probe_video, probe_audio])
def test_what_is_no_media_says_so(tmp_path: Path, probe: object) -> None:
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 100)
    (tmp_path / "page.mp4").write_text("<!DOCTYPE html><html><body>404 not found</body></html>")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    for name, reason in [
        ("text.mp4", "not a video"),
        ("page.mp4", "not a video"),
        ("empty.mp4", "is empty"),
        ("folder.mp4", "folder"),
        ("missing.mp4", "does not exist"),
        ("noise.mp4", "."),
        ("/dev/null", "device"),
        ("x" * 300, "."),
        ("nul\0byte", "."),
    ]:
        with pytest.raises(MediaError, match=reason):
            probe(tmp_path / name)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["index lost", "mp4", "mkv"])
def test_cut_off_files(tmp_path: Path, kind: str) -> None:
    output = ("-movflags", "faststart") if kind == "mp4" else ()
    noise = list(np.random.default_rng(0).integers(0, 255, (50, 120, 160, 3), dtype=np.uint8))
    path = make_video(tmp_path / f"a.{'mkv' if kind == 'mkv' else 'mp4'}", frames=noise, output=output)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        MediaError, match="cut off" if kind == "index lost" else r"ends after \d\.\d of 2\.0 s"
    ):
        probe_video(path)


# --- photos ------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "bmp", "tiff"])
def test_photo_formats(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    Image.new("RGB", (33, 21), (200, 100, 50)).save(path)
    clip = open_video(path.rename(tmp_path / "misnamed.mp4"))
    assert (clip.width, clip.height, clip.fps, clip.frame_count, clip.is_still) == (33, 21, 25, 1, True)
    frames = list(clip.read([0, 0]))
    assert np.abs(frames[1].astype(int) - (200, 100, 50)).max() <= 4
    assert frames[0].dtype == np.uint8 and frames[0].shape == (21, 33, 3)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "red_corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))]
)
def test_photos_are_turned_as_their_exif_says(
    tmp_path: Path, extension: str, orientation: int, red_corner: tuple[int, int]
) -> None:
    image = Image.new("RGB", (64, 32), "blue")
    image.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{extension}", exif=exif)
    clip = open_video(tmp_path / f"a.{extension}")
    assert (clip.width, clip.height) == ((32, 64) if orientation in (6, 8) else (64, 32))
    (frame,) = clip.read([0])
    assert frame[red_corner][0] > 200 and frame[red_corner][2] < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "a.png")
    (frame,) = open_video(tmp_path / "a.png").read([0])
    assert frame[0, 7].tolist() == [255, 255, 255] and frame[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("mode", "value"), [("L", 100), ("I;16", 100 * 256), ("1", 1), ("CMYK", (0, 0, 0, 155))]
)
def test_other_colour_modes(tmp_path: Path, mode: str, value: int) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new(mode, (8, 8), value).save(path)
    (frame,) = open_video(path).read([0])
    assert abs(int(frame[0, 0, 1]) - (255 if mode == "1" else 100)) <= 1


def test_8k_photo(tmp_path: Path) -> None:
    Image.new("RGB", (7680, 4320), (10, 200, 30)).save(tmp_path / "8k.jpg")
    clip = open_video(tmp_path / "8k.jpg")
    assert (clip.width, clip.height) == (7680, 4320)
    assert next(clip.read([0], max_side=640)).shape == (360, 640, 3)


def test_cut_off_photo(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(
        tmp_path / "a.jpg"
    )
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="cut off or damaged"):
        open_video(tmp_path / "a.jpg")


def test_moving_gif_is_a_video_and_a_still_one_a_photo(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (grey, grey, grey)) for grey in (0, 250)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(tmp_path / "still.gif")
    clip = open_video(tmp_path / "moving.gif")
    assert (clip.frame_count, clip.fps, clip.is_still) == (2, 10, False)
    assert [int(frame.mean()) for frame in clip.read([1, 0])] == [250, 0]
    assert open_video(tmp_path / "still.gif").is_still


def test_moving_webp_can_be_used(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), (grey, grey, grey)) for grey in (0, 250)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    assert next(open_video(tmp_path / "a.webp").read([0])).mean() == 0


def test_a_photo_ignores_video_ranges_with_a_word(tmp_path: Path) -> None:
    from lipsync.options import MediaOptions
    from lipsync.types import TimeRange

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    clip = open_video(tmp_path / "a.png", MediaOptions(video_ranges=(TimeRange(1, 2),)))
    assert "ranges were ignored" in clip.warnings[0]


# --- attacks -----------------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("name", ["list.m3u8", "video.mp4", "voice.wav"])
@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet><Representation id="1" mimeType="video/mp4">'
        "<BaseURL>{target}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "[InternetShortcut]\nURL={target}\n",
    ],
    ids=["hls", "concat", "dash", "sdp", "shortcut"],
)
def test_playlists_open_neither_files_nor_the_network(tmp_path: Path, name: str, content: str) -> None:
    secret = make_video(tmp_path / "secret.ts", frames=5, sound=SINE)
    with listening() as (address, asked):
        for target in (secret, f"file:{secret}", f"{address}/secret.ts"):
            (tmp_path / name).write_text(content.format(target=target))
            for probe in (probe_video, probe_audio):
                with pytest.raises(MediaError):
                    probe(tmp_path / name)
        assert asked == []


def test_the_first_audio_track_is_taken(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 1, 44_100, 2)
    make_sound(tmp_path / "b.wav", 2, 48_000, 1)
    path = tmp_path / "two.mkv"
    run_ffmpeg("-i", tmp_path / "a.wav", "-i", tmp_path / "b.wav", "-map", 0, "-map", 1, "-c", "copy", path)
    info = probe_audio(path)
    assert (info.sample_rate, info.channels) == (44_100, 2)
