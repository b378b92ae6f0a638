"""Where the networks' classes come from: gfpgan and basicsr, or else spandrel.

gfpgan and basicsr hold the networks as their authors published them. Both were last released in
2022, and basicsr does not build on Python 3.13; spandrel is kept up and holds the same networks.
Only classes are taken from any of them: loading, normalising and batching are done here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import nn

from lipsync.errors import ToolError

_CLASSES = {
    "gfpgan": {
        "gfpgan": ("gfpgan.archs.gfpganv1_clean_arch", "GFPGANv1Clean"),
        "spandrel": ("spandrel.architectures.GFPGAN", "GFPGAN"),
    },
    "restoreformer": {
        "gfpgan": ("gfpgan.archs.restoreformer_arch", "RestoreFormer"),
        "spandrel": ("spandrel.architectures.RestoreFormer", "RestoreFormer"),
    },
    "rrdbnet": {
        "basicsr": ("basicsr.archs.rrdbnet_arch", "RRDBNet"),
        "spandrel": ("spandrel.architectures.ESRGAN", "ESRGAN"),
    },
}
_IMPORTING = threading.Lock()


def network_class(network: str) -> tuple[type[nn.Module], str]:
    """The class of `network` ("gfpgan", "restoreformer" or "rrdbnet") and the package it is from.

    Raises:
        ToolError: none of the packages that have it is installed, or can be imported.
    """
    failures = []
    for package in _CLASSES[network]:
        try:
            return class_from(package, network), package
        # An old package meets a new numpy or torch: not always an ImportError.
        except (ImportError, AttributeError) as error:
            failures.append(f"{package}: {error}")
    raise ToolError(
        "The packages that enhancers and upscalers are built from are missing",
        given="; ".join(failures),
        hint="Install one with 'pip install spandrel', or go on without an enhancer.",
    )


def class_from(package: str, network: str) -> type[nn.Module]:
    """The class of `network` as one of its packages has it.

    Raises:
        ImportError: the package is not installed.
    """
    module_name, class_name = _CLASSES[network][package]
    with _IMPORTING, _old_torchvision():
        module = importlib.import_module(module_name)
    if module_name == "gfpgan.archs.restoreformer_arch":
        # Its constructor prints; the name is looked up in the module before the builtins.
        vars(module)["print"] = _be_silent
    found: type[nn.Module] = getattr(module, class_name)
    return found


@contextmanager
def _old_torchvision() -> Iterator[None]:
    """Gives basicsr the module that it imports and that torchvision has dropped.

    `basicsr/data/degradations.py` says `from torchvision.transforms.functional_tensor import
    rgb_to_grayscale`; that module went with torchvision 0.17, and the function is in
    `torchvision.transforms.functional` under the same name. It takes part in training only, but
    importing any part of basicsr or gfpgan imports all of it. The stand-in is there during the
    import alone, so that nobody else takes it for the real one.
    """
    name = "torchvision.transforms.functional_tensor"
    if name in sys.modules or importlib.util.find_spec("torchvision") is None:
        yield
        return
    kept = importlib.import_module("torchvision.transforms.functional")
    stand_in = ModuleType(name, "Stand-in for a module that torchvision has dropped.")
    vars(stand_in)["rgb_to_grayscale"] = kept.rgb_to_grayscale
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


def _be_silent(*_: Any, **__: Any) -> None:
    pass
