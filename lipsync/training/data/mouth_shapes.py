"""Mouth shapes: landmarks as coefficients independent of head pose and person.

Each frame's landmarks are rotated, scaled and translated so that the points that speech does not move
(eyes, nose, forehead, temples) fit a template. What then remains of lips and chin, less the person's
closed mouth and divided by how far this person moves the mouth, is the shape. Its principal directions
over all people span the shape space, and a shape's coefficients in it are what the built-in model learns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsync.types import FloatArray

RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 10, 109, 338, 67, 297, 127, 356, 9, 8, 151, 234, 454)
"""MediaPipe's points that speech does not move."""
MOUTH = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    *(150, 149, 176, 148, 152, 377, 400, 378, 379),
)
"""MediaPipe's 49 points of lips and chin, in the order of `generators.builtin.mouth_outline`."""
KEPT = tuple(sorted({*RIGID, *MOUTH}))
"""The points that a training set keeps of the 478, in this order."""
MIRRORED = (
    *(10 - i if i <= 10 else 30 - i for i in range(20)),
    *(20 + (10 - i if i <= 10 else 30 - i) for i in range(20)),
    *(48 - i for i in range(9)),
)
"""Which of the mouth's 49 points takes each one's place in a mirrored image."""

_RIGID_AT = [KEPT.index(i) for i in RIGID]
_MOUTH_AT = [KEPT.index(i) for i in MOUTH]
_EYES = (RIGID.index(33), RIGID.index(263))
_CLOSED_SHARE = 0.16
"""Share of a person's frames, those with the smallest lip gap, that show the closed mouth."""


@dataclass(frozen=True)
class HeadPose:
    """Similarity transforms of the template into T frames.

    A point p becomes scale * rotation @ p + translation.

    Attributes:
        scale: (T,) pixels per distance between the eyes.
        rotation: (T, 3, 3).
        translation: (T, 3) pixels.
    """

    scale: FloatArray
    rotation: FloatArray
    translation: FloatArray

    def to_template(self, points: FloatArray) -> FloatArray:
        """Points (T, P, 3) of the frames in the template's coordinates."""
        centred = (points - self.translation[:, None]) / self.scale[:, None, None]
        return np.asarray(np.einsum("tij,tpi->tpj", self.rotation, centred), np.float32)

    def to_frame(self, points: FloatArray) -> FloatArray:
        """Points (P, 3) or (T, P, 3) of the template in the frames, (T, P, 3)."""
        rotated = np.einsum(
            "tij,tpj->tpi", self.rotation, np.broadcast_to(points, (len(self.scale), *points.shape[-2:]))
        )
        return np.asarray(rotated * self.scale[:, None, None] + self.translation[:, None], np.float32)


