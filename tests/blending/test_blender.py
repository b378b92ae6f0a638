"""Blending frame by frame: promises, colour matching, detail, and temporal state."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipsync.blending import Blender, first_row_used, make_mask, paste_box
from lipsync.blending.multiband import multiband
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, Mask, PixelBox

SIZE = (320, 400)  # width, height
BOX = PixelBox(40, 30, 280, 390)
POINTS = np.array([[110, 150], [210, 150], [160, 220], [118, 272], [202, 272]], np.float32)
UNKNOWN = np.full((5, 2), np.nan, np.float32)
PLAIN = BlendOptions(color_match=0, keep_detail=0, occlusion=False)
WAYS = {
    "plain": PLAIN,
    "default": BlendOptions(),
    "colours": replace(PLAIN, color_match=1.0),
    "detail": replace(PLAIN, keep_detail=1.0),
    "multi-band": BlendOptions(blend="multiband"),
    "hard edge": BlendOptions(feather=0),
    "box": BlendOptions(mask="box"),
}
every_way = pytest.mark.parametrize("options", WAYS.values(), ids=list(WAYS))


@pytest.fixture
def frame() -> Frame:
    """Skin that is lighter on one side, with grain."""
    random = np.random.default_rng(0)
    light = np.linspace(0.7, 1.1, SIZE[0])[None, :, None]
    skin = np.array([190, 140, 115]) * light + random.normal(0, 6, (SIZE[1], SIZE[0], 3))
    return np.clip(skin, 0, 255).astype(np.uint8)


def shrunk(frame: Frame, size: int = 96, box: PixelBox = BOX) -> FloatArray:
    """The box as a perfect generator would draw it: the source, small, (3, size, size)."""
    x1, y1, x2, y2 = box
    small = cv2.resize(frame[y1:y2, x1:x2], (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / 255


def with_open_mouth(mouth: FloatArray) -> FloatArray:
    """The same with a dark ellipse where the lips are."""
    picture = np.ascontiguousarray(mouth.transpose(1, 2, 0))
    size = picture.shape[0]
    cv2.ellipse(
        picture, (size // 2, int(0.68 * size)), (size // 6, size // 10), 0, 0, 360, (0.2, 0.08, 0.08), -1
    )
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def in_frame(mask: Mask) -> FloatArray:
    alpha = np.zeros(SIZE[::-1], np.float32)
    alpha[mask.y :, mask.x :][: mask.alpha.shape[0], : mask.alpha.shape[1]] = mask.alpha
    return alpha


def difference(one: Frame, other: Frame, where: FloatArray) -> FloatArray:
    """Mean difference of the colours where the mask is full."""
    return (one.astype(np.float32) - other)[where > 0.99].mean(axis=0)


# --- every way -----------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("points", [POINTS, UNKNOWN], ids=["points", "no points"])
@pytest.mark.parametrize(("size", "mask_size"), [(96, 1.0), (60, 0.6), (200, 1.6)])
def test_rows_above_the_first_one_used_do_not_matter(
    options: BlendOptions, points: FloatArray, size: int, mask_size: float, frame: Frame
) -> None:
    options = replace(options, mask_size=mask_size)
    first = first_row_used(points, BOX, size, options)
    assert first == 0 if options.mask == "box" else first > size // 5
    blender, other = Blender(options, 25), Blender(options, 25)
    for _ in range(2):  # what is smoothed over time must not leak either
        mouth = with_open_mouth(shrunk(frame, size))
        garbled = mouth.copy()
        garbled[:, :first] = 1 - garbled[:, :first]
        expected, _ = blender.blend(frame, mouth, BOX, points)
        found, _ = other.blend(frame, garbled, BOX, points)
        np.testing.assert_array_equal(found, expected)


@every_way
@pytest.mark.parametrize("points", [POINTS, UNKNOWN], ids=["points", "no points"])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_outside_of_the_mask_nothing_changes(
    options: BlendOptions, points: FloatArray, weight: float, frame: Frame
) -> None:
    before, blender = frame.copy(), Blender(options, 25)
    for n in range(4):  # what is smoothed over time must not leak either
        mouth = np.random.default_rng(n).random((3, 96, 96), dtype=np.float32)
        result, mask = blender.blend(frame, mouth, BOX, points, weight=weight)
        assert mask is not None and mask.alpha.max() <= np.float32(weight)
        alpha = in_frame(mask)
        np.testing.assert_array_equal(frame, before)
        assert result.dtype == np.uint8 and not np.shares_memory(result, frame)
        np.testing.assert_array_equal(result[alpha == 0], frame[alpha == 0])
        assert (result[alpha > 0.3] != frame[alpha > 0.3]).mean() > 0.5


@every_way
def test_without_weight_it_is_the_same_object(options: BlendOptions, frame: Frame) -> None:
    result, mask = Blender(options, 25).blend(frame, shrunk(frame), BOX, POINTS, weight=0.0)
    assert result is frame and mask is None


@every_way
@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 1, 1),
        (318, 398, 320, 400),
        (0, 0, 2, 3),
        (0, 0, 320, 400),
        (100, 90, 320, 400),
        (7, 5, 20, 390),
    ],
)
@pytest.mark.parametrize("size", [(96, 96), (192, 288), (33, 47)])
def test_any_box_and_any_mouth(
    options: BlendOptions, box: tuple[int, int, int, int], size: tuple[int, int], frame: Frame
) -> None:
    blender, mouth = Blender(options, 25), np.random.default_rng(0).random((3, *size), dtype=np.float32)
    for points in (POINTS, UNKNOWN, np.where(np.arange(5)[:, None] == 2, np.nan, POINTS)):
        result, _ = blender.blend(frame, mouth, PixelBox(*box), points)
        assert result.shape == frame.shape
        x1, y1, x2, y2 = box
        outside = np.ones(frame.shape[:2], bool)
        outside[y1:y2, x1:x2] = False
        np.testing.assert_array_equal(result[outside], frame[outside])


@every_way
def test_a_frame_that_cannot_be_written_to(options: BlendOptions, frame: Frame) -> None:
    frame.flags.writeable = False  # as frames that come out of a pipe are
    Blender(options, 25).blend(frame, shrunk(frame), BOX, POINTS)


@every_way
def test_the_mask_is_the_previewed_one(options: BlendOptions, frame: Frame) -> None:
    _, mask = Blender(options, 25).blend(frame, shrunk(frame), BOX, POINTS)
    assert mask is not None
    previewed = in_frame(make_mask(frame, BOX, POINTS, options))
    if options.blend == "feather":
        np.testing.assert_array_equal(in_frame(mask), previewed)
    else:  # its fade is in the bands, not in the mask
        np.testing.assert_array_equal(in_frame(mask) > 0, previewed > 0)


def test_the_crop_that_is_given_is_the_one_it_would_make(frame: Frame) -> None:
    mouth, (x1, y1, x2, y2) = with_open_mouth(shrunk(frame)), BOX
    crop = cv2.resize(frame[y1:y2, x1:x2], (96, 96), interpolation=cv2.INTER_AREA)
    results = [
        Blender(BlendOptions(), 25).blend(frame, mouth, BOX, POINTS, crop=given)[0]
        for given in (np.asarray(crop, np.uint8), None, np.zeros((64, 64, 3), np.uint8))
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])  # of another size it is no such crop


# --- the box -------------------------------------------------------------------------------------


def test_the_whole_box_is_wav2lips_own_whatever_else_is_set(frame: Frame) -> None:
    options = BlendOptions(mask="box", blend="multiband", color_match=1, keep_detail=1, occlusion=True)
    blender = Blender(options, 25)
    for n in range(3):
        mouth = np.random.default_rng(n).random((3, 96, 96), dtype=np.float32)
        np.testing.assert_array_equal(
            blender.blend(frame, mouth, BOX, POINTS)[0], paste_box(frame, mouth, BOX)
        )


def test_the_box_with_less_weight_is_a_plain_mix(frame: Frame) -> None:
    mouth = np.random.default_rng(0).random((3, 96, 96), dtype=np.float32)
    mixed, _ = Blender(BlendOptions(mask="box"), 25).blend(frame, mouth, BOX, POINTS, weight=0.3)
    expected = frame + 0.3 * (paste_box(frame, mouth, BOX).astype(float) - frame)
    assert np.abs(mixed - expected).max() <= 0.51


# --- colours -------------------------------------------------------------------------------------

TINTS = {
    "lighter": lambda mouth: mouth + 0.08,
    "redder": lambda mouth: mouth * np.array([1.12, 0.95, 0.9], np.float32)[:, None, None],
    "lit from the other side": lambda mouth: mouth * np.linspace(1.2, 0.8, 96, dtype=np.float32),
}


@pytest.mark.parametrize("tint", TINTS)
def test_a_tint_is_removed(tint: str, frame: Frame) -> None:
    good = with_open_mouth(shrunk(frame))
    bad = np.clip(TINTS[tint](good), 0, 1).astype(np.float32)
    alpha = in_frame(make_mask(frame, BOX, POINTS, PLAIN))
    skin = alpha.copy()
    skin[245:310, 105:215] = 0  # the mouth
    wanted, _ = Blender(PLAIN, 25).blend(frame, good, BOX, POINTS)
    off, _ = Blender(PLAIN, 25).blend(frame, bad, BOX, POINTS)
    matched, _ = Blender(replace(PLAIN, color_match=1.0), 25).blend(frame, bad, BOX, POINTS)
    inside = skin > 0.99
    before, after = (
        np.abs(cv2.blur(p, (9, 9)).astype(float) - cv2.blur(wanted, (9, 9)))[inside].mean()
        for p in (off, matched)
    )
    assert before > 6 and after < 0.4 * before
    change = np.abs(matched.astype(float) - off)
    assert change[268:276, 150:170].mean() < 0.5 * change[inside].mean()  # the dark mouth stays as it is


def test_right_colours_stay(frame: Frame) -> None:
    """Also where the jaw has opened and the chin's edge shows other skin than the source."""
    mouth = with_open_mouth(shrunk(frame))
    mouth[:, 88:, 30:66] *= 0.5
    plain, mask = Blender(PLAIN, 25).blend(frame, mouth, BOX, POINTS)
    matched, _ = Blender(replace(PLAIN, color_match=1.0), 25).blend(frame, mouth, BOX, POINTS)
    assert mask is not None
    assert np.abs(difference(matched, plain, in_frame(mask))).max() < 1.5


