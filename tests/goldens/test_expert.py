"""Wav2Lip's sync expert against what the original code computed, with the same made-up weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.sync_score import SyncNetColor, load_expert
from tests.goldens import official

Golden = Callable[[str], npt.NDArray[np.generic]]


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> SyncNetColor:
    path = tmp_path_factory.mktemp("expert") / "lipsync_expert.pth"
    loaded = load_expert(official.write_checkpoint("lipsync_expert", path))
    assert isinstance(loaded, SyncNetColor)
    return loaded


def test_the_official_call(expert: SyncNetColor, golden: Golden) -> None:
    assert sum(parameter.numel() for parameter in expert.parameters()) == 16_435_072
    with torch.inference_mode():
        sound, seen = expert(*official.given_expert())
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(sound.numpy(), golden("lipsync_expert/audio_embedding"), **tolerance)
    np.testing.assert_allclose(seen.numpy(), golden("lipsync_expert/face_embedding"), **tolerance)


def test_our_call_takes_rgb_frame_by_frame(expert: SyncNetColor, golden: Golden) -> None:
    mel, faces = official.given_expert()
    rgb = faces.view(2, 5, 3, 48, 96).transpose(1, 2).flip(1)
    with torch.inference_mode():
        seen = expert.embed_faces(rgb)
        sound = expert.embed_audio(mel)
    np.testing.assert_allclose(seen.numpy(), golden("lipsync_expert/face_embedding"), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(sound.numpy(), golden("lipsync_expert/audio_embedding"), rtol=1e-4, atol=1e-6)
