"""4 · Draw the mouth. One line a member; adding one is described in CONTRIBUTING.md.

Each factory takes `weights` (a file to use instead of the member's own, or None), `device`,
`number_format`, `batch_size` (0 chooses), `progress` and `cancel`, and imports its network only
when it is called.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lipsync import weights
from lipsync.errors import OptionError
from lipsync.generators.base import AudioRows, GeneratorSpec, LipGenerator
from lipsync.utils.registry import Registry

__all__ = [
    "GENERATORS",
    "AudioRows",
    "GeneratorSpec",
    "LipGenerator",
    "choose_variant",
]


def _wav2lip(name: str, **arguments: Any) -> LipGenerator:
    from lipsync.generators.wav2lip import adapter

    return adapter.create(name, **arguments)


def _builtin(**arguments: Any) -> LipGenerator:
    from lipsync.generators.builtin import adapter

    return adapter.create(**arguments)


GENERATORS: Registry[LipGenerator] = Registry("generator")
GENERATORS.add("wav2lip", partial(_wav2lip, "wav2lip"))
GENERATORS.add("wav2lip_gan", partial(_wav2lip, "wav2lip_gan"))
GENERATORS.add("builtin", _builtin)

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
