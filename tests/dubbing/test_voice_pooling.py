"""Evidence is pooled over the speech of one voice, and a face has one voice."""

from __future__ import annotations

import numpy as np
import pytest

from lipsync.dubbing import voice_pooling
from lipsync.dubbing.voice_pooling import Voices, pool_by_voice
from lipsync.types import FloatArray

TURN, STEP = 75, 5


def voices_of(*who: int) -> Voices:
    """Turns of 3 s by these voices, a little different each time."""
    rng = np.random.default_rng(0)
    known = np.eye(8, dtype=np.float32)
    frames = np.arange(0, TURN * len(who), STEP)
    near = known[[who[at // TURN] for at in frames]] + rng.normal(0, 0.1, (len(frames), 8))
    return Voices(frames, (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32))


def odds_of(*turns: tuple[float, ...]) -> FloatArray:
    """Log odds of each face, turn by turn."""
    return np.repeat(np.array(turns, np.float32).T, TURN, axis=1)


def mean_of(odds: FloatArray, face: int, turn: int) -> float:
    return float(odds[face, turn * TURN + 10 : (turn + 1) * TURN - 10].mean())


def test_a_turn_that_was_hardly_seen_is_told_by_the_voice() -> None:
    odds = odds_of((5, -5), (-5, 5), (-1, -3))
    pooled = pool_by_voice(odds, voices_of(0, 1, 0))
    assert pooled.dtype == np.float32 and pooled.shape == odds.shape
    assert mean_of(pooled, 0, 2) > 1 > -1 > mean_of(pooled, 1, 2)
    assert mean_of(pooled, 0, 0) > 1 and mean_of(pooled, 1, 1) > 1


def test_a_face_has_one_voice() -> None:
    odds = odds_of((6, -6), (-6, 6), (1, -5))  # the third voice is not in the picture
    pooled = pool_by_voice(odds, voices_of(0, 1, 2))
    assert mean_of(pooled, 0, 2) < -1
    assert mean_of(pooled, 0, 0) > 5


def test_where_a_face_is_not_seen_it_neither_speaks_nor_counts() -> None:
    odds = odds_of((5,), (-5,), (0.5,))
    odds[0, :TURN] = -np.inf
    pooled = pool_by_voice(odds, voices_of(0, 1, 0))
    assert np.isneginf(pooled[0, :TURN]).all() and np.isfinite(pooled[0, TURN:]).all()
    assert mean_of(pooled, 0, 2) == pytest.approx(0.5 + voice_pooling._CONSTANT, abs=0.3)
    never = pool_by_voice(np.full((1, 3 * TURN), -np.inf, np.float32), voices_of(0, 1, 0))
    assert np.isneginf(never).all()


def test_long_videos_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    odds, voices = odds_of((5, -5), (-5, 5), (-1, -3)), voices_of(0, 1, 0)
    whole = pool_by_voice(odds, voices)
    monkeypatch.setattr(voice_pooling, "_BLOCK", 7)
    assert np.allclose(pool_by_voice(odds, voices), whole, atol=1e-5)


def test_without_voices_or_faces_nothing_changes() -> None:
    odds = odds_of((5,), (-5,))
    none = Voices(np.zeros(0, np.int64), np.zeros((0, 8), np.float32))
    assert pool_by_voice(odds, none) is odds
    assert pool_by_voice(np.zeros((0, 2 * TURN), np.float32), voices_of(0, 1)).shape == (0, 2 * TURN)
