"""Convolutions by Winograd's algorithm equal plain ones."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from numba.core import caching
from torch import nn

from lipsync import utils
from lipsync.utils import winograd_kernels
from lipsync.utils.onednn_conv import can_pack
from lipsync.utils.winograd_conv import WinogradConv2d, suits_winograd, transform_filters

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not can_pack(CPU, torch.float32) or not suits_winograd(nn.Conv2d(64, 64, 3, padding=1)),
    reason="not on this kind of machine",
)


def layer(inputs: int, outputs: int) -> nn.Conv2d:
    torch.manual_seed(inputs)
    return nn.Conv2d(inputs, outputs, 3, padding=1).requires_grad_(False)


def image(*shape: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("channels", [(64, 64), (80, 32), (72, 40), (64, 128)], ids=str)
@pytest.mark.parametrize("size", [(10, 10), (13, 18), (27, 16), (40, 15)], ids=str)
def test_as_the_plain_one(size: tuple[int, int], channels: tuple[int, int], residual: bool) -> None:
    if residual and channels[0] != channels[1]:
        channels = (channels[0], channels[0])
    conv, x = layer(*channels), image(3, channels[0], *size)
    expected = torch.relu(conv(x) + x if residual else conv(x))
    with torch.inference_mode():
        found = WinogradConv2d(conv, residual=residual)(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=0)


def test_more_tiles_than_are_transformed_at_once() -> None:
    conv, x = layer(256, 256), image(4, 256, 24, 24)  # 144 tiles, 72 at once
    with torch.inference_mode():
        torch.testing.assert_close(WinogradConv2d(conv)(x), torch.relu(conv(x)), atol=5e-5, rtol=0)


def test_small_images_are_left_to_the_packed_layer() -> None:
    conv, x = layer(64, 64), image(2, 64, 6, 20)
    network = WinogradConv2d(conv)
    with torch.inference_mode():
        assert torch.equal(network(x), network.packed(x))


def test_other_memory_layouts_are_accepted() -> None:
    conv, x = layer(64, 64), image(2, 64, 16, 16)
    network = WinogradConv2d(conv)
    with torch.inference_mode():
        assert torch.equal(network(x.contiguous()), network(x))
        assert torch.equal(
            network(image(2, 64, 20, 16)[:, :, 4:]), network(image(2, 64, 20, 16)[:, :, 4:].clone())
        )


def test_several_threads_at_once() -> None:
    network, images = WinogradConv2d(layer(64, 64)), [image(2, 64, 24, 24) * (1 + k) for k in range(8)]

    @torch.inference_mode()
    def run(x: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = network(x)
        return drawn

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, images))
    assert all(torch.equal(a, run(x)) for a, x in zip(together, images, strict=True))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 3, 2, 1),
        nn.Conv2d(64, 64, 5, 1, 2),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(64, 64, 3, padding=1, bias=False),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(64, 64, 3, padding=1, dtype=torch.bfloat16),
        nn.Conv2d(24, 64, 3, padding=1),
        nn.Conv2d(64, 16, 3, padding=1),
        nn.ConvTranspose2d(64, 64, 3, padding=1),
    ],
    ids=str,
)
def test_layers_it_does_not_suit(conv: nn.Module) -> None:
    assert not suits_winograd(conv)


def test_a_machine_without_a_folder_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba refuses to keep code then; it is compiled for this process alone."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(caching.CodeLibraryCacheImpl, "_locator_classes", [])

    @winograd_kernels._compiled()
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8


def test_a_machine_whose_numba_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a NumPy that is newer than it knows: the packed layers do the work."""
    monkeypatch.delattr(utils, "winograd_kernels")
    monkeypatch.setitem(sys.modules, "lipsync.utils.winograd_kernels", None)
    conv, x = layer(64, 64), image(2, 64, 12, 12)
    assert not suits_winograd(conv)
    network = WinogradConv2d(conv)
    with torch.inference_mode():
        assert torch.equal(network(x), network.packed(x))


def test_threads_that_begin_together_prepare_the_filters_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    together = threading.Barrier(4)

    def counted(weight: torch.Tensor) -> torch.Tensor:
        made.append(weight)
        return transform_filters(weight)

    monkeypatch.setattr("lipsync.utils.winograd_conv.transform_filters", counted)
    network, x = WinogradConv2d(layer(64, 64)), image(1, 64, 12, 12)

    @torch.inference_mode()
    def run(_: int) -> torch.Tensor:
        together.wait(10)
        drawn: torch.Tensor = network(x)
        return drawn

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(run, range(4))
    assert len(made) == 1
    assert all(torch.equal(first, other) for other in others)
