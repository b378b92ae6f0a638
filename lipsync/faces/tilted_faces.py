"""Detection of tilted faces: lying, hanging and upside down.

Detectors are trained on faces that are nearly upright. Of tilted ones CenterFace finds most up to 60
degrees, half of those at 90 to 135, and two thirds upside down, with landmarks that are off by half the
distance of eyes and mouth (35 people of the clips in the tests). In a window that is rotated by the roll
that these landmarks suggest it finds the same faces with a confidence of 0.85 and more and with the
accuracy of upright ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lipsync.faces.boxes import centre, iou
from lipsync.faces.detectors.base import CoarseDetector, FaceDetector
from lipsync.faces.upright import TILTED, Float64Array, roll, rotation_matrix
from lipsync.types import Face, FloatArray, Frame

_WINDOW_SIDE = 160
"""Side of the rotated window, pixels; the face takes half of it."""
_WINDOW_FACES = 2.0
"""Side of the window in longer sides of the face."""
_MIN_CERTAIN_SCORE = 0.85
"""Confidence from which on no other rotation of the window is tried."""
_MAX_RESIDUAL_ROLL = np.radians(40.0)
"""Roll in the window up to which the rotation was about right."""
_MIN_CONFIRMED_SCORE = 0.75
"""Confidence in the window from which on a face counts, whatever the detector's guess was."""
_MIN_SEED_SCORE = 0.3
"""Confidence from which on the detector's guess is worth a window, in frames without a face."""
_MAX_SEEDS = 2
_MAX_UNCONFIRMED_ROLL = np.radians(45.0)
"""Roll from which on a face is dropped if the window does not show one."""
_MAX_AGREED_ROLL = np.radians(60.0)
"""Roll up to which the guess counts where window and frame agree with little confidence."""
_MIN_UPRIGHT_SCORE = 0.65
"""Confidence below which a face that seems upright may be one upside down, and is tried rotated."""
_SEARCH_SIDE = 320
"""Longer side of the frames that are searched rotated, pixels."""
_MAX_IOU = 0.3
_QUARTER_TURNS = (2, 1, 3)
"""Rotations of a frame in which nothing was found, in quarter turns, the likeliest first."""


