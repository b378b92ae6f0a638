"""Official and symmetric smoothing, against the original's output and by reasoning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.faces.trajectory import official_moving_average, symmetric_moving_average


def test_official_smoothing_equals_the_original_to_the_bit(
    golden: Callable[[str], npt.NDArray[np.int64]],
) -> None:
    boxes = golden("smoothing/boxes")
    before = boxes.copy()
    smoothed = official_moving_average(boxes, 5)
    assert smoothed.dtype == np.int64
    np.testing.assert_array_equal(smoothed, golden("smoothing/out"))
    np.testing.assert_array_equal(boxes, before)


def test_official_smoothing_of_a_steady_motion_ends_as_the_original_does() -> None:
    boxes = np.arange(20)[:, None].repeat(4, axis=1)
    assert official_moving_average(boxes, 5)[-6:, 0].tolist() == [16, 17, 17, 17, 17, 17]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # the negative start leaves the last 2 of 3: 200 = (100+300)/2, then (100+300)/2 with the
        # second row replaced, and so on
        ([0, 100, 300], [200, 200, 250]),
        ([0, 100, 200, 305], [305, 305, 305, 305]),  # the last 1 of 4
        ([10, 21], [15, 18]),  # start -3 of 2 rows is the beginning
        ([7], [7]),
        ([], []),
    ],
)
def test_official_smoothing_of_few_frames_keeps_the_originals_negative_index(
    values: list[int], expected: list[int]
) -> None:
    boxes = np.array(values, dtype=np.int64).reshape(-1, 1)
    assert official_moving_average(boxes, 5)[:, 0].tolist() == expected


def test_symmetric_smoothing_neither_leads_nor_lags() -> None:
    line = np.linspace(0, 90, 31)[:, None]
    np.testing.assert_allclose(symmetric_moving_average(line, 7), line, atol=1e-9)


def test_symmetric_smoothing_is_the_same_backwards() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_allclose(
        symmetric_moving_average(noise[::-1], 5), symmetric_moving_average(noise, 5)[::-1]
    )


def test_symmetric_smoothing_reduces_noise_and_a_window_of_one_changes_nothing() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 1))
    assert (
        np.abs(np.diff(symmetric_moving_average(noise, 5), axis=0)).mean()
        < 0.35 * np.abs(np.diff(noise, axis=0)).mean()
    )
    np.testing.assert_array_equal(symmetric_moving_average(noise, 1), noise)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_symmetric_smoothing_of_fewer_frames_than_the_window(count: int) -> None:
    values = np.full((count, 4), 8.0)
    np.testing.assert_array_equal(symmetric_moving_average(values, 51), values)
