"""Lip generators: networks that draw the mouth that fits the audio into a face crop.

`lipsync.registries.GENERATORS` lists them, `lipsync.weights.create_model` makes one.
"""

from __future__ import annotations

from lipsync import weights
from lipsync.errors import OptionError
from lipsync.generators.base import AudioRows, GeneratorSpec, LipGenerator
from lipsync.registries import GENERATORS

__all__ = [
    "GENERATORS",
    "AudioRows",
    "GeneratorSpec",
    "LipGenerator",
    "choose_variant",
]

_BEST_FIRST = ("wav2lip_gan", "wav2lip", "builtin")
"""What "auto" looks for; the model that ships with the program comes last and is always there."""


def choose_variant(name: str = "auto") -> str:
    """The member to use: `name` itself, or for "auto" the best one whose weights are here.

    With none here it is "wav2lip", whose weights are then downloaded.

    Raises:
        OptionError: there is no such member.
    """
    if name == "auto":
        return next((member for member in _BEST_FIRST if weights.find(member)), "wav2lip")
    if name not in GENERATORS:
        hint = f"Known: auto, {', '.join(GENERATORS)}."
        raise OptionError("There is no such generator", given=repr(name), hint=hint)
    return name
