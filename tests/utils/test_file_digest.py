"""Digests of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lipsync.utils.file_digest import content_hash, weights_hash


@pytest.mark.parametrize("algorithm", ["blake2b", "sha256"])
def test_digests_are_those_of_hashlib(tmp_path: Path, algorithm: str) -> None:
    data = os.urandom(3_000_001)  # over several blocks
    (tmp_path / "file").write_bytes(data)
    whole = hashlib.blake2b(data, digest_size=32) if algorithm == "blake2b" else hashlib.sha256(data)
    assert content_hash(tmp_path / "file", algorithm) == whole.hexdigest()


def test_weights_are_read_again_once_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, reads = tmp_path / "weights", []
    weights.write_bytes(b"first")

    def counted(file: Path, algorithm: str) -> str:
        reads.append(file)
        return content_hash(file, algorithm)

    monkeypatch.setattr("lipsync.utils.file_digest.content_hash", counted)
    first = weights_hash(weights)
    assert weights_hash(weights) == first and len(reads) == 1
    weights.write_bytes(b"other")  # as long as the first
    os.utime(weights, ns=(1, 1))
    assert weights_hash(weights) != first and len(reads) == 2
