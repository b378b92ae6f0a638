"""Face enhancement changes only what it may, without visible edges or tint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lipsync.enhancers import ENHANCERS, EnhancerSpec, FaceEnhancement
from lipsync.enhancers.alignment import TEMPLATE
from lipsync.enhancers.face_enhancement import soften_edge
from lipsync.errors import Cancelled
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken
from lipsync.types import FloatArray, Frame, Mask, PixelBox
from lipsync.weights import create_model
from tests.enhancers.made_up import write_enhancer
from tests.material import FACE

Faces = npt.NDArray[np.uint8]


class Simple:
    """An enhancer whose change is known."""

    spec = EnhancerSpec("simple", ("fp32",), "none", "none")

    def __init__(self, change: Callable[[Faces], Faces], batch_size: int = 4) -> None:
        self.change, self.batch_size = change, batch_size
        self.batches: list[int] = []

    def enhance(self, faces: Faces, strength: float = 1.0, cancel: CancelToken | None = None) -> Faces:
        (cancel or CancelToken()).check()
        self.batches.append(len(faces))
        mixed = faces + strength * (self.change(faces).astype(np.float32) - faces)
        return np.asarray(mixed.round(), np.uint8)


def grain(faces: Faces) -> Faces:
    """Fine detail everywhere."""
    fine = np.random.default_rng(0).normal(0, 40, (1, 512, 512, 1))
    return np.clip(faces + fine, 0, 255).astype(np.uint8)


def warmer(faces: Faces) -> Faces:
    """Another colour everywhere."""
    return np.clip(faces + np.array([30, 10, -20]), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def frame() -> Frame:
    return np.asarray(cv2.cvtColor(cv2.imread(str(FACE)), cv2.COLOR_BGR2RGB))


Place = tuple[PixelBox, FloatArray, Mask]


def place(x: float, y: float, scale: float, frame: Frame, hard: bool = False) -> Place:
    """Box, points and mask of a face at x, y; cut off by the frame."""
    height, width = frame.shape[:2]
    points = ((TEMPLATE - 256) * scale + (x, y)).astype(np.float32)
    box = inside((x - 150 * scale, y - 180 * scale, x + 150 * scale, y + 220 * scale), width, height)
    part = inside((x - 110 * scale, y + 60 * scale, x + 110 * scale, y + 215 * scale), width, height)
    rows, columns = part[3] - part[1], part[2] - part[0]
    alpha = np.ones((rows, columns), np.float32)
    if not hard:
        across, down = (
            np.minimum(np.arange(n) + 1, n - np.arange(n)) / max(n / 5, 1) for n in (columns, rows)
        )
        alpha = np.clip(np.minimum(across, down[:, None]), 0, 1).astype(np.float32)
        alpha[:2] = 0  # a mask's rectangle may hold pixels that it does not show
    return box, points, Mask(part[0], part[1], alpha)


def inside(edges: tuple[float, float, float, float], width: int, height: int) -> PixelBox:
    x1, x2 = sorted(int(np.clip(edge, 0, width)) for edge in edges[::2])
    y1, y2 = sorted(int(np.clip(edge, 0, height)) for edge in edges[1::2])
    return PixelBox(min(x1, width - 1), min(y1, height - 1), max(x2, x1 + 1), max(y2, y1 + 1))


def run(enhancer: Simple, frame: Frame, where: Place, area: str = "mouth", strength: float = 1.0) -> Frame:
    options = EnhanceOptions(enhancer="gfpgan", enhance_strength=strength, enhance_area=area)
    before = frame.copy()
    box, points, mask = where
    (result,) = FaceEnhancement(enhancer, options).apply([frame], [box], points[None], [mask])
    np.testing.assert_array_equal(frame, before)
    return result


def shown_by(mask: Mask, frame: Frame) -> npt.NDArray[np.bool_]:
    shown = np.zeros(frame.shape[:2], bool)
    height, width = mask.alpha.shape
    shown[mask.y : mask.y + height, mask.x : mask.x + width] = mask.alpha > 0
    return shown


PLACES = {
    "usual": (260, 250, 0.7),
    "at the right edge": (480, 300, 0.7),
    "at the bottom edge": (250, 400, 0.7),
    "in the corner": (10, 15, 0.5),
    "tiny": (100, 120, 0.04),
    "hardly anything": (300, 300, 0.004),
    "larger than the network's picture": (250, 200, 1.8),
}


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("spot", PLACES)
def test_outside_the_mask_nothing_changes(frame: Frame, spot: str, hard: bool) -> None:
    where = place(*PLACES[spot], frame, hard)
    result = run(Simple(grain), frame, where)
    changed = (result != frame).any(axis=2)
    assert not (changed & ~shown_by(where[2], frame)).any()
    if PLACES[spot][2] > 0.3:
        assert changed.mean() > 0.005


@pytest.mark.parametrize("spot", PLACES)
def test_whole_face(frame: Frame, spot: str) -> None:
    where = place(*PLACES[spot], frame)
    x, y, scale = PLACES[spot]
    changed = (run(Simple(grain), frame, where, area="face") != frame).any(axis=2)
    far = np.hypot(np.arange(frame.shape[1]) - x, np.arange(frame.shape[0])[:, None] - y) > 270 * scale + 4
    assert not (changed & far).any()
    if scale > 0.3:
        assert changed.sum() > 2 * (run(Simple(grain), frame, where) != frame).any(axis=2).sum()


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (480, 1), (101, 640)])
@pytest.mark.parametrize("area", ["mouth", "face"])
def test_odd_frames(size: tuple[int, int], area: str) -> None:
    odd = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = run(Simple(grain), odd, place(size[1] / 2, size[0] / 2, 0.2, odd), area)
    assert result.shape == odd.shape and result.dtype == np.uint8


def test_frames_without_a_face_are_the_same_arrays(frame: Frame) -> None:
    box, points, mask = place(260, 250, 0.7, frame)
    empty = Mask(mask.x, mask.y, np.zeros_like(mask.alpha))
    frames = [frame.copy() for _ in range(5)]
    results = FaceEnhancement(Simple(grain), EnhanceOptions()).apply(
        frames,
        [None, box, box, None, box],
        np.stack([np.full((5, 2), np.nan, np.float32), points, points, points, points]),
        [mask, None, empty, None, mask],
    )
    assert all(result is given for result, given in zip(results[:4], frames[:4], strict=True))
    assert (results[4] != frames[4]).any()


@pytest.mark.parametrize("area", ["mouth", "face"])
def test_strength_nothing_changes_nothing(frame: Frame, area: str) -> None:
    enhancer = Simple(grain)
    assert run(enhancer, frame, place(260, 250, 0.7, frame), area, strength=0) is frame
    assert not enhancer.batches


@pytest.mark.parametrize("scale", [0.05, 0.3, 0.7, 1.0, 1.8])
@pytest.mark.parametrize("area", ["mouth", "face"])
def test_an_enhancer_that_changes_nothing(frame: Frame, scale: float, area: str) -> None:
    """However often the face is resized, the picture stays exactly as it was."""
    same = run(Simple(lambda faces: faces), frame, place(260, 250, scale, frame), area)
    np.testing.assert_array_equal(same, frame)


@pytest.mark.parametrize("spot", ["usual", "at the right edge", "larger than the network's picture"])
def test_colours_stay(frame: Frame, spot: str) -> None:
    where = place(*PLACES[spot], frame)
    soft = np.asarray(np.clip(frame, 60, 200))  # so that nothing is cut off
    result = run(Simple(warmer), soft, where, area="face").astype(int)
    assert np.abs(result - soft).max() <= 3


def test_pixels_outside_the_frame_do_not_count(frame: Frame) -> None:
    """Half of the aligned picture is grey here; what becomes of that must not tint the face."""
    outside = np.array([132, 133, 135])

    def paint_the_grey(faces: Faces) -> Faces:
        return np.where((faces == outside).all(axis=3, keepdims=True), 255, faces).astype(np.uint8)

    soft = np.asarray(np.clip(frame, 10, 130))
    where = place(490, 250, 0.7, frame)
    result = run(Simple(paint_the_grey), soft, where, area="face").astype(int)
    assert np.abs(result - soft)[:, :-4].max() <= 1


def test_the_change_fades_out_at_the_aligned_crops_border(frame: Frame) -> None:
    """A chin may reach beyond it; there the mask alone would end in a step."""
    box, points, _ = place(256, 100, 1.0, frame)
    mask = Mask(150, 250, np.ones((250, 200), np.float32))  # the aligned picture ends at row 356
    plain = np.full_like(frame, 128)
    change = np.abs(run(Simple(grain), plain, (box, points, mask)).astype(int) - 128)[:, 200:300].mean(
        axis=(1, 2)
    )
    assert change[300:330].mean() > 10
    assert change[352:355].mean() < 3 and not change[358:].any()


def test_a_mouth_beyond_the_face_is_part_of_it(frame: Frame) -> None:
    box, points, _ = place(256, 256, 1.0, frame)
    mask = Mask(60, 400, np.ones((80, 80), np.float32))
    changed = (run(Simple(grain), frame, (box, points, mask), area="face") != frame).any(axis=2)
    assert changed[420:460, 80:120].mean() > 0.8


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_detail_begins_softly(frame: Frame, hard: bool) -> None:
    """At the mask's outline next to nothing is changed, in its middle all."""
    box, points, mask = place(260, 250, 0.9, frame, hard)
    plain = np.full_like(frame, 128)
    change = np.abs(run(Simple(grain), plain, (box, points, mask)).astype(int) - 128).mean(axis=2)
    part = change[mask.y :, mask.x :][: mask.alpha.shape[0], : mask.alpha.shape[1]]
    rim = np.concatenate([part[:3].ravel(), part[-3:].ravel(), part[:, :3].ravel(), part[:, -3:].ravel()])
    assert part[50:-50, 60:-60].mean() > 5
    assert rim.mean() < 0.2 * part[50:-50, 60:-60].mean()


