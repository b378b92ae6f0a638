"""Checkpoints in the official formats with random weights, and much smaller than the official ones."""

from __future__ import annotations

from pathlib import Path

import torch

from lipsync.enhancers import loaders
from lipsync.enhancers.loaders import find_network_class

SMALL_GFPGAN = {"narrow": 1 / 16, "num_style_feat": 16, "num_mlp": 2}
SMALL_RESTOREFORMER = {
    "n_embed": 16,
    "embed_dim": 32,
    "ch": 32,
    "ch_mult": (1, 1, 1, 1, 1, 1),
    "num_res_blocks": 1,
    "z_channels": 32,
}


def gfpgan_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """A sixteenth of GFPGAN's channels."""
    torch.manual_seed(seed)
    cls, _ = find_network_class("gfpgan")
    return _stirred(cls(**{**loaders.infer_gfpgan_config({}), **SMALL_GFPGAN}).state_dict())


def restoreformer_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """The narrowest RestoreFormer that its group norms allow."""
    torch.manual_seed(seed)
    cls, _ = find_network_class("restoreformer")
    return _stirred(cls(**SMALL_RESTOREFORMER).state_dict())


def realesrgan_state(
    width: int = 8, blocks: int = 1, inputs: int = 12, seed: int = 0
) -> dict[str, torch.Tensor]:
    """A small RRDBNet under the names of the official files."""
    torch.manual_seed(seed)
    grow = 32
    sizes = {"conv_first": (width, inputs), "conv_body": (width, width)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for layer in range(1, 6):
                name = f"body.{block}.rdb{dense}.conv{layer}"
                sizes[name] = (width if layer == 5 else grow, width + (layer - 1) * grow)
    sizes |= dict.fromkeys(("conv_up1", "conv_up2", "conv_hr"), (width, width))
    sizes["conv_last"] = (3, width)
    state = {}
    for name, (out, into) in sizes.items():
        weak = 0.1 if name.startswith("body") else 1  # as basicsr initialises its residual blocks
        state[f"{name}.weight"] = weak * torch.randn(out, into, 3, 3) / (9 * into) ** 0.5
        state[f"{name}.bias"] = torch.randn(out) / 10
    state["conv_last.bias"] += 0.5
    return state


def _stirred(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Biases and factors that begin as 0, as noise's do, take part as well."""
    return {name: value + 0.05 * torch.randn_like(value) for name, value in state.items()}


def write_enhancer(folder: Path, name: str) -> Path:
    """A checkpoint for the enhancer called `name`, with the wrapping of the official file."""
    path = folder / f"{name}.pth"
    if name == "restoreformer":
        torch.save({"params": restoreformer_state()}, path)
    else:
        torch.save({"params_ema": gfpgan_state()}, path)
    return path


def write_upscaler(folder: Path) -> Path:
    """The same for Real-ESRGAN."""
    path = folder / "realesrgan_x2.pth"
    torch.save({"params_ema": realesrgan_state()}, path)
    return path
