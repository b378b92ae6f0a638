"""Getting the input: files on this machine, and links to YouTube and other sites.

    open_source(text) -> Source.fetch(into, progress, cancel, ranges) -> Fetched(path, start)
    LinkSource(url).look(cancel) -> LinkInfo

`ranges` are in times of the whole. Where a site allows it only the span that holds them is
fetched, and `Fetched.shift(ranges)` says where they are in the file.
"""

from __future__ import annotations

from pathlib import Path

from lipsync.errors import InputError
from lipsync.options import LinkOptions
from lipsync.registries import SOURCES
from lipsync.sources.base import Fetched, LinkInfo, Source
from lipsync.sources.javascript import JavaScriptRuntime, describe_runtimes
from lipsync.sources.link import LinkSource, is_link
from lipsync.sources.local import LocalFile

__all__ = [
    "SOURCES",
    "Fetched",
    "JavaScriptRuntime",
    "LinkInfo",
    "LinkSource",
    "LocalFile",
    "Source",
    "describe_runtimes",
    "is_link",
    "open_source",
]


def open_source(given: str | Path, options: LinkOptions | None = None, *, sound_only: bool = False) -> Source:
    """The first source that accepts what was given as a video or a voice; the last registered is asked first.

    Args:
        given: path or link.
        options: quality and limits of what is downloaded.
        sound_only: it serves as a voice; where picture and audio lie apart only the audio is fetched.

    Raises:
        LinkError: it was meant as a link, but is none that may be used.
    """
    for name in reversed(tuple(SOURCES)):
        source = SOURCES.load(name)
        if source.accepts(str(given)):  # type: ignore[attr-defined]
            return source(given, options, sound_only=sound_only)
    raise InputError("There is no source for what was given", given=given, hint="Give a file or a link.")
