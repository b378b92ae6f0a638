"""Which of the packages with the networks are installed, and how to hide them."""

from __future__ import annotations

import importlib.util
import sys

import pytest

needs_gfpgan = pytest.mark.skipif(
    importlib.util.find_spec("gfpgan") is None, reason="gfpgan and basicsr are not installed"
)
needs_spandrel = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="spandrel is not installed"
)


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """As if they were not installed."""
    for name in [*sys.modules, *packages]:
        if name.split(".")[0] in packages:
            monkeypatch.setitem(sys.modules, name, None)
    for package in packages:
        for module in ("archs.gfpganv1_clean_arch", "archs.restoreformer_arch", "archs.rrdbnet_arch"):
            monkeypatch.setitem(sys.modules, f"{package}.{module}", None)