def test_soft_edge_of_a_hard_mask() -> None:
    mask = Mask(100, 100, np.ones((60, 100), np.float32))
    shown = soften_edge(mask, (640, 480))
    assert shown[0].max() < 0.1 and shown[:, -1].max() < 0.1
    assert (shown[15:-15, 15:-15] == 1).all()
    assert (np.abs(np.diff(shown, axis=0)) < 0.25).all() and shown.dtype == np.float32


def test_no_edge_where_the_frame_ends() -> None:
    shown = soften_edge(Mask(540, 420, np.ones((60, 100), np.float32)), (640, 480))
    assert shown[30:, 50:].min() == 1
    assert shown[0].max() < 0.1 and shown[:, 0].max() < 0.1
    assert (soften_edge(Mask(0, 0, np.ones((48, 64), np.float32)), (64, 48)) == 1).all()


def test_a_soft_mask_stays_as_it_is(frame: Frame) -> None:
    _, _, mask = place(260, 250, 0.9, frame)
    shown = soften_edge(mask, (frame.shape[1], frame.shape[0]))
    assert (shown <= mask.alpha).all() and np.abs(shown - mask.alpha).mean() < 0.02


def test_detail_too_fine_for_a_small_face_is_averaged(frame: Frame) -> None:
    """Single pixels picked from it would flicker."""
    plain = np.full_like(frame, 128)
    small = run(Simple(grain), plain, place(260, 250, 0.1, frame)).astype(int)
    assert np.abs(small - 128).max() <= 8  # of a grain of 40


