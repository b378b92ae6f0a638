"""Audio mix: clips at their times, identified by the pitch of their tones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.errors import OutputError
from lipsync.media import AudioReader, FrameWriter, OutputSpec, open_audio, open_video
from lipsync.media.audio.decoder import decode_audio
from lipsync.media.audio.mix import FADE_SECONDS, MixedAudio, mix_segments
from lipsync.options import MediaOptions
from lipsync.segments import parse_segments, place_segments
from lipsync.types import AudioClip, TimeRange
from tests.make_media import make_video, run_ffmpeg

RATE = 16_000


def tones(path: Path, *pitches: int, rate: int = RATE, channels: int = 1, volume: float = 0.5) -> Path:
    """One second of each pitch."""
    wave = "+".join(f"between(t,{n},{n + 1})*sin(2*PI*{pitch}*t)*{volume}" for n, pitch in enumerate(pitches))
    source = f"aevalsrc=exprs={'|'.join([wave] * channels)}:s={rate}:d={len(pitches)}".replace(",", r"\,")
    run_ffmpeg("-f", "lavfi", "-i", source, path)
    return path


def amplitudes(clip: AudioClip, start: float, end: float) -> dict[int, float]:
    """Amplitude by pitch between two times, without pitches below 0.02."""
    part = clip.samples[round(start * RATE) : round(end * RATE)] * np.hanning(
        round(end * RATE) - round(start * RATE)
    )
    loud = np.abs(np.fft.rfft(part)) * 4 / len(part)
    peaks = [
        n for n in range(1, len(loud) - 1) if loud[n] > 0.02 and loud[n] == loud[max(0, n - 5) : n + 6].max()
    ]
    return {round(n * RATE / len(part) / 20) * 20: round(float(loud[n]), 1) for n in peaks}


def mixed(
    text: str, voices: list[AudioReader], seconds: float, own: Path | None = None, **media: object
) -> MixedAudio:
    picture = open_video(own, MediaOptions(**media)) if own else None  # type: ignore[arg-type]
    placed = place_segments(parse_segments(text), seconds, [voice.duration for voice in voices])
    return mix_segments(placed, voices, seconds, picture)


@pytest.fixture
def voices(tmp_path: Path) -> list[AudioReader]:
    """300, 400, 500 Hz, a second of each; and 1000, 1200 Hz in stereo."""
    first = tones(tmp_path / "a.wav", 300, 400, 500)
    second = tones(tmp_path / "b.wav", 1000, 1200, rate=44_100, channels=2)
    return [open_audio(first), open_audio(second)]


def test_clips_are_at_their_times_with_silence_between(voices: list[AudioReader]) -> None:
    mix = mixed("0.5-1.5 voice=1-2; 2-3 face=1 file=1 voice=0.5-; 3.5-4 voice=0-0.5", voices, 5)
    clip = mix.read()
    assert len(clip.samples) == 5 * RATE
    assert (mix.info.sample_rate, mix.info.channels, mix.duration) == (44_100, 2, 5)
    assert amplitudes(clip, 0.0, 0.49) == {}
    assert amplitudes(clip, 0.52, 1.48) == {400: 0.5}
    assert amplitudes(clip, 1.51, 1.99) == {}
    assert amplitudes(clip, 2.02, 2.48) == {1000: 0.5}
    assert amplitudes(clip, 2.52, 2.98) == {1200: 0.5}
    assert amplitudes(clip, 3.52, 3.98) == {300: 0.5}
    assert amplitudes(clip, 4.01, 5.0) == {}


def test_edges_are_right_to_the_sample_and_make_no_click(voices: list[AudioReader]) -> None:
    clip = mixed("1-2 voice=1-2", voices[:1], 4).read()
    loud = np.flatnonzero(clip.samples)
    assert loud[0] / RATE == pytest.approx(1, abs=0.0003)
    assert loud[-1] / RATE == pytest.approx(2, abs=0.0003)
    ramp = round(FADE_SECONDS * RATE)
    first, full = (
        np.abs(clip.samples[RATE : RATE + ramp // 4]),
        np.abs(clip.samples[RATE + ramp : RATE + 2 * ramp]),
    )
    assert first.max() < 0.3 * full.max()
    assert np.abs(np.diff(clip.samples)).max() < 0.1  # a 400 Hz tone at half volume moves 0.08 at most


def test_overlapping_clips_are_summed(voices: list[AudioReader]) -> None:
    clip = mixed(
        "0-2 face=0 voice=0-2; 1-3 face=1 file=1 voice=0-2; 2-2.5 face=0 voice=2-2.5", voices, 3
    ).read()
    assert amplitudes(clip, 0.02, 0.98) == {300: 0.5}
    assert amplitudes(clip, 1.02, 1.98) == {400: 0.5, 1000: 0.5}
    assert amplitudes(clip, 2.02, 2.48) == {500: 0.5, 1200: 0.5}
    assert amplitudes(clip, 2.52, 2.98) == {1200: 0.5}


def test_clips_of_one_file_may_come_in_any_order_and_twice(voices: list[AudioReader]) -> None:
    clip = mixed(
        "0-1 voice=2-3; 1-2 voice=0-1; 2-3 voice=2-3; 3-4 face=1 voice=2-3; 3-4 voice=0-1", voices, 4
    ).read()
    assert [amplitudes(clip, n + 0.02, n + 0.98) for n in range(3)] == [{500: 0.5}, {300: 0.5}, {500: 0.5}]
    assert amplitudes(clip, 3.02, 3.98) == {300: 0.5, 500: 0.5}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("0-1 voice=0-1; 1-2 voice=1-2; 3-4 voice=2-3", 1),
        ("0-1 voice=1-2; 1-2 voice=0-1; 3-4 voice=2-3", 2),  # back in time
        ("0-2 voice=0-2; 1-2 face=1 voice=2-3", 2),  # at the same time
        ("0-1 voice=0-1; 1-2 voice=1-2 file=1; 3-4 voice=1-2", 2),
    ],
)
def test_clips_in_the_order_of_their_file_are_read_in_one_pass(
    voices: list[AudioReader], text: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []

    def counted(path: Path, *rest: Any) -> Any:
        decoded.append(path)
        return decode_audio(path, *rest)

    monkeypatch.setattr("lipsync.media.audio.reader.decode_audio", counted)
    mixed(text, voices, 5).read()
    assert len(decoded) == passes


def test_a_voice_with_ranges_is_counted_in_its_joined_time(tmp_path: Path) -> None:
    path = tones(tmp_path / "a.wav", 300, 400, 500)
    voice = open_audio(path, (TimeRange(2, 3), TimeRange(0, 1)))
    clip = mixed("0-1 voice=1-2; 1-2 voice=0-1", [voice], 2).read()
    assert [amplitudes(clip, n + 0.02, n + 0.98) for n in range(2)] == [{300: 0.5}, {500: 0.5}]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """4 s of video; its audio is 2000, 2200, 2400 Hz and ends after 3 s."""
    sound = tones(tmp_path / "own.wav", 2000, 2200, 2400)
    return make_video(tmp_path / "film.mkv", frames=100, sound=("-i", sound), output=("-c:a", "flac"))


def test_between_the_segments_is_the_own_audio_of_the_video(voices: list[AudioReader], film: Path) -> None:
    clip = mixed("0.5-1 voice=0-0.5; 2-2.5 voice=1-1.5", voices[:1], 4, film).read()
    assert amplitudes(clip, 0, 0.48) == {2000: 0.5}
    assert amplitudes(clip, 0.52, 0.98) == {300: 0.5}
    assert amplitudes(clip, 1.02, 1.98) == {2200: 0.5}
    assert amplitudes(clip, 2.02, 2.48) == {400: 0.5}
    assert amplitudes(clip, 2.52, 2.98) == {2400: 0.5}
    assert amplitudes(clip, 3.02, 4.0) == {}
    assert abs(clip.samples[10:400]).max() > 0.45  # where all begins there is no ramp


def test_the_own_audio_follows_the_ranges_of_the_video(voices: list[AudioReader], film: Path) -> None:
    ranges = TimeRange.parse_list("2-4, 1-2, 0-1")
    clip = mixed("0.5-1 voice=0-0.5; 2.5-3.5 voice=1-2", voices[:1], 4, film, video_ranges=ranges).read()
    assert amplitudes(clip, 0, 0.48) == {2400: 0.5}
    assert amplitudes(clip, 0.52, 0.98) == {300: 0.5}
    assert amplitudes(clip, 1.02, 1.98) == {}  # where the film has lost its sound
    assert amplitudes(clip, 2.02, 2.48) == {2200: 0.5}
    assert amplitudes(clip, 2.52, 3.48) == {400: 0.5}
    assert amplitudes(clip, 3.52, 3.98) == {2000: 0.5}


def test_a_video_without_audio_is_silent_between_segments(voices: list[AudioReader], tmp_path: Path) -> None:
    path = make_video(tmp_path / "mute.mp4", frames=50)
    clip = mixed("1-2 voice=0-1", voices[:1], 2, path).read()
    assert amplitudes(clip, 0, 0.98) == {}
    assert amplitudes(clip, 1.02, 2) == {300: 0.5}


def test_without_segments_there_is_silence_or_the_own_audio(voices: list[AudioReader], film: Path) -> None:
    silence = mix_segments((), voices, 2)
    assert AudioReader.is_silent(silence.read()) and len(silence.read().samples) == 2 * RATE
    assert amplitudes(mixed("", voices, 3, film).read(), 1.02, 1.98) == {2200: 0.5}


@pytest.mark.parametrize("channels", [1, 2, 6, 16])
def test_every_number_of_channels_can_be_mixed(tmp_path: Path, channels: int) -> None:
    one = open_audio(tones(tmp_path / "a.wav", 300, channels=channels, volume=0.25))
    other = open_audio(tones(tmp_path / "b.wav", 500, volume=0.25))
    mix = mixed("0-1 face=0; 1-2 face=1 file=1", [one, other], 2)
    assert mix.info.channels == (channels if channels < 16 else 2)
    clip = mix.read()
    assert list(amplitudes(clip, 0.02, 0.98)) == [300]
    assert list(amplitudes(clip, 1.02, 1.98)) == [500]


def test_the_writer_encodes_a_mix_like_any_audio(
    tmp_path: Path, voices: list[AudioReader], film: Path
) -> None:
    mix = mixed("0.5-1 voice=0-0.5; 2-3 file=1 voice=0-1", voices, 4, film)
    picture = open_video(film)
    target = tmp_path / "out.mp4"
    spec = OutputSpec(160, 120, Fraction(25), frames=100, audio=mix, source=picture.info)
    with FrameWriter(target, spec) as writer:
        for frame in picture.read(np.arange(100)):
            writer.write(frame)
    written = open_audio(target)
    assert (written.info.sample_rate, written.info.channels) == (44_100, 2)
    clip = written.read()
    assert clip.duration == pytest.approx(4, abs=0.03)
    assert list(amplitudes(clip, 0.55, 0.95)) == [300]
    assert list(amplitudes(clip, 1.05, 1.95)) == [2200]
    assert list(amplitudes(clip, 2.05, 2.95)) == [1000]


def test_the_result_replaces_none_of_the_voices(voices: list[AudioReader], film: Path) -> None:
    mix = mixed("0-1; 1-2 file=1 voice=0-1", voices, 4, film)
    info = open_video(film).info
    for path in mix.paths:
        assert path.exists()
    other = voices[1].info.path.replace(voices[1].info.path.with_suffix(".mp4"))
    renamed = mixed("0-1; 1-2 file=1 voice=0-1", [voices[0], open_audio(other)], 4)
    with pytest.raises(OutputError, match="replace an input"):
        FrameWriter(other, OutputSpec(16, 16, Fraction(25), 1, renamed, info))
