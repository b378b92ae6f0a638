"""Every error a user can meet, in one tree.

    LipsyncError
    ├── InputError              what was given cannot be used
    │   ├── OptionError             a setting out of its range, or settings that contradict
    │   ├── RangeError              a time range that is empty, reversed or past the end
    │   ├── MediaError              a file that is missing, broken or lacks a stream
    │   │   ├── NoVideoError
    │   │   └── NoAudioError
    │   ├── LinkError               a link whose media cannot be had
    │   │   └── AddressError            it leads to an address that is not public
    │   └── NoFaceError             no face in any frame that was looked at
    ├── WeightsError            a checkpoint that is missing, damaged or of another network
    │   └── DownloadError           the weights could not be fetched
    ├── OutputError             the result cannot be written
    │   └── DiskFullError
    ├── ToolError               ffmpeg, or a package, is missing or failed
    └── Cancelled               the user stopped the job

A message has three parts: what happened, what was given, and what to do next. The command line
and the page show the same text.
"""

from __future__ import annotations


class LipsyncError(Exception):
    """Base of all errors of this package.

    Args:
        what: what happened, a full sentence without the final stop.
        given: the offending value, file or setting; left out of the text when empty.
        hint: what the user can do next; left out when empty.
    """

    def __init__(self, what: str, *, given: object = "", hint: str = "") -> None:
        self.what = what
        self.given = str(given)
        self.hint = hint
        parts = [f"{what}: {self.given}." if self.given else f"{what}."]
        if hint:
            parts.append(hint)
        super().__init__(" ".join(parts))


class InputError(LipsyncError):
    """What was given cannot be used."""


class OptionError(InputError):
    """A setting is out of its range, unknown, or contradicts another."""


class RangeError(InputError):
    """A time range is malformed, empty, reversed or past the end."""


class MediaError(InputError):
    """A file is missing, broken or not media at all."""


class NoVideoError(MediaError):
    """The file given as the picture has no video stream and is no photo."""


class NoAudioError(MediaError):
    """The file given as the voice has no audio stream."""


class LinkError(InputError):
    """The media behind a link cannot be had: not allowed, not there, too large, or not understood."""


class AddressError(LinkError):
    """A link leads to an address that is not on the open internet, and was not opened."""


class NoFaceError(InputError):
    """No face was found in any of the frames that were looked at."""


class WeightsError(LipsyncError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class DownloadError(WeightsError):
    """Weights could not be fetched, or what was fetched is not what was asked for."""


class OutputError(LipsyncError):
    """The result cannot be written."""


class DiskFullError(OutputError):
    """No space is left on the disk that the result goes to."""


class ToolError(LipsyncError):
    """ffmpeg or a needed package is missing, or failed for a reason that is not the input's."""


class Cancelled(LipsyncError):
    """The user stopped the job; nothing was written."""

    def __init__(self, stage: str = "") -> None:
        super().__init__("Cancelled", given=stage)
