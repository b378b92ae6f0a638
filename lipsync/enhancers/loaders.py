"""From a checkpoint's tensors to a network: which size and width it has is read off its shapes.

The official files hold one size each; retrained and reduced ones load as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lipsync.enhancers.network_classes import network_class
from lipsync.errors import WeightsError
from lipsync.weights.checkpoint import StateDict, load_into, load_state_dict

SIZE = 512
"""Side of the aligned face, in pixels, of every network here."""


def gfpgan(path: Path) -> nn.Module:
    """GFPGAN's "clean" network (1.2 to 1.4) with the weights in `path`; in evaluation mode.

    It is called as `network(faces, return_rgb=False, randomize_noise=False)[0]`, with and giving
    (B, 3, 512, 512) RGB in [-1, 1].

    Raises:
        WeightsError: the file is missing, damaged or of another network.
        ToolError: the packages are missing.
    """
    state = load_state_dict(path)
    return _load("gfpgan", gfpgan_form(state), state, what="GFPGAN", path=path)


def gfpgan_form(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Arguments of GFPGANv1Clean for a state; the official ones where it is no GFPGAN."""
    first, last = state.get("conv_body_first.weight"), state.get("final_conv.weight")
    style, scale = state.get("final_linear.weight"), state.get("condition_scale.0.2.weight")
    narrow, multiplier, features, half = 1.0, 2.0, 512, True
    if first is not None and last is not None and style is not None and scale is not None and len(last):
        # Channels are 256 * narrow at the bottom and 16 * multiplier * narrow at the top; one
        # style vector goes to each of 2 * log2(size) - 2 layers.
        narrow = len(last) / 256
        multiplier = len(first) / (16 * narrow)
        features = len(style) // 16
        half = len(scale) == scale.shape[1]
    return {
        "out_size": SIZE,
        "num_style_feat": features,
        "channel_multiplier": multiplier,
        "decoder_load_path": None,
        "fix_decoder": False,
        "num_mlp": _count(state, r"stylegan_decoder\.style_mlp\.\d+\.weight") or 8,
        "input_is_latent": True,
        "different_w": True,
        "narrow": narrow,
        "sft_half": half,
    }


def restoreformer(path: Path) -> nn.Module:
    """RestoreFormer with the weights in `path`; in evaluation mode. Called as `network(faces)[0]`.

    Raises:
        WeightsError, ToolError: as `gfpgan`.
    """
    state = load_state_dict(path)
    return _load("restoreformer", restoreformer_form(state), state, what="RestoreFormer", path=path)


def restoreformer_form(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Arguments of RestoreFormer for a state; the official ones where it is no RestoreFormer."""
    official = {
        "n_embed": 1024,
        "embed_dim": 256,
        "ch": 64,
        "ch_mult": (1, 2, 2, 4, 4, 8),
        "num_res_blocks": 2,
        "z_channels": 256,
    }
    codes, first, inner = (
        state.get(f"{name}.weight") for name in ("quantize.embedding", "encoder.conv_in", "quant_conv")
    )
    levels = [
        state[f"encoder.down.{level}.block.0.conv2.weight"]
        for level in range(_count(state, r"encoder\.down\.\d+\.block\.0\.conv2\.weight"))
    ]
    if codes is None or first is None or inner is None or not levels or 0 in (len(first), inner.ndim):
        return official
    return {
        "n_embed": codes.shape[0],
        "embed_dim": codes.shape[-1],
        "ch": len(first),
        "ch_mult": tuple(len(level) // len(first) for level in levels),
        "num_res_blocks": _count(state, r"encoder\.down\.0\.block\.\d+\.conv2\.weight"),
        "z_channels": inner.shape[1],
    }


def realesrgan_x2(path: Path) -> nn.Module:
    """Real-ESRGAN's RRDBNet for twice the size; in evaluation mode.

    It takes (B, 3, H, W) RGB in [0, 1], H and W even, and gives (B, 3, 2 H, 2 W).

    Raises:
        WeightsError, ToolError: as `gfpgan`.
    """
    state = load_state_dict(path)
    width, blocks = _rrdbnet_form(state, path)
    cls, package = network_class("rrdbnet")
    if package == "basicsr":
        form = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": width, "num_block": blocks, "scale": 2}
    else:
        # Four neighbouring pixels become 12 channels: what follows enlarges 4 times.
        form = {"in_nc": 12, "out_nc": 3, "num_filters": width, "num_blocks": blocks, "scale": 4}
        form["shuffle_factor"] = 2
        state = spandrel_names(state, blocks)
    network = _empty(cls, form)
    load_into(network, state, what="Real-ESRGAN x2", path=path)
    return network.eval().requires_grad_(False)


def _rrdbnet_form(state: Mapping[str, torch.Tensor], path: Path) -> tuple[int, int]:
    """Channels and blocks; the official ones where it is no RRDBNet."""
    first = state.get("conv_first.weight")
    blocks = _count(state, r"body\.\d+\.rdb1\.conv1\.weight")
    if first is None or first.ndim != 4 or not len(first) or not blocks:
        return 64, 23
    if first.shape[1] != 12:
        raise WeightsError(
            "The weights are not those of Real-ESRGAN x2",
            given=f"{path} is a network of this kind that enlarges by another factor",
            hint="Choose the file RealESRGAN_x2plus.pth.",
        )
    return len(first), blocks


def spandrel_names(state: Mapping[str, torch.Tensor], blocks: int) -> StateDict:
    """A state of basicsr's RRDBNet under the names of spandrel's, which are those of the older ESRGAN."""
    outer = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{blocks}",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    renamed: StateDict = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        layer = re.sub(r"^body\.(\d+)\.rdb(\d)\.conv(\d)$", r"model.1.sub.\1.RDB\2.conv\3.0", layer)
        renamed[f"{outer.get(layer, layer)}.{kind}"] = value
    return renamed


def _count(state: Mapping[str, torch.Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, key) is not None for key in state)


def _load(network: str, form: dict[str, Any], state: StateDict, *, what: str, path: Path) -> nn.Module:
    cls, _ = network_class(network)
    made = _empty(cls, form)
    load_into(made, state, what=what, path=path)
    return made.eval().requires_grad_(False)


def _empty(cls: type[nn.Module], form: dict[str, Any]) -> nn.Module:
    """A network whose tensors are all still to be filled: no time goes into random numbers."""
    with torch.device("meta"):
        network = cls(**form)
    return network.to_empty(device="cpu")
