"""SyncNet, the network that defines LSE-D and LSE-C.

Chung and Zisserman, "Out of Time: Automated Lip Sync in the Wild", ACCV workshops 2016. Layers follow
joonson/syncnet_python and module names its `syncnet_v2.model`, whose weights therefore load unchanged:
13 631 616 parameters. It is not a `SyncExpert`: it takes whole faces, MFCC instead of mel, and its embeddings
are not normalised, since LSE is a distance between them.


On a CPU `load_syncnet` replaces layers by ones with fewer multiplications, for the same values within 5e-5 of
the largest. Speed of the whole SyncNet (`benchmarks/syncnet_layers.py`, CPU time a window on
one core of a Xeon with AVX-512): 26 ms with plain layers, 20 with `window_conv.py`, 17 with all.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from lipsync.devices import concurrent_batches
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.sync_score.window_conv import WINDOWS_PER_BLOCK, WindowConv
from lipsync.sync_score.winograd import NchwLayers, to_row_layers
from lipsync.utils.conv_block import Step
from lipsync.weights.checkpoint import load_into, load_state_dict

SYNCNET_INPUT_SIZE = 224
"""Height and width of SyncNet's input, pixels."""
_STEM_LAYERS = 6
"""Of `netcnnlip` with folded norms: the first two convolutions, each with pooling and ReLU."""
_ROWS_AFTER_FIRST, _ROWS_AFTER_SECOND = 54, 13
"""Rows of the feature map after the first convolution with its pooling, and after the second."""
_MFCC_ROWS = 13
"""Coefficients per MFCC frame."""


class SyncNet(nn.Module):
    """The official SyncNet.

    The original's 3-D convolutions of the face do not slide in time: the first is as deep as a window, the
    others have depth 1. Here they are 2-D convolutions over the 15 channels of a window, which gives the same
    sums in a third of the time on a CPU.

    Attributes:
        fast_stem: the first layers of the face branch for consecutive windows, with fewer multiplications
            (`window_conv.py`, `winograd.py`); most of the work is there. On a CPU, `load_syncnet` makes it
            and the next two from the layers above; else None.
        fast_trunk: the remaining layers of the face branch.
        fast_audio: the layers of the audio branch; only for float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(  # 13 x 20
            *(*_conv(1, 64, 3, padding=1), nn.Identity()),  # the original pools 1 x 1 here
            *(*_conv(64, 192, 3, padding=1), nn.MaxPool2d(3, (1, 2))),  # 11 x 9
            *(*_conv(192, 384, 3, padding=1), *_conv(384, 256, 3, padding=1)),
            *(*_conv(256, 256, 3, padding=1), nn.MaxPool2d(3, 2)),  # 5 x 4
            *_conv(256, 512, (5, 4)),  # 1 x 1
        )
        self.netfcaud = _head()
        self.netcnnlip = nn.Sequential(  # 224 x 224
            *(*_conv(3 * WINDOW_FRAMES, 96, 7, stride=2), nn.MaxPool2d(3, 2)),  # 109, 54
            *(*_conv(96, 256, 5, stride=2, padding=1), nn.MaxPool2d(3, 2, padding=1)),  # 26, 13
            *(*_conv(256, 256, 3, padding=1), *_conv(256, 256, 3, padding=1)),
            *(*_conv(256, 256, 3, padding=1), nn.MaxPool2d(3, 2)),  # 6
            *_conv(256, 512, 6),  # 1 x 1
        )
        self.netfclip = _head()
        self.fast_stem: nn.Module | None = None
        self.fast_trunk: nn.Module | None = None
        self.fast_audio: nn.Module | None = None

    def forward(self, mfcc: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Audio and face embeddings: (B, 1, 13, 20) and (B, 15, 224, 224) -> two (B, 1024).

        The 15 channels are blue of all five frames, then green, then red, 0..255.
        """
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1)), self.netfclip(self.netcnnlip(faces).flatten(1))

    @property
    def concurrent_batches(self) -> int:
        """Batches to embed in parallel."""
        return concurrent_batches(next(self.parameters()).device)

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Embed all windows of T consecutive frames, (T, 224, 224, 3) RGB uint8 -> float32 (T - 4, 1024)."""
        if self.fast_stem is None or self.fast_trunk is None:
            bgr = frames.to(next(self.netcnnlip.parameters())).flip(-1)
            windows = (
                bgr.unfold(0, WINDOW_FRAMES, 1).flatten(3).permute(0, 3, 1, 2)
            )  # channels last in memory
            features = self.netcnnlip(windows)
        else:
            # Block by block, so that activations stay in the caches.
            starts = range(0, len(frames) - WINDOW_FRAMES + 1, WINDOWS_PER_BLOCK)
            length = WINDOWS_PER_BLOCK + WINDOW_FRAMES - 1
            maps = [self.fast_stem(frames[start : start + length]) for start in starts]
            features = self.fast_trunk(torch.cat(maps, dim=1))[0]
        embeddings: Tensor = self.netfclip(features.flatten(1).float())
        return embeddings

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        """Embed audio windows, (B, 1, 13, 20) MFCC of 16-bit samples -> float32 (B, 1024)."""
        if self.fast_audio is None:
            features = self.netcnnaud(mfcc.to(next(self.netcnnaud.parameters())))
        else:
            features = self.fast_audio(mfcc.permute(2, 0, 3, 1).contiguous())[0]
        embeddings: Tensor = self.netfcaud(features.flatten(1).float())
        return embeddings


def load_syncnet(
    path: Path, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> SyncNet:
    """Load SyncNet for inference: frozen, in evaluation mode, batch norms folded.

    Args:
        path: `syncnet_v2.model`, in any form that `load_state_dict` reads.
        device: None is the CPU.
        dtype: of the convolutions; on a CPU the first one stays in float32. bfloat16 takes nine tenths of the
            time on processors that support it, and changes LSE-D by about one part in 2000: good for a quick
            check, not for a published table.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    state = load_state_dict(path)
    flat = {name: value.flatten(1, 2) if value.ndim == 5 else value for name, value in state.items()}
    network = SyncNet().eval().requires_grad_(False)
    load_into(network, flat, what="SyncNet (syncnet_v2.model)", path=path)
    for name, part in network.named_children():
        setattr(network, name, _fold_norms(part))
    if device is None or device.type == "cpu":
        _add_fast_layers(network, dtype)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for convolutions in (network.netcnnlip, network.netcnnaud):
        convolutions.to(dtype)
    return network


