"""Row layers against the layers that they replace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lipsync.sync_score.winograd import (
    FullImageConv,
    NchwLayers,
    RowMaxPool,
    WinogradConv,
    to_row_layers,
    transforms,
)
from lipsync.utils import onednn_conv


def images(channels: int, height: int, width: int, batch: int = 3) -> Tensor:
    """(B, C, H, W), with values as after a ReLU."""
    torch.manual_seed(0)
    return torch.randn(batch, channels, height, width).relu_()


def to_hbwc(x: Tensor) -> Tensor:
    return x.permute(2, 0, 3, 1).contiguous()


def to_bchw(x: Tensor) -> Tensor:
    return x.permute(1, 3, 0, 2)


def in_float64(layer: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = layer.double()(x.double())
    layer.float()
    return found


def assert_alike(found: Tensor, expected: Tensor) -> None:
    assert found.dtype == torch.float32
    largest = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=5e-5 * largest)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "height"),
    [
        (3, 1, 1, 13),  # two tiles, the last of which ends beyond the image
        (3, 1, 1, 11),
        (5, 2, 1, 54),  # stride 2, with an odd number of taps
        (4, 2, 0, 31),
        (3, 1, 0, 5),
        ((3, 1), (1, 2), (1, 0), 9),
        (2, 1, 1, 1),  # nearly all of it is padding
        (3, 2, 1, 1),  # and of its even rows, all
    ],
)
def test_rows_match_the_layer(
    monkeypatch: pytest.MonkeyPatch,
    packs: bool,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    height: int,
) -> None:
    if not packs:
        monkeypatch.setattr(onednn_conv, "OPERATORS", ("_an_operator_of_another_torch",))
    conv = nn.Conv2d(6, 10, kernel, stride, padding).requires_grad_(False)
    x = images(6, height, 17)
    with torch.inference_mode():
        expected = in_float64(conv, x)
        layer = WinogradConv(conv, expected.shape[2])
        assert (layer.convs[0].packed is not None) == packs
        assert_alike(to_bchw(layer(to_hbwc(x))), expected)


@pytest.mark.parametrize("batch", [1, 2, 9, 40])
def test_few_pixels_and_many(batch: int) -> None:
    """More outputs than inputs: packed for the size, which for few pixels is another layout."""
    conv = nn.Conv2d(16, 48, 3, padding=1).requires_grad_(False)
    x = images(16, 11, 9, batch)
    layer = WinogradConv(conv, 11)
    with torch.inference_mode():
        assert_alike(to_bchw(layer(to_hbwc(x))), in_float64(conv, x))
    if layer.convs[0].packed is not None:
        assert "for 1 input sizes in 1 layouts" in str(layer.convs[0].packed)  # it was used


def test_the_number_of_rows_is_only_a_guess() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = images(3, 20, 8)
    with torch.inference_mode():
        assert_alike(to_bchw(WinogradConv(conv, 13)(to_hbwc(x))), in_float64(conv, x))


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(3, 2),
        nn.MaxPool2d(3, 2, padding=1),
        nn.MaxPool2d((3, 2), (1, 2)),
        nn.MaxPool2d(2, 1, padding=1),
    ],
)
def test_pooling(pool: nn.MaxPool2d) -> None:
    x = images(4, 13, 10) - 1
    torch.testing.assert_close(to_bchw(RowMaxPool(pool)(to_hbwc(x))), pool(x), rtol=0, atol=0)


def test_a_network_by_rows() -> None:
    layers = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(8, 6, 3, padding=1), nn.MaxPool2d(3, 2), nn.ReLU()),
        nn.Conv2d(6, 5, (6, 4)),
    ).requires_grad_(False)
    found = to_row_layers(layers, 13)
    assert [type(layer) for layer in found if not isinstance(layer, nn.ReLU)] == [
        *(NchwLayers, WinogradConv, RowMaxPool, FullImageConv)
    ]
    x = images(1, 13, 9)
    with torch.inference_mode():
        assert_alike(to_bchw(found(to_hbwc(x))), in_float64(layers, x))


def test_nchw_layers_keep_their_dtype() -> None:
    conv = nn.Conv2d(3, 4, 3).to(torch.bfloat16)
    x = images(3, 8, 8)
    with torch.inference_mode():
        found, expected = to_bchw(NchwLayers(conv)(to_hbwc(x))), conv(x.to(torch.bfloat16))
    torch.testing.assert_close(found, expected)


def test_the_transforms_make_a_filter() -> None:
    for outputs, taps in ((8, 5), (9, 3), (7, 3), (1, 3), (4, 1)):
        before, slices, after = transforms(outputs, taps)
        random = np.random.default_rng(0)
        weights, row = random.normal(size=taps), random.normal(size=before.shape[1])
        found = after @ ((slices @ weights) * (before @ row))
        np.testing.assert_allclose(found, np.convolve(row, weights[::-1], "valid"), atol=1e-11)
        assert len(row) == outputs + taps - 1  # products, instead of outputs * taps


def test_unsupported_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="11 outputs of 3 taps need more than 11 points"):
        transforms(11, 3)
    for conv in (
        nn.Conv2d(4, 4, 3, bias=False),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ):
        with pytest.raises(ValueError, match="cannot be computed by rows"):
            WinogradConv(conv, 9)
    with pytest.raises(ValueError, match="cannot be computed as one product"):
        FullImageConv(nn.Conv2d(4, 4, 3, padding=1))
