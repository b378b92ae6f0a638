"""Detection, association and selection on films whose faces are known to the pixel."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from lipsync.errors import Cancelled, NoFaceError, OptionError
from lipsync.faces import TrackedFaces, UnusedReason, VideoShape, build_tracks, reduced_size, track_faces
from lipsync.faces.detection_schedule import detect_faces
from lipsync.options import FaceOptions
from lipsync.progress import CancelToken, StageProgress
from lipsync.types import Face, FloatArray, Frame
from tests.faces.fakes import (
    BLUE,
    GREEN,
    RED,
    SIZE,
    Box,
    CoarseRectangleDetector,
    RectangleDetector,
    backdrop,
    during,
    film,
    follow,
    still,
)


def slide(start: float, end: float, count: int, y: float = 30.0, side: float = 20) -> Callable[[int], Box]:
    """A rectangle that moves evenly from x `start` to x `end`."""
    return lambda n: (
        start + (end - start) * n / (count - 1),
        y,
        start + (end - start) * n / (count - 1) + side,
        y + side,
    )


def middles(tracked: TrackedFaces) -> FloatArray:
    """x of the middle of each box."""
    return (tracked.track.boxes[:, 0] + tracked.track.boxes[:, 2]) / 2


# ------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("every", [1, 4, 5, 7, 30])
@pytest.mark.parametrize("vanish", [1, 23, 58])
def test_appearing_and_vanishing_are_found_to_the_frame(every: int, vanish: int) -> None:
    place = during(still(40), (0, vanish), (vanish + 30, 100))
    tracked = follow(film({RED: place}, 100), 100, detect_every=every)
    expected = [place(n) is not None for n in range(100)]
    assert tracked.track.present.tolist() == expected


def test_a_still_film_is_sampled_in_every_nth_frame_only() -> None:
    detector = RectangleDetector()
    tracked = follow(film({RED: still(40)}, 101), 101, detector=detector, detect_every=5)
    assert detector.full_pass_frames == len(tracked.face_counts) == 21
    assert tracked.track.present.all()


def test_a_still_film_gets_a_full_pass_about_once_a_second() -> None:
    detector = CoarseRectangleDetector()
    tracked = follow(film({RED: still(40)}, 101), 101, detector=detector, detect_every=5)
    assert (detector.full_pass_frames, detector.coarse_frames) == (5, 16)
    assert len(tracked.face_counts) == 21
    assert tracked.track.present.all()


@pytest.mark.parametrize("every", [1, 4, 5, 30])
@pytest.mark.parametrize("there", [(0, 32), (23, 58), (31, 65), (58, 100), (80, 100)])
def test_a_face_that_coarse_passes_miss_is_found_to_the_frame(every: int, there: tuple[int, int]) -> None:
    actors = {RED: slide(0, 80, 100), GREEN: during(still(110), there)}
    choice = {"which_face": "index", "face_index": 1, "detect_every": every}
    tracked = follow(film(actors, 100), 100, detector=CoarseRectangleDetector(), **choice)
    assert np.flatnonzero(tracked.track.present).tolist() == list(range(*there))


def test_a_face_that_coarse_passes_miss_is_found_in_a_short_shot() -> None:
    actors = {RED: still(40), GREEN: during(still(110), (11, 19))}
    frames = film(actors, 60, seeds=lambda n: (n >= 11) + (n >= 19))
    tracked = follow(
        frames, 60, detector=CoarseRectangleDetector(), which_face="index", face_index=1, detect_every=5
    )
    assert tracked.cuts == (11, 19)
    assert np.flatnonzero(tracked.track.present).tolist() == list(range(11, 19))


def test_linear_motion_needs_few_more_samples_and_a_jump_is_caught() -> None:
    steady, jerky = RectangleDetector(), RectangleDetector()
    place = slide(0, 120, 61)
    tracked = follow(film({RED: place}, 61), 61, detector=steady, detect_every=10)
    assert np.abs(middles(tracked) - [int(place(n)[0]) + 10 for n in range(61)]).max() < 1.5
    assert steady.full_pass_frames <= 3 * 7

    def step(n: int) -> Box:
        return still(40)(n) if n < 33 else still(52)(n)

    tracked = follow(film({RED: step}, 61), 61, detector=jerky, detect_every=10)
    assert middles(tracked).tolist() == pytest.approx([50] * 33 + [62] * 28)
    assert jerky.full_pass_frames <= 7 + 5


def test_few_frames_are_buffered() -> None:
    given: list[weakref.ref[Frame]] = []
    held: list[int] = []

    def counted() -> Iterator[Frame]:
        for frame in film({RED: still(40)}, 300):
            given.append(weakref.ref(frame))
            held.append(sum(one() is not None for one in given))
            yield frame

    follow(counted(), 300, detect_every=5)
    assert 5 < max(held) <= 45


def test_a_cancel_is_checked_between_two_calls_of_the_detector() -> None:
    cancel = CancelToken()

    class Cancelling(RectangleDetector):
        def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
            assert not cancel.cancelled
            cancel.cancel()
            return super().detect(frames)

    stage = StageProgress("Finding faces", 33, cancel=cancel)
    with pytest.raises(Cancelled):
        detect_faces(film({RED: still(40)}, 33), Cancelling(batch_size=1), FaceOptions(), stage)


def test_a_cancel_stops_detection() -> None:
    cancel = CancelToken()

    def frames() -> Iterator[Frame]:
        for number, frame in enumerate(film({RED: still(40)}, 500)):
            if number == 50:
                cancel.cancel()
            assert number <= 51
            yield frame

    with pytest.raises(Cancelled):
        detect_faces(
            frames(), RectangleDetector(), FaceOptions(), StageProgress("Finding faces", 500, cancel=cancel)
        )


# ------------------------------------------------------------------------------------- association


def test_short_gaps_are_interpolated_and_long_ones_are_not() -> None:
    place = during(still(40), (0, 20), (26, 60), (68, 100))  # 6 frames at 25/s are 0.24 s, 8 are 0.32 s
    present = follow(film({RED: place}, 100), 100).track.present
    assert present[:60].all()
    assert not present[60:68].any()
    assert present[68:].all()


def test_gap_interpolation_is_linear() -> None:
    place = during(slide(0, 100, 101), (0, 50), (55, 101))
    tracked = follow(film({RED: place}, 101), 101, detect_every=1)
    np.testing.assert_allclose(middles(tracked), np.arange(101) + 10, atol=0.6)
    np.testing.assert_allclose(tracked.track.points[:, 2, 0], middles(tracked), atol=0.01)


@pytest.mark.parametrize("every", [1, 5])
def test_two_faces_that_cross_keep_their_identities(every: int) -> None:
    actors = {RED: slide(0, 130, 80, y=30), GREEN: slide(130, 0, 80, y=38)}
    tracked = follow(film(actors, 80), 80, which_face="point", face_x=0.06, face_y=0.4, detect_every=every)
    hidden = range(30, 50)  # one is before the other
    expected = np.array([int(actors[RED](n)[0]) + 10 for n in range(80)])
    away = np.abs(middles(tracked) - expected)
    assert np.nanmax(np.delete(away, hidden)) < 2
    assert len(tracked.identities) == 2


def test_smoothing_and_interpolation_stop_at_a_cut() -> None:
    def place(n: int) -> Box:
        return still(30)(n) if n < 33 else still(42)(n)  # near enough to be taken for motion

    frames = film({RED: place}, 60, seeds=lambda n: int(n >= 33))
    tracked = follow(frames, 60, smoothing="symmetric", smoothing_frames=9)
    assert tracked.cuts == (33,)
    assert middles(tracked).tolist() == pytest.approx([40] * 33 + [52] * 27)


def test_a_flash_a_fade_and_noise_are_no_cuts() -> None:
    rng = np.random.default_rng(0)

    def frames() -> Iterator[Frame]:
        for number, frame in enumerate(film({RED: still(40)}, 90)):
            light = 1.0 if number < 40 else max(0.2, 1 - (number - 40) / 20)
            noisy = frame * light + rng.normal(0, 8, frame.shape)
            yield np.full_like(frame, 255) if number in (20, 21) else np.clip(noisy, 0, 255).astype(np.uint8)

    class Everywhere(RectangleDetector):
        def _find(self, frame: Frame, colour: tuple[int, int, int]) -> Face | None:
            return super()._find(frame_with_red, colour)

    frame_with_red = next(film({RED: still(40)}, 1))
    assert follow(frames(), 90, detector=Everywhere()).cuts == ()


# ------------------------------------------------------------------------------------- selection


def test_largest_is_chosen_by_size_and_presence() -> None:
    actors = {RED: still(10, side=16), GREEN: still(60), BLUE: during(still(110, side=26), (0, 20))}
    tracked = follow(film(actors, 100), 100)
    assert middles(tracked).tolist() == pytest.approx([70] * 100)
    assert [person.selected for person in tracked.identities] == [False, True, False]


def test_a_face_in_profile_counts_less_than_one_a_little_smaller() -> None:
    class FromTheSide(RectangleDetector):
        def _find(self, frame: Frame, colour: tuple[int, int, int]) -> Face | None:
            face = super()._find(frame, colour)
            if face is None or colour == RED or face.points is None:
                return face
            eyes = face.points.copy()
            eyes[1] = eyes[0] + 0.25 * (eyes[1] - eyes[0])
            return replace(face, points=eyes)

    def chosen(side: float) -> float:
        actors = {RED: still(10, side=20), GREEN: still(100, side=side)}
        return float(np.median(middles(follow(film(actors, 20), 20, detector=FromTheSide()))))

    assert chosen(24) == 20
    assert chosen(40) == 120


def test_central_index_and_point() -> None:
    actors = {RED: still(10), GREEN: still(65, side=18), BLUE: still(120, side=26)}

    def chosen(**settings: object) -> float:
        return float(np.median(middles(follow(film(actors, 20), 20, **settings))))

    assert chosen(which_face="central") == 74
    assert [chosen(which_face="index", face_index=n) for n in range(3)] == [20, 74, 133]
    assert chosen(which_face="point", face_x=0.1, face_y=0.5) == 20
    assert chosen(which_face="point", face_x=0.9, face_y=0.5) == 133


def test_point_applies_at_its_time() -> None:
    actors = {RED: slide(0, 130, 80, y=10), GREEN: slide(130, 0, 80, y=55)}

    def first(seconds: float) -> float:
        return middles(follow(film(actors, 80), 80, which_face="point", face_x=0.05, face_time=seconds))[0]

    assert first(0) < 30
    assert first(79 / 25) > 100


def test_point_selects_a_face_visible_at_that_time() -> None:
    actors = {GREEN: during(still(10), (0, 20)), RED: during(still(100), (40, 100))}
    tracked = follow(film(actors, 100), 100, which_face="point", face_x=0.12, face_y=0.45, face_time=3.0)
    assert middles(tracked)[99] == 110


def test_a_transient_detection_does_not_shift_the_index() -> None:
    actors = {RED: during(still(0), (40, 44)), GREEN: still(50), BLUE: still(110)}
    tracked = follow(film(actors, 100), 100, which_face="index", face_index=0, detect_every=1)
    assert middles(tracked).tolist() == pytest.approx([60] * 100)
    assert [person.index for person in tracked.identities] == [0, 1]


def test_an_index_that_nobody_has_is_refused_with_the_range() -> None:
    with pytest.raises(OptionError, match="0 to 1"):
        follow(film({RED: still(10), BLUE: still(100)}, 10), 10, which_face="index", face_index=2)


def test_a_shot_without_the_index_passes_through() -> None:
    frames = film({RED: still(20), BLUE: during(still(100), (0, 30))}, 60, seeds=lambda n: int(n >= 30))
    tracked = follow(frames, 60, which_face="index", face_index=1)
    assert tracked.track.present.tolist() == [True] * 30 + [False] * 30


def test_the_selected_person_is_reidentified_after_an_absence() -> None:
    actors = {RED: during(still(10, side=30), (0, 40), (120, 160)), GREEN: still(110)}
    tracked = follow(film(actors, 160), 160)
    assert tracked.track.present.tolist() == [n < 40 or n >= 120 for n in range(160)]
    assert middles(tracked)[[0, 159]].tolist() == [25, 25]
    assert len(tracked.identities) == 2


def test_the_selected_person_is_reidentified_elsewhere_in_the_frame() -> None:
    def place(n: int) -> Box | None:
        return still(10, side=30)(n) if n < 40 else still(110, side=30)(n) if n >= 120 else None

    tracked = follow(film({RED: place, GREEN: during(still(60), (0, 160))}, 160), 160)
    assert middles(tracked)[[0, 159]].tolist() == [25, 125]


def test_the_person_at_the_point_is_selected_in_other_shots() -> None:
    def red(n: int) -> Box:
        return still(20)(n) if n < 30 else still(100)(n)

    def green(n: int) -> Box:
        return still(100)(n) if n < 30 else still(20)(n)  # they have changed places after the cut

    frames = film({RED: red, GREEN: green}, 60, seeds=lambda n: int(n >= 30))
    tracked = follow(frames, 60, which_face="point", face_x=0.18, face_y=0.45)
    assert middles(tracked).tolist() == pytest.approx([30] * 30 + [110] * 30)


def test_a_shot_without_the_person_at_the_point_passes_through() -> None:
    """Even where somebody else is at the same place, as after a cut to the other side of a conversation."""
    actors = {RED: during(still(20), (0, 30), (60, 90)), GREEN: during(still(22, side=24), (30, 60))}
    frames = film(actors, 90, seeds=lambda n: n // 30)
    tracked = follow(frames, 90, which_face="point", face_x=0.18, face_y=0.45)
    assert tracked.track.present.tolist() == [n < 30 or n >= 60 for n in range(90)]
    [others] = [one for one in tracked.unused if one.reason is UnusedReason.OTHER_PERSON]
    assert others.frames.tolist() == [30 <= n < 60 for n in range(90)]


# ------------------------------------------------------------------------------------- several choices


def test_several_choices_share_one_detection_and_equal_single_ones() -> None:
    actors = {RED: still(10), GREEN: still(65, side=18), BLUE: during(still(120, side=26), (0, 60))}
    choices = [
        FaceOptions(which_face="index", face_index=0, smoothing="none"),
        FaceOptions(which_face="index", face_index=2, pad_top=20),
        FaceOptions(which_face="central"),
    ]
    detector = RectangleDetector()
    detections = detect_faces(film(actors, 100), detector, choices[0], StageProgress("Finding faces", 100))
    full_pass_frames = detector.full_pass_frames
    found = build_tracks(detections, VideoShape(100, SIZE, 25), choices=choices)
    assert detector.full_pass_frames == full_pass_frames
    for options, tracked in zip(choices, found, strict=True):
        alone = track_faces(
            film(actors, 100),
            VideoShape(100, SIZE, 25),
            detector=RectangleDetector(),
            options=options,
            progress=StageProgress("Finding faces", 100),
        )
        np.testing.assert_array_equal(tracked.track.boxes, alone.track.boxes)
        assert [person.selected for person in tracked.identities] == [
            person.selected for person in alone.identities
        ]
    assert found[1].track.present.tolist() == [n < 60 for n in range(100)]


def test_of_several_choices_the_one_without_a_face_is_reported() -> None:
    detections = detect_faces(
        film({RED: still(10)}, 10), RectangleDetector(), FaceOptions(), StageProgress("", 10)
    )
    choices = [FaceOptions(), FaceOptions(which_face="index", face_index=3)]
    with pytest.raises(OptionError, match="'face_index' is too high: 3"):
        build_tracks(detections, VideoShape(10, SIZE, 25), choices=choices)


# ------------------------------------------------------------------------------------- covered faces


class Covered(RectangleDetector):
    """Less confident in some frames, which a white corner marks."""

    def __init__(self, covered: float, usual: float = 0.9) -> None:
        super().__init__()
        self.covered, self.usual = covered, usual

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        scores = [self.covered if frame[0, 0].min() == 255 else self.usual for frame in frames]
        found = super().detect(frames)
        return [
            [Face(face.box, score, face.points) for face in faces]
            for faces, score in zip(found, scores, strict=True)
        ]


def covered_film(count: int, first: int, last: int) -> Iterator[Frame]:
    for number, frame in enumerate(film({RED: still(40)}, count)):
        if first <= number < last:
            frame[0, 0] = 255
        yield frame


@pytest.mark.parametrize(("first", "last"), [(33, 37), (40, 60), (0, 12), (95, 100)])
def test_occluded_frames_pass_through(first: int, last: int) -> None:
    tracked = follow(covered_film(100, first, last), 100, detector=Covered(0.6))
    assert tracked.track.present.tolist() == [not first <= n < last for n in range(100)]
    assert (tracked.track.scores[~tracked.track.present] == 0).all()


def test_a_face_of_low_confidence_throughout_is_not_occluded() -> None:
    assert follow(covered_film(100, 20, 90), 100, detector=Covered(0.6)).track.present.all()


@pytest.mark.parametrize(("covered", "usual"), [(0.75, 0.9), (0.55, 0.6)])
def test_a_small_drop_of_confidence_is_no_occlusion(covered: float, usual: float) -> None:
    tracked = follow(covered_film(100, 40, 52), 100, detector=Covered(covered, usual))
    assert tracked.track.present.all()


# ------------------------------------------------------------------------------------- bad input


def test_no_face_anywhere_reports_what_to_do() -> None:
    with pytest.raises(NoFaceError, match=r"searched 9 of 41 frames.*min_score.*position \('box'\)"):
        follow(film({}, 41), 41)


def test_low_confidence_passes_through() -> None:
    class Doubtful(RectangleDetector):
        def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
            found = super().detect(frames)
            self.score = 0.45
            return found

    detector = Doubtful(0.9, batch_size=1)
    tracked = follow(film({RED: still(40)}, 30), 30, detector=detector, detect_every=1, min_score=0.5)
    assert tracked.track.present.tolist() == [True] + [False] * 29
    assert (tracked.track.scores[~tracked.track.present] == 0).all()
    with pytest.raises(NoFaceError):
        follow(film({RED: still(40)}, 30), 30, detector=RectangleDetector(0.45))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("smoothing", ["symmetric", "official", "none"])
def test_very_short_films(count: int, smoothing: str) -> None:
    tracked = follow(film({RED: still(40)}, count), count, smoothing=smoothing)
    assert tracked.track.boxes.tolist() == [[40, 30, 60, 50]] * count


def test_two_by_two_pixels() -> None:
    frames = [np.full((2, 2, 3), RED, np.uint8)] * 3
    tracked = follow(iter(frames), 3, full=(2, 2), pads_px=(-9, -9, -9, -9))
    assert tracked.track.boxes.tolist() == [[0, 0, 2, 2]] * 3


def test_fewer_frames_than_announced_have_no_face_and_more_are_not_read() -> None:
    tracked = follow(film({RED: still(40)}, 10), 14)
    assert tracked.track.present.tolist() == [True] * 10 + [False] * 4
    frames = film({RED: still(40)}, 10)
    assert len(follow(frames, 4).track) == 4
    assert sum(1 for _ in frames) == 6


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1920, 1080), (640, 360)), ((1080, 1920), (360, 640)), ((320, 240), (320, 240)), ((7680, 2), (640, 1))],
)
def test_reduced_size_keeps_the_shape_and_never_enlarges(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert reduced_size(*size, 640) == expected


def test_the_backdrops_of_these_films_hold_no_face() -> None:
    assert RectangleDetector().detect([backdrop(0), backdrop(1)]) == [[], []]