def fit_head_pose(kept: FloatArray, template: FloatArray) -> HeadPose:
    """Fit the template's rigid points (R, 3) to those of landmarks (T, K, 3).

    Least squares by Umeyama, IEEE PAMI 1991, for all frames at once.
    """
    points = kept[:, _RIGID_AT].astype(np.float64)
    middle = points.mean(1, keepdims=True)
    origin = template.mean(0, keepdims=True)
    a, b = points - middle, (template - origin)[None]
    u, s, vt = np.linalg.svd(np.einsum("tpi,tpj->tij", a, np.broadcast_to(b, a.shape)))
    sign = np.ones((len(a), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = np.einsum("tij,tj,tjk->tik", u, sign, vt)
    scale = (s * sign).sum(1) / np.square(b).sum()
    translation = middle[:, 0] - scale[:, None] * (rotation @ origin[0])
    return HeadPose(scale.astype(np.float32), rotation.astype(np.float32), translation.astype(np.float32))


def fit_template(faces: FloatArray, rounds: int = 5) -> FloatArray:
    """The mean rigid points (R, 3) of faces (N, K, 3), the eyes at unit distance.

    Generalised Procrustes analysis in `rounds` iterations, then turned upright.
    """
    template = _normalised(faces[0, _RIGID_AT])
    for _ in range(rounds):
        pose = fit_head_pose(faces, template)
        template = _normalised(pose.to_template(faces[:, _RIGID_AT]).mean(0))
    return np.asarray(template @ _upright(template).T, np.float32)


def _upright(points: FloatArray) -> FloatArray:
    """The rotation (3, 3) that puts the eyes along x and the nose below the forehead."""
    across = points[_EYES[1]] - points[_EYES[0]]
    across = across / np.linalg.norm(across)
    down = points[RIGID.index(5)] - points[RIGID.index(10)]
    down = down - across * (down @ across)
    down = down / np.linalg.norm(down)
    return np.stack([across, down, np.cross(across, down)])


def _normalised(points: FloatArray) -> FloatArray:
    centred = points - points.mean(0)
    return np.asarray(centred / np.linalg.norm(centred[_EYES[1]] - centred[_EYES[0]]), np.float32)


def mouth_points(kept: FloatArray) -> FloatArray:
    """The 49 points of the mouth, (T, 49, 3), out of the kept ones (T, K, 3)."""
    return kept[:, _MOUTH_AT]


def lip_gap(mouth: FloatArray) -> FloatArray:
    """Distance of the inner lips, (T,), in the units of `mouth` (T, 49, 3)."""
    pairs = [(25, 35), (24, 36), (26, 34)]
    gaps = [np.linalg.norm(mouth[:, low] - mouth[:, high], axis=-1) for low, high in pairs]
    return np.asarray(np.mean(gaps, axis=0), np.float32)


@dataclass(frozen=True)
class PersonNorm:
    """One person's closed mouth and range of mouth movement.

    Attributes:
        closed: (49, 3) in the template's coordinates.
        spread: standard deviation of `lip_gap` over this person's frames.
    """

    closed: FloatArray
    spread: float


def fit_person_norm(mouths: FloatArray) -> PersonNorm:
    """Fit the norm of a person to pose-free mouths (N, 49, 3).

    The closed mouth is the median of the 16 % with the smallest lip gap.
    """
    gaps = lip_gap(mouths)
    closed = mouths[gaps <= np.quantile(gaps, _CLOSED_SHARE)]
    return PersonNorm(np.asarray(np.median(closed, axis=0), np.float32), float(gaps.std()))


@dataclass(frozen=True)
class ShapeSpace:
    """Principal directions of mouth shapes.

    Attributes:
        components: (coefficients, 147), one standard deviation of each coefficient as movements of
            the 49 points, in distances between the eyes.
        spread: median `PersonNorm.spread`.
    """

    components: FloatArray
    spread: float

    def encode(self, mouths: FloatArray, norm: PersonNorm) -> FloatArray:
        """Pose-free mouths (T, 49, 3) of one person as coefficients (T, coefficients)."""
        moves = (mouths - norm.closed).reshape(len(mouths), -1) / self.amplitude(norm)
        inverse = np.linalg.pinv(self.components)
        return np.asarray(moves @ inverse, np.float32)

    def amplitude(self, norm: PersonNorm) -> float:
        """A person's mouth movement relative to the median person's, 0.4 to 2.5."""
        return float(np.clip(norm.spread / self.spread, 0.4, 2.5))


def fit_shape_space(
    mouths: dict[str, FloatArray], norms: dict[str, PersonNorm], coefficients: int, seed: int = 0
) -> ShapeSpace:
    """The shape space of several people, each with the same weight.

    Args:
        mouths: pose-free mouths (N, 49, 3) by person.
    """
    rng = np.random.default_rng(seed)
    spread = float(np.median([norm.spread for norm in norms.values()]))
    space = ShapeSpace(np.zeros((coefficients, 147), np.float32), spread)
    rows = []
    for person, points in mouths.items():
        pick = rng.integers(len(points), size=300)
        moves = (points[pick] - norms[person].closed) / space.amplitude(norms[person])
        rows.append(moves.reshape(len(pick), -1))
    # Not centred: the origin must stay the closed mouth, so that silence is a shape of zeros.
    moves = np.concatenate(rows)
    _, _, directions = np.linalg.svd(moves, full_matrices=False)
    directions = directions[:coefficients]
    deviation = (moves @ directions.T).std(0)
    return ShapeSpace(np.asarray(directions * deviation[:, None], np.float32), spread)
