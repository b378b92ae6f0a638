from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.sync_score import parts, similarity_by_offset, summarise


def embeddings(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("early", range(-15, 16))
def test_every_shift_is_found(early: int) -> None:
    """Sound that comes `early` frames early: what is seen at frame i was heard at i - early."""
    seen = embeddings(100)
    heard = np.roll(seen, -early, axis=0)
    found = summarise(similarity_by_offset(seen, heard))
    assert found is not None
    assert found.offset == early
    assert found.margin == pytest.approx(1, abs=0.1)
    assert (found.margin_as_given > 0.5) == (early == 0)
    assert found.windows == 100


def test_where_there_is_no_sound_nothing_is_compared() -> None:
    table = similarity_by_offset(embeddings(40), embeddings(40))
    assert table.shape == (40, 31)
    np.testing.assert_array_equal(np.isnan(table[0]), np.arange(-15, 16) > 0)
    np.testing.assert_array_equal(np.isnan(table[-1]), np.arange(-15, 16) < 0)
    assert not np.isnan(table[15:25]).any()


def test_sound_that_ends_early_is_no_error() -> None:
    table = similarity_by_offset(embeddings(60), embeddings(20))
    assert np.isnan(table[45:]).all()
    assert similarity_by_offset(embeddings(0), embeddings(0)).shape == (0, 31)


def test_too_little_is_not_judged() -> None:
    assert summarise(similarity_by_offset(embeddings(0), embeddings(0))) is None
    assert summarise(similarity_by_offset(embeddings(40), embeddings(8))) is None
    assert parts(similarity_by_offset(embeddings(40), embeddings(40))) == []


def test_seconds_are_parts_in_which_all_offsets_can_be_compared() -> None:
    table = similarity_by_offset(embeddings(100), embeddings(100))
    seconds = parts(table)
    assert len(seconds) == 5 and all(part.shape == (21, 31) for part in seconds)
    assert not any(np.isnan(part).any() for part in seconds)
