"""Image sequences: folders of numbered images, and the sound as a WAV file.

    frame_000001.png, frame_000002.png, ..., audio.wav, frames.sha256, frames.c2pa

The last two say what belongs to the folder: digests that `sha256sum -c` checks too, and the signed manifest.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.errors import OutputError
from lipsync.media.ffmpeg import file_url
from lipsync.media.provenance.listing import LISTING_NAME
from lipsync.media.provenance.marks import sidecar_path
from lipsync.media.video import color_tags
from lipsync.types import VideoInfo

SOUND_NAME = "audio.wav"
_FRAME_PATTERN, _FRAME = "frame_%06d.png", re.compile(r"frame_\d{6,}\.png")


def frames_of(folder: Path) -> list[Path]:
    """The images of a sequence, in order."""
    found = [path for path in folder.iterdir() if _FRAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Check that a sequence can be written as the folder `path`: it replaces nothing but another sequence.

    Raises:
        OutputError: there is something else, or a sequence that may not be replaced.
    """
    hint = "Choose another name."
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError("There is a file of the folder's name already", given=path, hint=hint)
    if not path.is_dir():
        return
    names = {entry.name for entry in path.iterdir()}
    others = sorted(name for name in names if not _is_own(name))
    if others:
        given = f"{path} with {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
        raise OutputError("The folder has other files, which would be lost", given=given, hint=hint)
    if names and not overwrite:
        hint = "Choose another name, or replace it ('overwrite')."
        raise OutputError("There is a folder of this name already", given=path, hint=hint)


def _is_own(name: str) -> bool:
    """Whether a file of a sequence has this name."""
    own = (SOUND_NAME, LISTING_NAME, sidecar_path(Path(LISTING_NAME)).name)
    return name in own or _FRAME.fullmatch(name) is not None


def to_rgb(stream: Any, info: VideoInfo, pixels: str) -> Any:
    """Append the conversion of a result's YUV frames to RGB to an ffmpeg-python stream."""
    return stream.filter("scale", **color_tags.result_rgb_arguments(info)).filter("format", pixels)


def sequence_output(stream: Any, folder: Path, settings: dict[str, Any]) -> Any:
    """ffmpeg's output of a stream as the numbered images of a folder."""
    return ffmpeg.output(stream, _pattern(folder), f="image2", start_number=1, **settings)


def sequence_input(folder: Path, fps: Fraction) -> Any:
    """The images of a folder as an ffmpeg-python stream."""
    settings = {"framerate": str(fps), "start_number": 1, "protocol_whitelist": "file"}
    return ffmpeg.input(_pattern(folder), f="image2", **settings)["v:0"]


def _pattern(folder: Path) -> str:
    """The images' names for ffmpeg, which fills in numbers."""
    return file_url(Path(str(folder.absolute()).replace("%", "%%")) / _FRAME_PATTERN)
