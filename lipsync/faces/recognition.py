"""Face similarity to a reference image, by SFace or by texture and colours.

SFace is OpenCV's face recognition network, used where its file is in the weights folder (`python -m
lipsync weights sface`). Local binary patterns and colours find a person again in the video that the
reference image was taken from, but hardly in another recording.
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
from lipsync.faces.aligned_faces import ALIGNED_SIZE, RECOGNITION_SIZE, align_face, decode_aligned_face
from lipsync.faces.detection_schedule import Detection, appearance_descriptor
from lipsync.faces.detectors.base import FaceDetector
from lipsync.faces.tilted_faces import with_tilted_faces
from lipsync.media import open_video
from lipsync.options import FaceOptions
from lipsync.types import FloatArray, Frame
from lipsync.utils.onnx_session import open_session
from lipsync.weights import find
from lipsync.weights.weights_file import read_weights_bytes

_MAX_COMPARED = 12
"""Aligned faces of an identity that are compared with the reference..."""
_TOP_K = 3
"""...and how many of the best are averaged: a head that turns away for a while is still the same."""
_WITHOUT_NETWORK = (
    "Faces were compared with the reference image by texture and colours only, which is reliable only for "
    "a frame of the same video. For other images download the network: python -m lipsync weights sface"
)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """Aligned crop and appearance descriptor of a face.

    Attributes:
        image: RGB uint8 (ALIGNED_SIZE, ALIGNED_SIZE, 3), see `align_face`.
        appearance: uint8 (10, 6, 3), see `appearance_descriptor`.
    """

    image: Frame
    appearance: Frame


class FaceSimilarity(Protocol):
    """Measure of how similar two faces are.

    Attributes:
        threshold: similarity from which on two faces count as the same person.
    """

    threshold: float

    def compare(self, face: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """Similarity of `face` to each of `others`, float32 (N,); higher is more similar."""
        ...


class ReferenceFace:
    """The face in a reference image; made by `read_reference`.

    Attributes:
        path: the image.
    """

    def __init__(self, path: Path, face: AlignedFace, similarity: FaceSimilarity) -> None:
        self.path, self._face, self._similarity = path, face, similarity

    @property
    def threshold(self) -> float:
        """Similarity from which on a face is the reference person."""
        return self._similarity.threshold

    def similarity_to(self, detections: Sequence[Detection]) -> float:
        """Similarity to an identity: mean of its best aligned faces, -inf without any."""
        return _mean_of_best(self._face, _aligned_faces(detections, _MAX_COMPARED), self._similarity)


def identity_similarity(
    one: Sequence[Detection], other: Sequence[Detection], similarity: FaceSimilarity
) -> float:
    """Similarity of two identities: that of the most similar aligned face of `one`, -inf without any."""
    others = _aligned_faces(other, _MAX_COMPARED)
    return max(
        (_mean_of_best(face, others, similarity) for face in _aligned_faces(one, _TOP_K)), default=-np.inf
    )


def _aligned_faces(detections: Sequence[Detection], most: int) -> list[AlignedFace]:
    """At most `most` aligned faces, evenly spaced in time."""
    aligned = [one for one in detections if one.aligned_face]
    indices = np.linspace(0, len(aligned) - 1, min(most, len(aligned))).round().astype(int)
    return [
        AlignedFace(decode_aligned_face(aligned[index].aligned_face), aligned[index].appearance)
        for index in indices.tolist()
    ]


def _mean_of_best(face: AlignedFace, others: Sequence[AlignedFace], similarity: FaceSimilarity) -> float:
    """Mean similarity to the most similar of `others`, -inf without any."""
    if not others:
        return -np.inf
    return float(np.sort(similarity.compare(face, others))[-_TOP_K:].mean())


def read_reference(
    path: Path, detector: FaceDetector, options: FaceOptions, similarity: FaceSimilarity | None = None
) -> ReferenceFace:
    """Read the largest face in an image, or in the first frame of a video.

    Args:
        options: `detect_size` and `min_score` are used.
        similarity: how to compare; default: see `choose_similarity`.

    Raises:
        NoFaceError: no face was found.
        MediaError: the file cannot be read.
        WeightsError: the file of SFace is damaged.
    """
    [frame] = open_video(path).read([0], max_side=options.detect_size)
    [guesses] = detector.detect([frame])
    faces = with_tilted_faces(frame, guesses, detector, options.min_score, search=True)
    if not faces:
        raise NoFaceError(
            "No face was found in the reference image",
            given=path,
            hint="Give an image in which the person looks into the camera, best a frame of this video, "
            "or choose the face by its position ('which_face').",
        )
    face = max(faces, key=lambda face: face.area)
    aligned = AlignedFace(align_face(frame, face), appearance_descriptor(frame, face.box))
    return ReferenceFace(path, aligned, similarity or choose_similarity())


def choose_similarity() -> FaceSimilarity:
    """SFace where its file is on this machine, else `TextureSimilarity`.

    Raises:
        WeightsError: the file of SFace is damaged.
    """
    weights = find("sface")
    return SFaceSimilarity(weights) if weights else TextureSimilarity()


def recognition_warnings(choices: Sequence[FaceOptions]) -> tuple[str, ...]:
    """Warnings where faces are selected by a reference image without SFace."""
    needed = any(one.which_face == "reference" for one in choices)
    return (_WITHOUT_NETWORK,) if needed and not find("sface") else ()


class TextureSimilarity:
    """Similarity by local binary patterns of the aligned face and by colours.

    Patterns: Ahonen, Hadid, Pietikäinen, "Face Description with Local Binary Patterns", PAMI 2006:
    histograms of the uniform patterns in a 7x7 grid, here at two scales and compared by the cosine of
    their square roots.

    Measured on 72 clips of 45 people. Which of two faces is the reference's is right in 99.9 % where the
    reference is another frame of the same video, in 87 % where it is from another recording (only four
    videos of two people). With `threshold` 99 % are recognised in the same video, but 39 % in another
    recording, and 5 % of strangers are accepted.
    """

    threshold = 0.3
    _COLOR_WEIGHT = 1 / 100

    def compare(self, face: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """Cosine of the pattern histograms less the colour difference, float32 (N,).

        100 grey levels of colour difference count 1.
        """
        patterns = _pattern_histograms(face.image)
        return np.array(
            [
                patterns @ _pattern_histograms(other.image)
                - self._COLOR_WEIGHT * np.abs(face.appearance.astype(np.float32) - other.appearance).mean()
                for other in others
            ],
            np.float32,
        )


class SFaceSimilarity:
    """Cosine similarity of SFace embeddings.

    Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021.

    Args:
        weights: face_recognition_sface_2021dec.onnx of the OpenCV zoo.

    Raises:
        WeightsError: the file is damaged or of another network.
    """

    threshold = 0.363
    """The OpenCV zoo's threshold for the cosine."""

    def __init__(self, weights: Path) -> None:
        self._session = _open(weights)

    def compare(self, face: AlignedFace, others: Sequence[AlignedFace]) -> FloatArray:
        """Cosine of the embeddings of `face` and each of `others`, float32 (N,)."""
        embedding = self.embed(face.image)
        return np.array([embedding @ self.embed(other.image) for other in others], np.float32)

    def embed(self, image: Frame) -> FloatArray:
        """Embedding of an aligned crop, float32 (128,) of length 1."""
        edge = (ALIGNED_SIZE - RECOGNITION_SIZE) // 2
        inner = image[edge : edge + RECOGNITION_SIZE, edge : edge + RECOGNITION_SIZE]
        blob = inner.transpose(2, 0, 1)[None].astype(np.float32)
        (vector,) = self._session.run(None, {self._session.get_inputs()[0].name: blob})
        row = np.asarray(vector, np.float32).reshape(-1)
        return np.asarray(row / max(1e-9, float(np.linalg.norm(row))), np.float32)


