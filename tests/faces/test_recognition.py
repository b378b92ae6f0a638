"""Selection by a reference image: alignment, both similarities, the whole stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytest

from lipsync import weights
from lipsync.errors import MediaError, NoFaceError, OptionError, WeightsError
from lipsync.faces import (
    DETECTORS,
    FaceDetector,
    TrackedFaces,
    VideoShape,
    recognition,
    recognition_warnings,
    track_faces,
)
from lipsync.faces.aligned_faces import (
    ALIGNED_SIZE,
    RECOGNITION_SIZE,
    align_face,
    decode_aligned_face,
    encode_aligned_face,
)
from lipsync.faces.detection_schedule import Detection
from lipsync.faces.recognition import (
    AlignedFace,
    ReferenceFace,
    SFaceSimilarity,
    TextureSimilarity,
    read_reference,
)
from lipsync.media import open_video, write_image
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, FloatArray, Frame
from tests.faces.fakes import GREEN, RED, RectangleDetector, film, follow, still
from tests.faces.made_up import write_sface
from tests.material import FACE

Clip: TypeAlias = Callable[[str], Path]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return DETECTORS.create("centerface")


@pytest.fixture(autouse=True)
def no_sface(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests must not depend on what is downloaded."""
    monkeypatch.setattr(recognition, "find", lambda name: None)


def turned(frame: Frame, face: Face, degrees: float, scale: float) -> tuple[Frame, Face]:
    """The same face turned and resized."""
    middle = ((face.box[:2] + face.box[2:]) / 2).tolist()
    matrix = cv2.getRotationMatrix2D(middle, degrees, scale)
    assert face.points is not None
    points = np.asarray(face.points @ matrix[:, :2].T + matrix[:, 2], np.float32)
    return np.asarray(cv2.warpAffine(frame, matrix, frame.shape[1::-1]), np.uint8), Face(
        face.box, 1.0, points
    )


def sample(detector: FaceDetector) -> tuple[Frame, Face]:
    [frame] = open_video(FACE).read([0], max_side=640)
    return frame, detector.detect([frame])[0][0]


# ------------------------------------------------------------------------------------- alignment


def test_alignment_removes_rotation_and_scale(detector: FaceDetector) -> None:
    frame, face = sample(detector)
    plain, moved = align_face(frame, face), align_face(*turned(frame, face, 25, 0.8))
    inner = slice(40, ALIGNED_SIZE - 40)
    assert np.abs(plain[inner, inner].astype(int) - moved[inner, inner]).mean() < 4
    assert np.abs(plain[inner, inner].astype(int) - frame[inner, inner]).mean() > 20


def test_the_centre_equals_opencvs_aligned_crop(detector: FaceDetector, tmp_path: Path) -> None:
    frame, face = turned(*sample(detector), 10, 0.7)
    assert face.points is not None
    theirs = cv2.FaceRecognizerSF.create(str(write_sface(tmp_path / "sface.onnx")), "")
    row = np.concatenate([face.box, face.points.ravel(), [1]]).astype(np.float32)[None]
    cut = theirs.alignCrop(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), row)
    edge = (ALIGNED_SIZE - RECOGNITION_SIZE) // 2
    ours = align_face(frame, face)[edge:-edge, edge:-edge]
    # Its target points are rounded to a pixel's fraction that ours are not.
    assert np.abs(cv2.cvtColor(cut, cv2.COLOR_BGR2RGB).astype(int) - ours).mean() < 2


def test_a_face_without_points_is_aligned_by_its_box(detector: FaceDetector) -> None:
    frame, face = sample(detector)
    with_points, without = align_face(frame, face), align_face(frame, Face(face.box, 1.0, None))
    close = cv2.GaussianBlur(with_points, (0, 0), 6).astype(int) - cv2.GaussianBlur(without, (0, 0), 6)
    assert np.abs(close[60:-60, 60:-60]).mean() < 15


def test_coincident_landmarks_are_accepted() -> None:
    face = Face(np.array([3, 3, 5, 5], np.float32), 0.9, np.full((5, 2), 4, np.float32))
    assert align_face(np.full((8, 8, 3), 90, np.uint8), face).mean() == 90


