"""Audio2Shape: log-mel spectrogram to mouth shapes."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class _Dilated(nn.Module):
    """Residual block of Audio2Shape: a dilated convolution over time."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.look = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(F.gelu(self.look(F.gelu(_normalize_steps(self.norm, x)))))
        out: Tensor = x + self.mix(y)
        return out


def _normalize_steps(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """Normalise each time step of (B, C, T) by itself, whatever the clip's length."""
    batch, channels, steps = x.shape
    flat: Tensor = norm(x.transpose(1, 2).reshape(batch * steps, channels))
    return flat.view(batch, steps, channels).transpose(1, 2)


class Audio2Shape(nn.Module):
    """Log-mel spectrogram to mouth shapes; receptive field 0.65 s to either side.

    Args:
        mels: bands of the spectrogram.
        coefficients: of a mouth shape.
        channels: of the hidden layers.
        dropout: share of channels dropped in training.
    """

    def __init__(self, mels: int, coefficients: int, channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Conv1d(mels, channels, 5, stride=2, padding=2)
        self.steps = nn.Sequential(*(_Dilated(channels, d, dropout) for d in (1, 2, 4, 8, 16, 1)))
        self.leave = nn.Sequential(nn.GELU(), nn.Conv1d(channels, coefficients, 3, padding=1))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, mels, T) at 100 Hz -> (B, coefficients, T / 2) at 50 Hz."""
        out: Tensor = self.leave(self.steps(self.enter(mel)))
        return out
