"""The visible label: where it is, how it looks, and that the rest stays."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.media.video.visible_label import VisibleLabel
from lipsync.media.video.yuv import YuvColorSpace, YuvFrame
from lipsync.options import CORNERS, ReportOptions

SPACE = YuvColorSpace(0.2126, 0.0722)


def gray(width: int, height: int) -> YuvFrame:
    return YuvFrame.from_rgb(np.full((height, width, 3), 128, np.uint8), SPACE)


@pytest.mark.parametrize("corner", CORNERS)
def test_it_is_in_its_corner_and_nowhere_else(corner: str) -> None:
    frame = gray(640, 360)
    drawn = VisibleLabel(ReportOptions(ai_label=corner), 640, 360).draw(frame)
    rows, columns = np.nonzero(drawn.y != frame.y)
    vertical, horizontal = corner.split("-")
    assert (rows.max() < 60, rows.min() > 300) == (vertical == "top", vertical == "bottom")
    assert (columns.max() < 200, columns.min() > 440) == (horizontal == "left", horizontal == "right")
    assert drawn.y.max() > 190 and drawn.y.min() < 60
    others = np.ones(frame.u.shape, bool)
    others[rows // 2, columns // 2] = False
    assert np.array_equal(drawn.u[others], frame.u[others])


def test_size_and_opacity() -> None:
    frame = gray(640, 360)

    def changed(**settings: float) -> np.ndarray:  # type: ignore[type-arg]
        label = VisibleLabel(ReportOptions(ai_label="top-left", **settings), 640, 360)  # type: ignore[arg-type]
        return np.abs(label.draw(frame).y.astype(int) - frame.y)

    assert (changed(ai_label_size=8.0) > 0).sum() > 3 * (changed(ai_label_size=4.0) > 0).sum()
    assert changed(ai_label_opacity=20.0).max() < 0.5 * changed(ai_label_opacity=80.0).max()


@pytest.mark.parametrize("size", [(16, 16), (33, 7), (4, 400), (400, 5)])
def test_it_fits_into_the_smallest_frames(size: tuple[int, int]) -> None:
    for corner in CORNERS:
        label = VisibleLabel(ReportOptions(ai_label=corner, ai_label_size=20.0), *size)
        assert (label.draw(gray(*size)).width, label.draw(gray(*size)).height) == size