def test_data_that_is_no_aligned_face_is_refused() -> None:
    for data in (b"", b"junk", encode_aligned_face(np.zeros((9, 9, 3), np.uint8), sample_face())[:60]):
        with pytest.raises(MediaError):
            decode_aligned_face(data)


def sample_face() -> Face:
    return Face(np.array([0, 0, 9, 9], np.float32), 0.9)


# ------------------------------------------------------------------------------------- comparing


def aligned(frame: Frame, face: Face) -> AlignedFace:
    return AlignedFace(align_face(frame, face), np.full((10, 6, 3), 90, np.uint8))


def test_embeddings_equal_opencvs(detector: FaceDetector, tmp_path: Path) -> None:
    path = write_sface(tmp_path / "sface.onnx")
    ours, theirs = SFaceSimilarity(path), cv2.FaceRecognizerSF.create(str(path), "")
    frame, face = sample(detector)
    one, other = aligned(frame, face), aligned(*turned(frame[:, ::-1].copy(), face, 40, 0.6))
    edge = (ALIGNED_SIZE - RECOGNITION_SIZE) // 2
    features = [
        theirs.feature(cv2.cvtColor(each.image[edge:-edge, edge:-edge], cv2.COLOR_RGB2BGR)).copy()
        for each in (one, other)
    ]
    np.testing.assert_allclose(ours.embed(one.image), features[0][0] / np.linalg.norm(features[0]), atol=1e-4)
    assert ours.compare(one, [other])[0] == pytest.approx(
        theirs.match(features[0], features[1], cv2.FACE_RECOGNIZER_SF_FR_COSINE), abs=1e-4
    )
    assert ours.compare(one, [one])[0] == pytest.approx(1)


def test_a_file_that_is_not_sface_is_refused(tmp_path: Path) -> None:
    junk = tmp_path / "sface.onnx"
    junk.write_bytes(b"junk")
    with pytest.raises(WeightsError, match="SFace"):
        SFaceSimilarity(junk)
    [found] = Path(DETECTORS.create("centerface").weights).parent.glob("centerface.onnx")
    with pytest.raises(WeightsError, match="SFace"):
        SFaceSimilarity(found)


def test_sface_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_picture, by_index = FaceOptions(which_face="reference"), FaceOptions(which_face="index")
    assert isinstance(recognition.choose_similarity(), TextureSimilarity)
    assert "weights sface" in recognition_warnings([by_index, by_picture])[0]
    assert recognition_warnings([by_index]) == ()
    monkeypatch.setattr(recognition, "find", lambda name: write_sface(tmp_path / f"{name}.onnx"))
    assert isinstance(recognition.choose_similarity(), SFaceSimilarity)
    assert recognition_warnings([by_picture]) == ()
    assert weights.entry("sface").bytes == 38_696_353


def test_texture_similarity_is_robust_to_rotation_and_light(
    detector: FaceDetector,
) -> None:
    frame, face = sample(detector)
    one = aligned(frame, face)
    again = aligned(*turned(np.asarray(frame * 0.7 + 20, np.uint8), face, 15, 0.8))
    [image] = open_video(FACE).read([0], max_side=640)
    stranger = aligned(np.asarray(np.random.default_rng(0).integers(0, 256, image.shape), np.uint8), face)
    same, other = TextureSimilarity().compare(one, [again, stranger])
    assert same > 0.6
    assert other < same - 0.1
    darker = AlignedFace(one.image, np.full((10, 6, 3), 40, np.uint8))
    assert TextureSimilarity().compare(one, [darker])[0] == pytest.approx(1 - 0.5, abs=1e-5)


class CountingSimilarity:
    """Takes each face's grey level for its similarity."""

    threshold = 0.5

    def __init__(self) -> None:
        self.compared = 0

    def compare(self, one: AlignedFace, others: list[AlignedFace]) -> FloatArray:
        self.compared += len(others)
        return np.array([other.appearance.mean() / 255 for other in others], np.float32)


