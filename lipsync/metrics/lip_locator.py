"""Lips in frames by the built-in model's mouth locator, which always is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lipsync.faces import crop_face
from lipsync.metrics.lips import LipTrack
from lipsync.types import FloatArray, Frame, PixelBox
from lipsync.weights import require

_BATCH = 16
_REST, _GAIN = 0.02, 1.2
"""Opening that this locator sees in closed lips, and MediaPipe's opening over its own above that: it draws
towards the mean. Over 16 people whom it was not trained on; `python -m benchmarks.lip_metrics` fits them."""


class LipLocator:
    """Outlines of lips and chin in face boxes, on the CPU.

    Args:
        weights: file of a built-in model; None is the one that ships.

    Raises:
        WeightsError: the file is not of this model.
    """

    def __init__(self, weights: Path | None = None) -> None:
        from lipsync.generators.builtin.adapter import load_locator  # and torch with it

        network, self._config = load_locator(weights or require("builtin"))
        self._network = network.float().eval().requires_grad_(False)

    def crop(self, frame: Frame, box: PixelBox) -> npt.NDArray[np.uint8]:
        """The window of a face box that the network looks at, uint8 (h, w, 3).

        Args:
            frame: RGB (H, W, 3).
            box: face box with the default pads, in pixels of the frame.
        """
        c = self._config
        face = crop_face(frame, box, (c.crop, c.crop), antialias=True)
        return face[c.top : c.top + c.height, c.left : c.left + c.width]

    @staticmethod
    def opening(outlines: FloatArray, unit: FloatArray) -> FloatArray:
        """Openings as MediaPipe would see them, float32 (B,); see `LipTrack.opening`.

        Of 100 frames with closed lips it finds 77 closed and 9 open, of 100 with an open mouth 86 open and 4
        closed: figures of the first generation's locator. The second's, with the same constants, is closer:
        r 0.89 against 0.82 with MediaPipe's opening, on 16 people of neither's training.
        """
        return np.asarray(np.maximum(LipTrack(outlines, unit).opening - _REST, 0) * _GAIN, np.float32)

    def locate(
        self, windows: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float32]
    ) -> tuple[FloatArray, FloatArray]:
        """Mouths of several faces.

        Args:
            windows: (B, h, w, 3) from `crop`.
            boxes: (B, 4) their boxes, x1, y1, x2, y2 in pixels.

        Returns:
            Outlines float32 (B, 49, 2) in pixels of the frame, and float32 (B,) pixels per distance between
            the eyes, see `LipTrack`.
        """
        import torch

        sides = boxes[:, 2:] - boxes[:, :2]
        outlines, units = [], []
        for start in range(0, len(windows), _BATCH):
            part = slice(start, start + _BATCH)
            images = torch.from_numpy(np.ascontiguousarray(windows[part]))
            with torch.inference_mode():
                outline, _, projection = self._network(images.permute(0, 3, 1, 2).float() / 255)
            outlines.append(outline.numpy() * sides[part, None] + boxes[part, None, :2])
            # The rows are the head's axes in the image, as long as the distance between the eyes.
            units.append((projection.norm(dim=2).numpy() * sides[part]).mean(axis=1))
        return np.asarray(np.concatenate(outlines), np.float32), np.asarray(np.concatenate(units), np.float32)
