"""Media sources: their protocol, and the values they return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lipsync.progress import CancelToken, ProgressCallback
from lipsync.types import TimeRange


@dataclass(frozen=True)
class FetchedMedia:
    """A local media file and its offset in the original.

    Attributes:
        path: the file.
        start: seconds of the original before the file's first frame; 0 when the file is the whole.
    """

    path: Path
    start: float = 0.0

    def to_file_time(self, ranges: tuple[TimeRange, ...]) -> tuple[TimeRange, ...]:
        """Convert ranges in seconds of the original to seconds of the file."""
        return tuple(
            TimeRange(max(0.0, part.start - self.start), None if part.end is None else part.end - self.start)
            for part in ranges
        )


class Source(Protocol):
    """A source of video or audio.

    A member of `lipsync.registries.SOURCES` is called with the path or link and the keyword arguments
    `options` (a `LinkOptions`) and `audio_only`, which it may ignore.
    """

    @staticmethod
    def accepts(given: str) -> bool:
        """Whether this source handles the path or link, judging by its text only."""
        ...

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> FetchedMedia:
        """Make the media available as a local file.

        Args:
            into: folder for files that must be created; it is created if missing. Nothing partial
                stays in it.
            ranges: the parts that will be used, in seconds of the original. A source may fetch more.

        Raises:
            InputError: the media is not available.
            Cancelled: the job was cancelled.
        """
        ...


@dataclass(frozen=True)
class LinkInfo:
    """Metadata of a linked video, read without downloading it.

    All texts come from outside: show them as text, never as HTML.

    Attributes:
        title, uploader, licence: as the site gives them; None where it does not.
        thumbnail: http(s) URL of the site's own picture. Show `picture`: who loads the URL bypasses the
            address check, or tells the site who looks at it.
        picture: small JPEG of the thumbnail or the first frame; None where there is none.
        seconds: duration; None when unknown.
        page: URL of the page.
        heights: shorter side in pixels of each available quality, ascending.
        can_trim: a marked part can be downloaded without the rest.
        warnings: what the user should know before downloading.
    """

    title: str
    page: str
    uploader: str | None = None
    licence: str | None = None
    thumbnail: str | None = None
    seconds: float | None = None
    heights: tuple[int, ...] = ()
    can_trim: bool = False
    warnings: tuple[str, ...] = ()
    picture: bytes | None = None