def _add_fast_layers(network: SyncNet, dtype: torch.dtype) -> None:
    conv, pool, *_ = network.netcnnlip
    first = WindowConv(_bgr_to_rgb(cast(nn.Conv2d, conv)), cast(nn.MaxPool2d, pool), WINDOW_FRAMES)
    if dtype == torch.float32:
        second = to_row_layers(network.netcnnlip[2:_STEM_LAYERS], _ROWS_AFTER_FIRST)
        network.fast_stem = nn.Sequential(first, *second)
        network.fast_trunk = to_row_layers(network.netcnnlip[_STEM_LAYERS:], _ROWS_AFTER_SECOND)
        network.fast_audio = to_row_layers(network.netcnnaud, _MFCC_ROWS)
    else:
        network.fast_stem, network.fast_trunk = first, NchwLayers(network.netcnnlip[2:])


def _conv(c_in: int, c_out: int, kernel: Step, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding)
    return [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]


def _bgr_to_rgb(conv: nn.Conv2d) -> nn.Conv2d:
    """The same layer for frames in the opposite channel order."""
    flipped = deepcopy(conv)
    by_color = conv.weight.view(len(conv.weight), -1, WINDOW_FRAMES, *conv.kernel_size)
    flipped.weight = nn.Parameter(by_color.flip(1).flatten(1, 2), requires_grad=False)
    return flipped


def _head() -> nn.Sequential:
    norm = nn.BatchNorm1d(512)
    return nn.Sequential(nn.Linear(512, 512), norm, nn.ReLU(inplace=True), nn.Linear(512, 1024))


def _fold_norms(layers: nn.Module) -> nn.Sequential:
    """The same layers with every batch norm folded into the layer before it.

    Each max pooling moves before its ReLU: the result is the same, with fewer elements for the ReLU.
    """
    kept: list[nn.Module] = []
    for layer in layers.children():
        if isinstance(layer, nn.BatchNorm2d):
            kept.append(fuse_conv_bn_eval(cast(nn.Conv2d, kept.pop()), layer))
        elif isinstance(layer, nn.BatchNorm1d):
            kept.append(fuse_linear_bn_eval(cast(nn.Linear, kept.pop()), layer))
        elif isinstance(layer, nn.MaxPool2d) and isinstance(kept[-1], nn.ReLU):
            kept.insert(-1, layer)
        else:
            kept.append(layer)
    return nn.Sequential(*kept)
