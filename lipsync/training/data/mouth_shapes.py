"""From MediaPipe's landmarks to what the built-in model learns: mouth shapes free of pose and person.

MediaPipe is the teacher, at training time only. Each frame's 478 points are turned, scaled and
moved so that the points that speech does not move (eyes, nose, forehead, temples) lie on a template.
What then remains of lips and chin, less the person's closed mouth, over how far this person moves
the mouth, is the shape; its main directions over all people are its numbers.
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
"""MediaPipe's points in the order of `generators.builtin.outline`."""
KEPT = tuple(sorted({*RIGID, *MOUTH}))
"""What a training set keeps of the 478 points, in this order."""
MIRRORED = (
    *(10 - i if i <= 10 else 30 - i for i in range(20)),
    *(20 + (10 - i if i <= 10 else 30 - i) for i in range(20)),
    *(48 - i for i in range(9)),
)
"""Which of the mouth's 49 points takes each one's place when the picture is mirrored."""

_RIGID_AT = [KEPT.index(i) for i in RIGID]
_MOUTH_AT = [KEPT.index(i) for i in MOUTH]
_EYES = (RIGID.index(33), RIGID.index(263))


@dataclass(frozen=True)
class Pose:
    """What carries a point of the template into the picture: picture = scale * rotation @ p + shift."""

    scale: FloatArray
    """(T,) pixels per distance between the eyes."""
    rotation: FloatArray
    """(T, 3, 3)."""
    shift: FloatArray
    """(T, 3) pixels."""

    def free(self, points: FloatArray) -> FloatArray:
        """Points (T, P, 3) of the picture in the template's coordinates."""
        centred = (points - self.shift[:, None]) / self.scale[:, None, None]
        return np.asarray(np.einsum("tij,tpi->tpj", self.rotation, centred), np.float32)

    def apply(self, points: FloatArray) -> FloatArray:
        """Points (P, 3) or (T, P, 3) of the template in the picture, (T, P, 3)."""
        turned = np.einsum(
            "tij,tpj->tpi", self.rotation, np.broadcast_to(points, (len(self.scale), *points.shape[-2:]))
        )
        return np.asarray(turned * self.scale[:, None, None] + self.shift[:, None], np.float32)


def fit_pose(kept: FloatArray, template: FloatArray) -> Pose:
    """The pose that lays the template's rigid points (R, 3) best on those of `kept` (T, K, 3).

    Least squares after Umeyama (1991), all frames at once.
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
    shift = middle[:, 0] - scale[:, None] * (rotation @ origin[0])
    return Pose(scale.astype(np.float32), rotation.astype(np.float32), shift.astype(np.float32))


def make_template(faces: FloatArray, rounds: int = 5) -> FloatArray:
    """The mean rigid points (R, 3) of `faces` (N, K, 3), the eyes one unit apart, centred."""
    template = _unit(faces[0, _RIGID_AT])
    for _ in range(rounds):
        pose = fit_pose(faces, template)
        template = _unit(pose.free(faces[:, _RIGID_AT]).mean(0))
    return np.asarray(template @ _upright(template).T, np.float32)


def _upright(points: FloatArray) -> FloatArray:
    """The rotation (3, 3) that lays the eyes along x and turns the forehead straight up."""
    across = points[_EYES[1]] - points[_EYES[0]]
    across = across / np.linalg.norm(across)
    down = points[RIGID.index(5)] - points[RIGID.index(10)]
    down = down - across * (down @ across)
    down = down / np.linalg.norm(down)
    return np.stack([across, down, np.cross(across, down)])


def _unit(points: FloatArray) -> FloatArray:
    centred = points - points.mean(0)
    return np.asarray(centred / np.linalg.norm(centred[_EYES[1]] - centred[_EYES[0]]), np.float32)


def mouth_points(kept: FloatArray) -> FloatArray:
    """The 49 points of the mouth, (T, 49, 3), out of the kept ones (T, K, 3)."""
    return kept[:, _MOUTH_AT]


def gap(mouth: FloatArray) -> FloatArray:
    """How far the inner lips are apart in the middle, (T,), in the units of `mouth` (T, 49, 3)."""
    pairs = [(25, 35), (24, 36), (26, 34)]
    gaps = [np.linalg.norm(mouth[:, low] - mouth[:, high], axis=-1) for low, high in pairs]
    return np.asarray(np.mean(gaps, axis=0), np.float32)


@dataclass(frozen=True)
class PersonNorm:
    """One person's mouth: what it looks like closed, and how far speech moves it."""

    resting: FloatArray
    """(49, 3) in the template's coordinates."""
    reach: float
    """Standard deviation of `gap` over this person's frames."""


def fit_person_norm(mouths: FloatArray) -> PersonNorm:
    """The habit behind a person's pose-free mouths (N, 49, 3): the most closed sixth is rest."""
    openings = gap(mouths)
    closed = mouths[openings <= np.quantile(openings, 0.16)]
    return PersonNorm(np.asarray(np.median(closed, axis=0), np.float32), float(openings.std()))


@dataclass(frozen=True)
class ShapeSpace:
    """The main directions of shapes: `shape = moves / reach-share @ directions`."""

    components: FloatArray
    """(numbers, 147): one standard deviation of each number, in the template's units."""
    reach: float
    """The usual `PersonNorm.reach`."""

    def numbers(self, mouths: FloatArray, habit: PersonNorm) -> FloatArray:
        """Pose-free mouths (T, 49, 3) of one person as shapes (T, numbers)."""
        moves = (mouths - habit.resting).reshape(len(mouths), -1) / self.share(habit)
        inverse = np.linalg.pinv(self.components)
        return np.asarray(moves @ inverse, np.float32)

    def share(self, habit: PersonNorm) -> float:
        """How far this person's mouth moves, over the usual."""
        return float(np.clip(habit.reach / self.reach, 0.4, 2.5))


def learn_space(
    mouths: dict[str, FloatArray], habits: dict[str, PersonNorm], numbers: int, seed: int = 0
) -> ShapeSpace:
    """The shape space of several people, each of the same weight."""
    generator = np.random.default_rng(seed)
    reach = float(np.median([habit.reach for habit in habits.values()]))
    space = ShapeSpace(np.zeros((numbers, 147), np.float32), reach)
    rows = []
    for person, points in mouths.items():
        pick = generator.integers(len(points), size=300)
        moves = (points[pick] - habits[person].resting) / space.share(habits[person])
        rows.append(moves.reshape(len(pick), -1))
    # Not centred: the origin must stay the closed mouth, so that silence is a shape of zeros.
    moves = np.concatenate(rows)
    _, _, directions = np.linalg.svd(moves, full_matrices=False)
    directions = directions[:numbers]
    spread = (moves @ directions.T).std(0)
    return ShapeSpace(np.asarray(directions * spread[:, None], np.float32), reach)
