from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import OptionError, RangeError
from lipsync.media import plan_timeline
from lipsync.media.video.access_order import backward_blocks, monotone_runs
from lipsync.media.video.frame_rate import exact_rate, frame_rate
from lipsync.media.video.timeline import resolve_ranges
from lipsync.options import LENGTH_MODES
from lipsync.types import TimeRange

FPS = Fraction(10)


@pytest.mark.parametrize(
    ("mode", "seconds", "expected"),
    [
        ("loop", 1.0, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]),
        ("pingpong", 1.0, [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]),
        ("hold", 0.6, [0, 1, 2, 3, 3, 3]),
        ("stretch", 0.8, [0, 0, 1, 1, 2, 2, 3, 3]),
        ("stretch", 0.2, [1, 3]),
        ("picture", 1.0, [0, 1, 2, 3]),
        ("shorter", 1.0, [0, 1, 2, 3]),
        ("shorter", 0.2, [0, 1]),
        ("loop", 0.2, [0, 1]),
        ("pingpong", 0.001, [0]),
    ],
)
def test_modes(mode: str, seconds: float, expected: list[int]) -> None:
    timeline = plan_timeline(4, seconds, FPS, mode)
    assert timeline.tolist() == expected
    assert timeline.dtype == np.int64


@pytest.mark.parametrize("mode", LENGTH_MODES)
def test_a_photo_lasts_as_long_as_the_audio(mode: str) -> None:
    assert plan_timeline(1, 0.5, FPS, mode).tolist() == [0] * 5


def test_a_video_of_one_frame_keeps_its_length_if_it_is_not_a_still() -> None:
    assert len(plan_timeline(1, 0.5, FPS, "picture", still=False)) == 1
    assert plan_timeline(1, 0.5, FPS, "pingpong", still=False).tolist() == [0] * 5


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1001), Fraction(60)])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 59.94, 600.0, 600.019])
def test_length_is_right_to_half_a_frame(fps: Fraction, seconds: float) -> None:
    length = len(plan_timeline(7, seconds, fps, "loop")) / fps
    assert abs(float(length) - seconds) <= 0.5 / float(fps) or (length == 1 / fps and seconds < 1 / fps)


def test_without_audio_the_video_is_shown_once() -> None:
    assert plan_timeline(3, None, FPS, "pingpong").tolist() == [0, 1, 2]


def test_unknown_mode() -> None:
    with pytest.raises(OptionError, match="pingpong"):
        plan_timeline(3, 1.0, FPS, "backwards")


def test_ranges_keep_their_order_and_may_end_a_rounding_later() -> None:
    ranges = TimeRange.parse_list("3-5.02, 0-1, 4-")
    assert resolve_ranges(ranges, 5.0, Path("a.mp4")) == ((3.0, 5.0), (0.0, 1.0), (4.0, 5.0))
    assert resolve_ranges((), 5.0, Path("a.mp4")) == ((0.0, 5.0),)


@pytest.mark.parametrize("text", ["4-6", "5-", "7-8"])
def test_range_past_the_end_names_the_length(text: str) -> None:
    with pytest.raises(RangeError, match=r"lasts 5\.00 s"):
        resolve_ranges(TimeRange.parse_list(text), 5.0, Path("a.mp4"))


def test_runs_and_blocks() -> None:
    numbers = np.array([0, 1, 1, 4, 3, 3, 0, 1, 2, 900, 901, 5, 5])
    runs = [run.tolist() for run in monotone_runs(numbers, np.zeros(len(numbers)))]
    assert runs == [[0, 1, 1, 4], [3, 3, 0], [1, 2], [900, 901], [5, 5]]
    assert [run.tolist() for run in monotone_runs(np.array([1, 2, 3]), np.array([0, 0, 1]))] == [[1, 2], [3]]
    assert [b.tolist() for b in backward_blocks(np.array([9, 9, 8, 7, 7, 6]), 2)] == [[9, 9, 8], [7, 7, 6]]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1001), Fraction(24_000, 1001), Fraction(50)])
@pytest.mark.parametrize("ticks", [1000, 90_000])
def test_constant_rate_is_exact_even_from_rounded_times(rate: Fraction, ticks: int) -> None:
    pts = np.array([round(k / rate * ticks) for k in range(500)])
    assert frame_rate(pts, Fraction(1, ticks), [None]) == (rate, False)


def test_a_phone_that_jitters_has_a_constant_rate() -> None:
    pts = np.arange(300) * 20 + np.random.default_rng(0).integers(-2, 3, 300)
    assert frame_rate(pts, Fraction(1, 600), []) == (Fraction(30), False)


def test_variable_rate_loses_no_frame_and_is_capped() -> None:
    pts = np.concatenate([np.arange(60) * 20, 1200 + np.arange(20) * 60])
    assert frame_rate(pts, Fraction(1, 600), [Fraction(20)]) == (Fraction(30), True)
    bursts = np.cumsum(np.tile([1, 50], 40))
    assert frame_rate(bursts, Fraction(1, 1000), []) == (Fraction(60), True)


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (29.97, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (25, Fraction(25)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_typed_rates(given: float, exact: Fraction) -> None:
    assert exact_rate(given) == exact
