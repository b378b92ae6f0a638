"""The same networks out of either package, and what happens where one is missing."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lipsync.enhancers import ENHANCERS, loaders, upscaling
from lipsync.enhancers.network_classes import class_from, network_class
from lipsync.errors import ToolError
from lipsync.weights import create_model
from tests.enhancers import made_up

GONE = "torchvision.transforms.functional_tensor"
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


@needs_gfpgan
def test_the_old_packages_import_and_leave_nothing_behind() -> None:
    for network, package in (("gfpgan", "gfpgan"), ("restoreformer", "gfpgan"), ("rrdbnet", "basicsr")):
        assert network_class(network)[1] == package
    assert GONE not in sys.modules


@needs_gfpgan
def test_importing_from_several_threads() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(network_class("gfpgan")[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["gfpgan"] * 4


@needs_spandrel
def test_spandrel_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gfpgan", "basicsr")
    for network in ("gfpgan", "restoreformer", "rrdbnet"):
        cls, package = network_class(network)
        assert package == "spandrel" and issubclass(cls, nn.Module)


def test_without_any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gfpgan", "basicsr", "spandrel")
    monkeypatch.setitem(sys.modules, "spandrel.architectures.GFPGAN", None)
    with pytest.raises(ToolError, match="pip install spandrel"):
        network_class("gfpgan")
    with pytest.raises(ToolError, match="pip install spandrel"):  # before anything is downloaded
        create_model(ENHANCERS, "gfpgan", device="cpu")


@needs_gfpgan
def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    class_from("gfpgan", "restoreformer")(**made_up.SMALL_RESTOREFORMER)
    assert capsys.readouterr().out == ""


def drawn(
    network: nn.Module, state: dict[str, torch.Tensor], given: torch.Tensor, **call: bool
) -> torch.Tensor:
    network.load_state_dict(state)
    with torch.inference_mode():
        result = network.eval()(given, **call)
    return result[0] if isinstance(result, tuple) else result


@needs_gfpgan
@needs_spandrel
def test_gfpgan_is_the_same_in_both() -> None:
    state, given = made_up.gfpgan_state(), torch.rand(1, 3, 512, 512) * 2 - 1
    form = loaders.gfpgan_form(state)
    ours, theirs = (
        drawn(class_from(package, "gfpgan")(**form), state, given, randomize_noise=False)
        for package in ("spandrel", "gfpgan")
    )
    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs)


@needs_gfpgan
@needs_spandrel
def test_restoreformer_is_the_same_in_both() -> None:
    state, given = made_up.restoreformer_state(), torch.rand(1, 3, 64, 64) * 2 - 1
    form = loaders.restoreformer_form(state)
    ours, theirs = (
        drawn(class_from(package, "restoreformer")(**form), state, given)
        for package in ("spandrel", "gfpgan")
    )
    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs)


@needs_gfpgan
@needs_spandrel
def test_realesrgan_is_the_same_in_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_up.write_upscaler(tmp_path)
    frame = np.random.default_rng(3).integers(0, 256, (21, 30, 3), dtype=np.uint8)
    theirs = upscaling.RealESRGAN(path, device="cpu", number_format="fp32").upscale(frame)
    hide(monkeypatch, "gfpgan", "basicsr")
    ours = upscaling.RealESRGAN(path, device="cpu", number_format="fp32")
    assert type(ours.network).__module__.startswith("spandrel")
    assert theirs.std() > 5
    assert np.abs(ours.upscale(frame).astype(int) - theirs).max() <= 1
