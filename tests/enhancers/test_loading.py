"""From settings to an enhancer, and the messages where it is unavailable."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lipsync import weights
from lipsync.enhancers import load_enhancer, load_upscaler
from lipsync.errors import Cancelled, DownloadError, ToolError, WeightsError
from lipsync.options import EnhanceOptions
from lipsync.progress import CancelToken
from tests.enhancers.made_up import write_enhancer, write_upscaler
from tests.enhancers.packages import hide


def test_none() -> None:
    assert load_enhancer(EnhanceOptions()) == (None, "")
    assert load_upscaler(EnhanceOptions()) == (None, "")


@pytest.mark.parametrize("name", ["gfpgan", "gfpgan_1.3", "restoreformer"])
def test_from_the_weights_folder(name: str, offline: Path) -> None:
    write_enhancer(offline, name).rename(offline / weights.entry(name).filename)
    enhancer, warning = load_enhancer(EnhanceOptions(enhancer=name), "cpu")
    assert enhancer is not None and enhancer.spec.name == name and warning == ""
    assert enhancer.spec.licence == weights.entry(name).licence


def test_upscaler_from_a_file(tmp_path: Path) -> None:
    options = EnhanceOptions(upscaler="realesrgan_x2", upscaler_weights=write_upscaler(tmp_path))
    upscaler, warning = load_upscaler(options, "cpu")
    assert upscaler is not None and upscaler.spec.scale == 2 and warning == ""


def test_absent_weights(offline: Path) -> None:
    with pytest.raises(DownloadError, match=r"GFPGANv1\.4\.pth.*without_enhancer"):
        load_enhancer(EnhanceOptions(enhancer="gfpgan"), "cpu")
    with pytest.raises(DownloadError, match=r"RealESRGAN_x2plus\.pth.*without_enhancer"):
        load_upscaler(EnhanceOptions(upscaler="realesrgan_x2"), "cpu")


def test_going_on_without(offline: Path) -> None:
    options = EnhanceOptions(enhancer="restoreformer", upscaler="realesrgan_x2", without_enhancer=True)
    enhancer, warning = load_enhancer(options, "cpu")
    assert enhancer is None
    assert warning.startswith("Faces are not enhanced") and "restoreformer" in warning
    upscaler, warning = load_upscaler(options, "cpu")
    assert upscaler is None
    assert warning.startswith("Frames are not enlarged") and "realesrgan_x2" in warning


def test_a_file_that_was_given_must_be_right(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"not weights")
    options = EnhanceOptions(enhancer="gfpgan", enhancer_weights=tmp_path / "w.pth", without_enhancer=True)
    with pytest.raises(WeightsError, match="damaged"):
        load_enhancer(options, "cpu")


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gfpgan", "basicsr", "spandrel")
    monkeypatch.setitem(sys.modules, "spandrel.architectures.GFPGAN", None)
    with pytest.raises(ToolError, match="pip install spandrel"):
        load_enhancer(EnhanceOptions(enhancer="gfpgan"), "cpu")
    enhancer, warning = load_enhancer(EnhanceOptions(enhancer="gfpgan", without_enhancer=True), "cpu")
    assert enhancer is None and "pip install spandrel" in warning


def test_cancelled_download(offline: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        load_enhancer(EnhanceOptions(enhancer="gfpgan", without_enhancer=True), "cpu", cancel=cancel)
