"""The built-in model: its three networks and the basis of mouth shapes.

    audio -> speech encoder -> Audio2Shape -> shape --+
    face crop -> MouthLocator -> outline, closed      |
                 outline, rotation of the head -------+--> target outline
    crop with the mouth hidden, the same crop as reference, target outline -> Renderer -> mouth

A shape is a few coefficients: the deviation of the 49 points of `mouth_outline` from the person's closed
mouth, in three dimensions and in units of the distance between the eyes. Only a window around mouth and
chin is rendered; the rest of the crop is returned unchanged. The networks see crops of `NetworkConfig.crop`
pixels; what they predict is applied to the crops at their own size.

Attribute names of the modules, here and in their own files, are keys of the weights file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.audio2shape import Audio2Shape
from lipsync.generators.builtin.log_mel import MEL_RATE, log_mel_pieces
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.outline_points import POINTS
from lipsync.generators.builtin.renderer import Outlines, Renderer, WindowMaps
from lipsync.generators.builtin.resampling import Window, window_region
from lipsync.generators.builtin.speech_encoder import FEATURE_RATE, SpeechEncoder
from lipsync.generators.builtin.wide_mouths import look_again
from lipsync.progress import CancelToken
from lipsync.types import FloatArray


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of the networks; stored in the header of the weights file.

    Attributes:
        crop: side of the face crop, pixels.
        top, left, height, width: window of the crop that is rendered, pixels.
        mels: bands of the log-mel spectrogram.
        encoder_layers: transformer layers of the speech encoder; 0 is the first generation, whose
            Audio2Shape gets the spectrogram itself.
        encoder_width, encoder_heads: size of the speech encoder's features, and heads of its attention.
        shape_numbers: coefficients of a mouth shape.
        voice_width: channels of Audio2Shape.
        widths: channels of the Renderer at 1/2, 1/4, 1/8 and 1/16 of the window.
        mouth_widths: channels of its painter of the mouth's interior at 1/2, 1/4 and 1/8; None for the
            first generation, which has none.
    """

    crop: int = 128
    top: int = 48
    left: int = 8
    height: int = 80
    width: int = 112
    mels: int = 80
    encoder_layers: int = 0
    encoder_width: int = 512
    encoder_heads: int = 8
    shape_numbers: int = 10
    voice_width: int = 128
    widths: tuple[int, int, int, int] = (40, 72, 128, 160)
    mouth_widths: tuple[int, int, int] | None = None

    @property
    def window(self) -> Window:
        """Window of the crop that is rendered."""
        return Window(self.crop, self.top, self.left, self.height, self.width)


