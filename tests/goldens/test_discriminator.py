"""The quality discriminator against what the original code computed, with the same made-up weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lipsync.training.tasks.discriminators import QualityDiscriminator
from lipsync.weights import load_into, load_state_dict
from tests.goldens import official


def test_discriminator(golden: Callable[[str], npt.NDArray[np.generic]], tmp_path: Path) -> None:
    path = official.write_checkpoint("visual_quality_disc", tmp_path / "visual_quality_disc.pth")
    network = QualityDiscriminator()
    assert sum(parameter.numel() for parameter in network.parameters()) == 14_113_793
    load_into(network, load_state_dict(path), what="the visual quality discriminator")
    with torch.inference_mode():
        told = network(official.given_discriminator()).sigmoid()
    np.testing.assert_allclose(told.numpy(), golden("visual_quality_disc/out"), rtol=1e-4, atol=1e-6)
