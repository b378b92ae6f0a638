"""Items of a batch and what becomes of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import LipsyncError
from lipsync.options import SyncOptions
from lipsync.pipeline.job import free_name
from lipsync.types import SyncResult

_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class BatchItem:
    """One video to make.

    Attributes:
        video: video or photo.
        voice: audio, or a video whose audio is used.
        output: the file to write.
    """

    video: Path
    voice: Path
    output: Path

    def free_output(self, codec: str) -> Path:
        """`output`, or another name where somebody has taken it meanwhile."""
        return free_name(self.output.parent / self.video.name, codec) if self.output.exists() else self.output


@dataclass(frozen=True)
class BatchSettings:
    """What all items of a batch share.

    Attributes:
        options: settings of every run.
        sign_cert, sign_key: as of `lipsync.sync`.
        part_seconds: usual length of parts that several workers draw; 0 leaves videos whole.
    """

    options: SyncOptions
    sign_cert: Path | None = None
    sign_key: Path | None = None
    part_seconds: float = 0.0

    def with_absolute_paths(self) -> BatchSettings:
        """The same for a process with another working folder."""
        groups = {
            one.name: _absolute(getattr(self.options, one.name)) for one in dataclasses.fields(self.options)
        }
        return dataclasses.replace(
            self,
            options=SyncOptions(**groups),
            sign_cert=self.sign_cert and self.sign_cert.absolute(),
            sign_key=self.sign_key and self.sign_key.absolute(),
        )


def _absolute(group: Any) -> Any:
    """An option group whose paths are absolute."""
    changed = {
        one.name: value.absolute()
        for one in dataclasses.fields(group)
        if isinstance(value := getattr(group, one.name), Path)
    }
    return dataclasses.replace(group, **changed) if changed else group


@dataclass(frozen=True)
class Outcome:
    """What became of an item: a result or an error.

    Attributes:
        number: index of the item.
    """

    number: int
    result: SyncResult | None = None
    error: LipsyncError | None = None


def plan_items(
    pairs: Sequence[tuple[Path, Path]], folder: Path, codec: str, most_letters: int = 255
) -> list[BatchItem]:
    """The items of (video, voice) pairs, each with a name in `folder` of its own that is not taken.

    Args:
        codec: its usual container gives the suffix.
        most_letters: of the video's name that the result has in its own.
    """
    items: list[BatchItem] = []
    taken: set[Path] = set()
    for video, voice in pairs:
        output = free_name(folder.absolute() / f"{video.stem[:most_letters]}{video.suffix}", codec, taken)
        taken.add(output)
        items.append(BatchItem(video.absolute(), voice.absolute(), output))
    return items


@dataclass(frozen=True)
class FileMark:
    """A file as one machine sees it, to be recognised on another.

    Attributes:
        path: absolute.
        size: bytes.
        digest: SHA-256 of its first and last bytes.
    """

    path: Path
    size: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> FileMark:
        """The mark of a file.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            size = path.stat().st_size
            digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
            file.seek(max(0, size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
        return cls(path, size, digest.hexdigest())

    @property
    def is_here(self) -> bool:
        """Whether this process sees the same file at the path."""
        try:
            return FileMark.of(self.path) == self
        except OSError:
            return False
