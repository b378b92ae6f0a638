"""The loudest moment of a voice, in the times of the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.media import Waveform, read_waveform
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments, check_arguments
from lipsync.pipeline.job import Job, open_job
from lipsync.pipeline.loudest import loudest_moment
from lipsync.segments import parse_segments
from lipsync.types import TimeRange
from tests.make_media import run_ffmpeg
from tests.material import FACE

RATE = 16_000


def write_sound(path: Path, samples: np.ndarray) -> Path:
    raw = samples.astype("<f4").tobytes()
    run_ffmpeg("-f", "f32le", "-ar", RATE, "-ac", 1, "-i", "-", path, data=raw)
    return path


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s: a quiet hum with a loud click at 1 s, louder from 2 to 2.6 s, and loudest from 4 to 4.6 s."""
    samples = 0.1 * np.sin(np.arange(6 * RATE) * 0.1)
    samples[2 * RATE : int(2.6 * RATE)] *= 3
    samples[4 * RATE : int(4.6 * RATE)] *= 6
    samples[RATE : RATE + 40] = 0.99
    return write_sound(tmp_path_factory.mktemp("voice") / "voice.wav", samples)


def open_with(voice: Path, segments: str = "", **media: object) -> Job:
    options = SyncOptions.from_flat(**media)
    parsed = parse_segments(segments)
    return open_job(check_arguments(JobArguments, options, video=FACE, voice=voice, segments=parsed))


@pytest.mark.parametrize(
    ("segments", "media", "expected"),
    [
        ("", {}, 4.3),
        ("", {"voice_ranges": (TimeRange(0, 3),)}, 2.3),
        ("", {"voice_ranges": (TimeRange(5, 6), TimeRange(3.5, 5))}, 1.8),
        ("", {"voice_shift": 500}, 4.8),
        ("", {"voice_shift": -500}, 3.8),
        ("1-3 face=0 voice=3.5-5.5", {}, 1.8),
        ("1-2 face=0 voice=0-1\n3-4 face=0 voice=2-3", {}, 3.3),
    ],
)
def test_the_loudest_syllable_is_found(
    voice: Path, segments: str, media: dict[str, object], expected: float
) -> None:
    assert loudest_moment(open_with(voice, segments, **media)) == pytest.approx(expected, abs=0.12)


def test_silence_starts_at_0_and_every_file_is_read_once(voice: Path, tmp_path: Path) -> None:
    silent = write_sound(tmp_path / "silent.wav", np.zeros(RATE))
    assert loudest_moment(open_with(silent)) == 0
    read: list[Path] = []

    def reading(path: Path) -> Waveform:
        read.append(path)
        return read_waveform(path)

    job = open_with(voice, voice_ranges=(TimeRange(0, 1), TimeRange(2, 3)))
    assert loudest_moment(job, reading) == pytest.approx(1.3, abs=0.12)
    assert read == [voice]
