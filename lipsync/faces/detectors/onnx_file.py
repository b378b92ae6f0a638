"""Frees the sizes in an ONNX file, so that pictures of any size fit.

CenterFace's file fixes its input to 10 pictures of 32x32 and lists its weights as inputs, which
keeps onnxruntime from folding the batch norms into the convolutions (a quarter of the time).
The `onnx` package could change both, but is a large dependency for two edits; an ONNX file is a
protobuf message, nested records of (tag, length, body), and can be edited as one.

Field numbers are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator

_GRAPH = 7  # in ModelProto
_INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 5, 11, 12, 13  # in GraphProto
_SHAPES = (frozenset({2}), frozenset({1}), frozenset({2}))  # ValueInfo.type, .tensor_type, .shape
_TENSOR_NAME, _INPUT_NAME = 8, 1


def free_sizes(model: bytes) -> bytes:
    """The same network with inputs and outputs of any shape, and with its weights as constants.

    Raises:
        ValueError: `model` is no ONNX file, or is cut short.
    """
    graphs = [_body(record) for field, record in _records(model) if field == _GRAPH]
    if len(graphs) != 1:
        raise ValueError("not an ONNX model: it has no graph")
    constants = {
        _name(_body(record), _TENSOR_NAME) for field, record in _records(graphs[0]) if field == _INITIALIZER
    }
    graph = bytearray()
    for field, record in _records(graphs[0]):
        if field == _INPUT and _name(_body(record), _INPUT_NAME) in constants:
            continue
        if field in (_INPUT, _OUTPUT, _VALUE_INFO):
            record = _packed(field, _without(_body(record), _SHAPES))
        graph += record
    parts = (
        _packed(_GRAPH, bytes(graph)) if field == _GRAPH else record for field, record in _records(model)
    )
    return b"".join(parts)


def _without(message: bytes, path: tuple[frozenset[int], ...]) -> bytes:
    """`message` less the field that `path` leads to."""
    kept = bytearray()
    for field, record in _records(message):
        if field not in path[0]:
            kept += record
        elif len(path) > 1:
            kept += _packed(field, _without(_body(record), path[1:]))
    return bytes(kept)


def _name(message: bytes, wanted: int) -> bytes:
    return next((_body(record) for field, record in _records(message) if field == wanted), b"")


def _records(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Each record of a message as (field number, the record with its tag)."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _number(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _number(message, at)
        elif kind == 1:
            at += 8
        elif kind == 2:
            length, at = _number(message, at)
            at += length
        elif kind == 5:
            at += 4
        else:
            raise ValueError(f"not an ONNX model: wire type {kind}")
        if at > len(message):
            raise ValueError("not an ONNX model: it is cut short")
        yield tag >> 3, message[start:at]


def _body(record: bytes) -> bytes:
    """What a record of kind 2 holds."""
    _, at = _number(record, 0)
    length, at = _number(record, at)
    return record[at : at + length]


def _packed(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _number(message: bytes, at: int) -> tuple[int, int]:
    """The variable-length number at `at`, and where it ends."""
    value = bits = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << bits
        bits, at = bits + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("not an ONNX model: it is cut short")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
