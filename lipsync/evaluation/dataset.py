"""Which videos to judge with which voices: read from a table, or from lists as Wav2Lip's authors gave them.

- A table (CSV; parted by commas, semicolons or tabs) with a header: `video`, and if wanted `voice`
  (empty: the video's own sound), `language`, `set`, `name`. Other columns are ignored.
- LRS2, LRS3 and LRW lists: a line is `SOUND VIDEO`, both names without a suffix, the sound first, as
  `gen_videos_from_filelist.py` reads them.
- ReSyncED lists: a line is `VIDEO SOUND`, file names, the video first, as `real_videos_inference.py`
  reads them.
- A folder: its CSV file if it has one, else each of its videos with its own sound.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lipsync.errors import InputError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
TABLE_SUFFIXES = (".csv", ".tsv")
LIST_SUFFIXES = (".txt", ".lst")
_HINT = "Its first line names the columns: video,voice,language"


@dataclass(frozen=True)
class Pair:
    """A video and the voice that it shall say.

    Attributes:
        name: what files about it are called; no two pairs of a list share one.
        number: its place in the list, from 0; the original's scripts name results by it.
        video, voice: the files; the same one where the video speaks with its own sound.
        language: as given, "" where it was not.
        group: the set that it belongs to, "" for none.
        whole_frame: the face fills the picture, as in the LRS sets: LSE is measured on whole frames.
    """

    name: str
    number: int
    video: Path
    voice: Path
    language: str = ""
    group: str = ""
    whole_frame: bool = False

    @property
    def own_voice(self) -> bool:
        """The video speaks with its own sound, so that its own pictures are the right answer."""
        return self.video == self.voice


def read_pairs(path: Path, root: Path | None = None) -> tuple[Pair, ...]:
    """The pairs of a table, a list or a folder.

    Whether the files are there is not looked at: one that is missing fails by itself later.

    Args:
        root: folder that names are relative to (default: the folder of the list).

    Raises:
        InputError: there is nothing in it, or a line cannot be understood.
    """
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in TABLE_SUFFIXES)
        if len(tables) > 1:
            raise InputError("The folder has several tables", given=path, hint="Name the one to use.")
        pairs = _read(tables[0], root or path) if tables else _folder(path)
    else:
        pairs = _read(path, root or path.parent)
    if not pairs:
        raise InputError("There is nothing to judge in it", given=path)
    return _with_unique_names(pairs)


def _folder(path: Path) -> list[Pair]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
    return [Pair(file.stem, number, file, file) for number, file in enumerate(files)]


def _read(path: Path, root: Path) -> list[Pair]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give a table (.csv) or a list (.txt) in UTF-8."
        raise InputError("A list of videos cannot be read", given=f"{path} ({error})", hint=hint) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    if path.suffix.lower() in LIST_SUFFIXES:
        return [_listed(line, number, path, root) for number, line in enumerate(lines)]
    return _table(lines, path, root)


def _table(lines: Sequence[str], path: Path, root: Path) -> list[Pair]:
    delimiter = max(",;\t", key=lines[0].count)
    rows = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    if "video" not in columns:
        raise InputError("The table has no column 'video'", given=path, hint=f"{_HINT}.")

    def cell(row: dict[str, str], name: str) -> str:
        return (row.get(columns[name]) or "").strip() if name in columns else ""

    pairs = []
    for number, row in enumerate(rows):
        if not cell(row, "video"):
            raise InputError("A row of the table names no video", given=f"{path}, row {number + 2}")
        video = root / cell(row, "video")
        voice = root / cell(row, "voice") if cell(row, "voice") else video
        name = cell(row, "name") or _named(video, voice)
        pairs.append(Pair(name, number, video, voice, cell(row, "language"), cell(row, "set")))
    return pairs


def _listed(line: str, number: int, path: Path, root: Path) -> Pair:
    words = line.split()
    if len(words) != 2:
        hint = "Each line is two names, parted by a space; for names with spaces use a table (.csv)."
        raise InputError("A line of the list cannot be understood", given=f"{path}: {line!r}", hint=hint)
    if all(Path(word).suffix for word in words):
        video, voice = (root / word for word in words)
        whole = False
    else:
        voice, video = (_in_corpus(root, word) for word in words)
        whole = True
    return Pair(f"{number:05d}_{_named(video, voice)}", number, video, voice, "", path.stem, whole)


def _in_corpus(root: Path, name: str) -> Path:
    """`root/NAME.mp4`, as the original's script has it; LRW itself keeps it as `root/WORD/test/NAME.mp4`."""
    plain = root / f"{name}.mp4"
    by_word = root / name.rpartition("_")[0] / "test" / f"{name}.mp4"
    return by_word if not plain.exists() and by_word.exists() else plain


def _named(video: Path, voice: Path) -> str:
    return video.stem if video == voice else f"{video.stem}__{voice.stem}"


def _with_unique_names(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Names that can be those of files, each only once."""
    seen: set[str] = set()
    out = []
    for pair in pairs:
        plain = re.sub(r"[^\w.-]+", "_", pair.name).strip("._") or "clip"
        name, count = plain, 1
        while name.lower() in seen:
            count += 1
            name = f"{plain}_{count}"
        seen.add(name.lower())
        out.append(replace(pair, name=name))
    return tuple(out)


def find_result(folder: Path, pair: Pair) -> Path | None:
    """What somebody made of the pair.

    The file is named as the pair, as its video, or by its number, as Wav2Lip's scripts do.
    """
    for stem in (pair.name, pair.video.stem, str(pair.number)):
        for suffix in VIDEO_SUFFIXES:
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    return None
