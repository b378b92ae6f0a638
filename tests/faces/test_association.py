"""Box matching, association and shot detection on made-up detections."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.faces.association import Track, associate, group_identities
from lipsync.faces.boxes import match_boxes
from lipsync.faces.detection_schedule import Detection, Detections
from lipsync.faces.shots import ShotDetector
from lipsync.types import Face


def detection(frame: int, x: float, grey: int = 100, side: float = 20, y: float = 0) -> Detection:
    box = np.array([x, y, x + side, y + side], np.float32)
    return Detection(frame, Face(box, 0.9), np.full((10, 6, 3), grey, np.uint8))


def linked(*rows: list[Detection]) -> list[list[float]]:
    """x of the detections of each track, from rows with the detections of one frame each."""
    detections = Detections({row[0].frame: row for row in rows}, [], 100, (160, 90))
    return [[float(one.face.box[0]) for one in track.detections] for track in associate(detections, 25)]


def test_motion_separates_similar_faces_that_cross() -> None:
    places = [(0, 18), (4, 14), (8, 10), (12, 6), (16, 2)]
    rows = [[detection(n, left), detection(n, right, y=1)] for n, (left, right) in enumerate(places)]
    assert linked(*rows) == [[left for left, _ in places], [right for _, right in places]]


def test_colours_decide_where_positions_do_not() -> None:
    rows = [[detection(0, 0, 50), detection(0, 20, 200)], [detection(10, 10.5, 50), detection(10, 9.5, 200)]]
    assert linked(*rows) == [[0, 10.5], [20, 9.5]]


def test_a_gap_of_more_than_a_second_ends_a_track() -> None:
    other = [detection(12, 100)]
    assert len(linked([detection(0, 0)], other, [detection(24, 0)])) == 2
    assert len(linked([detection(0, 0)], other, [detection(30, 0)])) == 3


@pytest.mark.parametrize(
    ("x", "grey", "same"),
    [
        (15, 140, True),  # near, the light has changed
        (15, 200, False),  # near, but quite another person
        (100, 110, True),  # elsewhere, but alike
        (100, 140, False),
    ],
)
def test_a_returning_face_is_matched_by_position_or_colours(x: float, grey: int, same: bool) -> None:
    tracks = [
        Track([detection(0, 0), detection(5, 0)]),
        Track([detection(90, x, grey), detection(95, x, grey)]),
    ]
    assert len(group_identities(tracks, [])) == (1 if same else 2)
    assert len(group_identities(tracks, [50])) == 2


def test_boxes_far_apart_or_of_other_size_do_not_match() -> None:
    face = np.array([[40.0, 40, 60, 60]])
    assert match_boxes(face, face + 15) == []
    assert match_boxes(face, face + 5) == [(0, 0)]
    assert match_boxes(face, np.array([[25.0, 25, 75, 75]])) == []
    assert match_boxes(face, np.array([[35.0, 35, 65, 65]])) == [(0, 0)]
    assert match_boxes(face, np.zeros((0, 4))) == []


def test_a_fast_pan_is_no_cut() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (9, 200), dtype=np.uint8)
    wide = wide.repeat(10, axis=0).repeat(20, axis=1)[:, :, None].repeat(3, axis=2)
    finder = ShotDetector()
    speeds = [0] * 10 + [*range(0, 64, 4)] + [64] * 20 + [*range(64, 0, -4)] + [0] * 10
    for start in np.cumsum(speeds):
        finder.push(wide[:, start : start + 160])
    finder.close()
    assert finder.cuts == []


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_cut_before_the_last_frames_is_found(count: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 90, 160, 3), dtype=np.uint8)
    coarse = [picture[::10, ::10].repeat(10, axis=0).repeat(10, axis=1) for picture in pictures]
    finder = ShotDetector()
    for frame in [coarse[0]] * 10 + [coarse[1]] * count:
        finder.push(frame)
    finder.close()
    assert finder.cuts == [10]
