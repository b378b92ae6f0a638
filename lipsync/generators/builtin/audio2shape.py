"""Audio2Shape: log-mel spectrogram or speech features to mouth shapes."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

LINEAR_TAPS, LINEAR_REACH = 3, 4
"""Taps of the linear reading of features, and columns from tap to tap (80 ms)."""


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
    """Speech features to mouth shapes; receptive field 0.65 s to either side.

    Args:
        inputs: bands of the spectrogram, or size of the features.
        coefficients: of a mouth shape.
        channels: of the hidden layers.
        dropout: share of channels dropped in training.
        stride: input columns per shape: 2 at 100 Hz, 1 at 50 Hz.
        normalize: whether each input column is normalised, which features need.
    """

    def __init__(
        self,
        inputs: int,
        coefficients: int,
        channels: int,
        dropout: float = 0.1,
        stride: int = 2,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, inputs) if normalize else None
        # A linear reading of features goes most of the way; what it lacks, the blocks add.
        self.linear = (
            nn.Conv1d(inputs, coefficients, LINEAR_TAPS, padding=LINEAR_REACH, dilation=LINEAR_REACH)
            if normalize
            else None
        )
        # Features know their surroundings already; the spectrogram's columns do not.
        taps = 1 if normalize else 5
        self.enter = nn.Conv1d(inputs, channels, taps, stride=stride, padding=taps // 2)
        self.steps = nn.Sequential(*(_Dilated(channels, d, dropout) for d in (1, 2, 4, 8, 16, 1)))
        self.leave = nn.Sequential(nn.GELU(), nn.Conv1d(channels, coefficients, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, T) -> (B, coefficients, T / stride) at 50 Hz."""
        if self.norm is not None:
            features = _normalize_steps(self.norm, features)
        out: Tensor = self.leave(self.steps(self.enter(features)))
        if self.linear is not None:
            out = out + self.linear(features)
        return out
