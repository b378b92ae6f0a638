"""From checkpoints to the file that ships: safetensors, half precision, a header that says what it is."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from lipsync.data_types import FloatArray
from lipsync.generators.builtin.adapter import FORMAT, LICENCE
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig


def assemble(
    config: NetworkConfig,
    components: FloatArray,
    gain: FloatArray,
    voice: Mapping[str, Tensor],
    place: Mapping[str, Tensor],
    painter: Mapping[str, Tensor],
) -> BuiltinNetwork:
    """One network out of the averaged weights of the three trainings."""
    network = BuiltinNetwork(config)
    network.voice.load_state_dict(voice)
    network.place.load_state_dict(place)
    ours = {
        name.removeprefix("painter."): value for name, value in painter.items() if name.startswith("painter.")
    }
    network.painter.load_state_dict(ours)  # its critic stays behind
    network.components.copy_(torch.from_numpy(components))
    network.gain.copy_(torch.from_numpy(gain))
    return network.eval()


def export(network: BuiltinNetwork, path: Path, notes: Mapping[str, str] | None = None) -> int:
    """Write the weights' file whole or not at all; gives its size in bytes.

    Convolutions and matrices are stored in 16 bits; what normalises, and the shapes, in 32.

    Args:
        notes: further entries of the header, such as the commit and the seeds.
    """
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        wide = value.ndim < 2 or name in ("components", "gain")
        state[name] = (value if wide else value.half()).contiguous()
    header = {
        **(notes or {}),
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(network.config)),
        "licence": LICENCE,
    }
    part = path.with_name(path.name + ".part")
    save_file(state, part, metadata=header)
    part.chmod(0o644)  # safetensors writes for the owner alone
    os.replace(part, path)  # noqa: PTH105 - replaces on every system, in one step
    return path.stat().st_size
