"""Networks with random weights, for metrics that need one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch


def color_features(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean and standard deviation of the channels: (N, H, W, 3) -> (N, 6)."""
    flat = images.reshape(len(images), -1, 3).astype(np.float32) / 255
    return np.concatenate([flat.mean(1), flat.std(1)], 1)


def save_alexnet(path: Path) -> Path:
    """AlexNet as torchvision's file holds it, with random weights; gives the path back."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    torch.save(alexnet(weights=None).features.state_dict(prefix="features."), path)
    return path


def save_inception(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FID's InceptionV3 as its file holds it, with random weights; gives the path back."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = FeatureExtractorInceptionV3("made-up", ["2048"], feature_extractor_weights_path=empty)
    torch.save(network.state_dict(), path)
    return path
