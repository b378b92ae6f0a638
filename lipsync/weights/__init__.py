"""Weights: catalogue, downloads, and reading of checkpoint formats.

find("wav2lip")        the file on this machine, or None
require("wav2lip")     the same, downloaded if it is missing
load_state_dict(path)  pickle, safetensors or TorchScript
load_into(network, …)  strict; names the network that a wrong file belongs to
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lipsync.weights.catalogue import CATALOGUE, WeightsEntry, entry
from lipsync.weights.download import download, require
from lipsync.weights.locations import find, weights_folder
from lipsync.weights.models import create_model, model_weights

if TYPE_CHECKING:
    from lipsync.weights.checkpoint import StateDict, load_into, load_state_dict

__all__ = [
    "CATALOGUE",
    "StateDict",
    "WeightsEntry",
    "create_model",
    "download",
    "entry",
    "find",
    "load_into",
    "load_state_dict",
    "model_weights",
    "require",
    "weights_folder",
]


def __getattr__(name: str) -> object:
    """Import what reads checkpoints, and torch with it, when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("lipsync.weights.checkpoint"), name)
