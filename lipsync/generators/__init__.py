"""Lip generators: face crop and audio to the face with its mouth.

Members are listed in `lipsync.registries.GENERATORS` and made by `lipsync.weights.create_model`.
"""

from __future__ import annotations

from lipsync import weights
from lipsync.errors import OptionError
from lipsync.generators.base import AudioRows, GeneratorSpec, LipGenerator, PartialGenerator
from lipsync.registries import GENERATORS
from lipsync.utils.suggestions import known_hint

__all__ = [
    "GENERATORS",
    "AudioRows",
    "GeneratorSpec",
    "LipGenerator",
    "PartialGenerator",
    "choose_variant",
]

_PREFERENCE = ("wav2lip_gan", "wav2lip", "builtin")
"""Order of "auto", best first; the shipped model is always available."""


def choose_variant(name: str = "auto") -> str:
    """Name of the generator to use.

    "auto" chooses the best one whose weights are on this machine. With none it is "wav2lip", whose weights
    are then downloaded.

    Raises:
        OptionError: there is no generator of that name.
    """
    if name == "auto":
        return next((member for member in _PREFERENCE if weights.find(member)), "wav2lip")
    if name not in GENERATORS:
        hint = known_hint([name], ["auto", *GENERATORS])
        raise OptionError("There is no such generator", given=repr(name), hint=hint)
    return name
