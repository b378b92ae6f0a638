"""Messages between two local processes: a small JSON header and arrays.

Nothing that arrives is executed: no pickle, and no dtypes other than uint8 and float32.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
_DTYPES = ("uint8", "float32")
_MAX_HEADER_BYTES, _MAX_ARRAY_BYTES = 2**20, 2**31


def send(connection: Connection, header: dict[str, Any], *arrays: Array) -> None:
    """Send a JSON-serializable header and uint8 or float32 arrays of any shape."""
    shapes = [(array.dtype.name, *array.shape) for array in arrays]
    connection.send_bytes(json.dumps({"header": header, "arrays": shapes}).encode())
    for array in arrays:
        if array.size:
            connection.send_bytes(np.ascontiguousarray(array).data.cast("B"))


def receive(connection: Connection) -> tuple[dict[str, Any], list[Array]]:
    """Return the header and arrays of the next message.

    Raises:
        EOFError, OSError: the other process has ended.
        ValueError: the message is malformed.
    """
    message = json.loads(connection.recv_bytes(_MAX_HEADER_BYTES))
    arrays = []
    for dtype, *shape in message["arrays"]:
        size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize if dtype in _DTYPES else 0
        if dtype not in _DTYPES or size > _MAX_ARRAY_BYTES:
            raise ValueError(f"unsupported array: {dtype} {shape}")
        array = np.empty(shape, dtype)
        if array.size and connection.recv_bytes_into(array.data.cast("B")) != array.nbytes:
            raise ValueError(f"an array {dtype} {shape} is shorter than announced")
        arrays.append(array)
    return message["header"], arrays
