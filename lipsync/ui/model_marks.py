"""Models in the menus: whether each is on this machine, else its size and licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.speech.whisper_models import WHISPER, choose_model, is_here
from lipsync.ui.labels import choice_label
from lipsync.ui.languages import strings
from lipsync.ui.settings_file import FIELDS
from lipsync.weights import CATALOGUE, find, require

MARKED = ("variant", "enhancer", "upscaler", "detector", "speech_model")
"""Settings whose values are models with weights."""
Fetch = Callable[[ProgressCallback, CancelToken], Any]


@dataclass(frozen=True)
class MenuModel:
    """A model that a menu offers.

    Attributes:
        label: as in the menu, without the mark.
        here: whether its weights are on this machine.
        bytes: size of the weights.
        licence: of the weights, in short.
        fetch: downloads them.
    """

    label: str
    here: bool
    bytes: int
    licence: str
    fetch: Fetch

    @property
    def facts(self) -> str:
        """Size and licence."""
        return strings.MODEL_FACTS.format(megabytes=self.bytes / 1e6, licence=self.licence)

    @property
    def mark(self) -> str:
        """What stands behind the label."""
        return strings.MODEL_HERE if self.here else f"{self.facts}, {strings.MODEL_ABSENT}"


def menu_model(setting: str, value: str) -> MenuModel | None:
    """The model that a value of a setting stands for; None for values such as "auto" and "none"."""
    label = choice_label(setting, value)
    if setting == "speech_model" and value in WHISPER:
        size = sum(file.bytes for file in WHISPER[value])
        options = TranscriptOptions(speech_model=value)
        return MenuModel(label, is_here(value), size, "MIT", partial(choose_model, options))
    if setting in MARKED and value in CATALOGUE:
        entry = CATALOGUE[value]
        return MenuModel(
            label,
            find(value) is not None,
            entry.bytes,
            short_licence(entry.licence),
            lambda progress, cancel: require(value, progress=progress, cancel=cancel),
        )
    return None


def short_licence(licence: str) -> str:
    """The terms of a licence in a word or two, as they fit into a menu."""
    if "non-commercial" in licence:
        return strings.MODEL_NON_COMMERCIAL
    return licence.split(" (")[0].split(":")[0].split(";")[0]


def marked_choices(setting: str) -> list[tuple[str, Any]]:
    """The values of a setting as (label with mark, value)."""
    marked = []
    for value in FIELDS[setting].metadata["choices"]:
        model, label = menu_model(setting, value), choice_label(setting, value)
        marked.append((f"{label} · {model.mark}" if model else label, value))
    return marked