def test_half_a_match_takes_out_half(frame: Frame) -> None:
    tinted = shrunk(frame) + np.float32(0.08)
    results = [
        Blender(replace(PLAIN, color_match=share), 25).blend(frame, tinted, BOX, POINTS)
        for share in (0.0, 0.5, 1.0)
    ]
    alpha = in_frame(results[0][1] or Mask(0, 0, np.zeros((1, 1), np.float32)))
    none, half, full = (difference(result, frame, alpha).mean() for result, _ in results)
    assert none > 18 and abs(full) < 2 and half == pytest.approx((none + full) / 2, abs=1)


def test_colours_come_slowly_and_anew_after_a_cut(frame: Frame) -> None:
    good, tinted = shrunk(frame), shrunk(frame) + np.float32(0.08)
    alpha = in_frame(make_mask(frame, BOX, POINTS, PLAIN))
    blender = Blender(replace(PLAIN, color_match=1.0), 25)
    blender.blend(frame, good, BOX, POINTS)
    off = [difference(blender.blend(frame, tinted, BOX, POINTS)[0], frame, alpha).mean() for _ in range(15)]
    assert off[0] > 10 and all(np.diff(off) < 0.2) and abs(off[-1]) < 3
    blender.reset()
    blender.blend(frame, good, BOX, POINTS)
    blender.reset()
    cut, _ = blender.blend(frame, tinted, BOX, POINTS)
    assert abs(difference(cut, frame, alpha).mean()) < 2


