"""Tuning a trained network with its batch norms frozen."""

from __future__ import annotations

from torch import nn


def freeze_batch_norms(network: nn.Module) -> None:
    """Put the batch norms of a network into evaluation mode.

    Their statistics are of many people; the few images of a tuning's step would only make them noisy.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


class FrozenNorms(nn.Module):
    """A network whose batch norms stay in evaluation mode while it trains.

    Attributes:
        frozen: the network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.frozen = network

    def train(self, mode: bool = True) -> FrozenNorms:
        """Set the mode of everything but the batch norms."""
        super().train(mode)
        freeze_batch_norms(self)
        return self
