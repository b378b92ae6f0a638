"""Source videos of a training set, and the person in each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lipsync.errors import InputError
from lipsync.training.data.dataset_format import RENAMED_SPLITS

_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".webm")


@dataclass(frozen=True)
class SourceVideo:
    """One video to prepare.

    Attributes:
        person: name of the person in it.
        use: "train", "val" for validation during training, or "test" to keep it for the final evaluation
            ("held" and "check" in earlier releases); anything else counts as "test".
        licence, source: free text, copied into the manifest of the set.
    """

    path: Path
    person: str
    use: str = "train"
    licence: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", RENAMED_SPLITS.get(self.use, self.use))


def find_sources(folder: Path) -> list[SourceVideo]:
    """The videos of a folder.

    With a `manifest.tsv` (columns file and person; optionally use, licence and source) those it
    lists; else all videos, the folder that a file lies in naming the person. Prepared sets within
    the folder are left out.

    Raises:
        InputError: there is none, or the manifest lacks a column.
    """
    manifest = folder / "manifest.tsv"
    found = list(_listed(manifest) if manifest.exists() else _unlisted(folder))
    if not found:
        raise InputError("There are no videos in this folder", given=folder)
    return found


def _listed(manifest: Path) -> Iterator[SourceVideo]:
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if not row.get("file") or not row.get("person"):
                hint = "It needs the tab-separated columns file and person."
                raise InputError("The list of videos cannot be used", given=manifest, hint=hint)
            more = {name: row[name] for name in ("use", "licence", "source") if row.get(name)}
            yield SourceVideo(manifest.parent / row["file"], row["person"], **more)


def _unlisted(folder: Path) -> Iterator[SourceVideo]:
    sets = {marker.parent for marker in folder.rglob("set.json")}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and sets.isdisjoint(path.parents):
            yield SourceVideo(path, path.parent.name if path.parent != folder else path.stem)
