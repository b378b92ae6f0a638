"""ONNX file editing: dynamic input sizes without the `onnx` package.

CenterFace's file fixes its input to 10 images of 32x32 and lists its weights as inputs, which
keeps onnxruntime from folding the batch norms into the convolutions (a quarter of the time).
The `onnx` package could change both, but is a large dependency for two edits; an ONNX file is a
protobuf message, that is, nested records of (tag, length, body).

Field numbers are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator

_GRAPH = 7  # in ModelProto
_INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 5, 11, 12, 13  # in GraphProto
_SHAPES = (frozenset({2}), frozenset({1}), frozenset({2}))  # ValueInfo.type, .tensor_type, .shape
_TENSOR_NAME, _INPUT_NAME = 8, 1
_VARINT_BITS = 70  # ten bytes of seven bits; a longer one is no number


def with_dynamic_shapes(model: bytes) -> bytes:
    """Make the shapes of inputs and outputs dynamic, and the weights constants.

    Raises:
        ValueError: `model` is no ONNX file, or is truncated.
    """
    graphs = [_body(record) for field, record in _records(model) if field == _GRAPH]
    if len(graphs) != 1:
        raise ValueError("not an ONNX model: it has no graph")
    constants = {
        _string_field(_body(record), _TENSOR_NAME)
        for field, record in _records(graphs[0])
        if field == _INITIALIZER
    }
    graph = bytearray()
    for field, record in _records(graphs[0]):
        if field == _INPUT and _string_field(_body(record), _INPUT_NAME) in constants:
            continue
        if field in (_INPUT, _OUTPUT, _VALUE_INFO):
            record = _length_delimited(field, _without(_body(record), _SHAPES))
        graph += record
    parts = (
        _length_delimited(_GRAPH, bytes(graph)) if field == _GRAPH else record
        for field, record in _records(model)
    )
    return b"".join(parts)


def _without(message: bytes, path: tuple[frozenset[int], ...]) -> bytes:
    """`message` without the field that `path` leads to."""
    kept = bytearray()
    for field, record in _records(message):
        if field not in path[0]:
            kept += record
        elif len(path) > 1:
            kept += _length_delimited(field, _without(_body(record), path[1:]))
    return bytes(kept)


def _string_field(message: bytes, wanted: int) -> bytes:
    """First field of that number, or b"" if absent."""
    return next((_body(record) for field, record in _records(message) if field == wanted), b"")


def _records(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Each record of a message as (field number, the record with its tag)."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        wire_type = tag & 7
        if wire_type == 0:
            _, at = _read_varint(message, at)
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            length, at = _read_varint(message, at)
            at += length
        elif wire_type == 5:
            at += 4
        else:
            raise ValueError(f"not an ONNX model: wire type {wire_type}")
        if at > len(message):
            raise ValueError("not an ONNX model: it is truncated")
        yield tag >> 3, message[start:at]


def _body(record: bytes) -> bytes:
    """Body of a length-delimited record (wire type 2)."""
    _, at = _read_varint(record, 0)
    length, at = _read_varint(record, at)
    return record[at : at + length]


def _length_delimited(field: int, body: bytes) -> bytes:
    return _write_varint(field << 3 | 2) + _write_varint(len(body)) + body


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The varint at offset `at`, and the offset behind it."""
    value = bits = 0
    while at < len(message) and bits < _VARINT_BITS:
        byte = message[at]
        value |= (byte & 127) << bits
        bits, at = bits + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("not an ONNX model: it is truncated")


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
