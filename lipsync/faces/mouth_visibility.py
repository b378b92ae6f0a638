"""Mouths that something covers: a mask, burnt-in text, a microphone.

Judged in single aligned crops, so that also what has been there since the first frame is seen; a hand that
comes and goes is the business of `lipsync.blending.occlusion`. Lips differ little in colour from the skin
around the nose, are redder than chin and upper lip, and no mouth is flat. In 782 frames of 91 people, none
covered, none is taken for covered; drawn into them, masks are found in 99 %, microphones in 96 % and lines
of text in 81 %. Something of the skin's own colour with the contrast of a mouth is not found, nor is
anything on faces without colour, unless it is flat.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.faces.aligned_faces import ALIGNED_SIZE, decode_aligned_face
from lipsync.faces.detection_schedule import Detection
from lipsync.types import FloatArray, Frame

_GRID_SIZE = round(0.568 * ALIGNED_SIZE)
"""Side that aligned crops are reduced to, pixels; with it eyes are 20 and eyes and mouth 23 pixels apart."""
_X, _Y = 20, 24
"""Upper left corner of the face in it. In the face, the mouth's corners are at (24, 48) and (40, 48)."""
_SKIN = (np.s_[32:38, 17:24], np.s_[32:38, 40:47], np.s_[29:36, 29:35])  # both cheeks, the nose
_MOUTH = np.s_[44:53, 25:40]
_AROUND_MOUTH = (np.s_[41:44, 22:42], np.s_[54:60, 22:42])  # the upper lip, the chin

# CIELAB. In the frames above, 1 and 99 % of mouths: difference of colour 2 and 19, grey 0 and 0.2, redder
# by -1 and 23, deviation of grey levels 14 and 50.
_MIN_SKIN_SATURATION = 12.0
_MAX_COLOR_DIFFERENCE = 22.0
_MAX_LIPSTICK_REDNESS, _MAX_SKIN_DIFFERENCE = 8.0, 15.0
_GREY_SATURATION, _MAX_GREY_SHARE = 0.45, 0.45
_MIN_REDNESS, _MIN_DEVIATION = 1.0, 11.0


def covered_frames(detections: Sequence[Detection], count: int) -> npt.NDArray[np.bool_]:
    """Frames in which something covers the mouth of an identity, bool (T,).

    About one frame in 25 is looked at, of three in a row the majority counts, and it holds until the next.

    Args:
        detections: of one identity in one shot, in order of time.
        count: number T of frames.
    """
    frames = np.zeros(count, np.bool_)
    looked_at = [one for one in detections if one.aligned_face]
    if not looked_at:
        return frames
    covered = np.array([is_mouth_covered(decode_aligned_face(one.aligned_face)) for one in looked_at])
    padded = np.pad(covered.astype(int), 1, mode="edge")
    majority = padded[:-2] + padded[1:-1] + padded[2:] >= 2
    numbers = np.array([one.frame for one in looked_at])
    starts = [detections[0].frame, *numbers[1:]]
    ends = [*starts[1:], detections[-1].frame + 1]
    for start, end, is_covered in zip(starts, ends, majority, strict=True):
        frames[start:end] = is_covered
    return frames


def is_mouth_covered(aligned: Frame) -> bool:
    """Whether something covers the mouth.

    Args:
        aligned: RGB uint8 (ALIGNED_SIZE, ALIGNED_SIZE, 3), from `align_face`.
    """
    small = cv2.resize(aligned, (_GRID_SIZE, _GRID_SIZE), interpolation=cv2.INTER_AREA)[_Y:, _X:]
    smooth = cv2.GaussianBlur(small, (3, 3), 0).astype(np.float32) / 255
    colors = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2Lab), np.float32)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    skin = np.median(_pixels(colors, *_SKIN), axis=0)
    mouth, around = _pixels(colors, _MOUTH), _pixels(colors, *_AROUND_MOUTH)
    redness = np.percentile(mouth[:, 1], 80) - np.median(around[:, 1])
    is_flat = redness < _MIN_REDNESS and float(grey[_MOUTH].std()) < _MIN_DEVIATION
    return bool(is_flat or _has_other_colors(mouth, around, skin))


def _has_other_colors(mouth: FloatArray, around: FloatArray, skin: FloatArray) -> bool:
    """Whether the mouth's colours (n, 3) are neither those of the skin, (3,), nor of lips."""
    saturation = float(np.hypot(skin[1], skin[2]))
    if saturation < _MIN_SKIN_SATURATION:
        return False
    is_grey = np.hypot(mouth[:, 1], mouth[:, 2]) < _GREY_SATURATION * saturation
    differs = _difference(mouth, skin) > _MAX_COLOR_DIFFERENCE
    lipstick = float(np.median(mouth[:, 1]) - skin[1]) >= _MAX_LIPSTICK_REDNESS
    if lipstick and _difference(around, skin) <= _MAX_SKIN_DIFFERENCE:
        differs = False
    return bool(differs or is_grey.mean() > _MAX_GREY_SHARE)


def _difference(colors: FloatArray, skin: FloatArray) -> float:
    """Median difference of hue and saturation from the skin's."""
    return float(np.median(np.hypot(colors[:, 1] - skin[1], colors[:, 2] - skin[2])))


def _pixels(colors: FloatArray, *parts: tuple[slice, slice]) -> FloatArray:
    return np.concatenate([colors[part].reshape(-1, 3) for part in parts])
