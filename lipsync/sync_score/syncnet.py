"""SyncNet, the network that LSE-D and LSE-C are defined with: Chung and Zisserman, ACCV workshops 2016.

Layers are those of joonson/syncnet_python, module names those of its `syncnet_v2.model`, which therefore
loads as it is: 13 631 616 parameters. It is no `SyncExpert`: it looks at whole faces, hears MFCC
instead of mel, and its vectors keep their length, which the distances of LSE depend on.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from lipsync.devices import batches_at_once
from lipsync.sync_score.base import FRAMES
from lipsync.sync_score.window_conv import TOGETHER, WindowConv
from lipsync.sync_score.winograd import Upright, by_rows
from lipsync.utils.conv_block import Step
from lipsync.weights.checkpoint import load_into, load_state_dict

SYNCNET_PICTURE = 224
"""Height and width of the picture that SyncNet looks at, pixels."""
_SECOND_ENDS = 6
"""Of the picture's layers, those that make up the first two convolutions, each with pooling and ReLU."""
_ROWS, _ROWS_AFTER_SECOND = 54, 13
"""That are left of a picture after the first convolution with its pooling, and after the second."""
_SOUND_ROWS = 13
"""Coefficients of a row of MFCC."""


class SyncNet(nn.Module):
    """The official SyncNet.

    The original's convolutions of the picture have three dimensions, yet none moves in time: the first
    is as deep as a window, the others 1 deep. Here they are the same sums in two dimensions, over the
    15 channels of a window, which takes a third of the time on a CPU.

    Attributes:
        first: the first layers of the picture for windows in a row, with fewer multiplications; made by
            `load_syncnet` for a CPU, as are the other two. Most of the sums are there.
        rest: the layers after those.
        hearing: the layers of the sound; only in float32.
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
            *(*_conv(3 * FRAMES, 96, 7, stride=2), nn.MaxPool2d(3, 2)),  # 109, 54
            *(*_conv(96, 256, 5, stride=2, padding=1), nn.MaxPool2d(3, 2, padding=1)),  # 26, 13
            *(*_conv(256, 256, 3, padding=1), *_conv(256, 256, 3, padding=1)),
            *(*_conv(256, 256, 3, padding=1), nn.MaxPool2d(3, 2)),  # 6
            *_conv(256, 512, 6),  # 1 x 1
        )
        self.netfclip = _head()
        self.first: nn.Module | None = None
        self.rest: nn.Module | None = None
        self.hearing: nn.Module | None = None

    def forward(self, mfcc: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, 13, 20) and (B, 15, 224, 224) -> two (B, 1024).

        The channels of the picture are the five frames' blue, then their green, then their red, 0..255.
        """
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1)), self.netfclip(self.netcnnlip(faces).flatten(1))

    @property
    def at_once(self) -> int:
        """Batches to embed at the same time."""
        return batches_at_once(next(self.parameters()).device)

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Every window of T frames in a row, (T, 224, 224, 3) RGB uint8 -> (T - 4, 1024) float32."""
        if self.first is None or self.rest is None:
            bgr = frames.to(next(self.netcnnlip.parameters())).flip(-1)
            windows = bgr.unfold(0, FRAMES, 1).flatten(3).permute(0, 3, 1, 2)  # channels last in memory
            seen = self.netcnnlip(windows)
        else:
            # Only as many at a time as belong together: memory stays within what caches hold.
            starts = range(0, len(frames) - FRAMES + 1, TOGETHER)
            maps = [self.first(frames[start : start + TOGETHER + FRAMES - 1]) for start in starts]
            seen = self.rest(torch.cat(maps, dim=1))[0]
        found: Tensor = self.netfclip(seen.flatten(1).float())
        return found

    def embed_sound(self, mfcc: Tensor) -> Tensor:
        """The sound of windows, (B, 1, 13, 20) MFCC of 16-bit samples -> (B, 1024) float32."""
        if self.hearing is None:
            heard = self.netcnnaud(mfcc.to(next(self.netcnnaud.parameters())))
        else:
            heard = self.hearing(mfcc.permute(2, 0, 3, 1).contiguous())[0]
        found: Tensor = self.netfcaud(heard.flatten(1).float())
        return found


def load_syncnet(
    path: Path, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> SyncNet:
    """SyncNet for use: frozen, in evaluation mode, batch norms folded, on `device` (None: the CPU).

    Args:
        path: `syncnet_v2.model`, in any form that `load_state_dict` reads.
        dtype: of the convolutions, on a CPU without the first one. bfloat16 takes nine tenths of the
            time where the processor knows it, and changes LSE-D by about one part in 2000: for a look,
            not for a table.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    state = load_state_dict(path)
    flat = {name: value.flatten(1, 2) if value.ndim == 5 else value for name, value in state.items()}
    network = SyncNet().eval().requires_grad_(False)
    load_into(network, flat, what="SyncNet (syncnet_v2.model)", path=path)
    for name, part in network.named_children():
        setattr(network, name, _folded(part))
    if device is None or device.type == "cpu":
        _save_multiplications(network, dtype)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for convolutions in (network.netcnnlip, network.netcnnaud):
        convolutions.to(dtype)
    return network


def _save_multiplications(network: SyncNet, dtype: torch.dtype) -> None:
    """Make the forms of the layers that a CPU uses."""
    conv, pool, *_ = network.netcnnlip
    first = WindowConv(_of_rgb(cast(nn.Conv2d, conv)), cast(nn.MaxPool2d, pool), FRAMES)
    if dtype == torch.float32:
        network.first = nn.Sequential(first, *by_rows(network.netcnnlip[2:_SECOND_ENDS], _ROWS))
        network.rest = by_rows(network.netcnnlip[_SECOND_ENDS:], _ROWS_AFTER_SECOND)
        network.hearing = by_rows(network.netcnnaud, _SOUND_ROWS)
    else:
        network.first, network.rest = first, Upright(network.netcnnlip[2:])


def _conv(c_in: int, c_out: int, kernel: Step, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding)
    return [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]


def _of_rgb(conv: nn.Conv2d) -> nn.Conv2d:
    """The same layer for frames whose colours come in the other order."""
    turned = deepcopy(conv)
    by_color = conv.weight.view(len(conv.weight), -1, FRAMES, *conv.kernel_size)
    turned.weight = nn.Parameter(by_color.flip(1).flatten(1, 2), requires_grad=False)
    return turned


def _head() -> nn.Sequential:
    norm = nn.BatchNorm1d(512)
    return nn.Sequential(nn.Linear(512, 512), norm, nn.ReLU(inplace=True), nn.Linear(512, 1024))


def _folded(layers: nn.Module) -> nn.Sequential:
    """The same layers with every batch norm worked into what stands before it, and each pooling before
    the ReLU that it follows: the largest is the same, and there are fewer to compare with zero."""
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
