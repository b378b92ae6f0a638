"""Arrays between two processes of this machine, each message with a small JSON header.

Nothing that arrives is ever run: no pickle, and no other types than pictures and float32.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
_DTYPES = ("uint8", "float32")
_MOST_HEADER, _MOST_BYTES = 2**20, 2**31


def send(connection: Connection, header: dict[str, Any], *arrays: Array) -> None:
    """Send a header, which JSON can hold, and uint8 or float32 arrays of any shape."""
    shapes = [(array.dtype.name, *array.shape) for array in arrays]
    connection.send_bytes(json.dumps({"header": header, "arrays": shapes}).encode())
    for array in arrays:
        if array.size:
            connection.send_bytes(np.ascontiguousarray(array).data.cast("B"))


def receive(connection: Connection) -> tuple[dict[str, Any], list[Array]]:
    """What `send` sent.

    Raises:
        EOFError, OSError: the other side has gone.
        ValueError: this is no such message.
    """
    message = json.loads(connection.recv_bytes(_MOST_HEADER))
    arrays = []
    for dtype, *shape in message["arrays"]:
        if dtype not in _DTYPES or int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize > _MOST_BYTES:
            raise ValueError(f"no such array: {dtype} {shape}")
        array = np.empty(shape, dtype)
        if array.size and connection.recv_bytes_into(array.data.cast("B")) != array.nbytes:
            raise ValueError(f"an array {dtype} {shape} came shorter than it was announced")
        arrays.append(array)
    return message["header"], arrays
