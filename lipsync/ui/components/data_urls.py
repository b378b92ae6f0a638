"""Small pictures within the values of components, as data URLs."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from lipsync.types import Frame


def jpeg_data_url(frame: Frame, quality: int = 85) -> str:
    """An RGB uint8 frame (H, W, 3) as a JPEG in a data URL."""
    pixels = np.ascontiguousarray(frame[..., ::-1])
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