class BuiltinNetwork(nn.Module):
    """The networks of the built-in model, and the basis of mouth shapes.

    Attributes:
        config: see `NetworkConfig`.
        components: buffer (shape_numbers, 49 * 3), the basis of mouth shapes.
        gain: buffer (shape_numbers,), factors on Audio2Shape's output, see `lipsync.training`.
    """

    components: Tensor
    gain: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = make_encoder(config)
        self.voice = make_audio2shape(config)
        self.place = MouthLocator(config.height, config.width)
        self.painter = Renderer(config.widths, config.mouth_widths)
        self.register_buffer("components", torch.zeros(config.shape_numbers, POINTS * 3))
        self.register_buffer("gain", torch.ones(config.shape_numbers))

    def forward(self, crops: Tensor, shapes: Tensor) -> Tensor:
        """Render mouth shapes into face crops of one size.

        Args:
            crops: (B, 3, H, W) RGB in [0, 1].
            shapes: (B, shape_numbers), gain included.

        Returns:
            (B, 3, H, W) RGB in [0, 1].
        """
        side = self.config.crop
        faces = crops
        if crops.shape[2:] != (side, side):
            faces = F.interpolate(crops, (side, side), mode="bilinear", antialias=True)
        maps, outlines = self.predict(faces, shapes)
        return self.compose(crops, maps, outlines)

    def predict(self, faces: Tensor, shapes: Tensor) -> tuple[WindowMaps, Outlines]:
        """What to do with the crops, seen at the networks' size.

        Args:
            faces: (B, 3, crop, crop) RGB in [0, 1].
            shapes: (B, shape_numbers), gain included.

        Returns:
            Maps of the window, and the outlines they follow.
        """
        c = self.config
        window = faces[:, :, c.top : c.top + c.height, c.left : c.left + c.width]
        outline, closed_outline, rotation = self.place(window)
        offsets = (shapes @ self.components).view(-1, POINTS, 3)
        target_outline = closed_outline + offsets @ rotation.mT
        corner = faces.new_tensor([c.left, c.top])
        outline, target_outline, closed_outline = (
            points * c.crop for points in (outline, target_outline, closed_outline)
        )
        outline = look_again(self.place, faces, c.window, outline, closed_outline)
        outlines = Outlines(outline - corner, target_outline - corner, closed_outline - corner)
        return self.painter(window, window, outlines), outlines

    def compose(self, crops: Tensor, maps: WindowMaps, outlines: Outlines) -> Tensor:
        """Apply the maps to crops of one size, each its own reference.

        Args:
            crops: (B, 3, H, W) RGB in [0, 1].
            maps, outlines: of `predict`.

        Returns:
            (B, 3, H, W) RGB in [0, 1].
        """
        region = window_region((crops.shape[2], crops.shape[3]), self.config.window)
        result = crops.clone()
        result[:, :, region.rows, region.columns] = self.painter.compose(crops, crops, maps, outlines, region)
        return result


def make_encoder(config: NetworkConfig) -> SpeechEncoder | None:
    """The speech encoder with random weights; None for the first generation."""
    if not config.encoder_layers:
        return None
    return SpeechEncoder(config.encoder_layers, config.encoder_width, config.encoder_heads, config.mels)


def encoder_config(encoder: SpeechEncoder | None) -> NetworkConfig:
    """The default architecture with this speech encoder."""
    if encoder is None:
        return NetworkConfig()
    return NetworkConfig(
        mels=encoder.mels,
        encoder_layers=len(encoder.layers),
        encoder_width=encoder.width,
        encoder_heads=encoder.heads,
    )


def make_audio2shape(config: NetworkConfig, dropout: float = 0.1) -> Audio2Shape:
    """Audio2Shape with random weights, for what `speech_features` returns."""
    encoded = config.encoder_layers > 0
    return Audio2Shape(
        config.encoder_width if encoded else config.mels,
        config.shape_numbers,
        config.voice_width,
        dropout,
        stride=1 if encoded else 2,
        normalize=encoded,
    )


def speech_features(
    samples: FloatArray,
    config: NetworkConfig,
    encoder: SpeechEncoder | None,
    cancel: CancelToken | None = None,
) -> FloatArray:
    """Input of Audio2Shape, float32 (channels, T) at `feature_rate`; see `feature_pieces`.

    Raises:
        Cancelled: the token was cancelled.
    """
    return np.concatenate([*feature_pieces(samples, config, encoder, cancel)], axis=1)


def feature_pieces(
    samples: FloatArray,
    config: NetworkConfig,
    encoder: SpeechEncoder | None,
    cancel: CancelToken | None = None,
) -> Iterator[FloatArray]:
    """Input of Audio2Shape, some seconds at a time: of an hour it is 370 MB.

    Args:
        samples: float32 (n,) at 16 kHz.
        encoder: None for the first generation.
        cancel: checked between pieces.

    Yields:
        float32 (channels, t) at `feature_rate`.

    Raises:
        Cancelled: the token was cancelled.
    """
    if encoder is None:
        return log_mel_pieces(samples, config.mels, cancel)
    return encoder.encode_pieces(samples, cancel)


def feature_rate(config: NetworkConfig) -> int:
    """Columns of `speech_features` per second."""
    return FEATURE_RATE if config.encoder_layers else MEL_RATE
