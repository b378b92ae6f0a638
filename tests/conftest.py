"""Fixtures every test may use. Material outside the repository is optional: tests skip without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.relative_to(SHARED.parent)} is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def golden() -> Callable[[str], npt.NDArray[np.generic]]:
    """`golden("mel/mel")`: one array computed by the original code."""
    arrays = np.load(_need(SHARED / "golden" / "goldens.npz"))
    return lambda name: arrays[name]


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder with goldens.npz, chunk_starts.json, formats.json and make_checkpoint.py."""
    return _need(SHARED / "golden")


@pytest.fixture(scope="session")
def clip() -> Callable[[str], Path]:
    """`clip("grid_s1__bbaf2n.mp4")`: one real talking-face clip."""
    return lambda name: _need(SHARED / "data" / "clips" / name)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official generator in its official file format, with random weights."""
    from benchmarks.common import made_up_checkpoint

    return made_up_checkpoint(tmp_path_factory.mktemp("weights"))