def test_batches_give_the_same_as_one_by_one(frame: Frame) -> None:
    wheres = [place(200 + 9 * n, 240 + 4 * n, 0.5 + 0.05 * n, frame) for n in range(7)]
    boxes, points, masks = zip(*wheres, strict=True)
    results = []
    for size, expected in ((3, [3, 3, 1]), (1, [1] * 7), (100, [7])):
        enhancer = Simple(grain, size)
        stage = FaceEnhancement(enhancer, EnhanceOptions())
        results.append(stage.apply([frame] * 7, boxes, np.stack(points), masks))
        assert enhancer.batches == expected
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_empty_batch() -> None:
    assert (
        FaceEnhancement(Simple(grain), EnhanceOptions()).apply([], [], np.empty((0, 5, 2), np.float32), [])
        == []
    )


def test_cancel_between_batches(frame: Frame) -> None:
    box, points, mask = place(260, 250, 0.7, frame)
    cancel = CancelToken()

    def then_stop(faces: Faces) -> Faces:
        cancel.cancel()
        return faces

    enhancer = Simple(then_stop, batch_size=2)
    with pytest.raises(Cancelled):
        FaceEnhancement(enhancer, EnhanceOptions()).apply(
            [frame] * 6, [box] * 6, np.stack([points] * 6), [mask] * 6, cancel
        )
    assert enhancer.batches == [2]


def test_with_a_real_network(frame: Frame, tmp_path: Path) -> None:
    weights = write_enhancer(tmp_path, "gfpgan")
    enhancer = create_model(ENHANCERS, "gfpgan", weights=weights, device="cpu", number_format="fp32")
    box, points, mask = place(260, 250, 0.7, frame)
    (result,) = FaceEnhancement(enhancer, EnhanceOptions()).apply([frame], [box], points[None], [mask])
    changed = (result != frame).any(axis=2)
    shown = shown_by(mask, frame)
    assert not (changed & ~shown).any() and changed[shown].mean() > 0.5
