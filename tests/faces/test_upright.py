"""Views of tilted faces: rotated upright, drawn in, and rotated back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsync.faces.trajectory import smooth_and_pad
from lipsync.faces.upright import UprightView, roll, upright_rotation
from lipsync.options import FaceOptions
from lipsync.types import FloatArray, Frame, Mask

SIZE = (200, 200)
MIDDLE = np.array([100.0, 100.0])
UPRIGHT = np.array([[-15, -12], [15, -12], [0, 4], [-11, 20], [11, 20]], float)  # from the middle of the face
BOX = np.array([70, 60, 130, 140], np.float32)


def tilted(degrees: float, points: FloatArray | None = None) -> FloatArray:
    """Points around `MIDDLE`, rotated clockwise."""
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (MIDDLE + (UPRIGHT if points is None else points) @ matrix.T).astype(np.float32)


def gradient() -> Frame:
    """Smooth, and different in every direction."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    return np.stack([x, y, (x + y) / 2], axis=2).astype(np.uint8)


@pytest.mark.parametrize("degrees", [-170, -90, -45, 0, 15, 60, 90, 135, 180])
def test_roll_is_the_tilt_of_the_head(degrees: float) -> None:
    turned = np.exp(1j * (roll(tilted(degrees)) - np.radians(degrees)))
    assert np.angle(turned) == pytest.approx(0, abs=1e-5)


def test_upright_faces_and_faces_without_points_are_not_rotated() -> None:
    for degrees in (-9.9, 0, 5, 9.9):
        assert upright_rotation(tilted(degrees)) == 0
        assert UprightView.of(BOX, tilted(degrees), SIZE) is None
    unknown = np.full((5, 2), np.nan, np.float32)
    assert UprightView.of(BOX, unknown, SIZE) is None


def test_rotation_grows_without_a_jump_from_none_to_all_of_the_roll() -> None:
    degrees = np.arange(-179.5, 180, 0.5)
    rotation = np.degrees(upright_rotation(np.stack([tilted(one) for one in degrees])))
    assert np.abs(np.diff(rotation)).max() < 1.01
    lying = np.abs(degrees) >= 20.5
    np.testing.assert_allclose(rotation[lying], degrees[lying], atol=1e-4)


@pytest.mark.parametrize("degrees", [25, 90, 180, -60])
def test_the_face_is_upright_in_its_view(degrees: float) -> None:
    view = UprightView.of(BOX, tilted(degrees), SIZE)
    assert view is not None
    middle = np.array([view.box.x1 + view.box.x2 - 1, view.box.y1 + view.box.y2 - 1]) / 2
    np.testing.assert_allclose(
        view.points(tilted(degrees)), middle + UPRIGHT + 0.5 * rotated_half(degrees), atol=0.02
    )
    assert (view.box.width, view.box.height) == (60, 80)
    # The view of a frame shows at every point what the frame shows there.
    frame = gradient()
    seen = view.read(frame, (0, 0))
    for point, in_view in zip(tilted(degrees), view.points(tilted(degrees)), strict=True):
        expected = frame[round(float(point[1])), round(float(point[0]))].astype(int)
        found = seen[round(float(in_view[1])), round(float(in_view[0]))].astype(int)
        assert np.abs(found - expected).max() <= 2


def rotated_half(degrees: float) -> FloatArray:
    """The box's middle is half a pixel right and below of the pixel in its middle; seen from the view."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle) + np.sin(angle), np.cos(angle) - np.sin(angle)], np.float32)


def test_only_what_changed_comes_back_and_only_under_the_mask() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    view = UprightView.of(BOX, tilted(70), SIZE)
    assert view is not None
    before = view.read(frame, (0, 0))
    x, y = view.points(tilted(70))[3:].mean(axis=0).round().astype(int)
    mask = view.mask_in_frame(Mask(x - 8, y - 5, np.ones((10, 16), np.float32)))
    assert (view.write(frame, (0, 0), before, before, mask) == frame).all()

    after = before.copy()
    after[y - 5 : y + 5, x - 8 : x + 8] = 255 - after[y - 5 : y + 5, x - 8 : x + 8]
    written = view.write(frame, (0, 0), before, after, mask)
    changed = np.argwhere((written != frame).any(axis=2))[:, ::-1]
    mouth = tilted(70)[3:].mean(axis=0)
    assert np.linalg.norm(changed.mean(axis=0) - mouth) < 1
    assert np.linalg.norm(changed - mouth, axis=1).max() < 12


def test_parts_of_a_frame_are_read_and_written_as_the_whole() -> None:
    frame = gradient()
    view = UprightView.of(BOX, tilted(-40), SIZE)
    assert view is not None
    x1, y1, x2, y2 = view.bounds
    part = frame[y1:y2, x1:x2]
    # Beyond the part its border is repeated, which only the corners of the view can see.
    np.testing.assert_array_equal(view.crop(part, (x1, y1)), view.crop(frame, (0, 0)))
    before = view.read(part, (x1, y1))
    after = cv2.add(before, np.full_like(before, 9))
    mask = view.mask_in_frame(Mask(20, 20, np.ones((30, 30), np.float32)))
    whole = view.write(frame, (0, 0), view.read(frame, (0, 0)), after, mask)
    np.testing.assert_array_equal(view.write(part, (x1, y1), before, after, mask), whole[y1:y2, x1:x2])


def test_a_face_at_the_border_has_a_whole_view() -> None:
    view = UprightView.of(BOX - 60, tilted(90) - 60, SIZE)
    assert view is not None
    assert (view.bounds.x1, view.bounds.y1) == (0, 5)
    assert view.read(gradient(), (0, 0)).shape == (88, 68, 3)


def test_the_box_of_a_tilted_face_is_padded_along_the_face() -> None:
    """Below the chin, which is on the left of a face that lies to the right."""
    rows = np.tile(BOX, (3, 1)).astype(float), np.stack([tilted(90)] * 3).astype(float), np.ones(3)
    track = smooth_and_pad(rows, [], SIZE, SIZE, FaceOptions(pad_bottom=20))
    np.testing.assert_allclose(track.boxes[1], (70 - 8, 60 - 8, 130 - 8, 140 + 8), atol=1e-3)
    rows = rows[0], np.stack([tilted(0)] * 3).astype(float), rows[2]
    track = smooth_and_pad(rows, [], SIZE, SIZE, FaceOptions(pad_bottom=20))
    np.testing.assert_allclose(track.boxes[1], (70, 60, 130, 156), atol=1e-3)
