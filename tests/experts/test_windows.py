"""The first layer for windows in a row: the same figures as the layer itself gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lipsync.experts.windows import WindowConv, transforms

COLORS, FRAMES = 3, 5


def make_layers(kernel: int = 7, stride: int = 2) -> tuple[nn.Conv2d, nn.MaxPool2d]:
    torch.manual_seed(0)
    conv = nn.Conv2d(COLORS * FRAMES, 6, kernel, stride).requires_grad_(False)
    return conv, nn.MaxPool2d(3, 2)


def in_one_go(conv: nn.Conv2d, pool: nn.MaxPool2d, frames: Tensor) -> Tensor:
    """What the layers make of the windows, in double precision."""
    windows = torch.stack([frames[at : at + FRAMES] for at in range(len(frames) - FRAMES + 1)])
    windows = windows.permute(0, 4, 1, 2, 3).flatten(1, 2).double()
    found: Tensor = pool(conv.double()(windows))
    conv.float()
    return found


@pytest.mark.parametrize("count", [5, 6, 8, 9, 17])
def test_windows_are_seen_as_the_layer_sees_them(count: int) -> None:
    conv, pool = make_layers()
    frames = torch.randint(0, 256, (count, 93, 61, COLORS), dtype=torch.uint8)
    with torch.inference_mode():
        found = WindowConv(conv, pool, FRAMES)(frames)
        expected = in_one_go(conv, pool, frames)
    assert found.dtype == torch.float32 and found.is_contiguous(memory_format=torch.channels_last)
    largest = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * largest)


def test_other_kernels_and_steps() -> None:
    conv, pool = make_layers(kernel=4, stride=1)
    frames = torch.randint(0, 256, (7, 40, 50, COLORS), dtype=torch.uint8)
    with torch.inference_mode():
        found, expected = WindowConv(conv, pool, FRAMES)(frames), in_one_go(conv, pool, frames)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


def test_the_transforms_make_a_filter() -> None:
    before, slices, after = transforms(FRAMES)
    random = np.random.default_rng(0)
    weights, row = random.normal(size=FRAMES), random.normal(size=before.shape[1])
    found = after @ ((slices @ weights) * (before @ row))
    np.testing.assert_allclose(found, np.convolve(row, weights[::-1], "valid"), atol=1e-12)
    assert len(row) < len(found) * FRAMES / 2  # or nothing were saved


def test_what_it_cannot_do_is_refused() -> None:
    conv, pool = make_layers()
    with pytest.raises(ValueError, match="cannot be worked out"):
        WindowConv(nn.Conv2d(15, 6, 7, 2, bias=False), pool, FRAMES)
    with pytest.raises(ValueError, match="over 3 frames"):
        WindowConv(conv, pool, 3)
    with pytest.raises(ValueError, match="padding"):
        WindowConv(nn.Conv2d(15, 6, 7, 2, padding=1), pool, FRAMES)
