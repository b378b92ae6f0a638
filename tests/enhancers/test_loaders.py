"""Checkpoints of any size and wrapping become the right network, others a clear message."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lipsync.enhancers import loaders
from lipsync.enhancers.network_classes import class_from, network_class
from lipsync.errors import WeightsError
from lipsync.weights import entry
from tests.enhancers import made_up
from tests.enhancers.test_network_classes import needs_gfpgan


def stored_bytes(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


@pytest.mark.parametrize(
    ("name", "network", "form"),
    [
        ("gfpgan", "gfpgan", loaders.gfpgan_form({})),
        ("gfpgan_1.3", "gfpgan", loaders.gfpgan_form({})),
        ("restoreformer", "restoreformer", loaders.restoreformer_form({})),
    ],
)
def test_the_official_form_fills_the_official_file(name: str, network: str, form: dict[str, object]) -> None:
    with torch.device("meta"):
        made = network_class(network)[0](**form)
    assert 0 < entry(name).bytes - stored_bytes(made) < 200_000  # names and padding


@needs_gfpgan
def test_the_official_form_of_realesrgan() -> None:
    with torch.device("meta"):
        made = class_from("basicsr", "rrdbnet")(num_in_ch=3, num_out_ch=3, scale=2)
        names = set(made_up.realesrgan_state(64, 23))
    assert 0 < entry("realesrgan_x2").bytes - stored_bytes(made) < 300_000
    assert set(made.state_dict()) == names


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("half", [True, False])
def test_form_of_gfpgan_is_read_off_its_tensors(multiplier: float, half: bool) -> None:
    form = {**loaders.gfpgan_form({}), **made_up.SMALL_GFPGAN}
    form |= {"channel_multiplier": multiplier, "sft_half": half, "narrow": 1 / 8}
    with torch.device("meta"):
        state = network_class("gfpgan")[0](**form).state_dict()
    assert loaders.gfpgan_form(state) == form


def test_form_of_restoreformer_is_read_off_its_tensors() -> None:
    form = {**made_up.SMALL_RESTOREFORMER, "ch_mult": (1, 2, 2, 4, 4, 8), "n_embed": 7}
    with torch.device("meta"):
        state = network_class("restoreformer")[0](**form).state_dict()
    assert loaders.restoreformer_form(state) == form


@pytest.mark.parametrize("wrapping", ["params_ema", "params", "state_dict", ""])
def test_every_wrapping(wrapping: str, tmp_path: Path) -> None:
    state = made_up.gfpgan_state()
    torch.save({wrapping: state} if wrapping else state, tmp_path / "w.pth")
    loaded = loaders.gfpgan(tmp_path / "w.pth").state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_the_average_over_the_training_is_taken(tmp_path: Path) -> None:
    last, average = made_up.gfpgan_state(1), made_up.gfpgan_state(2)
    torch.save({"params": last, "params_ema": average}, tmp_path / "w.pth")
    loaded = loaders.gfpgan(tmp_path / "w.pth").state_dict()
    assert torch.equal(loaded["final_conv.weight"], average["final_conv.weight"])


@pytest.mark.parametrize("load", [loaders.gfpgan, loaders.restoreformer, loaders.realesrgan_x2])
@pytest.mark.parametrize("other", ["gfpgan", "restoreformer", "realesrgan"])
def test_another_network(load: object, other: str, tmp_path: Path) -> None:
    assert callable(load)
    states = {
        "gfpgan": made_up.gfpgan_state,
        "restoreformer": made_up.restoreformer_state,
        "realesrgan": made_up.realesrgan_state,
    }
    torch.save({"params": states[other]()}, tmp_path / "w.pth")
    if load.__name__.startswith(other):
        load(tmp_path / "w.pth")
        return
    looks = {"gfpgan": "GFPGAN", "restoreformer": "RestoreFormer", "realesrgan": "Real-ESRGAN"}
    with pytest.raises(WeightsError, match=f"looks like {looks[other]}"):
        load(tmp_path / "w.pth")


def test_a_network_that_enlarges_four_times(tmp_path: Path) -> None:
    torch.save({"params_ema": made_up.realesrgan_state(inputs=3)}, tmp_path / "x4.pth")
    with pytest.raises(WeightsError, match="another factor"):
        loaders.realesrgan_x2(tmp_path / "x4.pth")


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing"):
        loaders.gfpgan(tmp_path / "absent.pth")
