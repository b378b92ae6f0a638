"""Weights: what there is, where it comes from, fetching it, and reading any format it comes in.

find("wav2lip")        a file on this machine, or None
require("wav2lip")     the same, downloaded first when it is absent
load_state_dict(path)  every format that people have: pickle, safetensors, TorchScript
load_into(network, …)  strict, and says which network a file is of when it is the wrong one
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
