"""Media sources: local files, and links to YouTube and other sites.

    open_source(text) -> Source.fetch(into, progress, cancel, ranges) -> FetchedMedia(path, start)
    LinkSource(url).probe(cancel) -> LinkInfo

`ranges` are in seconds of the original. Where a site allows it only the span that encloses them is
downloaded, and `FetchedMedia.to_file_time(ranges)` converts them to seconds of the file.
"""

from __future__ import annotations

from pathlib import Path

from lipsync.errors import InputError
from lipsync.options import LinkOptions
from lipsync.registries import SOURCES
from lipsync.sources.base import FetchedMedia, LinkInfo, Source
from lipsync.sources.javascript import JavaScriptRuntime, describe_runtimes
from lipsync.sources.link import LinkSource, is_link
from lipsync.sources.local import LocalFile

__all__ = [
    "SOURCES",
    "FetchedMedia",
    "JavaScriptRuntime",
    "LinkInfo",
    "LinkSource",
    "LocalFile",
    "Source",
    "describe_runtimes",
    "is_link",
    "open_source",
]


def open_source(given: str | Path, options: LinkOptions | None = None, *, audio_only: bool = False) -> Source:
    """Open the first source that accepts a path or link, asking the last registered first.

    Args:
        given: path or link.
        options: quality and limits of downloads.
        audio_only: only the audio is needed; where a site separates it the video is not downloaded.

    Raises:
        LinkError: it is a link that may not be used.
    """
    for name in reversed(tuple(SOURCES)):
        source = SOURCES.load(name)
        if source.accepts(str(given)):  # type: ignore[attr-defined]
            return source(given, options, audio_only=audio_only)
    raise InputError("There is no source for what was given", given=given, hint="Give a file or a link.")
