"""Padding, fixed boxes, borders and scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.errors import OptionError
from lipsync.faces import fixed_box_track
from lipsync.faces.trajectory import pad_boxes, smooth_and_pad
from lipsync.options import FaceOptions
from tests.faces.fakes import GREEN, RED, SIZE, film, follow, still

FRAME = (200, 100)


def padded(box: tuple[float, ...], **settings: Any) -> list[float]:
    options = FaceOptions(**{"pad_bottom": 0.0, **settings})
    return pad_boxes(np.array([box], float), FRAME, options)[0].tolist()


def test_pads_in_per_cent_and_pixels_add_up() -> None:
    settings = {"pad_top": 10, "pad_bottom": 20, "pad_left": 5, "pad_right": 50, "pads_px": (1, 2, 3, 4)}
    assert padded((50, 40, 90, 60), **settings) == [50 - 2 - 3, 40 - 2 - 1, 90 + 20 + 4, 60 + 4 + 2]


def test_pads_stop_at_the_border() -> None:
    assert padded((5, 5, 195, 95), pads_px=(10, 10, 10, 10)) == [0, 0, 200, 100]


def test_negative_pads_shrink_but_never_invert_the_box() -> None:
    assert padded((50, 40, 90, 60), pads_px=(-5, -5, -5, -5)) == [55, 45, 85, 55]
    for pads in ((-50, -50, -50, -50), (-1000, 0, 0, -1000), (-15, -15, -30, -30)):
        x1, y1, x2, y2 = padded((50, 40, 90, 60), pads_px=pads)
        assert x2 - x1 >= 2, pads
        assert y2 - y1 >= 2, pads
        assert 49 <= x1 < x2 <= 91, pads
        assert 39 <= y1 < y2 <= 61, pads


def test_pads_leave_frames_without_a_face_alone() -> None:
    options = FaceOptions()
    assert np.isnan(pad_boxes(np.full((3, 4), np.nan), FRAME, options)).all()


def test_official_mode_truncates_then_pads_then_smooths(
    golden: Callable[[str], npt.NDArray[np.int64]],
) -> None:
    boxes = golden("smoothing/boxes").astype(float)
    count = len(boxes)
    rows = boxes + 0.9, np.full((count, 5, 2), np.nan), np.ones(count)
    options = FaceOptions(smoothing="official", pad_bottom=0)
    track = smooth_and_pad(rows, [7, 20], (400, 400), (400, 400), options)
    np.testing.assert_array_equal(track.boxes, golden("smoothing/out"))


def test_official_pads_come_before_smoothing() -> None:
    # 100 + 10 is cut to the frame's 100 before the mean is taken; after it, 98 + 10 would be
    bottoms = np.array([90.0, 90, 90, 90, 100])
    boxes = np.stack([np.full(5, 10.0), np.full(5, 10.0), np.full(5, 60.0), bottoms], axis=1)
    rows = boxes, np.full((5, 5, 2), np.nan), np.ones(5)
    options = FaceOptions(smoothing="official", pad_bottom=0, pads_px=(0, 10, 0, 0), smoothing_frames=2)
    assert smooth_and_pad(rows, [], FRAME, FRAME, options).boxes[:, 3].tolist() == [100] * 5


def test_boxes_and_points_are_scaled_to_the_full_size_frame() -> None:
    tracked = follow(film({RED: still(40, 30, 20)}, 6), 6, full=(1600, 900))
    np.testing.assert_allclose(tracked.track.boxes, [[400, 300, 600, 500]] * 6)
    np.testing.assert_allclose(tracked.track.points[:, 2], [[500, 400]] * 6)
    np.testing.assert_allclose(tracked.identities[0].box, [400, 300, 600, 500])


@pytest.mark.parametrize("index", [0, 1])
def test_a_face_cut_by_the_border_stays_inside(index: int) -> None:
    frames = film({RED: still(-8), GREEN: still(150, 80, 40)}, 6)
    tracked = follow(frames, 6, which_face="index", face_index=index, pads_px=(9, 9, 9, 9))
    assert tracked.track.present.all()
    assert (tracked.track.boxes[:, :2] >= 0).all()
    assert (tracked.track.boxes[:, 2:] <= SIZE).all()


def test_fixed_box_is_the_same_in_every_frame_and_unpadded() -> None:
    track = fixed_box_track((10, 60, 20, 90), 3, FRAME)
    assert track.boxes.tolist() == [[20, 10, 90, 60]] * 3
    assert track.present.all()
    assert track.scores.tolist() == [1, 1, 1]
    assert np.isnan(track.points).all()
    assert fixed_box_track((0, 100, 0, 200), 1, FRAME).boxes.tolist() == [[0, 0, 200, 100]]


@pytest.mark.parametrize(
    "box",
    [(60, 10, 20, 90), (10, 60, 90, 20), (10, 10, 20, 90), (0, 101, 0, 9), (0, 9, -1, 9), (-1, -1, -1, -1)],
)
def test_fixed_box_that_does_not_fit_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(OptionError, match="200 wide and 100 high"):
        fixed_box_track(box, 3, FRAME)
