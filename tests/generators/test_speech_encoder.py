"""The speech encoder: Whisper's spectrogram, its layers, long audio in pieces, and its file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lipsync.errors import WeightsError
from lipsync.generators.builtin import speech_encoder
from lipsync.generators.builtin.adapter import Builtin, load_builtin
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.builtin.packed_matrices import pack_matrix, unpack_matrices
from lipsync.generators.builtin.speech_encoder import (
    SpeechEncoder,
    level_speech,
    levelled_mel,
    sinusoids,
    whisper_mel,
)
from lipsync.training.tasks.export import export_network
from lipsync.training.tasks.whisper_encoder import read_whisper_encoder
from lipsync.types import AudioClip
from tests.training.whisper_file import tiny_whisper

CONFIG = NetworkConfig(
    encoder_layers=2, encoder_width=16, encoder_heads=2, voice_width=16, widths=(8, 8, 8, 8)
)


def speech(seconds: float, level: float = 0.1) -> np.ndarray:
    """Noise in syllables, four a second."""
    clock = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(1).normal(size=len(clock))
    return (noise * level * np.sin(np.pi * 4 * clock) ** 2).astype(np.float32)


def encoder(layers: int = 2) -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(layers, 16, 2).eval()


def test_the_spectrogram_is_whisper_s() -> None:
    extractor = pytest.importorskip("faster_whisper.feature_extractor").FeatureExtractor()
    samples = np.pad(speech(3.0), 8000)
    theirs = extractor(samples, padding=160)
    # Whisper keeps 8 decades below the loudest band of the recording, ours below a constant.
    scale = 10 ** ((1.5 - (theirs.max() * 4 - 4)) / 2)
    expected = extractor((samples * scale).astype(np.float32), padding=160)
    ours = whisper_mel((samples * scale).astype(np.float32))
    np.testing.assert_allclose(ours[:, 2:398], expected[:, 2:398], atol=1e-4)


def test_a_layer_is_torch_s_own() -> None:
    ours = encoder(1).layers[0]
    theirs = torch.nn.TransformerEncoderLayer(
        16, 2, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    names = {
        "attention_norm": "norm1",
        "query_key_value": "self_attn.in_proj_",
        "attention_out": "self_attn.out_proj",
        "norm": "norm2",
        "up": "linear1",
        "down": "linear2",
    }
    state = {}
    for name, value in ours.state_dict().items():
        part, kind = name.split(".")
        state[names[part] + (kind if names[part].endswith("_") else f".{kind}")] = value
    theirs.load_state_dict(state)
    x = torch.randn(2, 9, 16)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


def test_positions_are_sines_and_cosines() -> None:
    positions = sinusoids(3, 4)
    expected = [[np.sin(t), np.sin(t / 10_000), np.cos(t), np.cos(t / 10_000)] for t in range(3)]
    np.testing.assert_allclose(positions, expected, atol=1e-6)


def test_features_come_fifty_times_a_second_whatever_the_level() -> None:
    for seconds in (0.01, 0.5, 3.0, 12.31):
        assert encoder().encode(speech(seconds)).shape == (16, int(seconds * 16_000) // 160 // 2 + 1)
    loud, quiet = (encoder().encode(speech(2.0, level)) for level in (0.3, 0.02))
    np.testing.assert_allclose(loud, quiet, atol=1e-3)
    assert np.isfinite(encoder().encode(np.zeros(16_000, np.float32))).all()


def test_hiss_is_not_raised_to_speech() -> None:
    hiss = np.random.default_rng(0).normal(0, 1e-4, 16_000).astype(np.float32)
    np.testing.assert_allclose(level_speech(hiss), hiss * 10 ** (30 / 20), rtol=1e-5)


def test_long_audio_is_encoded_in_pieces_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without attention and positions a piece must not show."""
    monkeypatch.setattr(speech_encoder, "sinusoids", torch.zeros)
    without, samples, columns = encoder(0), speech(30.0), []
    mel = torch.from_numpy(levelled_mel(samples))[None]
    with torch.inference_mode():
        whole = without(mel)[0, :, 25:-25].numpy()
    without.conv1.register_forward_pre_hook(lambda _, given: columns.append(given[0].shape[2]))
    np.testing.assert_allclose(without.encode(samples), whole, atol=1e-5)
    assert len(columns) == 4 and max(columns) <= 1200


def test_the_first_layers_of_a_whisper_file_are_read(tmp_path: Path) -> None:
    path = tiny_whisper(tmp_path / "model.bin", layers=2)
    whole, first = read_whisper_encoder(path, 2), read_whisper_encoder(path, 1)
    assert (whole.width, whole.heads, whole.mels) == (8, 2, 80)
    mel = torch.randn(1, 80, 20)
    with torch.inference_mode():
        torch.testing.assert_close(whole.layers[1](first(mel).mT).mT, whole(mel))
    with pytest.raises(WeightsError, match="has 2 layers, fewer than 3"):
        read_whisper_encoder(path, 3)


def test_a_model_with_an_encoder_is_stored_in_8_bits_and_speaks_alike(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BuiltinNetwork(CONFIG).eval()
    path = tmp_path / "model.safetensors"
    export_network(network, path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        assert file.get_tensor("encoder.layers.0.up.weight").dtype == torch.int8
    assert header["format"] == "lipsync-builtin-2"
    assert "OpenAI" in header["speech encoder"] and "MIT License" in header["speech encoder"]
    again = load_builtin(path)
    assert again.config == CONFIG
    before, after = (
        Builtin(one, device="cpu", number_format="fp32").encode_audio(AudioClip(speech(2.0)), 25, 50)
        for one in (network, again)
    )
    assert np.abs(before).max() > 0.01
    np.testing.assert_allclose(before, after, atol=0.03 * np.abs(before).max())


def test_rows_of_a_packed_matrix_have_their_own_scale() -> None:
    matrix = torch.tensor([[127.0, -50, 0], [0.127, 0.001, -0.02], [0, 0, 0]])
    packed = pack_matrix("w", matrix)
    assert packed["w"].dtype == torch.int8 and packed["w.scale"].shape == (3,)
    again = unpack_matrices({**packed, "b": torch.ones(1)})
    torch.testing.assert_close(again["w"], matrix, atol=5e-4, rtol=0)
    assert list(again) == ["w", "b"]


def test_a_first_generation_file_has_no_encoder(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, encoder_layers=0)
    export_network(BuiltinNetwork(config), tmp_path / "model.safetensors")
    assert load_builtin(tmp_path / "model.safetensors").encoder is None


def test_silence_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network, calls = encoder(), []
    plain = network._features
    monkeypatch.setattr(network, "_features", lambda mel: calls.append(mel.shape) or plain(mel))
    samples = np.zeros(100 * 16_000, np.float32)
    samples[40 * 16_000 : 41 * 16_000] = np.random.default_rng(0).normal(0, 0.1, 16_000)
    found = network.encode(samples)
    assert len(calls) < 9, "of thirteen pieces"
    monkeypatch.setattr("lipsync.generators.builtin.speech_encoder._is_silent", lambda mel: False)
    np.testing.assert_array_equal(found, network.encode(samples))
