"""Wav2Lip against what the original code computed, with the same made-up weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.generators import GENERATORS, LipGenerator
from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.media.audio.mel import MelWindows, mel_spectrogram
from lipsync.options import BlendOptions
from lipsync.types import AudioClip, PixelBox
from lipsync.weights import create_model, load_into, load_state_dict
from tests.blending.single import blend
from tests.goldens import official

Golden = Callable[[str], npt.NDArray[np.generic]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return official.write_checkpoint("wav2lip", tmp_path_factory.mktemp("official") / "wav2lip.pth")


@pytest.fixture(scope="module")
def network(weights: Path) -> Wav2LipNetwork:
    network = Wav2LipNetwork().eval()
    load_into(network, load_state_dict(weights), what="the Wav2Lip generator")
    return network


@pytest.fixture(scope="module")
def voice(golden: Golden) -> AudioClip:
    return AudioClip(golden("wav_int16").astype(np.float32) / 32768)


def test_mel(golden: Golden, voice: AudioClip) -> None:
    mel = mel_spectrogram(voice)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, golden("mel"), atol=1e-3, rtol=0)


@pytest.mark.parametrize("more", [0, 1, 3, 50])
def test_window_starts(more: int) -> None:
    entries = json.loads((official.HERE / "chunk_starts.json").read_text("utf-8"))
    assert len(entries) > 30
    for key, starts in entries.items():
        fps, columns = key.split("/")
        mel = np.zeros((80, int(columns)), np.float32)
        windows = MelWindows(mel, float(fps), len(starts) + more)
        assert windows.starts[: len(starts)].tolist() == starts, key


def test_network(golden: Golden, network: Wav2LipNetwork) -> None:
    mel, face = official.given_wav2lip()
    with torch.inference_mode():
        drawn = network(mel, face)
        with_time = network(mel[None], face.transpose(0, 1)[None])  # (1, 2, ...), (1, 6, 2, ...)
    np.testing.assert_allclose(drawn, golden("wav2lip/out"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(with_time[0].transpose(0, 1), golden("wav2lip/out"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("number_format", "most"), [("fp32", 1), ("bf16", 3)])
def test_paste(golden: Golden, weights: Path, voice: AudioClip, number_format: str, most: int) -> None:
    """Crop, draw and paste; the crop is here as in the original, faces/ has its own tests."""
    generator: LipGenerator = create_model(
        GENERATORS, "wav2lip", weights=weights, device="cpu", number_format=number_format
    )
    y1, y2, x1, x2 = golden("paste/box").tolist()
    frames = [np.ascontiguousarray(frame[..., ::-1]) for frame in official.paste_frames(golden("face_bgr"))]
    crops = np.stack([cv2.resize(frame[y1:y2, x1:x2], (96, 96)) for frame in frames])
    mouths = generator.generate(crops, generator.encode_audio(voice, 25, len(frames))[:])
    points = np.full((5, 2), np.nan, np.float32)
    for frame, mouth, drawn in zip(frames, mouths, golden("paste/out"), strict=True):
        expected = frame.copy()
        expected[y1:y2, x1:x2] = drawn[..., ::-1]
        pasted = blend(frame, mouth, PixelBox(x1, y1, x2, y2), points, BlendOptions(mask="box"))
        difference = np.abs(pasted.astype(int) - expected)
        assert difference.max() <= most
        assert difference.mean() < 0.3
