"""Loading and saving of sync experts.

`CompactSyncNet` is stored as safetensors with a header; Wav2Lip's expert is read as published.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save

from lipsync.sync_score.compact_syncnet import CompactSyncNet, CompactSyncNetConfig
from lipsync.sync_score.wav2lip_expert import SyncNetColor
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights.checkpoint import check_fits, load_into, load_state_dict, read_header
from lipsync.weights.weights_file import reading_errors

FORMAT = "lipsync-expert-1"
"""Value of "format" in the header of a `CompactSyncNet` file."""


def load_expert(path: Path) -> CompactSyncNet | SyncNetColor:
    """Load an expert for inference: frozen, in evaluation mode, on the CPU.

    Args:
        path: a file of `save_expert`, or `lipsync_expert.pth` in any form that `load_state_dict` reads.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    tensors, header = load_state_dict(path), read_header(path)
    state = {name: value.float() for name, value in tensors.items()}
    expert: CompactSyncNet | SyncNetColor
    if header.get("format") == FORMAT:
        with reading_errors(path):
            config = CompactSyncNetConfig(**json.loads(header["config"]))
            with torch.device("meta"):  # takes no memory, whatever sizes the header claims
                claimed = CompactSyncNet(config)
        check_fits(claimed, state, what="a sync expert", path=path)
        expert = CompactSyncNet(config)
    else:
        expert = SyncNetColor()
    load_into(expert, state, what="a sync expert", path=path)
    return expert.eval().requires_grad_(False)


def save_expert(expert: CompactSyncNet, path: Path, notes: Mapping[str, str] | None = None) -> int:
    """Write a `CompactSyncNet` in half precision, atomically; returns the size in bytes.

    Args:
        notes: further entries of the header, such as seeds and figures.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
    """
    state = {
        name: (value.half() if value.ndim > 1 else value).contiguous()
        for name, value in expert.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    header = {**(notes or {}), "format": FORMAT, "config": json.dumps(dataclasses.asdict(expert.config))}
    with atomic_write(path) as part:
        part.write_bytes(save(state, metadata=header))  # save_file would hide the system's errors
    return path.stat().st_size
