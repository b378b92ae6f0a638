from __future__ import annotations

import numpy as np
import pytest

from lipsync.training.data import mouth_shapes


def turned(points: np.ndarray, yaw: float, roll: float, scale: float, shift: tuple[float, ...]) -> np.ndarray:
    across = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    around = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return scale * points @ (around @ across).T + np.array(shift)


@pytest.fixture
def face() -> np.ndarray:
    """One face's kept landmarks, of a size and place of their own."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(len(mouth_shapes.KEPT), 3))
    points[mouth_shapes.KEPT.index(33)], points[mouth_shapes.KEPT.index(263)] = (-1, 0, 0), (1, 0, 0)
    return points


def test_pose_is_taken_out_and_put_back(face: np.ndarray) -> None:
    poses = [(0.4, 0.1, 80, (100, 90, 5)), (-0.3, -0.2, 120, (50, 60, 0)), (0, 0, 90, (10, 20, 30))]
    frames = np.stack([turned(face, *pose) for pose in poses]).astype(np.float32)
    template = mouth_shapes.fit_template(frames)
    pose = mouth_shapes.fit_head_pose(frames, template)
    free = pose.to_template(mouth_shapes.mouth_points(frames))
    np.testing.assert_allclose(free[0], free[1], atol=1e-3)
    np.testing.assert_allclose(free[0], free[2], atol=1e-3)
    np.testing.assert_allclose(pose.to_frame(free), mouth_shapes.mouth_points(frames), atol=0.05)


def test_shapes_are_nothing_at_rest_and_free_of_the_persons_reach() -> None:
    rng = np.random.default_rng(1)
    direction = rng.normal(size=(49, 3)) * 0.1
    strength = np.abs(np.sin(np.arange(200) / 5))
    people = {
        name: (np.ones((49, 3)) * number + strength[:, None, None] * direction * number).astype(np.float32)
        for number, name in ((1, "quiet"), (2, "lively"))
    }
    norms = {name: mouth_shapes.fit_person_norm(points) for name, points in people.items()}
    space = mouth_shapes.fit_shape_space(people, norms, 1)
    quiet, lively = (space.encode(people[name], norms[name]) for name in people)
    np.testing.assert_allclose(quiet, lively, atol=0.02)
    assert np.abs(quiet[strength < 0.05]).max() < 0.3 * np.abs(quiet).max()


def test_mirroring_twice_changes_nothing() -> None:
    mirrored = np.array(mouth_shapes.MIRRORED)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(49))
    assert mirrored[20] == 30 and mirrored[44] == 44
