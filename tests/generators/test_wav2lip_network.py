"""Wav2Lip's architecture and its variants; its numbers are in goldens/."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from lipsync.generators.wav2lip.network import (
    Wav2LipNetwork,
    fold_batch_norm,
    network_from_state_dict,
    prepare_for_inference,
)


@pytest.fixture(scope="module")
def network() -> Wav2LipNetwork:
    torch.manual_seed(3)
    network = Wav2LipNetwork()
    for module in network.modules():  # as after training; new ones would hide mistakes in folding
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.weight, 1, 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn((2, 2, 1, 80, 16), generator=generator)
    return mel, torch.rand((2, 6, 2, 96, 96), generator=generator)


def test_size(network: Wav2LipNetwork) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == 36_298_035
    assert len(network.state_dict()) == 352


def test_a_time_axis_is_the_same_frame_by_frame(
    network: Wav2LipNetwork, inputs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    mel, face = inputs
    with torch.inference_mode():
        together = network(mel, face)
        assert together.shape == (2, 3, 2, 96, 96)
        for frame in range(2):
            alone = network(mel[:, frame], face[:, :, frame])
            torch.testing.assert_close(together[:, :, frame], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(96, 96), (96, 64), (32, 32), (288, 96)], ids=str)
def test_rows_that_are_left_out_change_nothing_below(size: tuple[int, int]) -> None:
    torch.manual_seed(4)
    network = Wav2LipNetwork(size, 1 / 8).eval()
    for weight in network.parameters():
        if weight.ndim > 1:  # neighbours count for more than in a new network
            weight.data *= 1.5
    mel, face = torch.randn(2, 1, 80, 16), torch.rand(2, 6, *size)
    prepared = prepare_for_inference(copy.deepcopy(network), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        whole = network(mel, face)
        for row in {1, 7, 8, size[0] // 2, size[0] - 8, size[0] - 1}:
            assert network(mel, face, row).shape == (2, 3, size[0] - row, size[1])
            torch.testing.assert_close(network(mel, face, row), whole[:, :, row:], atol=1e-6, rtol=0)
            torch.testing.assert_close(prepared(mel, face, row), whole[:, :, row:], atol=1e-5, rtol=0)


def test_folding_changes_nothing(network: Wav2LipNetwork, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    mel, face = inputs[0][:, 0], inputs[1][:, :, 0]
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(mel, face), network(mel, face), atol=1e-5, rtol=0)


def test_bf16_stays_close(network: Wav2LipNetwork, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    mel, face = inputs[0][:, 0], inputs[1][:, :, 0]
    prepared = prepare_for_inference(copy.deepcopy(network), torch.device("cpu"), torch.bfloat16)
    with torch.inference_mode():
        exact = network(mel, face)
        drawn = prepared(mel.bfloat16(), face)
    assert drawn.dtype == torch.float32
    difference = (drawn - exact).abs().numpy() * 255
    assert difference.max() < 2 and np.mean(difference) < 0.2


@pytest.mark.parametrize(
    ("size", "width"), [((32, 32), 0.125), ((192, 288), 0.125), ((288, 192), 0.0625), ((96, 96), 1.25)]
)
def test_sizes_and_widths_are_inferred_from_the_weights(size: tuple[int, int], width: float) -> None:
    made = Wav2LipNetwork(size, width).eval()
    network = network_from_state_dict(made.state_dict())
    assert (network.size, network.width) == (size, width)
    network.load_state_dict(made.state_dict())
    with torch.inference_mode():
        drawn = network.eval()(torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, *size))
    assert drawn.shape == (2, 3, *size)


def test_the_official_network_is_inferred_from_its_weights(network: Wav2LipNetwork) -> None:
    state = network.state_dict()
    assert (network_from_state_dict(state).size, network_from_state_dict(state).width) == ((96, 96), 1.0)
    encoder_alone = {name: value for name, value in state.items() if "encoder" in name}
    # loading will say what is wrong
    assert network_from_state_dict(encoder_alone).width == network_from_state_dict({}).width == 1.0


@pytest.mark.parametrize(
    ("size", "width"), [((100, 96), 1.0), ((96, 0), 1.0), ((96, 96), 0.3), ((96, 96), 0.0)]
)
def test_networks_that_cannot_be(size: tuple[int, int], width: float) -> None:
    with pytest.raises(ValueError, match="multiple"):
        Wav2LipNetwork(size, width)


def test_the_output_stays_in_fp32_under_autocast() -> None:
    network = Wav2LipNetwork((32, 32), 0.125)
    with torch.autocast("cpu", torch.bfloat16):
        drawn = network(torch.zeros(2, 1, 80, 16), torch.rand(2, 6, 32, 32))
    assert drawn.dtype == torch.float32 and network.output_block[0](torch.zeros(1, 10, 4, 4)).shape[1] == 4
    assert drawn.unique().numel() > 3000  # 16 bits have not so many numbers between 0 and 1 that meet here
