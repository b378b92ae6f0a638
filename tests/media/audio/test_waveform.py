"""Waveforms: peaks over time, and pauses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import NoAudioError
from lipsync.media import read_waveform
from lipsync.media.audio.waveform import find_pauses
from tests.make_media import run_ffmpeg
from tests.material import FACE


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 s of a tone that rests from 1 to 2 s, half as loud afterwards."""
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    level = "if(lt(t,1),0.8,if(lt(t,2),0,0.4))"
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc='{level}*sin(2*PI*440*t)':d=3:s=16000", path)
    return path


def test_peaks_follow_the_loudness(tone: Path) -> None:
    wave = read_waveform(tone, columns=30)
    assert wave.seconds == pytest.approx(3)
    assert wave.peaks.shape == (30,)
    loudness = [float(np.median(third)) for third in np.split(wave.peaks, 3)]
    assert loudness == pytest.approx([0.8, 0, 0.4], abs=0.02)


def test_pauses_are_found(tone: Path) -> None:
    [(start, end)] = read_waveform(tone).pauses
    assert (start, end) == pytest.approx((1, 2), abs=0.02)


def test_short_rests_are_no_pauses() -> None:
    peaks = np.full(300, 0.5, np.float32)
    peaks[100:110] = 0
    assert find_pauses(peaks) == ()
    peaks[200:] = 0.001
    assert find_pauses(peaks) == ((2.0, 3.0),)


def test_a_photo_has_none() -> None:
    with pytest.raises(NoAudioError):
        read_waveform(FACE)
