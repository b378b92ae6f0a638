"""A prepared set in the layout that the original's training programs read; see `lrs_layout`."""

from __future__ import annotations

import re
import wave
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from lipsync.errors import OutputError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.training.data.dataset_format import FPS, SAMPLE_RATE, read_crop_side
from lipsync.training.data.face_clips import FaceClip, read_face_clips
from lipsync.training.data.lrs_layout import SPLITS
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.disk_errors import write_error


def write_lrs_layout(
    folder: Path, root: Path, progress: ProgressCallback = ignore_progress, cancel: CancelToken | None = None
) -> int:
    """Write every clip of a prepared set, and the file lists last; gives the number of clips.

    Clips that an earlier, stopped run wrote are passed over. Known lags are taken out of the sound.

    Raises:
        InputError: `folder` is no set.
        OutputError: `root` holds a whole set already, or cannot be written.
        Cancelled: the user stopped the job; whole clips stay.
    """
    clips, side = read_face_clips(folder), read_crop_side(folder)
    if (root / "filelists" / "train.txt").exists():
        hint = "Choose another folder, or delete that one first."
        raise OutputError("There is a whole set already", given=root, hint=hint)
    stage = StageProgress("Writing clips", len(clips), progress, cancel or CancelToken())
    entries = {clip.name: f"{_word(clip.person)}/{_word(clip.name)}" for clip in clips}
    for clip in clips:
        stage.cancel.check(stage.stage)
        if not (root / entries[clip.name]).exists():
            _write_clip(clip, root / entries[clip.name], side)
        stage.advance()
    (root / "filelists").mkdir(exist_ok=True)
    for theirs, ours in reversed(SPLITS.items()):  # the one that is looked for comes last
        lines = [f"{entries[clip.name]}\n" for clip in clips if clip.split == ours]
        with atomic_write(root / "filelists" / f"{theirs}.txt") as part:
            part.write_bytes("".join(lines).encode())
    return len(clips)


def _word(name: str) -> str:
    """A name without what ends it in a file list."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write_clip(clip: FaceClip, folder: Path, side: int) -> None:
    with atomic_write(folder, explain=partial(write_error, what="A clip cannot be written")) as part:
        part.mkdir(parents=True)
        for number in range(len(clip)):
            face = clip.faces(np.array([number]), (side, side))[0]
            good, data = cv2.imencode(".jpg", face[..., ::-1])  # cv2.imwrite's own quality, as there
            assert good
            (part / f"{number}.jpg").write_bytes(data.tobytes())
        _write_sound(clip, part / "audio.wav")


def _write_sound(clip: FaceClip, path: Path) -> None:
    late = round(clip.lag * SAMPLE_RATE)
    samples = np.arange(len(clip) * SAMPLE_RATE // FPS) + late
    heard = clip.sound()
    inside = (samples >= 0) & (samples < len(heard))
    moved = np.where(inside, heard[samples.clip(0, len(heard) - 1)], 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(moved * 32767).astype("<i2").tobytes())
