"""S3FD as the official Wav2Lip runs it, with vectorised decoding.

For the official boxes frames must not be reduced (detect_size at least their longer side), and every
frame must be sampled (detect_every 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lipsync.devices import choose_device, free_memory, is_out_of_memory
from lipsync.errors import ToolError
from lipsync.faces.boxes import nms
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.s3fd.network import S3FDNetwork
from lipsync.types import Face, FloatArray, Frame
from lipsync.weights import require
from lipsync.weights.checkpoint import load_into, load_state_dict

# These are the means of blue, green and red, but the original subtracts them from red, green and blue. Kept,
# so that boxes equal the original's.
_MEAN = (104.0, 117.0, 123.0)
_VARIANCES = (0.1, 0.2)
_PRIOR = 4
"""Side of a cell's prior box, in strides."""
_CANDIDATE_SCORE = 0.05
_MAX_IOU = 0.3
_MIN_INPUT_SIDE = 32
"""Pixels. Smaller frames would be pooled to nothing; they are padded on the right and below."""


class S3FD:
    """S3FD as a `FaceDetector`; gives boxes without landmarks.

    Args:
        device: None for the best there is.
        weights: the checkpoint; by default downloaded.
        min_score: faces below this confidence are left out.

    Raises:
        WeightsError: the checkpoint is missing, damaged or of another network.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        weights: Path | None = None,
        min_score: float = _CANDIDATE_SCORE,
    ) -> None:
        self.min_score = max(min_score, _CANDIDATE_SCORE)
        self._device = device or choose_device()
        self.batch_size = 1 if self._device.type == "cpu" else 16
        self.weights = weights or require("s3fd")
        with torch.device("meta"):  # skips the initialisation of weights that are replaced at once
            network = S3FDNetwork()
        network = network.to_empty(device="cpu")
        load_into(network, load_state_dict(self.weights), what="the S3FD face detector", path=self.weights)
        self.network: nn.Module = network.eval().requires_grad_(False).to(self._device)

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `FaceDetector.detect`.

        Raises:
            ToolError: a single frame is too large for the device's memory.
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
        """One inference on frames of equal size."""
        with torch.inference_mode():
            maps = [
                (scores.cpu().numpy(), boxes.cpu().numpy())
                for scores, boxes in self.network(_input_tensor(frames, self._device))
            ]
        found = []
        for row, frame in enumerate(frames):
            boxes, scores = decode([(one[row], other[row]) for one, other in maps], self.min_score)
            found.append(clipped_faces(boxes, scores, None, frame))
        return found


def decode(maps: Sequence[tuple[FloatArray, FloatArray]], min_score: float) -> tuple[FloatArray, FloatArray]:
    """Decode the maps of one frame to boxes, best first.

    Args:
        maps: for strides 4, 8, ...: probability (h, w), and box relative to the prior (4, h, w), that
            is, the centre in tenths of the prior's side and the log of the size in fifths.
        min_score: boxes of a lower probability are left out.

    Returns:
        boxes (N, 4) and scores (N,), float32, pixels of the network's input.
    """
    all_boxes, all_scores = [], []
    for level, (probability, offsets) in enumerate(maps):
        stride = 4 << level
        row, column = np.nonzero(probability > _CANDIDATE_SCORE)
        prior = np.stack([column, row], axis=1) * stride + stride / 2
        offset = offsets[:, row, column].T
        middle = prior + offset[:, :2] * _VARIANCES[0] * stride * _PRIOR
        extent = np.exp(offset[:, 2:] * _VARIANCES[1]) * stride * _PRIOR
        all_boxes.append(np.concatenate([middle - extent / 2, middle + extent / 2], axis=1))
        all_scores.append(probability[row, column])
    boxes = np.concatenate(all_boxes).astype(np.float32)
    scores = np.concatenate(all_scores).astype(np.float32)
    # Before NMS: a weaker box suppresses none.
    boxes, scores = boxes[scores > min_score], scores[scores > min_score]
    kept = nms(boxes, scores, _MAX_IOU, pixel=1.0)
    return boxes[kept], scores[kept]


def _input_tensor(frames: Sequence[Frame], device: torch.device) -> torch.Tensor:
    """(B, 3, H, W) float32 RGB less the mean, zero-padded to 32 pixels at least."""
    height, width = frames[0].shape[:2]
    shape = (len(frames), 3, max(height, _MIN_INPUT_SIDE), max(width, _MIN_INPUT_SIDE))
    padded = torch.zeros(shape, device=device)
    mean = torch.tensor(_MEAN, device=device).view(1, 3, 1, 1)
    images = torch.from_numpy(np.stack(frames)).to(device).permute(0, 3, 1, 2)
    padded[:, :, :height, :width] = images - mean
    return padded


def _too_large(frame: Frame) -> ToolError:
    return ToolError(
        "There is not enough memory to detect faces in this frame",
        given=f"{frame.shape[1]}x{frame.shape[0]} pixels",
        hint="Make 'detect_size' smaller, or use the centerface detector.",
    )
