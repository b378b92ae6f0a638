from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.sync_score import estimate_sync, similarity_by_offset, split_into_seconds


def embeddings(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("early", range(-15, 16))
def test_every_shift_is_found(early: int) -> None:
    """Audio that is `early` frames early: frame i belongs to the audio at i - early."""
    faces = embeddings(100)
    audio = np.roll(faces, -early, axis=0)
    found = estimate_sync(similarity_by_offset(faces, audio))
    assert found is not None
    assert found.offset == early
    assert found.confidence == pytest.approx(1, abs=0.1)
    assert (found.confidence_at_zero > 0.5) == (early == 0)
    assert found.windows == 100


def test_offsets_outside_the_audio_are_nan() -> None:
    table = similarity_by_offset(embeddings(40), embeddings(40))
    assert table.shape == (40, 31)
    np.testing.assert_array_equal(np.isnan(table[0]), np.arange(-15, 16) > 0)
    np.testing.assert_array_equal(np.isnan(table[-1]), np.arange(-15, 16) < 0)
    assert not np.isnan(table[15:25]).any()


def test_audio_that_ends_early_is_no_error() -> None:
    table = similarity_by_offset(embeddings(60), embeddings(20))
    assert np.isnan(table[45:]).all()
    assert similarity_by_offset(embeddings(0), embeddings(0)).shape == (0, 31)


def test_too_little_has_no_estimate() -> None:
    assert estimate_sync(similarity_by_offset(embeddings(0), embeddings(0))) is None
    assert estimate_sync(similarity_by_offset(embeddings(40), embeddings(8))) is None
    assert split_into_seconds(similarity_by_offset(embeddings(40), embeddings(40))) == []


def test_seconds_have_audio_at_every_offset() -> None:
    table = similarity_by_offset(embeddings(100), embeddings(100))
    seconds = split_into_seconds(table)
    assert len(seconds) == 5 and all(part.shape == (21, 31) for part in seconds)
    assert not any(np.isnan(part).any() for part in seconds)
