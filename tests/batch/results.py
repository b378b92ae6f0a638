"""Results and settings for tests of batches."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from lipsync.options import SyncOptions
from lipsync.types import SyncResult

QUICK = SyncOptions.from_flat(variant="builtin", device="cpu", score=False, provenance="none")


def made(path: Path) -> SyncResult:
    """A result with no more in it than needs be."""
    return SyncResult(path, 10, 10, Fraction(25), 320, 240, "builtin")
