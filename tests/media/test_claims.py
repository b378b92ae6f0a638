"""Headers that claim what the file does not hold: told at once, by every way in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lipsync.errors import LipsyncError, MediaError
from lipsync.media import open_audio, probe_audio, probe_video
from tests.make_media import run_ffmpeg

PICTURE = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2")
SOUND = ("-f", "lavfi", "-i", "sine=duration=2")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    run_ffmpeg(*SOUND, folder / "voice.wav")
    for ending in ("w64", "flac", "aiff", "ogg", "opus"):
        run_ffmpeg(*SOUND, folder / f"voice.{ending}")
    run_ffmpeg(*PICTURE, *SOUND, "-c:v", "mpeg4", "-c:a", "pcm_s16le", folder / "clip.avi")
    run_ffmpeg(*PICTURE, *SOUND, folder / "clip.mp4")
    return folder


def wav(offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Replace a field of the format chunk."""
    return lambda data: replaced(data, data.index(b"fmt ") + 8 + offset, form, value)


def avi(kind: bytes, offset: int, factor: float) -> Callable[[bytes], bytes]:
    """Multiply a field of a stream's header."""

    def change(data: bytes) -> bytes:
        at = data.index(b"strh")
        while data[at + 8 : at + 12] != kind:
            at = data.index(b"strh", at + 4)
        [before] = struct.unpack_from("<I", data, at + 8 + offset)
        return replaced(data, at + 8 + offset, "<I", round(before * factor))

    return change


def sample_duration(stream: int, value: int, last: bool = False) -> Callable[[bytes], bytes]:
    """Replace a duration in a stream's table of an MP4; with `last`, that of its last entry."""

    def change(data: bytes) -> bytes:
        at = -1
        for _ in range(stream + 1):
            at = data.index(b"stts", at + 1)
        [entries] = struct.unpack_from(">I", data, at + 8)
        return replaced(data, at + 16 + 8 * (entries - 1 if last else 0), ">I", value)

    return change


def replaced(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def without_rate(data: bytes) -> bytes:
    """A FLAC whose header has no sample rate."""
    return data[:18] + bytes(2) + bytes([data[20] & 0x0F]) + data[21:]


def damaged_last_page(data: bytes) -> bytes:
    """An Ogg file whose last page has a wrong checksum."""
    return replaced(data, data.rindex(b"OggS") + 22, "<I", 0x12345678)


SCALE, RATE = 20, 24
VOICES = {
    "no bits a sample": ("voice.wav", wav(14, "<H", 0)),
    "unknown format": ("voice.wav", wav(0, "<H", 0x1234)),
    "no samples a second": ("voice.wav", wav(4, "<I", 0)),
    "one sample a second": ("voice.wav", wav(4, "<I", 1)),
    "no channels": ("voice.wav", wav(2, "<H", 0)),
    "AVI at a tenth of its rate": ("clip.avi", avi(b"auds", SCALE, 10)),
    "AVI at ten times its rate": ("clip.avi", avi(b"auds", RATE, 10)),
    "AVI at nearly no rate": ("clip.avi", avi(b"auds", SCALE, 100_000)),
    "FLAC without a sample rate": ("voice.flac", without_rate),
    "AIFF with no bits a sample": (
        "voice.aiff",
        lambda data: replaced(data, data.index(b"COMM") + 14, ">H", 0),
    ),
    "Ogg with a damaged end": ("voice.ogg", damaged_last_page),
    "MP4 with a huge first duration": ("clip.mp4", sample_duration(1, 0x7FFFFFFF)),
    "MP4 with a huge last duration": ("clip.mp4", sample_duration(1, 0x10000000, last=True)),
}
VIDEOS = {
    "AVI at nearly no rate": ("clip.avi", avi(b"vids", SCALE, 100_000)),
    "MP4 with a huge duration": ("clip.mp4", sample_duration(0, 0x7FFFFFFF)),
    "MP4 with a long duration": ("clip.mp4", sample_duration(0, 0x10000000)),
}


@pytest.mark.parametrize("lie", VOICES)
def test_a_voice_that_lies_is_told(lie: str, media: Path, tmp_path: Path) -> None:
    name, change = VOICES[lie]
    path = tmp_path / name
    path.write_bytes(change((media / name).read_bytes()))
    for reader in (probe_audio, open_audio):
        with pytest.raises(MediaError, match=name):
            reader(path)


@pytest.mark.parametrize("lie", [name for name in VOICES if name.startswith("MP4")])
def test_a_voice_that_lies_in_a_large_file_is_told(lie: str, media: Path, tmp_path: Path) -> None:
    name, change = VOICES[lie]
    path = tmp_path / name
    path.write_bytes(change((media / name).read_bytes()) + bytes(8_000_000))
    with pytest.raises(MediaError, match=r"claims to last [\d,.]+ s and has data for"):
        probe_audio(path)


def test_a_size_that_leads_before_the_beginning_ends_the_file(
    media: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "voice.w64"
    data = (media / "voice.w64").read_bytes()
    size = data.index(b"data\xf3\xac\xd3\x11") + 16
    path.write_bytes(replaced(data, size + 5, "B", 0x80))
    assert probe_audio(path).duration == pytest.approx(2, abs=0.05)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("lie", VIDEOS)
def test_a_video_that_lies_is_told(lie: str, media: Path, tmp_path: Path) -> None:
    name, change = VIDEOS[lie]
    path = tmp_path / name
    path.write_bytes(change((media / name).read_bytes()))
    with pytest.raises(MediaError, match=f"claims to last.*{name}"):
        probe_video(path)


def test_a_video_of_an_unknown_codec_is_told(media: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes((media / "clip.avi").read_bytes().replace(b"FMP4", b"QQQQ"))
    with pytest.raises(LipsyncError, match=r"clip\.avi"):
        probe_video(path)


@pytest.mark.parametrize(
    "name",
    ["voice.wav", "voice.w64", "voice.flac", "voice.aiff", "voice.ogg", "voice.opus", "clip.avi", "clip.mp4"],
)
def test_honest_files_are_taken(name: str, media: Path) -> None:
    assert probe_audio(media / name).duration == pytest.approx(2, abs=0.05)


def test_silence_in_few_bytes_is_taken(tmp_path: Path) -> None:
    silence = ("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono:d=60")
    for name in ("a.flac", "a.m4a", "a.opus", "a.mp3"):
        run_ffmpeg(*silence, tmp_path / name)
        assert probe_audio(tmp_path / name).duration == pytest.approx(60, abs=0.1)


def test_a_slide_show_is_taken(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=1/20:duration=200", tmp_path / "slides.mp4")
    assert probe_video(tmp_path / "slides.mp4").duration == pytest.approx(200, abs=20)


def test_sound_with_long_pauses_is_taken(tmp_path: Path) -> None:
    pause = "aselect='lt(t,2)+gt(t,58)'"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=60", "-af", pause, "-c:a", "flac", tmp_path / "a.mkv")
    assert probe_audio(tmp_path / "a.mkv").duration == pytest.approx(60, abs=0.2)