def test_similarity_to_an_identity_is_the_mean_of_the_best_aligned_faces() -> None:
    data = encode_aligned_face(np.zeros((9, 9, 3), np.uint8), sample_face())
    counting = CountingSimilarity()
    reference = ReferenceFace(
        FACE, AlignedFace(decode_aligned_face(data), np.zeros((10, 6, 3), np.uint8)), counting
    )

    def seen(grey: int, taken: bool = True) -> Detection:
        appearance = np.full((10, 6, 3), grey, np.uint8)
        return Detection(0, sample_face(), appearance, data if taken else b"")

    assert reference.similarity_to(
        [seen(0)] * 9 + [seen(255), seen(204), seen(51), seen(255, False)]
    ) == pytest.approx((1 + 0.8 + 0.2) / 3)
    assert reference.similarity_to([seen(255, False)]) == -np.inf
    counting.compared = 0
    reference.similarity_to([seen(9)] * 500)
    assert counting.compared <= 12


# ------------------------------------------------------------------------------------- the whole stage


def of_film(reference: Path, **settings: object) -> TrackedFaces:
    """Two rectangles, and one of them gone after a cut."""
    frames = film(
        {RED: still(20), GREEN: lambda n: still(100)(n) if n < 30 else None}, 60, seeds=lambda n: int(n >= 30)
    )
    return follow(frames, 60, which_face="reference", face_reference=reference, **settings)


def picture_of(colour: tuple[int, int, int], path: Path) -> Path:
    write_image(path, next(film({colour: still(60)}, 1)))
    return path


def test_the_reference_is_selected_and_shots_without_it_pass_through(tmp_path: Path) -> None:
    tracked = of_film(picture_of(GREEN, tmp_path / "green.png"))
    assert tracked.track.present.tolist() == [True] * 30 + [False] * 30
    assert tracked.track.boxes[0].tolist() == [100, 30, 120, 50]
    assert [person.selected for person in tracked.identities] == [False, True, False]
    tracked = of_film(picture_of(RED, tmp_path / "red.png"))
    assert (tracked.track.boxes == [20, 30, 40, 50]).all()


def test_a_reference_without_a_face_is_reported_before_detection(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    write_image(path, next(film({}, 1)))

    def frames() -> Iterator[Frame]:
        raise AssertionError("searched")
        yield

    with pytest.raises(NoFaceError, match=r"reference image.*empty\.png.*looks into the camera"):
        follow(frames(), 9, which_face="reference", face_reference=path)
    with pytest.raises(MediaError, match=r"missing\.png"):
        follow(frames(), 9, which_face="reference", face_reference=tmp_path / "missing.png")


def test_no_match_reports_the_highest_similarity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextureSimilarity, "threshold", 1.5)
    with pytest.raises(NoFaceError, match=r"red\.png, similarity \d\.\d+ of at least 1\.50.*another image"):
        of_film(picture_of(RED, tmp_path / "red.png"))


def test_a_reference_must_be_given() -> None:
    with pytest.raises(OptionError, match="No reference image was given"):
        follow(film({RED: still(20)}, 5), 5, which_face="reference")


def test_of_several_faces_in_the_reference_the_largest_counts(tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    write_image(path, next(film({RED: still(10, side=16), GREEN: still(60, side=30)}, 1)))
    reference = read_reference(path, RectangleDetector(), FaceOptions())  # type: ignore[arg-type]
    assert reference._face.appearance.mean(axis=(0, 1))[1] > reference._face.appearance.mean(axis=(0, 1))[0]


@pytest.mark.parametrize("name", ["visualvoice_interview__interview.mp4", "cvs_001__001.mp4"])
def test_of_two_real_people_the_right_one_is_chosen(
    clip: Clip, detector: FaceDetector, tmp_path: Path, name: str
) -> None:
    picture = open_video(clip(name))
    size = (picture.width, picture.height)

    def run(**settings: object) -> TrackedFaces:
        return track_faces(
            picture.read(range(30), max_side=640),
            VideoShape(30, size, 25),
            detector=detector,
            options=FaceOptions(**settings),  # type: ignore[arg-type]
            progress=StageProgress("Finding faces", 30),
        )

    [later] = picture.read([150])
    for index in (0, 1):
        expected = run(which_face="index", face_index=index)
        x1, y1, x2, y2 = expected.identities[index].box.astype(int)
        side = x2 - x1
        path = tmp_path / f"{index}.png"
        write_image(path, later[max(0, y1 - side) : y2 + side, max(0, x1 - side) : x2 + side])
        found = run(which_face="reference", face_reference=path)
        np.testing.assert_array_equal(found.track.boxes, expected.track.boxes)
