"""Digests of files: content, weights that are asked for repeatedly, and code."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def content_hash(file: Path, algorithm: str = "blake2b") -> str:
    """Hexadecimal digest of a file's content; "blake2b" has 32 bytes.

    Args:
        algorithm: "blake2b", the fastest here, or "sha256".

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32) if algorithm == "blake2b" else hashlib.new(algorithm)
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def weights_hash(file: Path, algorithm: str = "blake2b") -> str:
    """As `content_hash`, but read again only where size, time of change or inode of the file differ.

    Raises:
        OSError: the file cannot be read.
    """
    return _weights_hash(file, file_state(file), algorithm)


@functools.lru_cache(maxsize=32)
def _weights_hash(file: Path, _state: tuple[int, ...], algorithm: str) -> str:
    return content_hash(file, algorithm)


def file_state(file: Path) -> tuple[int, ...]:
    """Size, time of change and inode of a file: alike as long as its content is.

    Raises:
        OSError: there is no such file.
    """
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@functools.cache
def code_digest(*folders: Path) -> str:
    """Hexadecimal digest of the code in these folders, and of the packages' versions that compute."""
    import cv2
    import numpy as np
    import onnxruntime
    import torch

    digest = hashlib.blake2b(digest_size=32)
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    for package in (np, cv2, onnxruntime, torch):
        digest.update(package.__version__.encode())
    return digest.hexdigest()
