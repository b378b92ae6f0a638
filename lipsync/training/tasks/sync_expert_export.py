"""From the checkpoints of an expert's training to a file that `load_expert` reads."""

from __future__ import annotations

from pathlib import Path

import torch

from lipsync.errors import OptionError
from lipsync.sync_score import CompactSyncNet, CompactSyncNetConfig, SyncNetColor, save_expert
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights.checkpoint import load_into


def is_expert(run: Path) -> bool:
    """Whether an expert was trained in this folder.

    Raises:
        WeightsError: there is no checkpoint.
    """
    return any(name.startswith("expert.") for name in read_checkpoint(run / "last.pt")["average"])


def export_expert(run: Path, path: Path) -> int:
    """Put the expert of the best held-out score into one file; gives its size in bytes.

    Args:
        run: the folder that `train_expert` wrote.
        path: ending in `.safetensors` for our own network, in `.pth` for Wav2Lip's.

    Raises:
        OptionError: the path ends in something else.
        WeightsError: the run has no checkpoint that was measured.
        OutputError: the file cannot be written.
    """
    best = read_checkpoint(run / "best.pt")
    state = {
        name.removeprefix("expert."): value.contiguous()
        for name, value in best["network"].items()
        if name.startswith("expert.")
    }
    lean = state.keys() == CompactSyncNet(CompactSyncNetConfig()).state_dict().keys()
    suffix = ".safetensors" if lean else ".pth"
    if path.suffix != suffix:
        raise OptionError(
            "This expert is not exported into such a file", given=path, hint=f"Use a name in {suffix}."
        )
    expert = CompactSyncNet(CompactSyncNetConfig()) if lean else SyncNetColor()
    load_into(expert, state, what="a sync expert", path=run / "best.pt")
    if isinstance(expert, CompactSyncNet):
        return save_expert(expert, path, {"step": str(best["step"])})
    official = {
        "state_dict": expert.state_dict(),
        "optimizer": None,  # which the original's training takes for "start with a new one"
        "global_step": best["step"],
        "global_epoch": 0,
    }
    with atomic_write(path) as part, part.open("wb") as file:  # given a name, torch hides the system's errors
        torch.save(official, file)
    return path.stat().st_size
