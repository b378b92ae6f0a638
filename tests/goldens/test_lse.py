"""SyncNet, LSE-D, LSE-C and offset against what the reference computed, with the same made-up weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.evaluation import measure_lse
from lipsync.sync_score import SyncNet, load_syncnet
from lipsync.types import AudioClip
from tests.goldens import official

Golden = Callable[[str], npt.NDArray[np.generic]]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SyncNet:
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    return load_syncnet(official.write_checkpoint("syncnet_v2", path))


def assert_alike(vectors: torch.Tensor, expected: npt.NDArray[np.generic]) -> None:
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(vectors.numpy(), expected, rtol=1e-4, atol=1e-5 * scale)


def test_the_network(network: SyncNet, golden: Golden) -> None:
    assert sum(parameter.numel() for parameter in SyncNet().parameters()) == 13_631_616
    mfcc, lips = official.given_syncnet()
    with torch.inference_mode():
        sound, seen = network(mfcc, lips.flatten(1, 2))
        assert_alike(seen, golden("syncnet_v2/lip_embedding"))
        assert_alike(sound, golden("syncnet_v2/audio_embedding"))
        assert_alike(network.embed_audio(mfcc), golden("syncnet_v2/audio_embedding"))
        rgb = lips[0].to(torch.uint8).flip(0).permute(1, 2, 3, 0)
        assert_alike(network.embed_faces(rgb), golden("syncnet_v2/lip_embedding"))


def test_the_score(network: SyncNet, golden: Golden) -> None:
    """76 frames and 3 s of sound: the sound ends first, so 75 frames count, and 70 windows."""
    frames = [frame[..., ::-1] for frame in official.lse_frames(golden("face_bgr"))]
    sound = AudioClip(golden("wav_int16").astype(np.float32) / 32768)
    score = measure_lse(network, map(np.ascontiguousarray, frames), sound, batch=32)
    offset, confidence, distance = golden("lse/result")
    assert score.offset == offset
    assert score.confidence == pytest.approx(confidence, abs=1e-3)
    assert score.distance == pytest.approx(distance, abs=1e-3)
    assert score.windows == 70
