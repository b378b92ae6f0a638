"""Training sets in the layout of Wav2Lip's preprocess.py, as used for LRS2.

Read in the code of Rudrabha/Wav2Lip 5c90fa9.

<root>/<dir>/<clip>/{n}.jpg                face crops without a margin, n from 0, 25 fps
<root>/<dir>/<clip>/audio.wav              the audio from frame 0 on
<root>/filelists/{train,val,test}.txt      one `dir/clip` a line; may also lie next to the root

A missing number is a frame in which no face was found.
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
from lipsync.training.data.dataset_format import FPS, SAMPLE_RATE, resize_images
from lipsync.types import FloatArray, IntArray

SPLITS = ("train", "val", "test")
"""Names of the file lists and of our splits."""
_MIN_FRAMES = 5  # the networks take windows of five frames
_LIST_THREADS = 16  # a disk or a server lists many folders as fast as one


@dataclass(frozen=True)
class LrsClip:
    """A `FaceClip` of consecutive images; files are read on demand.

    Attributes:
        folder: with the images and the audio.
        first, count: number of the first image, and how many there are.
    """

    name: str
    person: str
    split: str
    folder: Path
    first: int
    count: int
    audio_delay: float = 0.0

    def __len__(self) -> int:
        return self.count

    def faces(self, frames: IntArray, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """See `FaceClip`.

        Raises:
            MediaError: an image is missing or damaged.
        """
        paths = [self.folder / f"{self.first + int(frame)}.jpg" for frame in frames]
        return np.concatenate([resize_images(_read_image(path)[None], size) for path in paths])

    def audio(self) -> FloatArray:
        """See `FaceClip`.

        Raises:
            MediaError: the file is missing or damaged.
        """
        per_frame = SAMPLE_RATE // FPS
        samples = _read_audio(self.folder / "audio.wav", self.first * per_frame, self.count * per_frame)
        return np.pad(samples, (0, self.count * per_frame - len(samples)))


def find_file_lists(root: Path) -> Path | None:
    """The folder with the file lists, in the root or next to it; None without one."""
    places = (root / "filelists", root.absolute().parent / "filelists")
    return next((place for place in places if (place / "train.txt").exists()), None)


def read_lrs_layout(root: Path, file_lists: Path | None = None) -> list[LrsClip]:
    """Read the file lists: one clip for each run of consecutive images.

    No image or audio file is opened.

    A clip in several lists takes the last of train, val and test, so that it is never trained on.
    One that is listed but missing, as when no face was found in it, is skipped.

    Args:
        file_lists: the folder with the lists, where it is neither in `root` nor next to it.

    Raises:
        InputError: there are no lists, or no clips.
    """
    lists = file_lists or find_file_lists(root)
    if lists is None or not (lists / "train.txt").exists():
        hint = "It needs filelists/train.txt, with a line dir/clip for each clip; also val.txt and test.txt."
        raise InputError("There are no file lists here", given=lists or root, hint=hint)
    split_of = {entry: split for split in SPLITS for entry in _entries(lists / f"{split}.txt")}
    with ThreadPoolExecutor(_LIST_THREADS) as pool:
        numbers = pool.map(lambda entry: _image_numbers(root / entry), split_of)
        clips = [
            clip
            for (entry, split), found in zip(split_of.items(), numbers, strict=True)
            for clip in _consecutive_runs(root / entry, entry, split, found)
        ]
    if not clips:
        raise InputError("None of the clips in the file lists is here", given=f"{root} (lists: {lists})")
    return clips


def _entries(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line.split()[0] for line in path.read_text("utf-8").splitlines() if line.strip()]


def _image_numbers(folder: Path) -> IntArray:
    """The numbers of the images in a folder, sorted; empty if there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - far faster for 100 000 folders
    except (FileNotFoundError, NotADirectoryError):
        names = []
    found = [int(name[:-4]) for name in names if name.endswith(".jpg") and name[:-4].isdecimal()]
    return np.sort(np.asarray(found, np.int64))


def _consecutive_runs(folder: Path, entry: str, split: str, numbers: IntArray) -> Iterator[LrsClip]:
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    for run in runs:
        if len(run) >= _MIN_FRAMES:
            name = entry if len(runs) == 1 else f"{entry}:{run[0]}"
            yield LrsClip(name, entry.split("/")[0], split, folder, int(run[0]), len(run))


def _read_image(path: Path) -> npt.NDArray[np.uint8]:
    """An image as uint8 (H, W, 3) RGB."""
    try:  # cv2.imread cannot open every name on every system
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise MediaError("An image of the training set cannot be read", given=f"{path} ({error})") from error
    if image is None:
        raise MediaError("An image of the training set is damaged", given=path)
    return np.asarray(image[..., ::-1], np.uint8)


def _read_audio(path: Path, start: int, count: int) -> FloatArray:
    """`count` samples from `start`, float32 at 16 kHz mono.

    The WAV that preprocess.py writes is read without ffmpeg.
    """
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
                file.setpos(min(start, file.getnframes()))
                samples = np.frombuffer(file.readframes(count), "<i2")
                return (samples / np.float32(32768)).astype(np.float32)
    except (wave.Error, EOFError, FileNotFoundError):
        pass  # `open_audio` reads it, or raises the error
    return open_audio(path).read(SAMPLE_RATE).samples[start : start + count]
