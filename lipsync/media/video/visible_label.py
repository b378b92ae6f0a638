"""Visible label "AI-generated" in a corner of the frames."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lipsync.media.video.yuv import YuvFrame
from lipsync.options import ReportOptions
from lipsync.types import FloatArray, PixelBox

TEXT = "AI-generated"
_SMALLEST_TEXT = 9  # pixels
_SUPERSAMPLED = 4


class VisibleLabel:
    """Light text on a dark plate, the same in every frame of one size.

    Args:
        options: corner, size and opacity.
        width, height: pixels of the frames. The label never takes more than half of the width.
    """

    def __init__(self, options: ReportOptions, width: int, height: int) -> None:
        self._opacity = options.ai_label_opacity / 100
        pixels = max(_SMALLEST_TEXT, round(height * options.ai_label_size / 100))
        self._plate = _draw_plate(pixels, width // 2)
        rows, columns = self._plate.shape[:2]
        margin = min(pixels // 2, max(0, height - rows), max(0, width - columns))
        vertical, horizontal = options.ai_label.split("-")
        x = margin if horizontal == "left" else width - margin - columns
        y = margin if vertical == "top" else max(0, height - margin - rows)
        self._box = PixelBox(x, y, x + columns, min(height, y + rows))

    def draw(self, frame: YuvFrame) -> YuvFrame:
        """The frame with the label; all pixels outside of its plate keep their values."""
        window = frame.aligned_box(self._box)
        before = frame.to_rgb(window)
        after = before.copy()
        top, left = self._box.y1 - window.y1, self._box.x1 - window.x1
        rows, columns = self._box.y2 - self._box.y1, self._box.x2 - self._box.x1
        region = after[top : top + rows, left : left + columns]
        plate = self._plate[:rows]
        alpha = plate[..., 3:] * self._opacity
        region[:] = np.rint(region * (1 - alpha) + 255 * plate[..., :3] * alpha).astype(np.uint8)
        return frame.with_region(window, before, after)


def _draw_plate(pixels: int, widest: int) -> FloatArray:
    """The label as RGBA in [0, 1], float32 (h, w, 4), with text of that height, at most `widest` wide."""
    scale = _SUPERSAMPLED
    font = ImageFont.load_default(size=pixels * scale)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(TEXT))
    pad = pixels * scale // 3
    size = (right - left + 2 * pad, bottom - top + 2 * pad)
    plate = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(plate)
    pen.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), pad, fill=(16, 16, 16, 255))
    pen.text((pad - left, pad - top), TEXT, font=font, fill=(255, 255, 255, 255))
    width = max(1, min(size[0] // scale, widest))
    small = plate.resize((width, max(1, size[1] * width // size[0])), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)