# --- detail --------------------------------------------------------------------------------------


def grain(picture: Frame, where: FloatArray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[where > 0.99].std())


def test_the_sources_detail_is_kept_where_nothing_moved(frame: Frame) -> None:
    mouth = with_open_mouth(shrunk(frame))
    blurred, mask = Blender(PLAIN, 25).blend(frame, mouth, BOX, POINTS)
    kept, _ = Blender(replace(PLAIN, keep_detail=1.0), 25).blend(frame, mouth, BOX, POINTS)
    assert mask is not None
    skin = in_frame(mask)
    skin[235:320, 95:225] = 0
    assert grain(blurred, skin) < 0.4 * grain(frame, skin)
    assert grain(kept, skin) > 0.9 * grain(frame, skin)
    lips = np.zeros_like(skin)
    lips[262:284, 145:175] = 1
    np.testing.assert_allclose(kept[lips > 0], blurred[lips > 0], atol=2)  # there it is the drawn one


def test_the_old_mouth_leaves_no_ghost(frame: Frame) -> None:
    """The source's mouth is open, with thin bright teeth; the drawn one is closed."""
    closed, source = shrunk(frame), frame.copy()
    source[255:290, 120:200] = (50, 20, 20)
    source[262:268, 125:195:2] = 255
    kept, _ = Blender(BlendOptions(), 25).blend(source, closed, BOX, POINTS)
    plain, _ = Blender(PLAIN, 25).blend(source, closed, BOX, POINTS)
    assert np.abs(kept[262:268, 125:195].astype(int) - plain[262:268, 125:195]).max() < 12


