"""Preview images: the source frame with box, landmarks and mask, and the result."""

from __future__ import annotations

import cv2
import numpy as np

from lipsync.types import Frame, Preview

BOX_COLOR = (255, 196, 0)
POINT_COLOR = (0, 220, 255)
MASK_COLOR = np.array((255, 0, 128), np.float32)
MASK_OPACITY = 0.45


def draw_overlay(preview: Preview, *, box: bool = True) -> Frame:
    """Source frame with tinted mask, face box (if `box`) and landmarks; (H, W, 3) RGB uint8."""
    image = preview.source.copy()
    if preview.mask is not None:
        height, width = preview.mask.alpha.shape
        x, y = preview.mask.x, preview.mask.y
        region = image[y : y + height, x : x + width]
        tint = preview.mask.alpha[..., None] * MASK_OPACITY
        region[:] = (region * (1 - tint) + MASK_COLOR * tint).astype(np.uint8)
    line = max(1, round(min(image.shape[:2]) / 240))
    if box and preview.box is not None:
        x1, y1, x2, y2 = preview.box
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), BOX_COLOR, line)
    if preview.points is not None:
        for x, y in preview.points[~np.isnan(preview.points[:, 0])]:
            cv2.circle(image, (round(float(x)), round(float(y))), 2 * line, POINT_COLOR, -1, cv2.LINE_AA)
    return image


def preview_sheet(preview: Preview) -> Frame:
    """Overlay and result side by side, a white line between; (H, 2W + gap, 3) uint8."""
    overlay = draw_overlay(preview)
    gap = np.full((overlay.shape[0], max(4, overlay.shape[1] // 100), 3), 255, np.uint8)
    return np.hstack([overlay, gap, preview.result])
