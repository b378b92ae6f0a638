"""State of a set under preparation: records of done files, jobs for the others."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.training.data.dataset_format import clip_files

_VERSION = 2
"""Version of the clips; those of another one are prepared again."""


@dataclass(frozen=True)
class FileRecord:
    """Outcome of one file, kept as `<set>/sources/<name>.json`.

    Attributes:
        path: of the file.
        name: prefix of its clips.
        made_with: version, state of the file and the options; the record is void when these change.
        clips: number of frames by clip.
        failure: why there are no clips; "" if there are.
    """

    path: str
    name: str
    made_with: dict[str, Any]
    clips: dict[str, int]
    failure: str


@dataclass(frozen=True)
class PrepareJob:
    """A file to prepare.

    Attributes:
        name: prefix of its clips: `<name>_00` and so on.
        made_with: as in `FileRecord`.
        outdated: clips of an earlier record, to be removed.
    """

    path: Path
    name: str
    made_with: dict[str, Any]
    outdated: tuple[str, ...]


def read_records(folder: Path) -> dict[str, FileRecord]:
    """The records of a set by path of the file; unreadable ones are ignored."""
    records = {}
    for path in (folder / "sources").glob("*.json"):
        with suppress(ValueError, TypeError):
            record = FileRecord(**json.loads(path.read_text("utf-8")))
            records[record.path] = record
    return records


def find_jobs(
    paths: Iterable[Path], folder: Path, settings: Mapping[str, object], records: Mapping[str, FileRecord]
) -> Iterator[PrepareJob]:
    """The files that are new or changed, or were prepared with other settings.

    Args:
        settings: the options that the clips depend on, as in JSON.
    """
    taken = {record.name.casefold() for record in records.values()}
    for path in dict.fromkeys(path.resolve() for path in paths):
        record, made_with = records.get(str(path)), _made_with(path, settings)
        if _is_current(record, made_with, folder):
            continue
        name = record.name if record else _free_name(path, taken)
        taken.add(name.casefold())
        yield PrepareJob(path, name, made_with, tuple(record.clips) if record else ())


def _made_with(path: Path, settings: Mapping[str, object]) -> dict[str, Any]:
    try:
        state = path.stat()
    except OSError:
        return {"version": _VERSION, "bytes": -1, **settings}
    return {"version": _VERSION, "bytes": state.st_size, "changed": state.st_mtime_ns, **settings}


def _is_current(record: FileRecord | None, made_with: dict[str, Any], folder: Path) -> bool:
    return (
        record is not None
        and record.made_with == made_with
        and all(file.exists() for clip in record.clips for file in clip_files(folder, clip))
    )


def _free_name(path: Path, taken: Iterable[str]) -> str:
    """The file's stem in safe characters, with a hash of its path where taken.

    Names that differ in case alone count as equal, as they do in some file systems.
    """
    word = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", path.stem)).strip("._-")[:80] or "clip"
    if word.casefold() not in taken:
        return word
    return f"{word}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
