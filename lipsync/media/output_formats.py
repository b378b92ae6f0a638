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
        media_type: of its files, as in HTTP.
        xmp: it holds XMP metadata and a C2PA manifest; a manifest of others lies in a file beside them, and
            their source type in a tag.
        quicktime_languages: languages of tracks are QuickTime's own codes instead of ISO 639-2/T.
    """

    muxer: str
    subtitle_codec: str
    faststart: bool
    media_type: str
    xmp: bool
    quicktime_languages: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """ffmpeg's output options."""
        return {"f": self.muxer, **({"movflags": "+faststart"} if self.faststart else {})}


OUTPUT_FORMATS: Mapping[str, OutputFormat] = MappingProxyType(
    {
        ".mp4": OutputFormat("mp4", "mov_text", True, "video/mp4", xmp=True),
        ".mov": OutputFormat("mov", "mov_text", True, "video/quicktime", xmp=True, quicktime_languages=True),
        ".mkv": OutputFormat("matroska", "subrip", False, "video/x-matroska", xmp=False),
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
