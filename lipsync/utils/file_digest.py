"""Digest of a file's content."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK_BYTES = 1 << 22


def content_hash(file: Path) -> str:
    """Hexadecimal BLAKE2b digest of a file's content.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
