"""File names that fit: file systems limit the length of a name in bytes."""

from __future__ import annotations

import hashlib
import os

_MAX_BYTES = 255


def fitting_name(before: str, name: str, after: str) -> str:
    """`before + name + after`, with `name` shortened where the whole would be longer than 255 bytes.

    A shortened name ends in a hash of the whole, so that different names stay different.
    """
    whole = before + name + after
    if len(os.fsencode(whole)) <= _MAX_BYTES:
        return whole
    mark = "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    left = _MAX_BYTES - len(os.fsencode(before + mark + after))
    while len(os.fsencode(name)) > left:
        name = name[:-1]
    return before + name + mark + after


def numbered_name(stem: str, number: int, suffix: str) -> str:
    """`stem_2.suffix`, for a file whose name without the number is taken."""
    return fitting_name("", stem, f"_{number}{suffix}")
