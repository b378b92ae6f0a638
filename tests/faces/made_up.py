"""An S3FD checkpoint in the official format, for tests that run without the shared material."""

from __future__ import annotations

from pathlib import Path

import torch

from lipsync.faces.detectors.s3fd.network import S3FDNetwork


def write_s3fd(path: Path) -> Path:
    """Reproducible weights that see a few faces anywhere."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = S3FDNetwork().state_dict()
        for key, value in state.items():
            if key.endswith("mbox_conf.weight"):
                value.normal_(0, 0.3)
            elif key.endswith("weight") and value.ndim == 4:
                value.normal_(0, (2 / value[0].numel()) ** 0.5)
            elif key.endswith("mbox_conf.bias"):
                value.copy_(torch.tensor([0.0] * (len(value) - 1) + [-1.5]))
    torch.save(state, path)
    return path
