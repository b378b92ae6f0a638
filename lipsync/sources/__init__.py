"""Getting the input: files on this machine, and links to YouTube and other sites.

    open_source(text) -> Source.fetch(into, progress, cancel, ranges) -> Fetched(path, start)
    LinkSource(url).look(cancel) -> LinkInfo

`ranges` are in times of the whole. Where a site allows it only the span that holds them is
fetched, and `Fetched.shift(ranges)` says where they are in the file.
"""

from __future__ import annotations

from pathlib import Path

from lipsync.options import LinkOptions
from lipsync.sources.base import Fetched, LinkInfo, Source
from lipsync.sources.javascript import JavaScriptRuntime, describe_runtimes
from lipsync.sources.link import LinkSource
from lipsync.sources.local import LocalFile
from lipsync.utils.registry import Registry

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

SOURCES: Registry[Source] = Registry("source")
SOURCES.add("file", LocalFile)
SOURCES.add("link", LinkSource)


def is_link(given: str | Path) -> bool:
    """Whether this was meant as a link: a word, a colon and two slashes."""
    scheme, separator, _ = str(given).strip().partition("://")
    return bool(separator) and scheme.isalnum()


def open_source(given: str | Path, options: LinkOptions | None = None, *, sound_only: bool = False) -> Source:
    """The source of what was given as a picture or a voice: a link, else a file.

    Raises:
        LinkError: it was meant as a link, but is none that may be used.
    """
    if is_link(given):
        return LinkSource(str(given), options, sound_only=sound_only)
    return LocalFile(given)
