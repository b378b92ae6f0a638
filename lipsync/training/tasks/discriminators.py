"""Discriminators of generated faces and mouths, with their adversarial losses."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.wav2lip.network import OFFICIAL_SIZE, SIZE_STEP, check_architecture

Stride: TypeAlias = int | tuple[int, int]

# --- Wav2Lip's visual quality discriminator ------------------------------------------------------


class _Block(nn.Module):
    """Convolution and leaky ReLU; half of the kernel as padding by default."""

    def __init__(
        self, c_in: int, c_out: int, kernel: Stride, stride: Stride = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        if padding is None:
            assert isinstance(kernel, int)
            padding = kernel // 2
        self.conv_block = nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, padding))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv_block(x), 0.01)


def _downsampling(c_in: int, c_out: int, kernel: int, stride: Stride = 2) -> nn.Sequential:
    return nn.Sequential(_Block(c_in, c_out, kernel, stride), _Block(c_out, c_out, kernel))


class QualityDiscriminator(nn.Module):
    """Wav2Lip's visual quality discriminator, on the lower half of the face.

    "Wav2Lip_disc_qual" of Prajwal et al., ACM MM 2020, arXiv 2008.10010. Its module names are those of
    the official checkpoint, which therefore loads as it is: 14 113 793 parameters.

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
        self.face_encoder_blocks = nn.ModuleList(  # sizes for a face of 96 x 96
            [
                nn.Sequential(_Block(3, c32, 7)),  # 48 x 96
                _downsampling(c32, c64, 5, stride=(1, 2)),  # 48 x 48
                _downsampling(c64, c128, 5),  # 24
                _downsampling(c128, c256, 5),  # 12
                _downsampling(c256, c512, 3),  # 6
                _downsampling(c512, c512, 3),  # 3
                nn.Sequential(_Block(c512, c512, bottom, padding=0), _Block(c512, c512, 1)),  # 1
            ]
        )
        self.binary_pred = nn.Sequential(nn.Conv2d(c512, 1, 1))

    def forward(self, faces: Tensor) -> Tensor:
        """Logits of being real.

        Args:
            faces: (B, 3, T, H, W) BGR in [0, 1], the whole face.

        Returns:
            (T * B, 1), frame outermost, as in the official code, whose output is their sigmoid: the
            probability that a face is real.
        """
        x = faces.permute(2, 0, 1, 3, 4).flatten(0, 1)
        x = x[:, :, x.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        return cast(Tensor, self.binary_pred(x).flatten(1))


def adversarial_losses(
    discriminator: QualityDiscriminator, real: Tensor, generated: Tensor
) -> tuple[Tensor, Tensor]:
    """Binary cross-entropies of the discriminator and of the generator.

    The generator's has the discriminator's weights detached, and the discriminator's has the generated
    faces detached, so that one optimizer trains both.

    Args:
        real, generated: (B, 3, T, H, W) BGR in [0, 1].

    Returns:
        The loss of the discriminator, and that of the generator.
    """
    discriminator_loss = _cross_entropy(discriminator(real), 1.0) + _cross_entropy(
        discriminator(generated.detach()), 0.0
    )
    detached = {name: value.detach() for name, value in discriminator.named_parameters()}
    logits: Tensor = torch.func.functional_call(discriminator, detached, (generated,))
    return discriminator_loss, _cross_entropy(logits, 1.0)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


# --- the built-in model's critic -----------------------------------------------------------------


class Critic(nn.Module):
    """Patch discriminator of mouths, conditioned on their outline."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (5, 32, 64, 96)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(sizes))
        self.judge = nn.Conv2d(sizes[-1], 1, 3, 1, 1)  # the attribute's name is in the keys of checkpoints

    def forward(self, window: Tensor, outline: Tensor) -> list[Tensor]:
        """Features and scores.

        Args:
            window: (B, 3, h, w) in [0, 1].
            outline: (B, 2, h, w), lines and inside of the mouth.

        Returns:
            Features at 1/2, 1/4 and 1/8 of the window, and last the scores (B, 1, h / 8, w / 8).
        """
        features = [torch.cat([(window - 0.5) * 4, outline], dim=1)]
        for layer in self.layers:
            features.append(F.leaky_relu(layer(features[-1]), 0.2))
        return [*features[1:], self.judge(features[-1])]


class CriticLosses(NamedTuple):
    """Scalar losses of the critic and of the renderer, and its feature matching."""

    critic: Tensor
    renderer: Tensor
    feature_matching: Tensor


def critic_losses(
    critic: Critic, real: Tensor, rendered: Tensor, outline: Tensor, weight: Tensor
) -> CriticLosses:
    """Least-squares GAN losses (arXiv 1611.04076) and feature matching.

    Detached as in `adversarial_losses`, so that one optimizer trains both networks.

    Args:
        real, rendered: (B, 3, h, w) in [0, 1].
        outline: (B, 2, h, w), see `Critic`.
        weight: (B, 1, h / 8, w / 8) of the scores, with sum 1.
    """
    true = critic(real, outline)
    fake = critic(rendered.detach(), outline)
    critic_loss = (((true[-1] - 1).square() + fake[-1].square()) * weight).sum()
    detached = {name: value.detach() for name, value in critic.named_parameters()}
    scored: list[Tensor] = torch.func.functional_call(critic, detached, (rendered, outline))
    renderer_loss = ((scored[-1] - 1).square() * weight).sum()
    matching = sum(
        (F.l1_loss(a, b.detach()) for a, b in zip(scored[:-1], true[:-1], strict=True)),
        start=rendered.new_zeros(()),
    )
    return CriticLosses(critic_loss, renderer_loss, matching)
