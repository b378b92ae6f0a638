"""Matrices in 8 bits with a scale for each row, as in the weights file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".scale"


def pack_matrix(name: str, value: Tensor) -> dict[str, Tensor]:
    """A matrix or convolution (rows, ...) as int8 and, under `<name>.scale`, float32 (rows,)."""
    scale = (value.flatten(1).abs().amax(1) / 127).clamp_min(1e-12).float()
    rows = scale.view(-1, *[1] * (value.ndim - 1))
    return {name: (value / rows).round().to(torch.int8).contiguous(), name + _SCALE: scale}


def unpack_matrices(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a weights file in float32, packed ones multiplied by their scale."""
    found = {}
    for name, value in state.items():
        if name.endswith(_SCALE) and name.removesuffix(_SCALE) in state:
            continue
        scale = state.get(name + _SCALE)
        found[name] = value.float() if scale is None else value * scale.view(-1, *[1] * (value.ndim - 1))
    return found
