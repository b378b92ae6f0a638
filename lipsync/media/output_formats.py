"""Containers that results are written in: one row a file suffix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lipsync.errors import OutputError


@dataclass(frozen=True)
class OutputFormat:
    """Container of a result.

    Attributes:
        muxer: ffmpeg's name of it.
        subtitle_codec: ffmpeg's encoder of its text subtitles. MP4 has them only as timed text (ETSI
            TS 126 245), which players from QuickTime to VLC show.
        faststart: its index can be moved to the front, so that a browser plays it while it loads.
        quicktime_languages: languages of tracks are QuickTime's own codes instead of ISO 639-2/T.
    """

    muxer: str
    subtitle_codec: str
    faststart: bool
    quicktime_languages: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """ffmpeg's output options."""
        return {"f": self.muxer, **({"movflags": "+faststart"} if self.faststart else {})}


OUTPUT_FORMATS: Mapping[str, OutputFormat] = MappingProxyType(
    {
        ".mp4": OutputFormat("mp4", "mov_text", faststart=True),
        ".mov": OutputFormat("mov", "mov_text", faststart=True, quicktime_languages=True),
        ".mkv": OutputFormat("matroska", "subrip", faststart=False),
    }
)
"""By suffix, in lower case."""


def output_format(path: Path) -> OutputFormat:
    """The container that the suffix of `path` asks for.

    Raises:
        OutputError: results are not written in it.
    """
    found = OUTPUT_FORMATS.get(path.suffix.lower())
    if found is None:
        raise OutputError(
            "This kind of file cannot be written",
            given=path.name,
            hint=f"End the name in {', '.join(OUTPUT_FORMATS)}.",
        )
    return found
