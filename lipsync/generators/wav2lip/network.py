"""The Wav2Lip generator: Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip
Generation In the Wild", ACM MM 2020, arXiv 2008.10010.

Module names are those of the official checkpoints, which therefore load as they are:
36 298 035 parameters.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Step: TypeAlias = int | tuple[int, int]

MEL_ROW = (80, 16)
"""Mel channels and columns of the sound of one frame; 16 columns are 0.2 s."""
FACE_SIZE = 96
"""Height and width of the face, in pixels."""


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU; `residual` adds the input before the ReLU.

    With `upsample` the convolution is a transposed one, which also takes `output_padding`.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: Step = 1,
        padding: int = 0,
        *,
        residual: bool = False,
        upsample: bool = False,
        output_padding: int = 0,
    ) -> None:
        super().__init__()
        conv: nn.Module
        if upsample:
            conv = nn.ConvTranspose2d(c_in, c_out, kernel, stride, padding, output_padding)
        else:
            conv = nn.Conv2d(c_in, c_out, kernel, stride, padding)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(c_out))
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c_in, H, W) -> (B, c_out, H', W')."""
        out = self.conv_block(x)
        return torch.relu(out + x if self.residual else out)


def _conv(
    c_in: int, c_out: int, kernel: int = 3, stride: Step = 1, padding: int = 1, same: int = 0
) -> list[nn.Module]:
    """A changing block, followed by `same` residual ones of 3 x 3."""
    blocks: list[nn.Module] = [ConvBlock(c_in, c_out, kernel, stride, padding)]
    return blocks + [ConvBlock(c_out, c_out, 3, 1, 1, residual=True) for _ in range(same)]


def _up(
    c_in: int, c_out: int, stride: int = 2, padding: int = 1, output_padding: int = 1, same: int = 2
) -> nn.Sequential:
    """A transposed block that enlarges, followed by `same` residual ones."""
    first = ConvBlock(c_in, c_out, 3, stride, padding, upsample=True, output_padding=output_padding)
    return nn.Sequential(first, *(ConvBlock(c_out, c_out, 3, 1, 1, residual=True) for _ in range(same)))


class Wav2LipNetwork(nn.Module):
    """Face with its lower half hidden, the same or another face in full, and sound -> face.

    The encoders and the decoder are U-shaped: each picture size of the way down is joined to the
    same size of the way up; the sound enters at the bottom, 1 x 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList(
            [
                nn.Sequential(*_conv(6, 16, 7, 1, 3)),  # 96 x 96
                nn.Sequential(*_conv(16, 32, stride=2, same=2)),  # 48
                nn.Sequential(*_conv(32, 64, stride=2, same=3)),  # 24
                nn.Sequential(*_conv(64, 128, stride=2, same=2)),  # 12
                nn.Sequential(*_conv(128, 256, stride=2, same=2)),  # 6
                nn.Sequential(*_conv(256, 512, stride=2, same=1)),  # 3
                nn.Sequential(*_conv(512, 512, padding=0), *_conv(512, 512, 1, padding=0)),  # 1
            ]
        )
        self.audio_encoder = nn.Sequential(  # 80 x 16
            *_conv(1, 32, same=2),
            *_conv(32, 64, stride=(3, 1), same=2),  # 27 x 16
            *_conv(64, 128, stride=3, same=2),  # 9 x 6
            *_conv(128, 256, stride=(3, 2), same=1),  # 3 x 3
            *_conv(256, 512, padding=0),  # 1 x 1
            *_conv(512, 512, 1, padding=0),
        )
        self.face_decoder_blocks = nn.ModuleList(
            [
                nn.Sequential(*_conv(512, 512, 1, padding=0)),  # 1
                _up(1024, 512, stride=1, padding=0, output_padding=0, same=1),  # 3
                _up(1024, 512),  # 6
                _up(768, 384),  # 12
                _up(512, 256),  # 24
                _up(320, 128),  # 48
                _up(160, 64),  # 96
            ]
        )
        self.output_block = nn.Sequential(*_conv(80, 32), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        """Draw.

        Args:
            mel: (B, 1, 80, 16) normalised mel, or (B, T, 1, 80, 16) in the form for training.
            face: (B, 6, 96, 96) in [0, 1], or (B, 6, T, 96, 96): BGR with the lower half zero,
                then BGR in full.

        Returns:
            (B, 3, 96, 96) BGR in [0, 1], or (B, 3, T, 96, 96).
        """
        if face.ndim == 5:
            # Frames one after the other, as the official code lays them out (frame outermost).
            count, length = len(mel), mel.shape[1]
            drawn = self(mel.transpose(0, 1).flatten(0, 1), face.permute(2, 0, 1, 3, 4).flatten(0, 1))
            return cast(torch.Tensor, drawn.unflatten(0, (length, count)).permute(1, 2, 0, 3, 4))
        sound = self.audio_encoder(mel)
        skips = []
        x = face
        for block in self.face_encoder_blocks:
            x = block(x)
            skips.append(x)
        x = sound
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), skips.pop()), dim=1)
        features = self.output_block[0](x)
        # In 32 bits whatever the rest runs in: rounding here would be seen in the picture.
        return cast(torch.Tensor, self.output_block[1:](features.float()))


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every batch norm into the convolution before it, in place; for inference only.

    The result is the same up to rounding, with a third of the passes over memory.
    """
    for block in network.modules():
        if isinstance(block, ConvBlock):
            conv, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", tuple(block.conv_block))
            transposed = isinstance(conv, nn.ConvTranspose2d)
            block.conv_block = nn.Sequential(fuse_conv_bn_eval(conv, norm, transpose=transposed))


def prepare_for_inference(network: Wav2LipNetwork, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Freeze, fold, move to `device` and number format; the last layer stays in 32 bits. In place.

    Channels last is the layout that the convolution kernels of CPUs and of tensor cores work in.
    On a CPU with bf16 this is the fastest arrangement that was measured, and within 1.2 (mean
    0.17) of 255 of the picture in fp32; casting by autocast instead repeats the casting of all
    weights in every batch, and rounding the last layer doubles the error.
    """
    fold_batch_norm(network.eval().requires_grad_(False))
    network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.output_block[1].float()
    return network
