"""Exceptions that reach the user, in one hierarchy.

    LipsyncError
    ├── InputError              an input that cannot be used
    │   ├── OptionError             a setting out of range, or settings that contradict each other
    │   ├── RangeError              a time range that is empty, reversed or past the end
    │   ├── MediaError              a file that is missing, damaged or lacks a stream
    │   │   ├── NoVideoError
    │   │   └── NoAudioError
    │   ├── LinkError               a link whose media cannot be downloaded
    │   │   └── AddressError            its address is not public
    │   └── NoFaceError             no face in any frame that was searched
    ├── WeightsError            a checkpoint that is missing, damaged or of another network
    │   └── DownloadError           the weights could not be downloaded
    ├── OutputError             the result cannot be written
    │   └── DiskFullError
    ├── ToolError               ffmpeg or a package is missing or failed
    └── Cancelled               the user stopped the job

A message has three parts: what happened, what was given, and what to do next. The command line and the
page show the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LipsyncError(Exception):
    """Base class of all errors of this package.

    Args:
        what: what happened, a sentence without the final full stop.
        given: the offending value, file or setting; omitted from the text if empty.
        hint: what the user can do next; omitted if empty.

    Attributes:
        kept: a sentence on what an interrupted run has kept; "" for nothing.
    """

    kept = ""

    def __init__(self, what: str, *, given: object = "", hint: str = "") -> None:
        self.what = what
        self.given = str(given)
        self.hint = hint
        super().__init__(self.worded(str))

    def worded(self, reword: Callable[[str], str]) -> str:
        """The message with every part but what was given put through `reword`."""
        what, hint = reword(self.what), reword(self.hint)
        return " ".join(filter(None, [f"{what}: {self.given}." if self.given else f"{what}.", hint]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied as it is into another process: `Exception` would pass the text alone to `__init__`."""
        return _copied, (type(self), self.args), self.__dict__


def _copied(kind: type[LipsyncError], arguments: tuple[Any, ...]) -> LipsyncError:
    return kind.__new__(kind, *arguments)


class InputError(LipsyncError):
    """An input cannot be used."""


class OptionError(InputError):
    """A setting is out of range, unknown, or contradicts another."""


class RangeError(InputError):
    """A time range is malformed, empty, reversed or past the end."""


class MediaError(InputError):
    """A file is missing, damaged or not media at all."""


class NoVideoError(MediaError):
    """The file given as the video has no video stream and is no photo."""


class NoAudioError(MediaError):
    """The file given as the voice has no audio stream."""


class LinkError(InputError):
    """A link cannot be downloaded: forbidden, missing, too large, or unsupported."""


class AddressError(LinkError):
    """A link leads to an address outside of the public internet, and was not opened."""


class NoFaceError(InputError):
    """No face was found in any of the frames that were searched."""


class WeightsError(LipsyncError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class DownloadError(WeightsError):
    """Weights could not be downloaded, or the download has another checksum."""


class OutputError(LipsyncError):
    """The result cannot be written."""


class DiskFullError(OutputError):
    """No space is left on the disk of the result."""


class ToolError(LipsyncError):
    """ffmpeg or a required package is missing, or failed not because of the input."""


class Cancelled(LipsyncError):
    """The user stopped the job."""

    def __init__(self, stage: str = "") -> None:
        super().__init__("Cancelled", given=stage)
