"""Faces that the border of the frame cuts off are not drawn, and it is said."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from PIL import Image

from lipsync.faces import TrackedFaces, UnusedReason, VideoShape, track_faces
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.options import FaceOptions
from lipsync.progress import StageProgress
from lipsync.types import Face, Frame
from tests.material import FACE

Side = Literal["top", "bottom", "left"]


@pytest.fixture(scope="module")
def photo() -> Frame:
    return np.asarray(Image.open(FACE).convert("RGB"))


@pytest.fixture(scope="module")
def face(photo: Frame) -> Face:
    return CenterFace().detect([photo])[0][0]


def tracked(frame: Frame) -> TrackedFaces:
    shape = VideoShape(8, (frame.shape[1], frame.shape[0]), 25)
    progress = StageProgress("", 8)
    return track_faces(
        iter([frame] * 8), shape, detector=CenterFace(), options=FaceOptions(), progress=progress
    )


def cut(photo: Frame, face: Face, side: Side, shift: float) -> Frame:
    """The photo cut through the eyes, the mouth or the nose, `shift` eye-mouth distances further inwards."""
    assert face.points is not None
    eyes, mouth = face.points[:2].mean(axis=0), face.points[3:].mean(axis=0)
    distance = shift * float(mouth[1] - eyes[1])
    if side == "top":
        return np.ascontiguousarray(photo[round(float(eyes[1]) + distance) :])
    if side == "bottom":
        return np.ascontiguousarray(photo[: round(float(mouth[1]) - distance)])
    return np.ascontiguousarray(photo[:, round(float(face.points[2, 0]) + distance) :])


@pytest.mark.parametrize(("side", "shift"), [("top", 0.25), ("bottom", 0.15), ("left", 0.0)])
def test_a_face_whose_eyes_or_mouth_are_cut_off_passes_through(
    photo: Frame, face: Face, side: Side, shift: float
) -> None:
    found = tracked(cut(photo, face, side, shift))
    [unused] = [one for one in found.unused if one.reason is UnusedReason.CUT_OFF]
    assert unused.frames.all()
    assert not found.track.present.any()


@pytest.mark.parametrize(("side", "shift"), [("top", -0.3), ("bottom", -0.4), ("left", -0.8)])
def test_a_face_with_eyes_and_mouth_in_the_picture_is_drawn(
    photo: Frame, face: Face, side: Side, shift: float
) -> None:
    found = tracked(cut(photo, face, side, shift))
    assert found.track.present.all()
    assert not any(one.frames.any() for one in found.unused)
