"""Frames for the image metrics."""

from __future__ import annotations

import pytest

from lipsync.media import open_video
from lipsync.types import Frame
from tests.material import FACE


@pytest.fixture(scope="module")
def face() -> Frame:
    [frame] = open_video(FACE).read([0])
    return frame[:240, 60:360].copy()
