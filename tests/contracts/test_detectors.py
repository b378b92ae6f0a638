"""Contract of face detectors; every registered one is tested."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lipsync.errors import OptionError
from lipsync.faces import DETECTORS, FaceDetector
from lipsync.faces.detectors.base import CoarseDetector
from lipsync.options import FaceOptions
from lipsync.types import Face, Frame
from tests.faces.made_up import write_s3fd


@pytest.fixture(scope="module", params=list(DETECTORS))
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FaceDetector:
    name = request.param
    weights = write_s3fd(tmp_path_factory.mktemp("weights") / "s3fd.pth") if name == "s3fd" else None
    return DETECTORS.create(name, device=torch.device("cpu"), weights=weights, min_score=0.05)


def pictures() -> list[Frame]:
    """Noise, a drawn face, and sizes that fit no stride; two neighbours of one size."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return [noise, drawn_face(), drawn_face()[::-1].copy(), noise[:33, :47].copy()]


def drawn_face(side: int = 96) -> Frame:
    """Skin, eyes, nose and mouth as plain shapes, enough for CenterFace to be unsure about."""
    y, x = np.mgrid[:side, :side] / side
    picture = np.full((side, side, 3), (70, 90, 120), np.uint8)
    picture[((x - 0.5) / 0.28) ** 2 + ((y - 0.5) / 0.38) ** 2 < 1] = (224, 172, 140)
    for middle in (0.39, 0.61):
        picture[((x - middle) / 0.05) ** 2 + ((y - 0.43) / 0.025) ** 2 < 1] = (40, 30, 30)
    picture[((x - 0.5) / 0.1) ** 2 + ((y - 0.7) / 0.03) ** 2 < 1] = (170, 60, 70)
    picture[((x - 0.5) / 0.03) ** 2 + ((y - 0.56) / 0.05) ** 2 < 1] = (200, 145, 115)
    return picture


def assert_same(found: list[Face], expected: list[Face]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.box, other.box, atol=0.05)
        assert one.score == pytest.approx(other.score, abs=1e-3)


def test_faces_have_the_promised_form(detector: FaceDetector) -> None:
    frames = pictures()
    results = detector.detect(frames)
    assert len(results) == len(frames)
    assert any(results)  # or the rest says nothing
    for frame, faces in zip(frames, results, strict=True):
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)
        for face in faces:
            assert face.box.shape == (4,)
            assert face.box.dtype == np.float32
            assert type(face.score) is float
            assert 0.05 <= face.score <= 1
            assert 0 <= face.box[0] < face.box[2] <= frame.shape[1]
            assert 0 <= face.box[1] < face.box[3] <= frame.shape[0]
            assert face.points is None or (face.points.shape == (5, 2) and face.points.dtype == np.float32)


def test_a_batch_gives_what_its_frames_give_alone(detector: FaceDetector) -> None:
    frames = pictures()
    for together, frame in zip(detector.detect(frames), frames, strict=True):
        assert_same(together, detector.detect([frame])[0])


def test_the_coarse_pass_gives_nothing_that_the_full_pass_does_not(detector: FaceDetector) -> None:
    if not isinstance(detector, CoarseDetector):
        pytest.skip("this detector knows only one way to look")
    frames = [*pictures(), drawn_face(480)]
    results = detector.detect_coarse(frames)
    assert any(results)
    for briefly, closely in zip(results, detector.detect(frames), strict=True):
        for face in briefly:
            assert any(np.allclose(face.box, other.box, atol=1e-3) for other in closely)


def test_frames_are_not_changed(detector: FaceDetector) -> None:
    frames = pictures()
    before = [frame.copy() for frame in frames]
    detector.detect(frames)
    for frame, kept in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame, kept)


def test_no_frames_give_no_lists(detector: FaceDetector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 90), (90, 3), (31, 33)])
def test_any_size_is_taken(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert len(detector.detect([np.full((*size, 3), 127, np.uint8)])) == 1


def test_black_is_taken(detector: FaceDetector) -> None:
    faces = detector.detect([np.zeros((64, 96, 3), np.uint8)])[0]
    assert all(np.isfinite(face.box).all() for face in faces)


def test_frames_that_are_views_are_taken(detector: FaceDetector) -> None:
    frame = drawn_face()
    mirrored = frame[:, ::-1]
    assert_same(detector.detect([mirrored])[0], detector.detect([mirrored.copy()])[0])


def test_batch_size_is_a_positive_number(detector: FaceDetector) -> None:
    assert detector.batch_size >= 1


def test_every_member_can_be_chosen_and_no_other() -> None:
    declared = FaceOptions.__dataclass_fields__["detector"].metadata["choices"]
    assert set(declared) == set(DETECTORS)
    with pytest.raises(OptionError, match="centerface"):
        DETECTORS.create("mtcnn")
