"""The warp of a picture that moves a head."""

from __future__ import annotations

import numpy as np

from lipsync.faces.head_motion import HeadPose, head_warp

BOX = np.array([200, 150, 300, 280], np.float32)
SIZE = (640, 480)
STILL = HeadPose(0, 0, 0, 0, 0)


def test_a_head_at_rest_is_the_picture() -> None:
    warp = head_warp(BOX, SIZE)
    x, y = warp.maps(STILL)
    columns, rows = np.meshgrid(
        np.arange(warp.bounds.x1, warp.bounds.x2), np.arange(warp.bounds.y1, warp.bounds.y2)
    )
    assert np.abs(x - columns).max() < 1e-3 and np.abs(y - rows).max() < 1e-3


def test_a_turn_moves_the_front_and_not_the_outline_nor_the_background() -> None:
    warp = head_warp(BOX, SIZE)
    points = np.array([[250, 215], [180, 215], [320, 215], [250, 470], [60, 215]], np.float32)
    moved = warp.moved(points, STILL._replace(yaw=0.03)) - points
    assert abs(moved[0, 0] - 3) < 0.05  # of a face 100 pixels wide
    assert np.abs(moved[1:]).max() < 0.1
    nod = warp.moved(points, STILL._replace(y=0.02, pitch=0.03)) - points
    assert abs(nod[0, 1] - 5) < 0.05 and np.abs(nod[3:]).max() == 0


def test_pixels_move_as_points_do() -> None:
    warp, pose = head_warp(BOX, SIZE), HeadPose(0.01, 0.01, 0.01, 0.03, 0.02)
    x, y = warp.maps(pose)
    for point in ([250, 215], [230, 190], [262, 250]):
        at = warp.moved(np.array(point, np.float32), pose)
        column, row = round(float(at[0])) - warp.bounds.x1, round(float(at[1])) - warp.bounds.y1
        rounding = np.round(at) - at
        seen = np.array([x[row, column], y[row, column]]) - rounding
        assert np.abs(seen - point).max() < 0.35  # the warp back takes the movement of where it arrives


def test_nothing_moves_at_the_edges_of_the_picture_and_no_pixel_is_torn() -> None:
    box = np.array([5, 2, 130, 160], np.float32)  # cut off by the picture's corner
    warp = head_warp(box, (200, 181))
    x, y = warp.maps(HeadPose(0.012, 0.022, 0.016, 0.028, 0.042))  # as far as heads move
    assert warp.bounds[:2] == (0, 0) and warp.bounds[2:] == (200, 181)
    assert np.abs(x[:, 0]).max() < 0.01 and np.abs(y[0]).max() < 0.01
    assert np.abs(x[:, -1] - 199).max() < 0.1 and np.abs(y[-1] - 180).max() < 0.1
    assert np.diff(x, axis=1).min() > 0.5 and np.diff(y, axis=0).min() > 0.5  # nowhere folded


def test_unknown_points_stay_unknown() -> None:
    moved = head_warp(BOX, SIZE).moved(np.full((5, 2), np.nan, np.float32), HeadPose(0.1, 0, 0, 0, 0))
    assert np.isnan(moved).all()
