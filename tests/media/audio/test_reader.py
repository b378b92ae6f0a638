from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import Cancelled, MediaError, RangeError
from lipsync.media import AudioReader, open_audio
from lipsync.types import AudioClip, FloatArray, TimeRange
from tests.make_media import make_sound, make_video, run_ffmpeg
from tests.waiting import CancelAtLook


def tone(clip: AudioClip, frequency: float, start: float = 0.0, end: float | None = None) -> float:
    """Amplitude of a frequency between two times."""
    part = clip.samples[int(start * clip.sample_rate) : None if end is None else int(end * clip.sample_rate)]
    wave = np.exp(-2j * np.pi * frequency * np.arange(len(part)) / clip.sample_rate)
    return float(2 * np.abs(np.mean(part * wave)))


def steps(path: Path) -> Path:
    """Three seconds: 300 Hz, then 600 Hz, then 900 Hz."""
    source = "aevalsrc=exprs=0.5*sin(2*PI*300*(1+floor(t))*t):s=48000:d=3"
    run_ffmpeg("-f", "lavfi", "-i", source, path)
    return path


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("a.wav", ()),
        ("a.wav", ("-c:a", "pcm_s24le")),
        ("a.flac", ()),
        ("a.mp3", ("-b:a", "192k")),
        ("a.m4a", ("-c:a", "aac")),
        ("a.aac", ("-c:a", "aac")),
        ("a.ogg", ("-c:a", "libvorbis")),
        ("a.opus", ("-c:a", "libopus")),
        ("a.webm", ("-c:a", "libopus")),
        ("a.mka", ("-c:a", "aac")),
        ("a.wma", ("-c:a", "wmav2")),
        ("a.aiff", ()),
        ("a.ts", ("-c:a", "aac")),
    ],
)
def test_every_format_is_read_at_its_true_length(
    tmp_path: Path, name: str, output: tuple[object, ...]
) -> None:
    voice = open_audio(make_sound(tmp_path / name, 2.0, output=output))
    assert voice.duration == pytest.approx(2.0, abs=0.07 if name.endswith((".aac", ".ts", ".wma")) else 0.01)
    clip = voice.read()
    assert clip.sample_rate == 16_000 and clip.samples.dtype == np.float32
    assert len(clip.samples) == round(voice.duration * 16_000)
    assert tone(clip, 440, 0.2, 1.8) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7, 8, 12, 16])
def test_every_number_of_channels_becomes_one(tmp_path: Path, channels: int) -> None:
    voice = open_audio(make_sound(tmp_path / "a.wav", 0.5, 44_100, channels))
    assert (voice.info.channels, voice.info.sample_rate) == (channels, 44_100)
    clip = voice.read()
    assert tone(clip, 440) > 0.3
    assert np.abs(clip.samples).max() <= 1


def test_two_channels_are_averaged(tmp_path: Path) -> None:
    source = "aevalsrc=exprs=0.8*sin(2*PI*500*t)|0.4*sin(2*PI*900*t):s=16000:d=1"
    run_ffmpeg("-f", "lavfi", "-i", source, tmp_path / "a.wav")
    clip = open_audio(tmp_path / "a.wav").read()
    assert tone(clip, 500) == pytest.approx(0.4, abs=0.01)
    assert tone(clip, 900) == pytest.approx(0.2, abs=0.01)


def test_samples_pass_unchanged_at_their_own_rate(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 0.5, 16_000)
    raw = np.frombuffer(run_ffmpeg("-i", tmp_path / "a.wav", "-f", "f32le", "-"), "<f4")
    assert np.array_equal(open_audio(tmp_path / "a.wav").read().samples, raw)


@pytest.mark.parametrize("extension", ["wav", "mp3", "m4a", "mkv"])
def test_ranges_are_joined_in_the_order_given(tmp_path: Path, extension: str) -> None:
    voice = open_audio(
        steps(tmp_path / f"a.{extension}"), TimeRange.parse_list("2-2.5, 0.25-0.75, 1-1.25, 1-1.25")
    )
    assert voice.duration == 1.5
    clip = voice.read()
    assert len(clip.samples) == 24_000
    for start, end, frequency in [(0, 0.5, 900), (0.5, 1.0, 300), (1.0, 1.5, 600)]:
        assert tone(clip, frequency, start + 0.05, end - 0.05) == pytest.approx(0.5, abs=0.05)


def test_range_past_the_end_names_the_length(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=r"1\.00 s"):
        open_audio(make_sound(tmp_path / "a.wav"), (TimeRange(0.5, 3),))


@pytest.mark.parametrize("container", ["mkv", "mp4", "ts"])
def test_audio_that_starts_late_stays_in_sync_with_the_video(tmp_path: Path, container: str) -> None:
    plain = make_video(tmp_path / "plain.mp4", frames=50)
    sound = make_sound(tmp_path / "a.wav", 1.0)
    path = tmp_path / f"late.{container}"
    run_ffmpeg("-i", plain, "-itsoffset", 0.6, "-i", sound, "-c:v", "copy", "-c:a", "aac", path)
    voice = open_audio(path)
    assert voice.duration == pytest.approx(1.6, abs=0.05)
    loud = np.flatnonzero(np.abs(voice.read().samples) > 0.1)
    assert loud[0] / 16_000 == pytest.approx(0.6, abs=0.03)


