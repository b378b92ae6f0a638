"""Loading of networks: sizes inferred, wrappings, packages, and errors."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lipsync.enhancers import ENHANCERS, loaders, upscaling
from lipsync.enhancers.loaders import find_network_class, import_network_class
from lipsync.errors import ToolError, WeightsError
from lipsync.weights import create_model, entry
from tests.enhancers import made_up
from tests.enhancers.packages import hide, needs_gfpgan, needs_spandrel

GONE = "torchvision.transforms.functional_tensor"


def stored_bytes(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


@pytest.mark.parametrize(
    ("name", "network", "form"),
    [
        ("gfpgan", "gfpgan", loaders.infer_gfpgan_config({})),
        ("gfpgan_1.3", "gfpgan", loaders.infer_gfpgan_config({})),
        ("restoreformer", "restoreformer", loaders.infer_restoreformer_config({})),
    ],
)
def test_the_official_architecture_fills_the_official_file(
    name: str, network: str, form: dict[str, object]
) -> None:
    with torch.device("meta"):
        made = find_network_class(network)[0](**form)
    assert 0 < entry(name).bytes - stored_bytes(made) < 200_000  # names and padding


@needs_gfpgan
def test_the_official_architecture_of_realesrgan() -> None:
    with torch.device("meta"):
        made = import_network_class("basicsr", "rrdbnet")(num_in_ch=3, num_out_ch=3, scale=2)
        names = set(made_up.realesrgan_state(64, 23))
    assert 0 < entry("realesrgan_x2").bytes - stored_bytes(made) < 300_000
    assert set(made.state_dict()) == names


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("half", [True, False])
def test_gfpgans_architecture_is_inferred_from_its_tensors(multiplier: float, half: bool) -> None:
    form = {**loaders.infer_gfpgan_config({}), **made_up.SMALL_GFPGAN}
    form |= {"channel_multiplier": multiplier, "sft_half": half, "narrow": 1 / 8}
    with torch.device("meta"):
        state = find_network_class("gfpgan")[0](**form).state_dict()
    assert loaders.infer_gfpgan_config(state) == form


def test_restoreformers_architecture_is_inferred_from_its_tensors() -> None:
    form = {**made_up.SMALL_RESTOREFORMER, "ch_mult": (1, 2, 2, 4, 4, 8), "n_embed": 7}
    with torch.device("meta"):
        state = find_network_class("restoreformer")[0](**form).state_dict()
    assert loaders.infer_restoreformer_config(state) == form


@pytest.mark.parametrize("wrapping", ["params_ema", "params", "state_dict", ""])
def test_every_wrapping(wrapping: str, tmp_path: Path) -> None:
    state = made_up.gfpgan_state()
    torch.save({wrapping: state} if wrapping else state, tmp_path / "w.pth")
    loaded = loaders.load_gfpgan(tmp_path / "w.pth").state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_ema_weights_are_preferred(tmp_path: Path) -> None:
    last, average = made_up.gfpgan_state(1), made_up.gfpgan_state(2)
    torch.save({"params": last, "params_ema": average}, tmp_path / "w.pth")
    loaded = loaders.load_gfpgan(tmp_path / "w.pth").state_dict()
    assert torch.equal(loaded["final_conv.weight"], average["final_conv.weight"])


@pytest.mark.parametrize(
    "load", [loaders.load_gfpgan, loaders.load_restoreformer, loaders.load_realesrgan_x2]
)
@pytest.mark.parametrize("other", ["gfpgan", "restoreformer", "realesrgan"])
def test_another_network(load: object, other: str, tmp_path: Path) -> None:
    assert callable(load)
    states = {
        "gfpgan": made_up.gfpgan_state,
        "restoreformer": made_up.restoreformer_state,
        "realesrgan": made_up.realesrgan_state,
    }
    torch.save({"params": states[other]()}, tmp_path / "w.pth")
    if load.__name__.startswith(f"load_{other}"):
        load(tmp_path / "w.pth")
        return
    looks = {"gfpgan": "GFPGAN", "restoreformer": "RestoreFormer", "realesrgan": "Real-ESRGAN"}
    with pytest.raises(WeightsError, match=f"looks like {looks[other]}"):
        load(tmp_path / "w.pth")


def test_a_network_that_enlarges_four_times(tmp_path: Path) -> None:
    torch.save({"params_ema": made_up.realesrgan_state(inputs=3)}, tmp_path / "x4.pth")
    with pytest.raises(WeightsError, match="another factor"):
        loaders.load_realesrgan_x2(tmp_path / "x4.pth")


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        loaders.load_gfpgan(tmp_path / "absent.pth")


# --- packages --------------------------------------------------------------------------------------


@needs_gfpgan
def test_the_old_packages_import_and_leave_nothing_behind() -> None:
    for network, package in (("gfpgan", "gfpgan"), ("restoreformer", "gfpgan"), ("rrdbnet", "basicsr")):
        assert find_network_class(network)[1] == package
    assert GONE not in sys.modules


@needs_gfpgan
def test_importing_from_several_threads() -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(find_network_class("gfpgan")[1])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["gfpgan"] * 4


@needs_spandrel
def test_spandrel_is_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gfpgan", "basicsr")
    for network in ("gfpgan", "restoreformer", "rrdbnet"):
        cls, package = find_network_class(network)
        assert package == "spandrel" and issubclass(cls, nn.Module)


def test_without_any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gfpgan", "basicsr", "spandrel")
    monkeypatch.setitem(sys.modules, "spandrel.architectures.GFPGAN", None)
    with pytest.raises(ToolError, match="pip install spandrel"):
        find_network_class("gfpgan")
    with pytest.raises(ToolError, match="pip install spandrel"):  # before anything is downloaded
        create_model(ENHANCERS, "gfpgan", device="cpu")


@needs_gfpgan
def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import_network_class("gfpgan", "restoreformer")(**made_up.SMALL_RESTOREFORMER)
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
    form = loaders.infer_gfpgan_config(state)
    ours, theirs = (
        drawn(import_network_class(package, "gfpgan")(**form), state, given, randomize_noise=False)
        for package in ("spandrel", "gfpgan")
    )
    assert theirs.std() > 0.05
    torch.testing.assert_close(ours, theirs)


@needs_gfpgan
@needs_spandrel
def test_restoreformer_is_the_same_in_both() -> None:
    state, given = made_up.restoreformer_state(), torch.rand(1, 3, 64, 64) * 2 - 1
    form = loaders.infer_restoreformer_config(state)
    ours, theirs = (
        drawn(import_network_class(package, "restoreformer")(**form), state, given)
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
