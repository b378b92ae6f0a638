"""A video of two people, for all tests of dubbing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make_media import run_ffmpeg
from tests.material import make_head


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of two people side by side, without sound."""
    folder = tmp_path_factory.mktemp("pair")
    head = make_head(folder / "head.mp4", parts=(2.0,))
    run_ffmpeg("-i", head, "-vf", "split[a][b];[b]hflip[c];[c][a]hstack", folder / "pair.mp4")
    return folder / "pair.mp4"
