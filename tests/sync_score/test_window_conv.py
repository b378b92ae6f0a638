"""`WindowConv` against the convolution and pooling that it replaces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lipsync.sync_score.window_conv import WindowConv

COLORS, FRAMES = 3, 5


def make_layers(kernel: int = 7, stride: int = 2) -> tuple[nn.Conv2d, nn.MaxPool2d]:
    torch.manual_seed(0)
    conv = nn.Conv2d(COLORS * FRAMES, 6, kernel, stride).requires_grad_(False)
    return conv, nn.MaxPool2d(3, 2)


def reference(conv: nn.Conv2d, pool: nn.MaxPool2d, frames: Tensor) -> Tensor:
    """The layers on the stacked windows, in double precision."""
    windows = torch.stack([frames[at : at + FRAMES] for at in range(len(frames) - FRAMES + 1)])
    windows = windows.permute(0, 4, 1, 2, 3).flatten(1, 2).double()
    found: Tensor = pool(conv.double()(windows))
    conv.float()
    return found


@pytest.mark.parametrize("count", [5, 6, 8, 12, 13, 21])
def test_windows_match_the_layer(count: int) -> None:
    conv, pool = make_layers()
    frames = torch.randint(0, 256, (count, 93, 61, COLORS), dtype=torch.uint8)
    with torch.inference_mode():
        found = WindowConv(conv, pool, FRAMES)(frames)
        expected = reference(conv, pool, frames)
    assert found.dtype == torch.float32 and found.is_contiguous()
    largest = float(expected.abs().max())
    bchw = found.permute(1, 3, 0, 2).double()
    torch.testing.assert_close(bchw, expected, rtol=0, atol=3e-5 * largest)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 1), (1, 2)])
def test_other_kernels_and_strides(kernel: int, stride: int) -> None:
    conv, _ = make_layers(kernel=4, stride=1)
    pool = nn.MaxPool2d(kernel, stride)
    frames = torch.randint(0, 256, (7, 40, 50, COLORS), dtype=torch.uint8)
    with torch.inference_mode():
        found, expected = WindowConv(conv, pool, FRAMES)(frames), reference(conv, pool, frames)
    bchw = found.permute(1, 3, 0, 2).double()
    torch.testing.assert_close(bchw, expected, rtol=0, atol=3e-5 * float(expected.abs().max()))


def test_unsupported_layers_are_refused() -> None:
    conv, pool = make_layers()
    with pytest.raises(ValueError, match="cannot be computed"):
        WindowConv(nn.Conv2d(15, 6, 7, 2, bias=False), pool, FRAMES)
    with pytest.raises(ValueError, match="over 4 frames cannot be computed"):
        WindowConv(nn.Conv2d(12, 6, 7, 2), pool, 4)
    with pytest.raises(ValueError, match="8 outputs of 15 taps"):
        WindowConv(conv, pool, 15)
    with pytest.raises(ValueError, match="padding"):
        WindowConv(nn.Conv2d(15, 6, 7, 2, padding=1), pool, FRAMES)
    with pytest.raises(ValueError, match="cannot be computed"):
        WindowConv(conv, nn.MaxPool2d(3, 2, padding=1), FRAMES)
