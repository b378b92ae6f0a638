"""Networks in their official file formats, for tests that run without the shared material."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lipsync.faces.detectors.s3fd.network import S3FDNetwork


def write_s3fd(path: Path) -> Path:
    """Reproducible weights that detect a few faces anywhere."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = S3FDNetwork().state_dict()
        for key, value in state.items():
            if key.endswith("mbox_conf.weight"):
                value.normal_(0, 0.3)
            elif key.endswith("weight") and value.ndim == 4:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
            elif key.endswith("mbox_conf.bias"):
                value.copy_(torch.tensor([0.0] * (len(value) - 1) + [-1.5]))
    torch.save(state, path)
    return path


def write_sface(path: Path) -> Path:
    """A network of SFace's form, an ONNX file written by hand: means of 7x7 squares, then a matrix.

    Field numbers are those of onnx.proto, as in `lipsync.faces.detectors.onnx_file`.
    """
    matrix = np.random.default_rng(0).normal(size=(3 * 7 * 7, 128)).astype("<f4")
    squares = [_text(1, name) + _numbers(8, 16, 16) + _numbers(20, 7) for name in ("kernel_shape", "strides")]
    weights = _numbers(1, *matrix.shape) + _numbers(2, 1) + _text(8, "matrix") + _field(9, matrix.tobytes())
    graph = (
        _node("AveragePool", ["data"], "pooled", *squares)
        + _node("Flatten", ["pooled"], "flat")
        + _node("MatMul", ["flat", "matrix"], "fc1")
        + _text(2, "sface")
        + _field(5, weights)
        + _field(11, _value("data", 1, 3, 112, 112))
        + _field(12, _value("fc1", 1, 128))
    )
    version = _field(8, _text(1, "") + _numbers(2, 13))
    path.write_bytes(_numbers(1, 8) + version + _field(7, graph))
    return path


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(3, kind) + _text(4, kind)
    return _field(1, names + b"".join(_field(5, attribute) for attribute in attributes))


def _value(name: str, *shape: int) -> bytes:
    sides = b"".join(_field(1, _numbers(1, side)) for side in shape)
    return _text(1, name) + _field(2, _field(1, _numbers(1, 1) + _field(2, sides)))


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode())


def _numbers(number: int, *values: int) -> bytes:
    return b"".join(_varint(number << 3) + _varint(value) for value in values)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
