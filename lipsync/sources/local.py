"""Local media files."""

from __future__ import annotations

from pathlib import Path

from lipsync.options import LinkOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.sources.base import FetchedMedia
from lipsync.types import TimeRange
from lipsync.utils.checked_file import checked_file


class LocalFile:
    """A file on this machine as a `Source`; it is used in place, not copied."""

    def __init__(
        self, path: str | Path, options: LinkOptions | None = None, *, audio_only: bool = False
    ) -> None:
        self.path = Path(path)

    @staticmethod
    def accepts(given: str) -> bool:
        """Always: whatever no other source accepts is taken for a path."""
        return True

    def fetch(
        self,
        into: Path,
        progress: ProgressCallback,
        cancel: CancelToken,
        ranges: tuple[TimeRange, ...] = (),
    ) -> FetchedMedia:
        """Return the whole file where it is.

        Raises:
            MediaError: it is missing, empty or unreadable.
            Cancelled: the job was cancelled.
        """
        cancel.check()
        return FetchedMedia(checked_file(self.path))
