"""The official checkpoint formats, made-up weights in them, and the inputs of the goldens.

The official weights are large and may not be redistributed; what must stay compatible is their format: names,
shapes, types and nesting of the tensors, which formats.json lists for each network. Every tensor is drawn
from a generator that is seeded by the CRC-32 of its name, so that the same names give the same weights.
"""

from __future__ import annotations

import json
import math
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

HERE = Path(__file__).resolve().parent
LSE_FRAMES = 76


@cache
def formats() -> dict[str, Any]:
    """What formats.json says, by the name of the network."""
    told: dict[str, Any] = json.loads((HERE / "formats.json").read_text("utf-8"))
    return told


def write_checkpoint(name: str, path: Path) -> Path:
    """A checkpoint in the official format of the network called `name`, with made-up weights."""
    form = formats()[name]
    state: dict[str, Any] = {
        form["prefix"] + key: made_up(key, shape, dtype) for key, shape, dtype in form["tensors"]
    }
    if form["wrapped_in"] is not None:
        state = {form["wrapped_in"]: state, **form["beside"]}
    torch.save(state, path)
    return path


def made_up(key: str, shape: list[int], dtype: str) -> torch.Tensor:
    """One tensor, of such a size that activations stay near 1 through the network."""
    if dtype == "int64":  # num_batches_tracked of a BatchNorm
        return torch.zeros(shape, dtype=torch.int64)
    drawn = torch.randn(shape, generator=_generator(key))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return 1 + 0.1 * drawn.abs()
    if leaf in ("running_mean", "bias"):
        return 0.1 * drawn
    if leaf == "weight" and len(shape) == 1:  # scale of a BatchNorm
        return 1 + 0.1 * drawn
    fan_in = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
    return drawn * math.sqrt(1.2 / fan_in)


def given(name: str, *shape: int, low: float = 0, high: float = 1) -> torch.Tensor:
    """An input of a golden: even noise between two values, always the same for the same name."""
    return low + (high - low) * torch.rand(shape, generator=_generator(name))


def _generator(key: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(key.encode()))


def given_wav2lip() -> tuple[torch.Tensor, torch.Tensor]:
    """Mel windows (2, 1, 80, 16) and faces (2, 6, 96, 96)."""
    return given("wav2lip/mel", 2, 1, 80, 16, low=-4, high=4), given("wav2lip/face", 2, 6, 96, 96)


def given_expert() -> tuple[torch.Tensor, torch.Tensor]:
    """Mel windows (2, 1, 80, 16) and lower halves of five faces (2, 15, 48, 96): BGR of each in turn."""
    return given("expert/mel", 2, 1, 80, 16, low=-4, high=4), given("expert/face", 2, 15, 48, 96)


def given_discriminator() -> torch.Tensor:
    """Five faces (1, 3, 5, 96, 96)."""
    return given("disc/face", 1, 3, 5, 96, 96)


def given_syncnet() -> tuple[torch.Tensor, torch.Tensor]:
    """MFCC (1, 1, 13, 20) and five frames (1, 3, 5, 224, 224) BGR in whole steps from 0 to 255."""
    return given("syncnet/mfcc", 1, 1, 13, 20, low=-18, high=18), given(
        "syncnet/lip", 1, 3, 5, 224, 224, high=256
    ).floor()


def paste_frames(face: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Three frames (H, W, 3) BGR of `face`, which moves a little."""
    return [np.roll(face, (2 * number, -3 * number), (0, 1)) for number in range(3)]


def lse_frames(face: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """`LSE_FRAMES` frames (H, W, 3) BGR of `face`, which moves, and so do its lips."""
    frames = []
    for number in range(LSE_FRAMES):
        frame = np.roll(face, (number * 3 % 7 - 3, number * 5 % 11 - 5), (0, 1))
        frame[140:200] = np.roll(frame[140:200], number * number % 9, 0)
        frames.append(frame)
    return frames