def _open(weights: Path) -> Any:
    session = open_session(read_weights_bytes(weights), _not_sface(weights))
    shapes = [node.shape for node in session.get_inputs()]
    if (
        len(shapes) != 1
        or shapes[0][1:] != [3, RECOGNITION_SIZE, RECOGNITION_SIZE]
        or len(session.get_outputs()) != 1
    ):
        raise _not_sface(weights)
    return session


def _not_sface(path: Path) -> WeightsError:
    return WeightsError(
        "This file is damaged or is not SFace's network",
        given=path,
        hint="Delete it and download it again: python -m lipsync weights sface",
    )


# --- local binary patterns -------------------------------------------------------------------------

_GRID = 7
_CLASSES = 59
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
"""Row and column of each neighbour in the 3 x 3 window, in a ring."""


def _uniform_classes() -> npt.NDArray[np.intp]:
    """Class of each of the 256 patterns, (256,).

    One for each pattern with at most two changes round the ring, one for all others.
    """
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, _CLASSES - 1)


_CLASS_OF = _uniform_classes()


def _pattern_histograms(image: Frame) -> FloatArray:
    """Square roots of all cells' histograms at two scales, float32 of length 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    histograms = []
    for side in (RECOGNITION_SIZE, RECOGNITION_SIZE // 2):
        small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
        classes = _CLASS_OF[_pattern_codes(np.asarray(cv2.GaussianBlur(small, (3, 3), 0)))]
        cell = classes.shape[0] // _GRID
        for row in range(_GRID):
            for column in range(_GRID):
                part = classes[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
                histograms.append(np.bincount(part.ravel(), minlength=_CLASSES) / part.size)
    vector = np.sqrt(np.concatenate(histograms))
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _pattern_codes(grey: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pattern of each pixel, uint8 (h - 2, w - 2).

    A bit is set for each neighbour that is at least as bright.
    """
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    middle = grey[1:-1, 1:-1]
    codes = np.zeros((height, width), np.uint8)
    for bit, (down, right) in enumerate(_NEIGHBOURS):
        codes |= (grey[down : down + height, right : right + width] >= middle).astype(np.uint8) << bit
    return codes