@dataclass(frozen=True, eq=False)
class _Window:
    """Square, rotated window of a frame.

    `matrix` (2, 3) maps pixels of the frame to those of the window.
    """

    pixels: Frame
    matrix: Float64Array

    @classmethod
    def around(cls, frame: Frame, face: Face, angle: float) -> _Window:
        """The window in which a face with the roll `angle`, in radians, is upright."""
        longer = max(float(face.box[2] - face.box[0]), float(face.box[3] - face.box[1]), 1.0)
        scale = _WINDOW_SIDE / (_WINDOW_FACES * longer)
        rotation = rotation_matrix(angle) * scale
        matrix = np.column_stack([rotation, _WINDOW_SIDE / 2 - rotation @ centre(face.box)])
        if scale < 0.5:  # fewer samples than pixels would alias
            factor = int(0.5 / scale) + 1
            size = (max(1, frame.shape[1] // factor), max(1, frame.shape[0] // factor))
            shrunk = np.array(size) / (frame.shape[1], frame.shape[0])
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
            warp = np.column_stack([matrix[:, :2] / shrunk, matrix[:, 2]])
        else:
            warp = matrix
        size = (_WINDOW_SIDE, _WINDOW_SIDE)
        pixels = cv2.warpAffine(frame, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cls(np.asarray(pixels, np.uint8), matrix)

    def best_face(self, detector: FaceDetector) -> Face | None:
        """The face in the middle of the window, in its pixels; None if there is none."""
        for face in detector.detect([self.pixels])[0]:
            if face.points is not None and np.abs(centre(face.box) / _WINDOW_SIDE - 0.5).max() < 0.3:
                return face
        return None

    def in_frame(self, face: Face) -> Face:
        """A face of the window in pixels of the frame: points rotated, the box only moved."""
        inverse = np.asarray(cv2.invertAffineTransform(self.matrix))
        scale = float(np.hypot(*inverse[:, 0]))
        middle = inverse[:, :2] @ centre(face.box) + inverse[:, 2]
        half = (face.box[2:] - face.box[:2]) * scale / 2
        assert face.points is not None
        points = face.points @ inverse[:, :2].T + inverse[:, 2]
        box = np.concatenate([middle - half, middle + half])
        return Face(box.astype(np.float32), face.score, points.astype(np.float32))


def detect_upright(frame: Frame, face: Face, detector: FaceDetector) -> Face | None:
    """Detect a face again in a window in which it is upright, whatever its roll.

    Args:
        frame: RGB uint8 (H, W, 3).
        face: the detector's guess, with points.

    Returns:
        The face, its box as `UprightView.of` expects it: of the size that it has upright, around its
        middle in the frame, beyond which it may reach. None where no window shows one.
    """
    assert face.points is not None
    guess = float(roll(face.points))
    best: Face | None = None
    for turn in (0, 2, 1, 3):
        found = _face_in_window(frame, face, guess + turn * np.pi / 2, detector)
        if found is not None and found.points is not None:  # again, more upright
            found = _face_in_window(frame, found, float(roll(found.points)), detector) or found
            best = found if best is None or found.score > best.score else best
            if best.score >= _MIN_CERTAIN_SCORE:
                break
    if best is None:
        return None
    x, y = centre(best.box)
    return best if 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0] else None


def _face_in_window(frame: Frame, face: Face, angle: float, detector: FaceDetector) -> Face | None:
    """The face found in a window in which one with the roll `angle` is upright, in pixels of the frame."""
    window = _Window.around(frame, face, angle)
    found = window.best_face(detector)
    if found is None or found.points is None or abs(roll(found.points)) > _MAX_RESIDUAL_ROLL:
        return None
    return window.in_frame(found)


def with_tilted_faces(
    frame: Frame, guesses: Sequence[Face], detector: FaceDetector, min_score: float, search: bool
) -> list[Face]:
    """The faces of a frame, those that are tilted detected upright; upright ones are kept as they are.

    Args:
        frame: RGB uint8 (H, W, 3).
        guesses: all that the detector found in it, best first.
        detector: a detector without landmarks cannot tell tilted faces; its faces are kept.
        min_score: confidence that a face needs.
        search: where no face is found, look at uncertain guesses again, and at the frame rotated by quarter
            turns.
    """
    faces = [face for face in guesses if face.score >= min_score]
    refined = [_refined(frame, face, detector) for face in faces]
    if faces and all(one is other for one, other in zip(refined, faces, strict=True)):
        return faces
    found = _distinct([face for face in refined if face is not None])
    return found or (_search(frame, guesses, detector) if search else [])


def _refined(frame: Frame, face: Face, detector: FaceDetector) -> Face | None:
    tilt = 0.0 if face.points is None else abs(float(roll(face.points)))
    if tilt < TILTED and (face.points is None or face.score >= _MIN_UPRIGHT_SCORE):
        return face
    upright = detect_upright(frame, face, detector)
    turned = 0.0 if upright is None else _rotation_between(upright, face)
    if tilt < TILTED and turned < _MAX_UNCONFIRMED_ROLL:
        return face
    if upright is not None and (upright.score >= _MIN_CONFIRMED_SCORE or _agree(upright, face)):
        return upright
    return face if tilt < _MAX_UNCONFIRMED_ROLL else None


def _agree(upright: Face, guess: Face) -> bool:
    """Whether the window shows the face that was guessed, and better than the frame does."""
    assert upright.points is not None
    lies = abs(float(roll(upright.points))) > _MAX_AGREED_ROLL
    same = _rotation_between(upright, guess) <= _MAX_RESIDUAL_ROLL
    return same and not lies and upright.score >= guess.score


def _rotation_between(one: Face, other: Face) -> float:
    """Angle between two faces, radians in [0, pi]."""
    assert one.points is not None and other.points is not None
    return abs(float(np.angle(np.exp(1j * (roll(one.points) - roll(other.points))))))


def _search(frame: Frame, guesses: Sequence[Face], detector: FaceDetector) -> list[Face]:
    """Tilted faces in a frame in which none was found upright."""
    found = _confirmed(frame, guesses, detector)
    if found:
        return found
    for turns in _QUARTER_TURNS:
        if any(face.points is None for face in guesses):
            return []
        guesses = _search_rotated(frame, turns, detector)
        found = _confirmed(frame, guesses, detector)
        if found:
            return found
    return []


def _confirmed(frame: Frame, guesses: Sequence[Face], detector: FaceDetector) -> list[Face]:
    seeds = [face for face in guesses if face.points is not None and face.score >= _MIN_SEED_SCORE]
    seeds = seeds[:_MAX_SEEDS]
    upright = [detect_upright(frame, face, detector) for face in seeds]
    return _distinct([face for face in upright if face and face.score >= _MIN_CONFIRMED_SCORE])


def _search_rotated(frame: Frame, turns: int, detector: FaceDetector) -> list[Face]:
    """Faces of the frame rotated by quarter turns anticlockwise, in pixels of the frame itself."""
    height, width = frame.shape[:2]
    scale = min(1.0, _SEARCH_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
    rotated = np.asarray(np.ascontiguousarray(np.rot90(small, turns)), np.uint8)
    detect = detector.detect_coarse if isinstance(detector, CoarseDetector) else detector.detect
    rotation = rotation_matrix(turns * np.pi / 2)
    middle, rotated_middle = np.array(size) / 2, np.array(rotated.shape[1::-1]) / 2

    def in_frame(points: FloatArray) -> FloatArray:
        return np.asarray(((points - rotated_middle) @ rotation + middle) / scale, np.float32)

    faces = []
    for face in detect([rotated])[0]:
        corners = in_frame(face.box.reshape(2, 2))
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        points = None if face.points is None else in_frame(face.points)
        faces.append(replace(face, box=box, points=points))
    return faces


def _distinct(faces: list[Face]) -> list[Face]:
    """Faces without those that overlap a better one, best first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not kept or iou(face.box, np.stack([one.box for one in kept])).max() <= _MAX_IOU:
            kept.append(face)
    return kept
