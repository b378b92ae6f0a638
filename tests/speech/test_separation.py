from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync.errors import Cancelled, ToolError, WeightsError
from lipsync.progress import CancelToken, Progress
from lipsync.speech import separate_voice
from lipsync.speech.separation import load_demucs, separate_vocals
from lipsync.types import AudioClip, FloatArray
from lipsync.weights import CATALOGUE

demucs = pytest.importorskip("demucs.htdemucs", reason="demucs is not installed")

RATE = 44_100
SHAPE: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "channels": 8,
    "bottom_channels": 16,
    "t_layers": 1,
    "t_heads": 2,
    "segment": Fraction(4, 5),
    "samplerate": RATE,
}


def save(path: Path, klass: str = "demucs.htdemucs.HTDemucs", **changed: Any) -> Path:
    """A small network with random weights, in the format of adefossez/HTDemucs."""
    torch.manual_seed(0)
    network = demucs.HTDemucs(**{**SHAPE, **changed})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)  # louder: the output would else be close to zero
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    arguments = json.dumps({**SHAPE, **changed}, default=_fraction)
    save_file(state, path, metadata={"klass": klass, "args": "[]", "kwargs": arguments})
    return path


def _fraction(value: Fraction) -> dict[str, Any]:
    return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("demucs") / "small.safetensors")


def sound(seconds: float, rate: int = RATE) -> FloatArray:
    times = np.arange(round(seconds * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * 300 * times) * np.sin(2 * np.pi * 3 * times)).astype(np.float32)


def test_the_network_equals_the_one_that_demucs_loads(weights: Path) -> None:
    from demucs.hf import load_safetensors_model

    ours, theirs = load_demucs(weights, torch.device("cpu")), load_safetensors_model(weights)
    assert ours.segment == Fraction(4, 5) and not ours.training
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_segments_are_joined_as_in_demucs(weights: Path) -> None:
    from demucs.apply import apply_model
    from scipy.signal import resample_poly

    samples = sound(2.0) + np.float32(0.05)
    voice = separate_voice(AudioClip(samples, RATE), device="cpu", weights=weights)
    mix = torch.from_numpy(samples).expand(1, 2, -1)
    network = load_demucs(weights, torch.device("cpu"))
    whole = apply_model(network, (mix - mix.mean()) / mix.std(correction=0), shifts=0)[0, 3].mean(0)
    expected = resample_poly((whole * mix.std(correction=0) + mix.mean()).numpy(), 16_000, RATE)
    before_the_last_segment = slice(0, 16_000)  # which demucs pads with earlier audio
    difference = np.abs(voice.samples - np.clip(expected, -1, 1))[before_the_last_segment]
    assert expected[before_the_last_segment].std() > 0.01 and np.abs(expected).max() < 1
    assert difference.max() < 1e-4


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.0, 0.013, 0.8, 1.3])
def test_the_voice_keeps_the_length_of_the_clip(weights: Path, rate: int, seconds: float) -> None:
    voice = separate_voice(AudioClip(sound(seconds, rate), rate), device="cpu", weights=weights)
    assert voice.sample_rate == 16_000
    assert abs(len(voice.samples) - round(seconds * 16_000)) <= 1
    assert np.isfinite(voice.samples).all() and np.abs(voice.samples).max(initial=0) <= 1


def test_progress_and_cancel(weights: Path) -> None:
    reports: list[Progress] = []
    clip = AudioClip(sound(3.0), RATE)
    separate_voice(clip, reports.append, device="cpu", weights=weights)
    assert reports[0].done == 0 and reports[-1].done == reports[-1].total == 3
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        separate_voice(clip, cancel=token, device="cpu", weights=weights)


def test_a_file_that_names_another_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not those of HTDemucs"):
        load_demucs(save(tmp_path / "a.safetensors", klass="subprocess.Popen"), torch.device("cpu"))


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_demucs(broken, torch.device("cpu"))
    silent = save(tmp_path / "silent.safetensors", sources=["drums", "bass"])
    with pytest.raises(WeightsError, match="no vocals"):
        load_demucs(silent, torch.device("cpu"))
    with pytest.raises(ValueError, match="multiple of 100"):
        separate_voice(AudioClip(sound(1.0), 22_051), weights=silent)


def test_without_the_package_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "demucs.htdemucs", None)
    with pytest.raises(ToolError, match=r"pip install 'demucs>=4\.1'"):
        separate_voice(AudioClip(sound(1.0), RATE))


def test_its_weights_are_in_the_catalogue() -> None:
    entry = CATALOGUE["htdemucs"]
    assert "research" in entry.licence and entry.filename.endswith(".safetensors")


def test_vocals_at_their_own_rate_and_channels_are_those_of_the_voice(weights: Path) -> None:
    """Mono is the voice before it is brought to 16 kHz; a stereo mix keeps its channels and length."""
    from scipy.signal import resample_poly

    mono = sound(2.0)
    vocals = separate_vocals(mono[:, None], RATE, device="cpu", weights=weights)
    voice = separate_voice(AudioClip(mono, RATE), device="cpu", weights=weights)
    assert vocals.shape == (len(mono), 1)
    inner = slice(2_000, -2_000)
    difference = resample_poly(vocals[:, 0], 16_000, RATE)[: len(voice.samples)] - voice.samples
    assert np.abs(difference[inner]).max() < 0.02 * np.abs(voice.samples).max()
    stereo = np.stack([sound(1.3, 48_000), -0.5 * sound(1.3, 48_000)], axis=1)
    both = separate_vocals(stereo, 48_000, device="cpu", weights=weights)
    assert both.shape == stereo.shape and not np.allclose(both[:, 0], both[:, 1], atol=1e-3)
