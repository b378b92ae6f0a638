"""Imports beside other work."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from lipsync.utils.early_import import import_early
from tests.waiting import wait_until


def test_modules_are_imported_meanwhile_and_errors_left_to_who_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_early.py").write_text("raise OSError('a library is missing')")
    (tmp_path / "found_early.py").write_text("import gc\nrested = not gc.isenabled()")
    try:
        import_early("broken_early", "found_early")
        wait_until(gc.isenabled)
        assert sys.modules.pop("found_early").rested
        with pytest.raises(OSError, match="a library is missing"):
            __import__("broken_early")
    finally:
        gc.unfreeze()
