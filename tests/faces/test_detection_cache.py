"""The detection cache: equal to the bit, never stale, and its limits."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipsync.faces import (
    DetectionCache,
    Detections,
    VideoShape,
    build_tracks,
    detect_faces,
    detection_cache,
    detection_key,
)
from lipsync.faces.detection_cache import DetectionKey
from lipsync.faces.detectors.base import FaceDetector
from lipsync.options import FaceOptions, MediaOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, Frame, TimeRange
from lipsync.utils.owned_folder import owned_folder
from tests.faces.fakes import GREEN, RED, SIZE, RectangleDetector, during, film, still

NUMBERS = np.arange(60)


class Pointless(RectangleDetector):
    """Gives boxes only."""

    def _find(self, frame: Frame, colour: tuple[int, int, int]) -> Face | None:
        face = super()._find(frame, colour)
        return replace(face, points=None) if face and colour == GREEN else face


@pytest.fixture
def detector(tmp_path: Path) -> FaceDetector:
    detector = Pointless()
    detector.weights = tmp_path / "detector.onnx"  # type: ignore[attr-defined]
    detector.weights.write_bytes(b"weights")  # type: ignore[attr-defined]
    return detector  # type: ignore[return-value]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"one film")
    return path


def key_of(video: Path, detector: FaceDetector, /, **settings: object) -> DetectionKey:
    media = {name: value for name, value in settings.items() if name in MediaOptions.__dataclass_fields__}
    faces = {name: value for name, value in settings.items() if name in FaceOptions.__dataclass_fields__}
    assert len(media) + len(faces) == len(settings)
    return detection_key(video, NUMBERS, MediaOptions(**media), FaceOptions(**faces), detector)  # type: ignore[arg-type]


def seen(detector: FaceDetector) -> Detections:
    actors = {RED: still(10), GREEN: during(still(100), (20, 50))}
    frames = film(actors, 60, seeds=lambda n: int(n >= 40))
    return detect_faces(frames, detector, FaceOptions(), StageProgress("Finding faces", 60))


def assert_same(found: Detections | None, expected: Detections) -> None:
    assert found is not None
    assert list(found.by_frame) == list(expected.by_frame)
    assert (found.cuts, found.frame_count, found.frame_size) == (
        expected.cuts,
        expected.frame_count,
        expected.frame_size,
    )
    for ours, theirs in zip(found.by_frame.values(), expected.by_frame.values(), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one.frame, one.face.score, one.aligned_face) == (
                other.frame,
                other.face.score,
                other.aligned_face,
            )
            np.testing.assert_array_equal(one.face.box, other.face.box)
            np.testing.assert_array_equal(one.appearance, other.appearance)
            assert (one.face.points is None) == (other.face.points is None)
            if one.face.points is not None:
                np.testing.assert_array_equal(one.face.points, other.face.points)


def test_cached_detections_are_equal_to_the_bit(video: Path, detector: FaceDetector, tmp_path: Path) -> None:
    kept, expected = DetectionCache(tmp_path / "cache"), seen(detector)
    with_aligned_faces = [
        number for number, faces in expected.by_frame.items() if any(one.aligned_face for one in faces)
    ]
    assert with_aligned_faces == [
        0,
        20,
        25,
        40,
        50,
    ]  # one in 25 frames, when the number of faces changes, and after a cut
    key = key_of(video, detector)
    assert kept.get(key) is None
    kept.put(key, expected)
    found = DetectionCache(tmp_path / "cache").get(key)
    assert_same(found, expected)
    assert found is not None
    choices = [FaceOptions(which_face="index", face_index=n, smoothing_frames=9) for n in (0, 1)]
    for ours, theirs in zip(
        build_tracks(found, VideoShape(60, SIZE, 25), choices=choices),
        build_tracks(expected, VideoShape(60, SIZE, 25), choices=choices),
        strict=True,
    ):
        np.testing.assert_array_equal(ours.track.boxes, theirs.track.boxes)


def test_empty_detections_are_cached_too(video: Path, detector: FaceDetector, tmp_path: Path) -> None:
    nothing = detect_faces(film({}, 20), detector, FaceOptions(), StageProgress("", 20))
    kept, key = DetectionCache(tmp_path / "cache"), key_of(video, detector)
    kept.put(key, nothing)
    assert_same(kept.get(key), nothing)


# ------------------------------------------------------------------------------------- never stale


def test_other_content_of_the_same_name_size_and_time_is_not_taken_for_it(
    video: Path, detector: FaceDetector
) -> None:
    before, told = key_of(video, detector), video.stat()
    video.write_bytes(b"two film")
    os.utime(video, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert video.stat().st_size == told.st_size and video.stat().st_mtime_ns == told.st_mtime_ns
    assert key_of(video, detector).name != before.name
    video.write_bytes(b"one film")
    assert key_of(video, detector).name == before.name


def test_the_same_content_of_another_name_is_the_same(video: Path, detector: FaceDetector) -> None:
    copy = video.with_name("copy.mkv")
    copy.write_bytes(video.read_bytes())
    assert key_of(copy, detector).name == key_of(video, detector).name


@pytest.mark.parametrize(
    "changed",
    [
        {"detect_size": 320},
        {"detect_every": 3},
        {"min_score": 0.4},
        {"detector": "s3fd"},
        {"rotate": 90},
        {"crop": (0, 50, 0, 50)},
        {"resize_factor": 2},
        {"fps": 30.0},
        {"static": True},
        {"video_ranges": (TimeRange(1, 3),)},
    ],
)
def test_settings_that_change_detections_change_the_key(
    video: Path, detector: FaceDetector, changed: dict[str, object]
) -> None:
    assert key_of(video, detector, **changed).name != key_of(video, detector).name


@pytest.mark.parametrize(
    "changed",
    [
        {"pad_top": 30.0},
        {"pads_px": (1, 2, 3, 4)},
        {"smoothing": "official"},
        {"smoothing_frames": 11},
        {"which_face": "index", "face_index": 1},
        {"which_face": "reference", "face_reference": Path("a.png")},
        {"voice_ranges": (TimeRange(1, 3),)},
        {"voice_shift": 80.0},
        {"quality": 30},
        {"length_mode": "loop"},
    ],
)
def test_settings_that_do_not_change_detections_keep_the_key(
    video: Path, detector: FaceDetector, changed: dict[str, object]
) -> None:
    assert key_of(video, detector, **changed).name == key_of(video, detector).name


def test_every_irrelevant_setting_exists() -> None:
    known = {*MediaOptions.__dataclass_fields__, *FaceOptions.__dataclass_fields__}
    assert known >= detection_cache._IRRELEVANT_SETTINGS


def test_other_frames_weights_detectors_and_code_change_the_key(video: Path, detector: FaceDetector) -> None:
    media, faces = MediaOptions(), FaceOptions()
    keys = [detection_key(video, NUMBERS, media, faces, detector)]
    keys.append(detection_key(video, NUMBERS[1:], media, faces, detector))
    keys.append(detection_key(video, NUMBERS[::-1], media, faces, detector))
    detector.weights.write_bytes(b"WEIGHTS")
    keys.append(detection_key(video, NUMBERS, media, faces, detector))
    other = type("Other", (Pointless,), {})()
    other.weights = detector.weights
    keys.append(detection_key(video, NUMBERS, media, faces, other))
    keys.append(detection_key(video, NUMBERS, media, faces, detector, code="another version"))
    assert len({key.name for key in keys}) == len(keys)


def test_a_video_that_changes_during_detection_is_not_cached(
    video: Path, detector: FaceDetector, tmp_path: Path
) -> None:
    kept, key = DetectionCache(tmp_path / "cache"), key_of(video, detector)
    video.write_bytes(b"two films")
    kept.put(key, seen(detector))
    assert kept.get(key) is None
    video.unlink()
    kept.put(key, seen(detector))
    assert kept.get(key) is None


# ------------------------------------------------------------------------------------- damage and limits


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "flipped", "junk", "missing array", "other shapes", "pickle"]
)
def test_a_damaged_entry_is_ignored_and_removed(
    video: Path, detector: FaceDetector, tmp_path: Path, damage: str
) -> None:
    kept, key = DetectionCache(tmp_path / "cache"), key_of(video, detector)
    kept.put(key, seen(detector))
    [path] = kept.folder.glob("*.npz")
    data = bytearray(path.read_bytes())
    arrays = dict(np.load(path))
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[data.index(arrays["appearances"].tobytes()) + 9] ^= 255
        path.write_bytes(data)
    elif damage == "junk":
        path.write_bytes(b"PK\\3\\4 junk" * 99)
    elif damage == "missing array":
        np.savez(path, **{name: array for name, array in arrays.items() if name != "scores"})
    elif damage == "other shapes":
        np.savez(path, **{**arrays, "counts": arrays["counts"] + 1})
    else:
        np.savez(path, **{**arrays, "cuts": np.array([object()], object)})  # type: ignore[arg-type]
    assert kept.get(key) is None
    assert not path.exists()


def test_least_recently_used_entries_are_evicted(video: Path, detector: FaceDetector, tmp_path: Path) -> None:
    detections = seen(detector)
    kept = DetectionCache(tmp_path / "cache")
    keys = [DetectionKey(f"{n:064x}", video, key_of(video, detector).state) for n in range(4)]
    kept.put(keys[0], detections)
    [path] = kept.folder.glob("*.npz")
    kept.limit_bytes = int(3.5 * path.stat().st_size)
    for age, key in ((300, keys[1]), (200, keys[2])):
        kept.put(key, detections)
        aged = path.stat().st_mtime - age
        os.utime(kept.folder / f"{key.name}.npz", (aged, aged))
    os.utime(path, (aged - 400, aged - 400))  # the oldest, but
    assert kept.get(keys[0]) is not None  # it is used again
    kept.put(keys[3], detections)
    assert [kept.get(key) is not None for key in keys] == [True, False, True, True]
    kept.limit_bytes = 10
    kept.put(keys[3], detections)
    assert list(kept.folder.iterdir()) == []


def test_what_a_crash_left_behind_is_removed_and_what_is_being_written_is_not(
    video: Path, detector: FaceDetector, tmp_path: Path
) -> None:
    kept = DetectionCache(tmp_path / "cache")
    kept.folder.mkdir()
    left = kept.folder / ".0123456789abcdef.part"
    left.mkdir()
    (left / "new.part.npz").write_bytes(b"half")
    with owned_folder(kept.folder) as fresh:
        kept.put(key_of(video, detector), seen(detector))
        assert (left.exists(), fresh.exists()) == (False, True)


def test_a_folder_that_cannot_be_written_keeps_nothing_and_harms_nothing(
    video: Path, detector: FaceDetector, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"a file")
    kept, key = DetectionCache(taken), key_of(video, detector)
    kept.put(key, seen(detector))
    assert kept.get(key) is None
    assert taken.read_bytes() == b"a file"


def test_concurrent_use(video: Path, detector: FaceDetector, tmp_path: Path) -> None:
    detections, state = seen(detector), key_of(video, detector).state
    keys = [DetectionKey(f"{n:064x}", video, state) for n in range(3)]
    size = 0
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        kept = DetectionCache(tmp_path / "cache", limit_bytes=2 * size + 100)
        order = np.random.default_rng(seed).integers(0, 3, 25)
        try:
            for number in order.tolist():
                kept.put(keys[number], detections)
                found = kept.get(keys[number])
                if found is not None:
                    assert_same(found, detections)
        except BaseException as error:
            errors.append(error)

    first = DetectionCache(tmp_path / "cache")
    first.put(keys[0], detections)
    size = next(first.folder.glob("*.npz")).stat().st_size
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(path.stat().st_size for path in first.folder.iterdir()) <= 2 * size + 100
