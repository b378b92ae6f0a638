"""A file on this machine."""

from __future__ import annotations

from pathlib import Path

from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources.base import Fetched
from lipsync.types import TimeRange


class LocalFile:
    """A file on this machine as a `Source`: it stays where it is and nothing is copied."""

    def __init__(
        self, path: str | Path, options: LinkOptions | None = None, *, sound_only: bool = False
    ) -> None:
        self.path = Path(path)

    @staticmethod
    def accepts(given: str) -> bool:
        """Whether it may be a path: anything may that no other source has taken."""
        return True

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> Fetched:
        """The file itself, whole.

        Raises:
            MediaError: it is missing, empty or cannot be read.
            Cancelled: a cancel was asked for.
        """
        from lipsync.media.container import checked_file  # here: the downloader's process needs no media

        cancel.check()
        return Fetched(checked_file(self.path))
