"""Sets in the layout that Wav2Lip's preprocess.py writes, as LRS2 is trained on (Rudrabha/Wav2Lip 5c90fa9).

<root>/<dir>/<clip>/{n}.jpg                face crops without a margin, n from 0, 25 fps
<root>/<dir>/<clip>/audio.wav              the sound from frame 0 on
<root>/filelists/{train,val,test}.txt      one `dir/clip` a line; may lie beside the root too

A number that is missing is a frame in which no face was found.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.errors import InputError, MediaError
from lipsync.media import open_audio
from lipsync.training.data.dataset_format import FPS, SAMPLE_RATE, scaled
from lipsync.types import FloatArray, IntArray

SPLITS = {"train": "train", "val": "held", "test": "check"}
"""What the file lists are called, and what we call what they list."""
_SHORTEST = 5
"""Frames; the networks look at five at a time."""
_LISTERS = 16  # folders are listed at the same time: a disk or a server answers many as fast as one


@dataclass(frozen=True)
class LrsFaces:
    """An uncut stretch of a clip, as a `FaceClip`; nothing is read before it is asked for.

    Attributes:
        folder: with the pictures and the sound of the clip.
        first, count: the stretch's first picture, and how many there are.
    """

    name: str
    person: str
    split: str
    folder: Path
    first: int
    count: int
    lag: float = 0.0

    def __len__(self) -> int:
        return self.count

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """See `FaceClip`."""
        paths = [self.folder / f"{self.first + int(frame)}.jpg" for frame in frames]
        return np.concatenate([scaled(_read_picture(path)[None], size) for path in paths])

    def sound(self) -> FloatArray:
        """See `FaceClip`."""
        per_frame = SAMPLE_RATE // FPS
        heard = _read_sound(self.folder / "audio.wav", self.first * per_frame, self.count * per_frame)
        return np.pad(heard, (0, self.count * per_frame - len(heard)))


def find_file_lists(root: Path) -> Path | None:
    """The folder with the lists of a set: in it, or beside it."""
    places = (root / "filelists", root.absolute().parent / "filelists")
    return next((place for place in places if (place / "train.txt").exists()), None)


def read_lrs_layout(root: Path, file_lists: Path | None = None) -> list[LrsFaces]:
    """What the file lists name, one clip for each stretch without a gap; no file is opened.

    A clip that is in several lists is never trained on. One that is listed but not there, as when
    no face was found in it, is passed over.

    Args:
        file_lists: the folder with the lists, where it is neither in `root` nor beside it.

    Raises:
        InputError: there are no lists, or no clips.
    """
    lists = file_lists or find_file_lists(root)
    if lists is None or not (lists / "train.txt").exists():
        hint = "It needs filelists/train.txt, with a line dir/clip for each clip; also val.txt and test.txt."
        raise InputError("There are no file lists here", given=lists or root, hint=hint)
    split_of = {entry: ours for theirs, ours in SPLITS.items() for entry in _entries(lists / f"{theirs}.txt")}
    with ThreadPoolExecutor(_LISTERS) as pool:
        numbers = pool.map(lambda entry: _numbers(root / entry), split_of)
        clips = [
            clip
            for (entry, split), found in zip(split_of.items(), numbers, strict=True)
            for clip in _stretches(root / entry, entry, split, found)
        ]
    if not clips:
        raise InputError("None of the clips in the file lists is here", given=f"{root} (lists: {lists})")
    return clips


def _entries(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line.split()[0] for line in path.read_text("utf-8").splitlines() if line.strip()]


def _numbers(folder: Path) -> IntArray:
    """The numbers of the pictures in a folder, in order."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - far faster for 100 000 folders
    except (FileNotFoundError, NotADirectoryError):
        names = []
    found = [int(name[:-4]) for name in names if name.endswith(".jpg") and name[:-4].isdecimal()]
    return np.sort(np.asarray(found, np.int64))


def _stretches(folder: Path, entry: str, split: str, numbers: IntArray) -> Iterator[LrsFaces]:
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    for part in parts:
        if len(part) >= _SHORTEST:
            name = entry if len(parts) == 1 else f"{entry}:{part[0]}"
            yield LrsFaces(name, entry.split("/")[0], split, folder, int(part[0]), len(part))


def _read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    try:  # cv2.imread cannot open every name on every system
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise MediaError("A picture of the training set cannot be read", given=f"{path} ({error})") from error
    if picture is None:
        raise MediaError("A picture of the training set is damaged", given=path)
    return np.asarray(picture[..., ::-1], np.uint8)


def _read_sound(path: Path, start: int, count: int) -> FloatArray:
    """Part of a sound file as 16 kHz mono; what preprocess.py writes is read without ffmpeg."""
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
                file.setpos(min(start, file.getnframes()))
                whole = np.frombuffer(file.readframes(count), "<i2")
                return (whole / np.float32(32768)).astype(np.float32)
    except (wave.Error, EOFError, FileNotFoundError):
        pass  # `open_audio` reads it, or says what is wrong with it
    return open_audio(path).read(SAMPLE_RATE).samples[start : start + count]