def test_not_a_number_and_overshoot_are_removed(tmp_path: Path) -> None:
    samples: FloatArray = np.array([0.5, np.nan, np.inf, -np.inf, 3.0, -3.0, 0.25, 0.0], np.float32)
    data = np.tile(samples, 1000).tobytes()
    run_ffmpeg(
        "-f",
        "f32le",
        "-ar",
        16_000,
        "-ac",
        1,
        "-i",
        "pipe:",
        "-c:a",
        "pcm_f32le",
        tmp_path / "a.wav",
        data=data,
    )
    clean = open_audio(tmp_path / "a.wav").read().samples
    assert clean[:8].tolist() == [0.5, 0, 0, 0, 1, -1, 0.25, 0]


@pytest.mark.parametrize(("volume", "silent"), [("0", True), ("0.0005", True), ("0.01", False)])
def test_silence_is_detected(tmp_path: Path, volume: str, silent: bool) -> None:
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={volume}*sin(2000*t):d=0.5", tmp_path / "a.wav")
    assert AudioReader.is_silent(open_audio(tmp_path / "a.wav").read()) is silent


def test_very_short_audio(tmp_path: Path) -> None:
    voice = open_audio(make_sound(tmp_path / "a.wav", 0.01, 16_000))
    assert len(voice.read().samples) == 160


def test_truncated_audio_is_read_to_its_end(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", 2.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    voice = open_audio(path)
    assert voice.duration == pytest.approx(1.0, abs=0.05)
    assert voice.read().duration == pytest.approx(1.0, abs=0.05)


def test_audio_that_cannot_be_decoded_is_reported(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.mov", 3.0, output=("-c:a", "alac", "-movflags", "faststart"))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 8
    data[start:] = b"\xff" * (len(data) - start)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"cannot be decoded|breaks off"):
        open_audio(path).read()


def test_cancel(tmp_path: Path) -> None:
    voice = open_audio(make_sound(tmp_path / "a.wav", 600, 8000))
    token = CancelAtLook(5)
    with pytest.raises(Cancelled):
        voice.read(48_000, cancel=token)
    assert token.looks == 5


def click(path: Path, at: int, rate: int = 48_000, seconds: float = 1.0) -> Path:
    """Stereo silence with one sample at full volume."""
    samples = np.zeros((round(seconds * rate), 2), np.int16)
    samples[at] = 32767
    raw = ("-f", "s16le", "-ar", rate, "-ac", 2, "-i", "pipe:")
    run_ffmpeg(*raw, path, data=samples.tobytes())
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mka"])
@pytest.mark.parametrize("shift", [0.25, 0.0001, -0.0001, -0.25, 0.1000001])
def test_a_shift_is_exact_to_the_sample(tmp_path: Path, name: str, shift: float) -> None:
    path = click(tmp_path / name, at=24_000)
    voice = open_audio(path, shift=shift)
    moved = round(shift * 48_000)
    samples = voice.read(48_000).samples
    assert len(samples) == 48_000 + moved
    assert np.flatnonzero(samples > 0.5).tolist() == [24_000 + moved]
    assert voice.duration == pytest.approx(1 + moved / 48_000, abs=1e-9)
    assert len(voice.read().samples) == round(voice.duration * 16_000)


def test_all_channels_are_shifted_like_the_mono_samples(tmp_path: Path) -> None:
    voice = open_audio(click(tmp_path / "a.wav", at=24_000), shift=0.5)
    samples = np.concatenate(list(voice.blocks()))
    assert samples.shape == (72_000, 2)
    assert np.argwhere(samples > 0.5).tolist() == [[48_000, 0], [48_000, 1]]


def test_a_shift_moves_all_ranges_together(tmp_path: Path) -> None:
    path = click(tmp_path / "a.wav", at=24_000)
    ranges = TimeRange(0.4, 0.6), TimeRange(0.4, 0.6)
    for shift, places in ((0.1, [9_600, 19_200]), (-0.15, [7_200])):
        voice = open_audio(path, ranges, shift)
        samples = voice.read(48_000).samples
        assert np.flatnonzero(samples > 0.5).tolist() == places
        assert len(samples) == round((0.4 + shift) * 48_000)


def test_a_shift_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", 1.0)
    with pytest.raises(RangeError, match=r"nothing is left of it: -1 s. It lasts 1.00 s"):
        open_audio(path, shift=-1.0)


def test_joints_of_ranges_make_no_click(tmp_path: Path) -> None:
    tone_path = tmp_path / "a.flac"
    run_ffmpeg("-f", "lavfi", "-i", "aevalsrc=exprs=0.5*sin(2*PI*50*t):s=48000:d=3", tone_path)
    samples = open_audio(tone_path, TimeRange.parse_list("0.005-1, 2.01-2.5")).read(48_000).samples
    joint = round(0.995 * 48_000)
    assert np.abs(np.diff(samples)).max() < 0.01  # the tone moves by 0.0033; without ramps by 0.5
    assert abs(samples[joint]) < 0.01 and abs(samples[0]) > 0.4  # none at the ends


def test_ranges_that_follow_each_other_are_not_ramped(tmp_path: Path) -> None:
    tone_path = tmp_path / "a.wav"
    run_ffmpeg("-f", "lavfi", "-i", "aevalsrc=exprs=0.5*cos(2*PI*50*t):s=48000:d=2", tone_path)
    whole, parts = (open_audio(tone_path, TimeRange.parse_list(text)) for text in ("0-2", "0-1, 1-2"))
    assert np.array_equal(whole.read().samples, parts.read().samples)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100])
def test_the_padding_of_mp3_is_no_audio_at_any_rate(tmp_path: Path, rate: int) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1.6", "-ar", rate, "-ac", 1, tmp_path / "a.mp3")
    assert open_audio(tmp_path / "a.mp3").read().duration == pytest.approx(1.6, abs=0.01)
