"""The visual quality discriminator of Wav2Lip ("Wav2Lip_disc_qual"): Prajwal et al., ACM MM 2020,
arXiv 2008.10010.

Module names are those of the official checkpoint, which therefore loads as it is: 14 113 793
parameters.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from lipsync.generators.wav2lip.network import OFFICIAL_SIZE, SIZE_STEP, check_architecture

Step: TypeAlias = int | tuple[int, int]


class _Block(nn.Module):
    """Convolution and leaky ReLU, without a norm; half of the kernel as padding unless told otherwise."""

    def __init__(
        self, c_in: int, c_out: int, kernel: Step, stride: Step = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        if padding is None:
            assert isinstance(kernel, int)
            padding = kernel // 2
        self.conv_block = nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv_block(x), 0.01)


def _halving(c_in: int, c_out: int, kernel: int, stride: Step = 2) -> nn.Sequential:
    return nn.Sequential(_Block(c_in, c_out, kernel, stride), _Block(c_out, c_out, kernel))


class QualityDiscriminator(nn.Module):
    """Tells drawn faces from real ones by their lower half.

    Args:
        size: height and width of the whole face in pixels, as of `Wav2LipNetwork`.
        width: share of the official network's channels, a multiple of 1/16.

    Raises:
        ValueError: there is no network of that size or width.
    """

    def __init__(self, size: tuple[int, int] = OFFICIAL_SIZE, width: float = 1.0) -> None:
        super().__init__()
        check_architecture(size, width)
        bottom = (size[0] // SIZE_STEP, size[1] // SIZE_STEP)
        c32, c64, c128, c256, c512 = (round(count * width) for count in (32, 64, 128, 256, 512))
        self.face_encoder_blocks = nn.ModuleList(  # sizes as for a face of 96 x 96
            [
                nn.Sequential(_Block(3, c32, 7)),  # 48 x 96
                _halving(c32, c64, 5, stride=(1, 2)),  # 48 x 48
                _halving(c64, c128, 5),  # 24
                _halving(c128, c256, 5),  # 12
                _halving(c256, c512, 3),  # 6
                _halving(c512, c512, 3),  # 3
                nn.Sequential(_Block(c512, c512, bottom, padding=0), _Block(c512, c512, 1)),  # 1
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(c512, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:
        """How real faces look.

        Args:
            faces: (B, 3, T, H, W) BGR in [0, 1], the whole face.

        Returns:
            (T * B, 1) logits, frame outermost, as the official code lays them out; its output is
            their sigmoid, the probability that a face is real.
        """
        x = faces.permute(2, 0, 1, 3, 4).flatten(0, 1)
        x = x[:, :, x.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        return cast(Tensor, self.binary_pred(x).flatten(1))


def adversarial_losses(
    discriminator: QualityDiscriminator, real: Tensor, drawn: Tensor
) -> tuple[Tensor, Tensor]:
    """What the discriminator and what the generator has to lower; binary cross entropies.

    The generator is judged by weights that are held fixed, and the discriminator sees drawings that
    carry no gradient, so that one optimizer trains both.

    Args:
        real, drawn: (B, 3, T, H, W) BGR in [0, 1].
    """
    training = _cross_entropy(discriminator(real), 1.0) + _cross_entropy(discriminator(drawn.detach()), 0.0)
    held = {name: value.detach() for name, value in discriminator.named_parameters()}
    fooled: Tensor = torch.func.functional_call(discriminator, held, (drawn,))
    return training, _cross_entropy(fooled, 1.0)


def _cross_entropy(logits: Tensor, wanted: float) -> Tensor:
    logits = logits.float()
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
