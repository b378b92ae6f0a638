"""The previewed frame as one picture: the source with box, points and mask drawn, and the result."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.types import Frame, Preview

BOX_COLOUR = (255, 196, 0)
POINT_COLOUR = (0, 220, 255)
MASK_COLOUR = np.array((255, 0, 128), np.float32)
MASK_STRENGTH = 0.45


def draw_overlay(preview: Preview) -> Frame:
    """The source frame with the mask as a tint, the face box and the five points; (H, W, 3) uint8."""
    picture = preview.source.copy()
    if preview.mask is not None:
        height, width = preview.mask.alpha.shape
        x, y = preview.mask.x, preview.mask.y
        region = picture[y : y + height, x : x + width]
        tint = preview.mask.alpha[..., None] * MASK_STRENGTH
        region[:] = (region * (1 - tint) + MASK_COLOUR * tint).astype(np.uint8)
    line = max(1, round(min(picture.shape[:2]) / 240))
    if preview.box is not None:
        x1, y1, x2, y2 = preview.box
        cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), BOX_COLOUR, line)
    if preview.points is not None:
        for x, y in preview.points[~np.isnan(preview.points[:, 0])]:
            cv2.circle(picture, (round(float(x)), round(float(y))), 2 * line, POINT_COLOUR, -1, cv2.LINE_AA)
    return picture


def preview_sheet(preview: Preview) -> Frame:
    """Overlay on the left and result on the right, parted by a white line; (H, 2W + gap, 3) uint8."""
    overlay = draw_overlay(preview)
    gap = np.full((overlay.shape[0], max(4, overlay.shape[1] // 100), 3), 255, np.uint8)
    return np.hstack([overlay, gap, preview.result])
