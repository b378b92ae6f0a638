"""Who looks like the person in a picture: by a face recognition network, or by plain texture and colours.

The network is OpenCV's SFace, used where its file is in the weights folder (`python -m lipsync
weights sface`). Without it faces are compared as they look in these very pictures, which finds a
person again in the video that the picture was taken from, and hardly in another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import NoFaceError, WeightsError
from lipsync.faces.aligned_faces import NETWORK_SIDE, SIDE, align, decode_aligned_face
from lipsync.faces.detection_schedule import Detection, appearance
from lipsync.faces.detectors.base import FaceDetector
from lipsync.media import open_video
from lipsync.options import FaceOptions
from lipsync.types import FloatArray, Frame
from lipsync.utils.onnx_session import open_session
from lipsync.weights import find

_PORTRAITS = 12
"""So many of a person's portraits are compared..."""
_BEST = 3
"""...and so many of them have to be alike: a head that turns away is still the same one."""
_WITHOUT_NETWORK = (
    "Faces were compared with the reference picture by texture and colours only, which is sure only for "
    "a frame of the same video. For other pictures fetch the network: python -m lipsync weights sface"
)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """A face as it is compared.

    Attributes:
        face: uint8 (SIDE, SIDE, 3), see `portraits.align`.
        look: as `Detection.look`.
    """

    face: Frame
    look: Frame


