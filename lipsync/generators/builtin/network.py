"""The built-in model: its three networks and the basis of mouth shapes.

    audio -> Audio2Shape -> shape --------------------+
    face crop -> MouthLocator -> outline, closed      |
                 outline, rotation of the head -------+--> target outline
    crop with the mouth hidden, the same crop as reference, target outline -> Renderer -> mouth

A shape is a few coefficients: the deviation of the 49 points of `mouth_outline` from the person's closed
mouth, in three dimensions and in units of the distance between the eyes. Only a window around mouth and
chin is rendered; the rest of the crop is returned unchanged.

Attribute names of the modules, here and in their own files, are keys of the weights file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lipsync.generators.builtin.audio2shape import Audio2Shape
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.mouth_outline import POINTS
from lipsync.generators.builtin.renderer import Renderer


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of the networks; stored in the header of the weights file.

    Attributes:
        crop: side of the face crop, pixels.
        top, left, height, width: window of the crop that is rendered, pixels.
        mels: bands of the log-mel spectrogram.
        shape_numbers: coefficients of a mouth shape.
        voice_width: channels of Audio2Shape.
        widths: channels of the Renderer at 1/2, 1/4, 1/8 and 1/16 of the window.
    """

    crop: int = 128
    top: int = 48
    left: int = 8
    height: int = 80
    width: int = 112
    mels: int = 80
    shape_numbers: int = 10
    voice_width: int = 128
    widths: tuple[int, int, int, int] = (40, 72, 128, 160)


class BuiltinNetwork(nn.Module):
    """Audio2Shape, MouthLocator and Renderer, and the basis of mouth shapes.

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
        self.voice = Audio2Shape(config.mels, config.shape_numbers, config.voice_width)
        self.place = MouthLocator(config.height, config.width)
        self.painter = Renderer(config.widths)
        self.register_buffer("components", torch.zeros(config.shape_numbers, POINTS * 3))
        self.register_buffer("gain", torch.ones(config.shape_numbers))

    def forward(self, crops: Tensor, shapes: Tensor) -> Tensor:
        """Render mouth shapes into face crops.

        Args:
            crops: (B, 3, crop, crop) RGB in [0, 1].
            shapes: (B, shape_numbers), gain included.

        Returns:
            (B, 3, crop, crop) RGB in [0, 1].
        """
        c = self.config
        rows, columns = slice(c.top, c.top + c.height), slice(c.left, c.left + c.width)
        window = crops[:, :, rows, columns]
        outline, closed_outline, rotation = self.place(window)
        offsets = (shapes @ self.components).view(-1, POINTS, 3)
        target_outline = closed_outline + offsets @ rotation.mT
        corner = crops.new_tensor([c.left, c.top])
        outline, closed_outline, target_outline = (
            points * c.crop - corner for points in (outline, closed_outline, target_outline)
        )
        rendered, _ = self.painter(window, window, outline, target_outline, closed_outline)
        result = crops.clone()
        result[:, :, rows, columns] = rendered
        return result
