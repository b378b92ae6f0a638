"""Values that users and programs give: checks of numbers, text for messages."""

from __future__ import annotations

import math
from typing import Any


def finite_number(value: Any) -> float:
    """A real number from Python or NumPy; whole numbers stay whole, NaN passes.

    Raises:
        TypeError, ValueError, OverflowError: it is none, or infinite.
    """
    if isinstance(value, (bool, str, bytes, bytearray)):
        raise TypeError
    number = float(value)
    if math.isinf(number):
        raise OverflowError
    plain: float = value if type(value) is int else number  # keys of resume folders tell 1 from 1.0
    return plain


def short_repr(value: Any, most: int = 100) -> str:
    """`repr(value)` for an error message, cut to `most` characters."""
    try:
        text = repr(value)
    except Exception as error:  # of a foreign class, or a whole number of too many digits
        text = f"{type(value).__name__} ({error})"
    return text if len(text) <= most else f"{text[: most - 1]}…"
