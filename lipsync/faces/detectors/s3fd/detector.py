"""Runs S3FD as the official Wav2Lip does, with the decoding in whole arrays.

To get the official boxes the picture must not be reduced (detect_size as large as the picture)
and every frame must be looked at (detect_every 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lipsync.devices import choose_device, free_memory, is_out_of_memory
from lipsync.errors import ToolError
from lipsync.faces.boxes import nms
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.s3fd.network import S3FDNetwork
from lipsync.types import Face, FloatArray, Frame
from lipsync.weights import require
from lipsync.weights.checkpoint import load_into, load_state_dict

# The means are those of blue, green and red, but the original takes them off red, green and blue.
# Its boxes are to be met, so this is kept.
_MEAN = (104.0, 117.0, 123.0)
_VARIANCES = (0.1, 0.2)
_PRIOR = 4
"""Side of a cell's prior box, in strides."""
_CANDIDATE = 0.05
_MOST_OVERLAP = 0.3
_LEAST_SIDE = 32
"""Smaller pictures would be pooled away to nothing; they are filled up on the right and below."""


class S3FD:
    """See `FaceDetector`. Finds boxes only, no points.

    Raises:
        WeightsError: the checkpoint is missing, damaged or of another network.
    """

    def __init__(
        self, device: torch.device | None = None, weights: Path | None = None, min_score: float = _CANDIDATE
    ) -> None:
        self.min_score = max(min_score, _CANDIDATE)
        self._device = device or choose_device()
        self.batch_size = 1 if self._device.type == "cpu" else 16
        self.weights = weights or require("s3fd")
        with torch.device("meta"):  # no time is spent on weights that are replaced at once
            network = S3FDNetwork()
        network = network.to_empty(device="cpu")
        load_into(network, load_state_dict(self.weights), what="the S3FD face detector", path=self.weights)
        self._network = network.eval().requires_grad_(False).to(self._device)

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `FaceDetector.detect`.

        Raises:
            ToolError: a single picture is too large for the device's memory.
        """
        found: list[list[Face]] = []
        start, batch = 0, self.batch_size
        while start < len(frames):
            end = start + 1
            while end < min(len(frames), start + batch) and frames[end].shape == frames[start].shape:
                end += 1
            try:
                found += self._run(frames[start:end])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                free_memory(self._device)
                if end - start == 1:
                    raise _too_large(frames[start]) from error
                batch = self.batch_size = (end - start) // 2
                continue
            start = end
        return found

    def _run(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """One pass over frames of equal size."""
        with torch.inference_mode():
            maps = [
                (scores.cpu().numpy(), boxes.cpu().numpy())
                for scores, boxes in self._network(_prepared(frames, self._device))
            ]
        found = []
        for row, frame in enumerate(frames):
            boxes, scores = decode([(one[row], other[row]) for one, other in maps], self.min_score)
            found.append(clipped_faces(boxes, scores, None, frame))
        return found


def decode(maps: Sequence[tuple[FloatArray, FloatArray]], min_score: float) -> tuple[FloatArray, FloatArray]:
    """The maps of one picture as boxes, best first.

    Args:
        maps: for strides 4, 8, ...: probability (h, w), and box against the prior (4, h, w), that
            is, middle in tenths of the prior's side and log of the size in fifths.

    Returns:
        boxes (N, 4) and scores (N,), float32, pixels of the network's input.
    """
    every_box, every_score = [], []
    for level, (probability, offsets) in enumerate(maps):
        stride = 4 << level
        row, column = np.nonzero(probability > _CANDIDATE)
        prior = np.stack([column, row], axis=1) * stride + stride / 2
        offset = offsets[:, row, column].T
        middle = prior + offset[:, :2] * _VARIANCES[0] * stride * _PRIOR
        extent = np.exp(offset[:, 2:] * _VARIANCES[1]) * stride * _PRIOR
        every_box.append(np.concatenate([middle - extent / 2, middle + extent / 2], axis=1))
        every_score.append(probability[row, column])
    boxes = np.concatenate(every_box).astype(np.float32)
    scores = np.concatenate(every_score).astype(np.float32)
    boxes, scores = boxes[scores > min_score], scores[scores > min_score]  # a weaker box hides none
    kept = nms(boxes, scores, _MOST_OVERLAP, pixel=1.0)
    return boxes[kept], scores[kept]


def _prepared(frames: Sequence[Frame], device: torch.device) -> torch.Tensor:
    height, width = frames[0].shape[:2]
    shape = (len(frames), 3, max(height, _LEAST_SIDE), max(width, _LEAST_SIDE))
    filled = torch.zeros(shape, device=device)
    mean = torch.tensor(_MEAN, device=device).view(1, 3, 1, 1)
    pictures = torch.from_numpy(np.stack(frames)).to(device).permute(0, 3, 1, 2)
    filled[:, :, :height, :width] = pictures - mean
    return filled


def _too_large(frame: Frame) -> ToolError:
    return ToolError(
        "There is not enough memory to look for faces in this picture",
        given=f"{frame.shape[1]}x{frame.shape[0]} pixels",
        hint="Make detect_size smaller, or use the centerface detector.",
    )
