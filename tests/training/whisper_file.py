"""A tiny Whisper model in CTranslate2's format."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

_TYPES = {"float32": 0, "int16": 2, "float16": 4}


def write_model(path: Path, variables: dict[str, npt.NDArray[np.generic]], version: int = 6) -> Path:
    """A `model.bin` with these variables, and an alias after them."""
    data = struct.pack("<I", version) + _text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        data += _text(name) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        data += struct.pack("<BI", _TYPES[value.dtype.name], value.nbytes) + value.tobytes()
    path.write_bytes(data + struct.pack("<I", 1) + _text("alias") + _text("encoder/conv1/bias"))
    return path


def _text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def tiny_whisper(path: Path, layers: int = 2, width: int = 8, heads: int = 2) -> Path:
    """Random weights of an encoder with 80 mel bands, and a decoder's that must be left out."""
    rng = np.random.default_rng(0)

    def random(*shape: int) -> npt.NDArray[np.float16]:
        return rng.normal(0, 0.3, shape).astype(np.float16)

    found: dict[str, npt.NDArray[np.generic]] = {
        "decoder/conv1/weight": random(3),
        "encoder/num_heads": np.array(heads, np.int16),
        "encoder/conv1/weight": random(width, 80, 3),
        "encoder/conv1/bias": random(width),
        "encoder/conv2/weight": random(width, width, 3),
        "encoder/conv2/bias": random(width),
        "encoder/layer_norm/gamma": random(width),
    }
    for number in range(layers):
        for part, rows, columns in (
            ("self_attention/linear_0", 3 * width, width),
            ("self_attention/linear_1", width, width),
            ("ffn/linear_0", 4 * width, width),
            ("ffn/linear_1", width, 4 * width),
        ):
            found[f"encoder/layer_{number}/{part}/weight"] = random(rows, columns)
            found[f"encoder/layer_{number}/{part}/bias"] = random(rows)
        for part in ("self_attention", "ffn"):
            found[f"encoder/layer_{number}/{part}/layer_norm/gamma"] = random(width)
            found[f"encoder/layer_{number}/{part}/layer_norm/beta"] = random(width)
    return write_model(path, found)
