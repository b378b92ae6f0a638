"""Settings of a media report."""

from __future__ import annotations

from dataclasses import dataclass

from lipsync.options import OptionGroup, option


@dataclass(frozen=True)
class InspectOptions(OptionGroup):
    """Parts of the report; each takes time."""

    faces: bool = option(True, "find faces and cuts")
    sync: bool = option(True, "measure how well the lips match the file's own audio")
    transcript: bool = option(True, "write down what is said")