def test_detail_goes_at_once_and_returns_slowly(frame: Frame) -> None:
    shut, opened = shrunk(frame), with_open_mouth(shrunk(frame))
    blender, lips = Blender(replace(PLAIN, keep_detail=1.0), 25), np.zeros(SIZE[::-1], np.float32)
    lips[262:284, 145:175] = 1

    def kept(mouth: FloatArray) -> float:
        return grain(blender.blend(frame, mouth, BOX, POINTS)[0], lips)

    full = kept(shut)
    assert kept(opened) < 0.2 * full
    returning = [kept(shut) for _ in range(20)]
    assert returning[0] < 0.6 * full and all(np.diff(returning) > -0.2) and returning[-1] > 0.95 * full
    kept(opened)
    blender.reset()
    assert kept(shut) == pytest.approx(full)


# --- bands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 48), (37, 53), (5, 4), (3, 90), (1, 1)])
@pytest.mark.parametrize("levels", [0, 1, 4, 9])
def test_multiband_of_equal_images_is_the_image(size: tuple[int, int], levels: int) -> None:
    random = np.random.default_rng(0)
    picture = (random.random((*size, 3)) * 255).astype(np.float32)
    alpha = random.random(size).astype(np.float32)
    np.testing.assert_allclose(multiband(picture, picture.copy(), alpha, levels), picture, atol=1e-3)


def test_coarse_bands_fade_widely_and_fine_ones_sharply() -> None:
    random = np.random.default_rng(0)
    under, over = np.full((64, 128, 3), 60, np.float32), np.full((64, 128, 3), 180, np.float32)
    over[:, ::2] += 20  # stripes of one pixel
    alpha = np.zeros((64, 128), np.float32)
    alpha[:, 64:] = 1
    mixed = multiband(under, over, alpha, 4) + random.normal(0, 1e-3, under.shape).astype(np.float32)
    level = mixed[32, :, 0].reshape(-1, 2).mean(axis=1)
    stripes = np.abs(np.diff(mixed[32, :, 0]))
    assert 70 < level[24] < 120 < level[39] < 185  # 16 pixels on either side
    assert np.abs(np.diff(level)).max() < 20  # against the 130 of a hard edge
    assert stripes[:58].max() < 6 and stripes[72:].min() > 14
