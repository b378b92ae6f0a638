"""Audio that changes its form on the way, lost packets, drifting clocks, and tracks without a decoder."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import MediaError, NoAudioError, OptionError
from lipsync.media import open_audio, open_video, probe_audio
from lipsync.media.audio.channels import MONO
from lipsync.media.audio.decoder import _on_clock, _Piece
from lipsync.media.audio.probe import AudioStream
from lipsync.types import FloatArray
from tests.make_media import make_sound, make_video, run_ffmpeg

RATE = 48_000


def tone(path: Path, rate: int, channels: int, pitch: int, *output: object) -> Path:
    """Two seconds of a tone."""
    wave = "|".join([f"0.5*sin(2*PI*{pitch}*t)"] * channels)
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={wave}:s={rate}:d=2", *output, path)
    return path


def pitch_at(path: Path, at: float) -> int:
    """Loudest frequency in the tenth of a second from `at` on, to the nearest 10 Hz; 0 for silence."""
    samples = open_audio(path).read().samples[round(at * 16_000) :][:1600]
    if len(samples) < 1600 or np.abs(samples).max() < 0.1:
        return 0
    return int(np.abs(np.fft.rfft(samples)).argmax()) * 10


@pytest.mark.parametrize("suffix", ["mp3", "aac", "ac3", "ts"])
@pytest.mark.parametrize("order", [1, -1])
def test_all_of_joined_files_is_heard(tmp_path: Path, suffix: str, order: int) -> None:
    """44.1 kHz mono and 48 kHz stereo, one after the other without a new header."""
    forms = [(44_100, 1, 400), (48_000, 2, 700)][::order]
    parts = [tone(tmp_path / f"{pitch}.{suffix}", *form, pitch) for *form, pitch in forms]
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    lengths = sum(probe_audio(part).duration for part in parts)
    # A header's "without the encoder's padding" does not hold in the middle of a file.
    assert open_audio(joined).duration == pytest.approx(lengths, abs=0.09 if suffix == "mp3" else 0.03)
    heard = [pitch_at(joined, at) for at in (0.2, 1.0, 1.8, 2.3, 3.0, 3.8)]
    assert heard == [forms[0][2]] * 3 + [forms[1][2]] * 3


def test_joined_ogg_is_heard_to_its_end_or_refused(tmp_path: Path) -> None:
    """ffmpeg reads on where the second part has the form of the first, and not where it has another."""
    first, same = (tone(tmp_path / f"{pitch}.ogg", 48_000, 2, pitch) for pitch in (400, 700))
    other = tone(tmp_path / "other.ogg", 44_100, 1, 700)
    joined = tmp_path / "joined.ogg"
    joined.write_bytes(first.read_bytes() + same.read_bytes())
    assert [pitch_at(joined, at) for at in (0.2, 1.8, 2.3, 3.8)] == [400, 400, 700, 700]
    joined.write_bytes(first.read_bytes() + other.read_bytes())
    with pytest.raises(MediaError, match="several recordings in different forms"):
        open_audio(joined)


STREAM = AudioStream(0, Fraction(0), RATE, MONO)


def pieces(times: list[float], fast: bool = False) -> Iterator[_Piece]:
    """Frames of a 1 kHz tone with these timestamps, which are true unless the clock is `fast`."""
    for number, time in enumerate(times):
        at = (number * 1024 / RATE if fast else time) + np.arange(1024) / RATE
        wave = (0.5 * np.sin(2000 * np.pi * at)).astype(np.float32)[:, None]
        yield _Piece(wave, RATE, MONO, Fraction(round(time * 1_000_000), 1_000_000))


def placed(times: list[float], fast: bool = False) -> FloatArray:
    return np.concatenate([piece.samples[:, 0] for piece in _on_clock(pieces(times, fast), STREAM)])


def test_single_wrong_timestamps_move_nothing() -> None:
    right = [n * 1024 / RATE for n in range(100)]
    wrong = [time + (0.015 if n % 3 == 1 else 0) for n, time in enumerate(right)]
    assert len(placed(wrong)) == len(placed(right)) == 100 * 1024


def test_a_drifting_clock_is_followed_without_a_click() -> None:
    """A recorder that is 0.5 % fast: 25 ms after five seconds."""
    times = [n * 1024 / RATE * 1.005 for n in range(235)]
    samples = placed(times, fast=True)
    assert len(samples) / RATE == pytest.approx(times[-1] + 1024 / RATE, abs=0.003)
    assert np.abs(np.diff(samples)).max() < 0.09  # the tone itself moves by 0.066
    assert np.abs(samples[:240_000]).reshape(-1, 480).max(axis=1).min() > 0.3


def test_lost_packets_leave_silence_of_their_length() -> None:
    times = [n * 1024 / RATE for n in range(100) if not 40 <= n < 45]
    samples = placed(times)
    assert len(samples) == 100 * 1024
    assert not samples[40 * 1024 : 45 * 1024].any()
    assert samples[46 * 1024 :] == pytest.approx(
        0.5 * np.sin(2000 * np.pi * np.arange(46 * 1024, 100 * 1024) / RATE), abs=1e-3
    )


def test_repeated_packets_are_heard_once() -> None:
    times = [n * 1024 / RATE for n in [*range(50), *range(40, 100)]]
    assert len(placed(times)) == 100 * 1024


@pytest.fixture
def two_tracks(tmp_path: Path) -> Path:
    """A film with 400 Hz and, as its default track, 700 Hz."""
    low, high = (tone(tmp_path / f"{pitch}.wav", RATE, 1, pitch) for pitch in (400, 700))
    film, path = make_video(tmp_path / "film.mkv", frames=50), tmp_path / "two.mkv"
    maps = ("-map", 0, "-map", 1, "-map", 2, "-c:v", "copy", "-c:a", "flac")
    run_ffmpeg(
        "-i", film, "-i", low, "-i", high, *maps, "-disposition:a:0", 0, "-disposition:a:1", "default", path
    )
    return path


def test_the_default_track_is_read_unless_another_is_asked_for(two_tracks: Path) -> None:
    for track, pitch in ((-1, 700), (0, 400), (1, 700)):
        samples = open_audio(two_tracks, track=track).read().samples[:1600]
        assert int(np.abs(np.fft.rfft(samples)).argmax()) * 10 == pitch
    with pytest.raises(OptionError, match=r"no audio track .* It has 2, counted from 0"):
        open_audio(two_tracks, track=2)


def test_tracks_without_a_decoder_are_passed_over(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "a.wav", 1.0)
    film = make_video(tmp_path / "film.mp4", frames=25)
    maps = ("-map", 0, "-map", 1, "-map", 1, "-c:v", "copy", "-c:a", "pcm_s16le")
    run_ffmpeg("-i", film, "-i", sound, *maps, tmp_path / "two.mov")
    data = (tmp_path / "two.mov").read_bytes()
    first = data.index(b"sowt", data.index(b"moov"))
    unknown = tmp_path / "unknown.mov"
    unknown.write_bytes(data[:first] + b"ZZZZ" + data[first + 4 :])
    assert np.abs(open_audio(unknown).read().samples).max() > 0.4
    assert open_video(unknown).info.has_audio
    unknown.write_bytes(data.replace(b"sowt", b"ZZZZ"))
    with pytest.raises(NoAudioError, match=r"No decoder is known"):
        open_audio(unknown)
    assert open_video(unknown).frame_count == 25
