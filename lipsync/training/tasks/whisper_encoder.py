"""The built-in model's speech encoder from the weights of a Whisper model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from lipsync.errors import WeightsError
from lipsync.generators.builtin.speech_encoder import SpeechEncoder
from lipsync.weights import load_into
from lipsync.weights.ctranslate2 import read_ctranslate2

_LAYER_NAMES = {
    "attention_norm": "self_attention/layer_norm",
    "query_key_value": "self_attention/linear_0",
    "attention_out": "self_attention/linear_1",
    "norm": "ffn/layer_norm",
    "up": "ffn/linear_0",
    "down": "ffn/linear_1",
}
"""Names of a layer's parts in `SpeechEncoder` and in CTranslate2's files."""


def read_whisper_encoder(path: Path, layers: int) -> SpeechEncoder:
    """The convolutions and the first layers of a Whisper encoder in CTranslate2's format.

    Args:
        path: `model.bin` of a Whisper model with 80 mel bands, not quantised.
        layers: how many; at most as many as the model has.

    Raises:
        WeightsError: the file is damaged, of another model, or has fewer layers.
    """
    given = read_ctranslate2(path, "encoder/")
    known = sum(name.endswith("self_attention/layer_norm/gamma") for name in given)
    if "num_heads" not in given or "conv1/weight" not in given or not known:
        hint = "Use model.bin of a Whisper model in half precision, converted for CTranslate2."
        raise WeightsError("The file is not of a Whisper model", given=path, hint=hint)
    if layers > known:
        raise WeightsError(f"This Whisper model has {known} layers, fewer than {layers}", given=path)
    width, mels, _ = given["conv1/weight"].shape
    encoder = SpeechEncoder(layers, width, int(given["num_heads"]), mels)
    state = {name: given[theirs].float() for name, theirs in _names(layers) if theirs in given}
    load_into(encoder, state, what="Whisper's encoder", path=path)
    return encoder.eval()


def _names(layers: int) -> Iterator[tuple[str, str]]:
    """Names of all parameters in `SpeechEncoder` and in CTranslate2's files."""
    for part in ("conv1", "conv2"):
        yield f"{part}.weight", f"{part}/weight"
        yield f"{part}.bias", f"{part}/bias"
    for number, (ours, theirs) in product(range(layers), _LAYER_NAMES.items()):
        weight, bias = ("gamma", "beta") if theirs.endswith("norm") else ("weight", "bias")
        yield f"layers.{number}.{ours}.weight", f"layer_{number}/{theirs}/{weight}"
        yield f"layers.{number}.{ours}.bias", f"layer_{number}/{theirs}/{bias}"
