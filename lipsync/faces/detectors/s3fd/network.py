"""S3FD network, with the layer names of the official checkpoint.

Checkpoint: s3fd-619a316812.pth. Paper: Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector",
https://arxiv.org/abs/1708.05237. A VGG16 with six detection heads: per cell of 4, 8, 16, 32, 64 and
128 pixels, a score and a box.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import nn

_BLOCKS = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
_HEADS = {  # stage -> channels; the finest has three background scores, of which the largest counts
    "conv3_3_norm": 256,
    "conv4_3_norm": 512,
    "conv5_3_norm": 512,
    "fc7": 1024,
    "conv6_2": 512,
    "conv7_2": 256,
}


class L2Norm(nn.Module):
    """L2 normalisation over channels with a learned scale per channel."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        return x / (x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10) * self.weight.view(1, -1, 1, 1)


class S3FDNetwork(nn.Module):
    """S3FD: images to six pairs of score and box maps."""

    def __init__(self) -> None:
        super().__init__()
        for block, channels in enumerate(_BLOCKS, start=1):
            for layer in range(1, len(channels)):
                self.add_module(
                    f"conv{block}_{layer}", nn.Conv2d(channels[layer - 1], channels[layer], 3, padding=1)
                )
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        self.conv3_3_norm = L2Norm(256, 10.0)
        self.conv4_3_norm = L2Norm(512, 8.0)
        self.conv5_3_norm = L2Norm(512, 5.0)
        for stage, channels_in in _HEADS.items():
            classes = 4 if stage == "conv3_3_norm" else 2
            self.add_module(f"{stage}_mbox_conf", nn.Conv2d(channels_in, classes, 3, padding=1))
            self.add_module(f"{stage}_mbox_loc", nn.Conv2d(channels_in, 4, 3, padding=1))

    def forward(self, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Scores and boxes of all cells.

        Args:
            x: (B, 3, H, W) float, 0..255 less the mean colour.

        Returns:
            For strides 4, 8, ..., 128: the probability of a face, (B, h, w), and the box relative to
            its cell's prior, (B, 4, h, w).
        """
        stages: dict[str, torch.Tensor] = {}
        for block, channels in enumerate(_BLOCKS, start=1):
            for layer in range(1, len(channels)):
                x = F.relu(self.get_submodule(f"conv{block}_{layer}")(x))
            if block >= 3:
                name = f"conv{block}_3_norm"
                stages[name] = self.get_submodule(name)(x)
            x = F.max_pool2d(x, 2, 2)
        stages["fc7"] = x = F.relu(self.fc7(F.relu(self.fc6(x))))
        stages["conv6_2"] = x = F.relu(self.conv6_2(F.relu(self.conv6_1(x))))
        stages["conv7_2"] = F.relu(self.conv7_2(F.relu(self.conv7_1(x))))
        return [self._head(stage, stages[stage]) for stage in _HEADS]

    def _head(self, stage: str, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        classes = self.get_submodule(f"{stage}_mbox_conf")(features)
        background = classes[:, :-1].amax(dim=1)
        face = torch.softmax(torch.stack([background, classes[:, -1]], dim=1), dim=1)[:, 1]
        return face, self.get_submodule(f"{stage}_mbox_loc")(features)
