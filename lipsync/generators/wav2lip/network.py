"""Wav2Lip generator network.

Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In the Wild", ACM MM 2020,
arXiv 2008.10010.

Module names are those of the official checkpoints (36 298 035 parameters), which load unchanged. Faces of
another size and other numbers of channels are possible, and are inferred from a checkpoint's tensors
(`network_from_state_dict`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lipsync.utils.conv_block import ConvBlock, conv_blocks
from lipsync.utils.onednn_conv import PackedConv, can_pack
from lipsync.utils.winograd_conv import WinogradConv2d, suits_winograd

OFFICIAL_SIZE = (96, 96)
"""Height and width of the official network's face, pixels."""
SIZE_STEP = 32
"""Heights and widths are multiples of it, since the face is halved five times."""
WIDTH_STEP = 1 / 16
"""Width factors are multiples of it, so that every layer has a whole number of channels."""


def _up(c_in: int, c_out: int) -> nn.Sequential:
    """Transposed convolution that doubles the size, then two residual blocks."""
    first = ConvBlock(c_in, c_out, 3, 2, 1, upsample=True, output_padding=1)
    return nn.Sequential(first, *(ConvBlock(c_out, c_out, 3, 1, 1, residual=True) for _ in range(2)))


class Wav2LipNetwork(nn.Module):
    """U-Net from a masked face, a reference face and audio to the face with its mouth.

    Skip connections join each image size of encoder and decoder; the audio embedding enters at the
    bottleneck, 1 x 1.

    Args:
        size: height and width of the face in pixels, multiples of 32. After five halvings one
            convolution over all that is left makes it 1 x 1, and one in the decoder undoes that.
        width: factor on the official network's channels, a multiple of 1/16.

    Raises:
        ValueError: there is no network of that size or width.
    """

    def __init__(self, size: tuple[int, int] = OFFICIAL_SIZE, width: float = 1.0) -> None:
        super().__init__()
        check_architecture(size, width)
        self.size, self.width = size, width
        bottom = (size[0] // SIZE_STEP, size[1] // SIZE_STEP)
        c16, c32, c64, c128, c256, c512 = (round(count * width) for count in (16, 32, 64, 128, 256, 512))
        self.face_encoder_blocks = nn.ModuleList(  # sizes as for a face of 96 x 96
            [
                nn.Sequential(*conv_blocks(6, c16, 7, 1, 3)),  # 96 x 96
                nn.Sequential(*conv_blocks(c16, c32, stride=2, residual=2)),  # 48
                nn.Sequential(*conv_blocks(c32, c64, stride=2, residual=3)),  # 24
                nn.Sequential(*conv_blocks(c64, c128, stride=2, residual=2)),  # 12
                nn.Sequential(*conv_blocks(c128, c256, stride=2, residual=2)),  # 6
                nn.Sequential(*conv_blocks(c256, c512, stride=2, residual=1)),  # 3
                nn.Sequential(
                    *conv_blocks(c512, c512, bottom, padding=0), *conv_blocks(c512, c512, 1, padding=0)
                ),  # 1
            ]
        )
        self.audio_encoder = nn.Sequential(  # 80 x 16
            *conv_blocks(1, c32, residual=2),
            *conv_blocks(c32, c64, stride=(3, 1), residual=2),  # 27 x 16
            *conv_blocks(c64, c128, stride=3, residual=2),  # 9 x 6
            *conv_blocks(c128, c256, stride=(3, 2), residual=1),  # 3 x 3
            *conv_blocks(c256, c512, padding=0),  # 1 x 1
            *conv_blocks(c512, c512, 1, padding=0),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(*conv_blocks(c512, c512, 1, padding=0)),  # 1
                nn.Sequential(
                    ConvBlock(2 * c512, c512, bottom, upsample=True),  # 3
                    ConvBlock(c512, c512, 3, 1, 1, residual=True),
                ),
                _up(2 * c512, c512),  # 6
                _up(c512 + c256, c256 + c128),  # 12
                _up(c256 + 2 * c128, c256),  # 24
                _up(c256 + c64, c128),  # 48
                _up(c128 + c32, c64),  # 96
            ]
        )
        self.output_block = nn.Sequential(*conv_blocks(c64 + c16, c32), nn.Conv2d(c32, 3, 1), nn.Sigmoid())

    def forward(self, mel: torch.Tensor, face: torch.Tensor, first_row: int = 0) -> torch.Tensor:
        """Generate faces.

        Args:
            mel: (B, 1, 80, 16) normalised mel, or in training (B, T, 1, 80, 16).
            face: (B, 6, H, W) in [0, 1], or in training (B, 6, T, H, W): BGR with the lower half zero,
                then the reference in BGR; H and W are the network's size.
            first_row: the rows above are left out; not in training.

        Returns:
            (B, 3, H - first_row, W) BGR in [0, 1], or (B, 3, T, H, W).
        """
        if face.ndim == 5:
            # Frames in the batch dimension, frame-major as in the official code.
            count, length = len(mel), mel.shape[1]
            faces = self(mel.transpose(0, 1).flatten(0, 1), face.permute(2, 0, 1, 3, 4).flatten(0, 1))
            return cast(torch.Tensor, faces.unflatten(0, (length, count)).permute(1, 2, 0, 3, 4))
        embedding = self.audio_encoder(mel)
        skips = []
        x = face
        for block in self.face_encoder_blocks:
            x = block(x)
            skips.append(x)
        x, row = embedding, 0  # the row of the whole image that x begins with
        for block, start in zip(self.face_decoder_blocks, self._first_rows(first_row), strict=True):
            x, row = block(x), 2 * row
            x, row = torch.cat((x[:, :, start - row :], skips.pop()[:, :, start:]), dim=1), start
        features = self.output_block[0](x)[:, :, first_row - row :]
        # In fp32 whatever the rest runs in: rounding here would be visible.
        with torch.autocast(features.device.type, enabled=False):
            return cast(torch.Tensor, self.output_block[1:](features.float()))

    def _first_rows(self, first_row: int) -> list[int]:
        """First row that is kept of each decoder block's output.

        A 3 x 3 convolution needs a row more than it gives, and what is cut off is zero to it: one row
        for the output block, and for each block half of what its two residual convolutions need. The first
        block draws a single one.
        """
        starts = [max(0, first_row - 1)]
        for _ in self.face_decoder_blocks[2:]:
            starts.append(max(0, (starts[-1] - 2) // 2))
        return [0, *reversed(starts)]


def check_architecture(size: tuple[int, int], width: float) -> None:
    """Check that there is a network of that size and width.

    Raises:
        ValueError: there is none, with the reason.
    """
    if any(side < SIZE_STEP or side % SIZE_STEP for side in size):
        raise ValueError(f"height and width must be multiples of {SIZE_STEP}, got {size[0]}x{size[1]}")
    if width < WIDTH_STEP or width % WIDTH_STEP:
        raise ValueError(f"the width must be a multiple of 1/{round(1 / WIDTH_STEP)}, got {width:g}")


def network_from_state_dict(state: Mapping[str, torch.Tensor]) -> Wav2LipNetwork:
    """Untrained network of a checkpoint's size and width.

    For the state of another network it is the official one, which that state does not fit.
    """
    first = state.get("face_encoder_blocks.0.0.conv_block.0.weight")
    bottom = state.get("face_decoder_blocks.1.0.conv_block.0.weight")
    if first is None or bottom is None or bottom.ndim != 4 or 0 in (*first.shape, *bottom.shape):
        return Wav2LipNetwork()
    height, width = bottom.shape[2:]
    return Wav2LipNetwork((SIZE_STEP * height, SIZE_STEP * width), len(first) * WIDTH_STEP)


def fold_batch_norm(network: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place; for inference.

    The output is the same up to rounding, with a third of the passes over memory.
    """
    for block in network.modules():
        if isinstance(block, ConvBlock):
            _fold(block)


def _fold(block: ConvBlock) -> None:
    conv, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", tuple(block.conv_block))
    mean, variance = cast("tuple[torch.Tensor, torch.Tensor]", (norm.running_mean, norm.running_var))
    transposed = isinstance(conv, nn.ConvTranspose2d)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias, transposed
    )
    block.conv_block = nn.Sequential(conv)


class _Cast(nn.Module):
    """Conversion to another dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` in the dtype, any shape."""
        return x.to(self.dtype)


def prepare_for_inference(network: Wav2LipNetwork, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Freeze the network, fold batch norms, move and pack it, in place.

    The mel must be given in `dtype`, the face in fp32: the first face layer and the last layer stay in
    fp32. A trained network passes much of the face through, and rounded to bf16 it is half a level of 255
    off before anything is computed. With weights trained for a while on real faces the output in bf16 is
    within 0.6 of 255 (mean 0.07) of that in fp32; with both ends in bf16 within 1.3 (mean 0.3), for 1 %
    less time. In fp32 it is the same within 1e-5.

    Channels last is the layout that the convolution kernels of CPUs and tensor cores use. Autocast
    instead would cast all weights again in every batch.
    """
    network.eval().requires_grad_(False)
    packed, blocks = can_pack(device, dtype), network.face_encoder_blocks
    first = set(blocks[0].modules())
    # Layer by layer: each is read, converted while it is in the cache, and freed for its packed form.
    for parent in list(network.modules()):
        for name, block in parent.named_children():
            if isinstance(block, ConvBlock):
                _fold(block)
                block.to(device=device, dtype=torch.float32 if block in first else dtype)
                setattr(parent, name, _packed(block) if packed else block)
    # A copy: the remaining weights may be mapped from a file that others can change.
    network.output_block[1] = copy.deepcopy(network.output_block[1])
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if dtype != torch.float32:
        blocks[0] = nn.Sequential(blocks[0], _Cast(dtype))
    return network


def _packed(block: ConvBlock) -> nn.Module:
    """A block with folded batch norm, packed for the CPU's kernels."""
    [conv] = cast("tuple[nn.Conv2d | nn.ConvTranspose2d]", tuple(block.conv_block))
    if suits_winograd(conv):
        return WinogradConv2d(conv, residual=block.residual)
    return PackedConv(conv, residual=block.residual)
