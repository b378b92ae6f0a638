"""Evaluation sets: pairs of video and voice from a table, a file list or a folder.

- A table (CSV, delimited by commas, semicolons or tabs) with a header: `video`, and optionally `voice`
  (empty: the video's own audio), `language`, `set`, `name`. Other columns are ignored.
- LRS2, LRS3 and LRW lists of Wav2Lip's authors: a line is `AUDIO VIDEO`, both names without a suffix, as
  `gen_videos_from_filelist.py` reads them.
- ReSyncED lists: a line is `VIDEO AUDIO`, file names, as `real_videos_inference.py` reads them.
- A folder: its CSV file if it has one, else each of its videos with its own audio (`with_other_voices`
  gives each the next one's).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lipsync.errors import InputError
from lipsync.utils.file_names import fitting_name

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
TABLE_SUFFIXES = (".csv", ".tsv")
LIST_SUFFIXES = (".txt", ".lst")
_LONGEST_ENDING = ".json"
_HINT = "Its first line names the columns: video,voice,language"


@dataclass(frozen=True)
class Pair:
    """A video and the voice to sync it to.

    Attributes:
        name: base name of its files; unique in a set.
        number: index in the list, from 0; Wav2Lip's scripts name results by it.
        video, voice: the files; the same one if the video keeps its own audio.
        language: as given; "" if not given.
        group: the set that it belongs to; "" for none.
        whole_frame: one face fills the frame, as in the LRS sets: LSE is measured on whole frames.
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
        """The voice is the video's own, so its own frames are the ground truth."""
        return self.video == self.voice


def read_pairs(path: Path, root: Path | None = None) -> tuple[Pair, ...]:
    """Read the pairs of a table, a list or a folder.

    The files need not exist: a missing one fails by itself later.

    Args:
        root: folder that names are relative to; None is the folder of the list.

    Raises:
        InputError: it is empty, or a line cannot be parsed.
    """
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in TABLE_SUFFIXES)
        if len(tables) > 1:
            raise InputError("The folder has several tables", given=path, hint="Name the one to use.")
        pairs = _read_file(tables[0], root or path) if tables else _list_folder(path)
    else:
        pairs = _read_file(path, root or path.parent)
    if not pairs:
        raise InputError("There are no videos to evaluate in it", given=path)
    return _with_unique_names(pairs)


def _list_folder(path: Path) -> list[Pair]:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
    return [Pair(file.stem, number, file, file) for number, file in enumerate(files)]


def _read_file(path: Path, root: Path) -> list[Pair]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "Give a table (.csv) or a list (.txt) in UTF-8."
        raise InputError("A list of videos cannot be read", given=f"{path} ({error})", hint=hint) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    if path.suffix.lower() in LIST_SUFFIXES:
        return [_parse_list_line(line, number, path, root) for number, line in enumerate(lines)]
    return _parse_table(lines, path, root)


def _parse_table(lines: Sequence[str], path: Path, root: Path) -> list[Pair]:
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
        name = cell(row, "name") or _default_name(video, voice)
        pairs.append(Pair(name, number, video, voice, cell(row, "language"), cell(row, "set")))
    return pairs


def _parse_list_line(line: str, number: int, path: Path, root: Path) -> Pair:
    words = line.split()
    if len(words) != 2:
        hint = "Each line is two names, separated by a space; for names with spaces use a table (.csv)."
        raise InputError("A line of the list cannot be understood", given=f"{path}: {line!r}", hint=hint)
    if all(Path(word).suffix for word in words):
        video, voice = (root / word for word in words)
        whole_frame = False
    else:
        voice, video = (_in_corpus(root, word) for word in words)
        whole_frame = True
    return Pair(
        f"{number:05d}_{_default_name(video, voice)}", number, video, voice, "", path.stem, whole_frame
    )


def _in_corpus(root: Path, name: str) -> Path:
    """`root/NAME.mp4`, as Wav2Lip's script expects; LRW itself has `root/WORD/test/NAME.mp4`."""
    plain = root / f"{name}.mp4"
    by_word = root / name.rpartition("_")[0] / "test" / f"{name}.mp4"
    return by_word if not plain.exists() and by_word.exists() else plain


def _default_name(video: Path, voice: Path) -> str:
    return video.stem if video == voice else f"{video.stem}__{voice.stem}"


def _with_unique_names(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Make names unique and safe as file names, with the endings that files about a pair have."""
    used: set[str] = set()
    renamed = []
    for pair in pairs:
        plain = re.sub(r"[^\w.-]+", "_", pair.name).strip("._") or "clip"
        name, count = _fitting(plain), 1
        while name.lower() in used:
            count += 1
            name = _fitting(f"{plain}_{count}")
        used.add(name.lower())
        renamed.append(replace(pair, name=name))
    return tuple(renamed)


def _fitting(name: str) -> str:
    return fitting_name("", name, _LONGEST_ENDING).removesuffix(_LONGEST_ENDING)


def with_other_voices(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Each video with the voice of the next one: the usual case, and the one that no model knows.

    With its own voice a video holds the answer already: its mouth need only be left as it is. A single video
    keeps its own.
    """
    voices = [pair.voice for pair in (*pairs[1:], *pairs[:1])]
    crossed = [
        replace(pair, voice=voice, name=_default_name(pair.video, voice))
        for pair, voice in zip(pairs, voices, strict=True)
    ]
    return _with_unique_names(crossed)


def find_result(folder: Path, pair: Pair) -> Path | None:
    """An existing result of a pair in `folder`; None if there is none.

    It is named like the pair, like its video, or by its number, as in Wav2Lip's scripts.
    """
    for stem in (pair.name, pair.video.stem, str(pair.number)):
        for suffix in VIDEO_SUFFIXES:
            with suppress(OSError):  # a name that no file can have
                if (folder / f"{stem}{suffix}").is_file():
                    return folder / f"{stem}{suffix}"
    return None
