"""What every source gives: a local file, and which part of the whole it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lipsync.progress import CancelToken, ProgressCallback
from lipsync.types import TimeRange


@dataclass(frozen=True)
class Fetched:
    """A local file, and where in the whole it begins.

    Attributes:
        path: the file.
        start: seconds of the whole that come before the file's first moment; 0 when it is whole.
    """

    path: Path
    start: float = 0.0

    def shift(self, ranges: tuple[TimeRange, ...]) -> tuple[TimeRange, ...]:
        """Ranges in times of the whole, as ranges in times of the file."""
        return tuple(
            TimeRange(max(0.0, part.start - self.start), None if part.end is None else part.end - self.start)
            for part in ranges
        )


class Source(Protocol):
    """Something that a video or a voice can be had from.

    A member of `lipsync.registries.SOURCES` is called with what was given and, as arguments it may
    ignore, `options` (a `LinkOptions`) and `sound_only`.
    """

    @staticmethod
    def accepts(given: str) -> bool:
        """Whether this source is the one for what was given; looks at the text only."""
        ...

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> Fetched:
        """Bring the media to this machine.

        Args:
            into: folder for files that must be made; it is created. Nothing partial stays in it.
            ranges: the parts that will be used, in times of the whole. A source may fetch more.

        Raises:
            InputError: it cannot be had, in words for people.
            Cancelled: a cancel was asked for.
        """
        ...


@dataclass(frozen=True)
class LinkInfo:
    """What a site says of a video, before anything is downloaded.

    All texts come from outside: show them as text, never as HTML.

    Attributes:
        title, uploader, licence: as the site gives them; None where it does not.
        thumbnail: http(s) address of a small picture. Let the visitor's browser load it: a
            server that fetched it would skip the check of addresses.
        seconds: length; None when unknown.
        page: address of the page.
        heights: pixels of the shorter side of each quality that can be had, rising.
        can_cut: where parts are marked only these are downloaded, not the whole.
        warnings: what people should know before they go on.
    """

    title: str
    page: str
    uploader: str | None = None
    licence: str | None = None
    thumbnail: str | None = None
    seconds: float | None = None
    heights: tuple[int, ...] = ()
    can_cut: bool = False
    warnings: tuple[str, ...] = ()
