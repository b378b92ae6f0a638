"""Loading of face restoration and upscaling networks.

The architectures' classes come from gfpgan and basicsr, or else from spandrel. gfpgan and basicsr hold
the networks as their authors published them; both were last released in 2022, and basicsr does not build
on Python 3.13. spandrel is maintained and holds the same networks. Only classes are taken from any of
them: loading, normalising and batching are done here.

A network's width and depth are inferred from the checkpoint's tensors. The official files have one size
each; retrained and reduced ones load as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from lipsync.enhancers.alignment import FACE_SIZE
from lipsync.errors import ToolError, WeightsError
from lipsync.weights.checkpoint import StateDict, check_fits, load_into, load_state_dict
from lipsync.weights.weights_file import reading_errors


def load_gfpgan(path: Path) -> nn.Module:
    """Load GFPGAN's "clean" network (1.2 to 1.4), in evaluation mode.

    It is called as `network(faces, return_rgb=False, randomize_noise=False)[0]`; input and output are
    (B, 3, 512, 512) RGB in [-1, 1].

    Raises:
        WeightsError: the file is missing, damaged or of another network.
        ToolError: the packages are missing.
    """
    state = load_state_dict(path)
    return _build("gfpgan", infer_gfpgan_config(state), state, what="GFPGAN", path=path)


def infer_gfpgan_config(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Arguments of GFPGANv1Clean, inferred from a checkpoint.

    For a state of another network they are the official ones, which it then does not fit.
    """
    first, last = state.get("conv_body_first.weight"), state.get("final_conv.weight")
    style, scale = state.get("final_linear.weight"), state.get("condition_scale.0.2.weight")
    narrow, multiplier, features, half = 1.0, 2.0, 512, True
    if first is not None and last is not None and style is not None and scale is not None and len(last):
        # 256 * narrow channels at the lowest resolution, 16 * multiplier * narrow at the highest; a style
        # vector for each of 2 * log2(size) - 2 layers.
        narrow = len(last) / 256
        multiplier = len(first) / (16 * narrow)
        features = len(style) // 16
        half = len(scale) == scale.shape[1]
    return {
        "out_size": FACE_SIZE,
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


def load_restoreformer(path: Path) -> nn.Module:
    """Load RestoreFormer, in evaluation mode.

    It is called as `network(faces)[0]`; input and output are (B, 3, 512, 512) RGB in [-1, 1].

    Raises:
        WeightsError, ToolError: as `load_gfpgan`.
    """
    state = load_state_dict(path)
    return _build("restoreformer", infer_restoreformer_config(state), state, what="RestoreFormer", path=path)


def infer_restoreformer_config(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Arguments of RestoreFormer, inferred from a checkpoint.

    For a state of another network they are the official ones, which it then does not fit.
    """
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


def load_realesrgan_x2(path: Path) -> nn.Module:
    """Load Real-ESRGAN's RRDBNet for a factor of 2, in evaluation mode.

    Input (B, 3, H, W) RGB in [0, 1], H and W even; output (B, 3, 2 H, 2 W).

    Raises:
        WeightsError, ToolError: as `load_gfpgan`.
    """
    state = load_state_dict(path)
    width, blocks = _infer_rrdbnet_config(state, path)
    cls, package = find_network_class("rrdbnet")
    if package == "basicsr":
        config = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": width, "num_block": blocks, "scale": 2}
    else:
        # 2 x 2 pixels become 12 channels at half the size, so the rest of the network enlarges 4 times.
        config = {"in_nc": 12, "out_nc": 3, "num_filters": width, "num_blocks": blocks, "scale": 4}
        config["shuffle_factor"] = 2
        state = to_spandrel_names(state, blocks)
    return _load(cls, config, state, what="Real-ESRGAN x2", path=path)


def _infer_rrdbnet_config(state: Mapping[str, torch.Tensor], path: Path) -> tuple[int, int]:
    """Numbers of channels and of blocks; the official ones for another network.

    Raises:
        WeightsError: the network enlarges by another factor.
    """
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


def to_spandrel_names(state: Mapping[str, torch.Tensor], blocks: int) -> StateDict:
    """Rename the keys of basicsr's RRDBNet to spandrel's, those of the older ESRGAN."""
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


def _build(name: str, config: dict[str, Any], state: StateDict, *, what: str, path: Path) -> nn.Module:
    cls, _ = find_network_class(name)
    return _load(cls, config, state, what=what, path=path)


def _load(
    cls: type[nn.Module], config: dict[str, Any], state: StateDict, *, what: str, path: Path
) -> nn.Module:
    """A network with its weights, in evaluation mode.

    On the device "meta" first: that saves the time for random numbers, and takes no memory for sizes
    that were inferred from a file of another network.
    """
    with reading_errors(path), torch.device("meta"):
        network = cls(**config)
    check_fits(network, state, what=what, path=path)
    network = network.to_empty(device="cpu")
    load_into(network, state, what=what, path=path)
    return network.eval().requires_grad_(False)


# --- classes ---------------------------------------------------------------------------------------

_CLASSES = {
    "gfpgan": {
        "gfpgan": ("gfpgan.archs.gfpganv1_clean_arch", "GFPGANv1Clean"),
        "spandrel": ("spandrel.architectures.GFPGAN", "GFPGAN"),
    },
    "restoreformer": {
        "gfpgan": ("gfpgan.archs.restoreformer_arch", "RestoreFormer"),
        "spandrel": ("spandrel.architectures.RestoreFormer", "RestoreFormer"),
    },
    "rrdbnet": {
        "basicsr": ("basicsr.archs.rrdbnet_arch", "RRDBNet"),
        "spandrel": ("spandrel.architectures.ESRGAN", "ESRGAN"),
    },
}
_IMPORT_LOCK = threading.Lock()


def find_network_class(network: str) -> tuple[type[nn.Module], str]:
    """Class of a network, and the package that it comes from.

    Args:
        network: "gfpgan", "restoreformer" or "rrdbnet".

    Raises:
        ToolError: none of the packages that have it can be imported.
    """
    failures = []
    for package in _CLASSES[network]:
        try:
            return import_network_class(package, network), package
        # An old package with a new numpy or torch may fail otherwise than by ImportError.
        except (ImportError, AttributeError) as error:
            failures.append(f"{package}: {error}")
    raise ToolError(
        "The packages that enhancers and upscalers are built from are missing",
        given="; ".join(failures),
        hint="Install one with 'pip install spandrel', or go on without an enhancer.",
    )


def import_network_class(package: str, network: str) -> type[nn.Module]:
    """Class of a network from one of its packages.

    Raises:
        ImportError: the package is not installed.
    """
    module_name, class_name = _CLASSES[network][package]
    with _IMPORT_LOCK, _legacy_torchvision_module():
        module = importlib.import_module(module_name)
    if module_name == "gfpgan.archs.restoreformer_arch":
        # Its constructor prints; the name is looked up in the module before the builtins.
        vars(module)["print"] = _no_print
    found: type[nn.Module] = getattr(module, class_name)
    return found


@contextmanager
def _legacy_torchvision_module() -> Iterator[None]:
    """Substitute for a removed torchvision module that basicsr imports.

    `basicsr/data/degradations.py` says `from torchvision.transforms.functional_tensor import
    rgb_to_grayscale`; torchvision 0.17 removed that module, and the function is in
    `torchvision.transforms.functional` under the same name. Only training needs it, but importing any
    part of basicsr or gfpgan imports all of it. The substitute exists during the import only, so that
    no other package takes it for the real module.
    """
    name = "torchvision.transforms.functional_tensor"
    if name in sys.modules or importlib.util.find_spec("torchvision") is None:
        yield
        return
    functional = importlib.import_module("torchvision.transforms.functional")
    substitute = ModuleType(name, "Substitute for a module that torchvision has removed.")
    vars(substitute)["rgb_to_grayscale"] = functional.rgb_to_grayscale
    sys.modules[name] = substitute
    try:
        yield
    finally:
        del sys.modules[name]


def _no_print(*_: Any, **__: Any) -> None:
    pass