class FaceSimilarity(Protocol):
    """Tells how alike faces are.

    Attributes:
        least: who is less alike than this is somebody else.
    """

    least: float

    def compare(self, one: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """(N,) the more, the more alike."""
        ...


class Reference:
    """The face in a picture, to which others are compared; made by `read_reference`."""

    def __init__(self, path: Path, portrait: AlignedFace, similarity: FaceSimilarity) -> None:
        self.path, self._portrait, self._likeness = path, portrait, similarity

    @property
    def least(self) -> float:
        """Who is less alike than this is somebody else."""
        return self._likeness.least

    def alike(self, detections: Sequence[Detection]) -> float:
        """How alike the person in `detections` is; minus infinity where none has a portrait."""
        taken = [one for one in detections if one.portrait]
        if not taken:
            return -np.inf
        places = np.linspace(0, len(taken) - 1, min(_PORTRAITS, len(taken))).round().astype(int)
        portraits = [
            AlignedFace(decode_aligned_face(taken[place].portrait), taken[place].look)
            for place in places.tolist()
        ]
        scores = np.sort(self._likeness.compare(self._portrait, portraits))
        return float(scores[-_BEST:].mean())


def read_reference(
    path: Path, detector: FaceDetector, options: FaceOptions, similarity: FaceSimilarity | None = None
) -> Reference:
    """The largest face in a picture (the first frame of a video).

    Args:
        options: `detect_size` and `min_score` are used.
        likeness: how to compare; by default SFace where it is, else `TextureSimilarity`.

    Raises:
        NoFaceError: there is none.
        MediaError: it cannot be read.
        WeightsError: the file of SFace is damaged.
    """
    [frame] = open_video(path).read([0], max_side=options.detect_size)
    faces = [face for face in detector.detect([frame])[0] if face.score >= options.min_score]
    if not faces:
        raise NoFaceError(
            "No face was found in the reference picture",
            given=path,
            hint="Give a picture in which the person looks into the camera, best a frame of this video, "
            "or choose the face by its place (which_face).",
        )
    face = max(faces, key=lambda face: face.area)
    return Reference(
        path, AlignedFace(align(frame, face), appearance(frame, face.box)), similarity or choose_similarity()
    )


def choose_similarity() -> FaceSimilarity:
    """SFace where its file is on this machine, else `TextureSimilarity`."""
    weights = find("sface")
    return SFaceSimilarity(weights) if weights else TextureSimilarity()


def recognition_warnings(choices: Sequence[FaceOptions]) -> tuple[str, ...]:
    """What to know where faces are chosen by a picture, and the network for that is absent."""
    asked = any(one.which_face == "reference" for one in choices)
    return (_WITHOUT_NETWORK,) if asked and not find("sface") else ()


class TextureSimilarity:
    """Local binary patterns of the aligned face, and colours of head and shoulders.

    Patterns: Ahonen, Hadid, Pietikäinen, "Face Description with Local Binary Patterns", PAMI 2006:
    histograms of the uniform patterns in a 7x7 grid, here of two sizes of the picture and compared
    by the cosine of their square roots.

    Measured on 72 clips of 45 people. Which of two is right: 99.9 % where the reference is another
    frame of the same video, 87 % where it is from another recording (only four videos of two people
    to go by). With `least` 99 % are known again in the same video, but 39 % in another recording,
    and 5 % of strangers are taken for the person.
    """

    least = 0.3
    _COLOUR_WEIGHT = 1 / 100

    def compare(self, one: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """Cosine of the texture histograms, less 1 per 100 grey levels between the colours."""
        patterns = _patterns(one.face)
        return np.array(
            [
                patterns @ _patterns(other.face)
                - self._COLOUR_WEIGHT * np.abs(one.look.astype(np.float32) - other.look).mean()
                for other in others
            ],
            np.float32,
        )


class SFaceSimilarity:
    """SFace: Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021.

    Args:
        weights: face_recognition_sface_2021dec.onnx of the OpenCV zoo.

    Raises:
        WeightsError: it is another file.
    """

    least = 0.363
    """The zoo's own threshold for the cosine."""

    def __init__(self, weights: Path) -> None:
        self._session = _open(weights)

    def compare(self, one: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """See `FaceSimilarity`: the cosine of the networks' vectors."""
        mine = self.embed(one.face)
        return np.array([mine @ self.embed(other.face) for other in others], np.float32)

    def embed(self, face: Frame) -> FloatArray:
        """float32 (128,) of length 1."""
        edge = (SIDE - NETWORK_SIDE) // 2
        inner = face[edge : edge + NETWORK_SIDE, edge : edge + NETWORK_SIDE]
        blob = inner.transpose(2, 0, 1)[None].astype(np.float32)
        (vector,) = self._session.run(None, {self._session.get_inputs()[0].name: blob})
        row = np.asarray(vector, np.float32).reshape(-1)
        return np.asarray(row / max(1e-9, float(np.linalg.norm(row))), np.float32)


def _open(weights: Path) -> Any:
    try:
        model = weights.read_bytes()
    except OSError as error:
        raise _not_sface(weights) from error
    session = open_session(model, _not_sface(weights))
    shapes = [node.shape for node in session.get_inputs()]
    if (
        len(shapes) != 1
        or shapes[0][1:] != [3, NETWORK_SIDE, NETWORK_SIDE]
        or len(session.get_outputs()) != 1
    ):
        raise _not_sface(weights)
    return session


def _not_sface(path: Path) -> WeightsError:
    return WeightsError(
        "This file is damaged or is not SFace's network",
        given=path,
        hint="Delete it and fetch it anew: python -m lipsync weights sface",
    )


# ------------------------------------------------------------------------------------- patterns

_GRID = 7
_CLASSES = 59
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))  # around the middle, in a ring


def _uniform_classes() -> npt.NDArray[np.intp]:
    """(256,): patterns with at most two changes round the ring have a class each, the others one."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, _CLASSES - 1)


_CLASS_OF = _uniform_classes()


def _patterns(face: Frame) -> FloatArray:
    """float32, of length 1: square roots of the histograms of each cell of the grid, at two sizes."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    histograms = []
    for side in (NETWORK_SIDE, NETWORK_SIDE // 2):
        small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
        codes = _CLASS_OF[_ring_codes(np.asarray(cv2.GaussianBlur(small, (3, 3), 0)))]
        cell = codes.shape[0] // _GRID
        for row in range(_GRID):
            for column in range(_GRID):
                part = codes[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
                histograms.append(np.bincount(part.ravel(), minlength=_CLASSES) / part.size)
    vector = np.sqrt(np.concatenate(histograms))
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _ring_codes(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """One bit for each neighbour: at least as light as the middle."""
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    middle = grey[1:-1, 1:-1]
    codes = np.zeros((height, width), np.uint8)
    for bit, (down, right) in enumerate(_NEIGHBOURS):
        codes |= (grey[down : down + height, right : right + width] >= middle).astype(np.uint8) << bit
    return codes
