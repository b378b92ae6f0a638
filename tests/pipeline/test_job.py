"""What is told about the inputs of a job before it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import lipsync
from lipsync.options import SyncOptions
from lipsync.segments import Segment, parse_segments
from lipsync.types import TimeRange
from tests.make_media import run_ffmpeg
from tests.material import SAMPLES


def tone(path: Path, layout: str) -> Path:
    """A second in each channel; `layout` is ffmpeg's name, or "" for a number without loudspeakers."""
    waves = "|".join(["0.05*sin(600*t)"] * (16 if layout == "16" else {"stereo": 2, "hexagonal": 6}[layout]))
    named = "" if layout == "16" else f":c={layout}"
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={waves}:s=16000:d=1{named}", path)
    return path


def warnings(voice: Path, segments: tuple[Segment, ...] = (), **options: Any) -> list[str]:
    given = SyncOptions.from_flat(**options)
    return list(lipsync.plan(SAMPLES / "talk.mp4", voice, given, segments=segments).warnings)


@pytest.mark.parametrize(
    ("layout", "mixed"), [("16", "16.*into 2"), ("hexagonal", "6.*into 8"), ("stereo", "")]
)
@pytest.mark.parametrize("segments", ["", "0-1"])
def test_channels_that_are_mixed_down_are_told(
    tmp_path: Path, layout: str, mixed: str, segments: str
) -> None:
    found = warnings(tone(tmp_path / "voice.wav", layout), parse_segments(segments))
    assert len(found) == bool(mixed)
    assert all(re.search(mixed, warning) for warning in found)


def test_tracks_that_are_left_out_are_told(tmp_path: Path) -> None:
    voice = tone(tmp_path / "voice.wav", "stereo")
    assert warnings(voice, video_ranges=(TimeRange(0, 1),)) == []
    (told,) = warnings(voice, video_ranges=(TimeRange(0, 1),), keep_tracks=True)
    assert "other tracks and chapters are not kept" in told
