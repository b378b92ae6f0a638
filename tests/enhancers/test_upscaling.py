"""Upscaling in tiles: the same as in one piece, without seams, in bounded memory."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lipsync.enhancers.upscaling import RealESRGAN, _tile_spans
from lipsync.errors import Cancelled, ToolError
from lipsync.progress import CancelToken
from lipsync.types import Frame
from tests.enhancers.made_up import write_upscaler
from tests.material import FACE


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_upscaler(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def picture() -> Frame:
    return np.asarray(cv2.cvtColor(cv2.imread(str(FACE)), cv2.COLOR_BGR2RGB)[160:361, 140:371])


def make(weights: Path, tile: int, number_format: str = "fp32") -> RealESRGAN:
    return RealESRGAN(weights, device="cpu", number_format=number_format, tile=tile)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 66, 96, 97, 191, 500, 1081])
def test_tiles_cover_everything_and_overlap(length: int) -> None:
    spans = _tile_spans(length, 64)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % 2 == 0 and stop - start <= 65 for start, stop, _ in spans)
    for (_, stop, _), (start, _, shared) in itertools.pairwise(spans):
        assert stop - start == shared >= 30


def test_tiles_equal_the_whole(weights: Path, picture: Frame) -> None:
    whole = make(weights, 4096).upscale(picture).astype(int)
    assert whole.std() > 5
    tiled = make(weights, 128).upscale(picture).astype(int)
    difference = np.abs(whole - tiled)
    # These 17 layers of 3 x 3 at half the size see 34 pixels far: nearer to the frame's corners than to
    # a tile's edge nothing is missing; towards the edges the neighbour takes over.
    assert difference[:160, :160].max() <= 1 and difference[-160:, -160:].max() <= 1
    assert difference.mean() < 0.01 and difference.max() <= 2


def test_no_seam(weights: Path) -> None:
    """On a plain picture any step between tiles would stand out."""
    plain = np.full((130, 130, 3), (200, 120, 60), np.uint8)
    drawn = make(weights, 64).upscale(plain).astype(int)[64:-64, 64:-64]
    # The network's own pattern repeats every four pixels; what differs beyond that is a seam.
    assert np.abs(drawn[4:] - drawn[:-4]).max() <= 1
    assert np.abs(drawn[:, 4:] - drawn[:, :-4]).max() <= 1


@pytest.mark.parametrize("number_format", ["bf16", "fp16"])
def test_formats_against_fp32(weights: Path, picture: Frame, number_format: str) -> None:
    exact, rounded = (
        make(weights, 256, how).upscale(picture[:60, :80]).astype(int) for how in ("fp32", number_format)
    )
    difference = np.abs(exact - rounded)
    assert difference.mean() < 1 and difference.max() <= 8, (difference.mean(), difference.max())


class TooSmall(nn.Module):
    """A device that holds tiles of `side` pixels at most."""

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network, self.side = network, side
        self.largest = 0

    def forward(self, given: torch.Tensor, **how: Any) -> Any:
        if max(given.shape[2:]) > self.side:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        self.largest = max(self.largest, *given.shape[2:])
        return self.network(given, **how)


def test_a_tile_that_does_not_fit_is_halved(weights: Path, picture: Frame) -> None:
    upscaler = make(weights, 256)
    picture = picture[:90, :100]
    whole = upscaler.upscale(picture).astype(int)
    upscaler.network = small = TooSmall(upscaler.network, 66)
    assert np.abs(upscaler.upscale(picture) - whole).mean() < 0.05
    assert upscaler.tile == 64 and small.largest <= 66


def test_no_memory_at_all(weights: Path, picture: Frame) -> None:
    upscaler = make(weights, 256)
    upscaler.network = TooSmall(upscaler.network, 8)
    with pytest.raises(ToolError, match="not enough memory"):
        upscaler.upscale(picture)


def test_a_cancel_is_checked_between_tiles(weights: Path, picture: Frame) -> None:
    upscaler, cancel, calls = make(weights, 64), CancelToken(), 0

    def after_the_first(*_: object) -> None:
        nonlocal calls
        calls += 1
        cancel.cancel()

    upscaler.network.register_forward_hook(after_the_first)
    with pytest.raises(Cancelled):
        upscaler.upscale(picture, cancel)
    assert calls == 1
