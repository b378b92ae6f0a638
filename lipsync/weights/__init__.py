"""Weights: catalogue, downloads, and reading of checkpoint formats.

find("wav2lip")        the file on this machine, or None
require("wav2lip")     the same, downloaded if it is missing
load_state_dict(path)  pickle, safetensors or TorchScript
load_into(network, …)  strict; names the network that a wrong file belongs to
"""

from lipsync.weights.catalogue import CATALOGUE, WeightsEntry, entry
from lipsync.weights.checkpoint import StateDict, load_into, load_state_dict
from lipsync.weights.download import download, require
from lipsync.weights.locations import find, weights_folder
from lipsync.weights.models import create_model, model_weights

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
