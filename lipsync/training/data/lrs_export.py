"""Export of a training set in the layout of Wav2Lip's training programs.

See `lrs_layout`.
"""

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
    """Write a training set in the LRS layout; returns the number of clips.

    The file lists come last and mark a complete set.

    Clips that an earlier, stopped run wrote are skipped. Known audio delays are removed: the audio
    is shifted by them.

    Args:
        folder: the set.
        root: folder to write.

    Raises:
        InputError: `folder` is no set.
        OutputError: `root` holds a complete set already, or cannot be written.
        Cancelled: the user stopped the job; complete clips stay.
    """
    clips, side = read_face_clips(folder), read_crop_side(folder)
    if (root / "filelists" / "train.txt").exists():
        hint = "Choose another folder, or delete that one first."
        raise OutputError("There is a complete set already", given=root, hint=hint)
    stage = StageProgress("Writing clips", len(clips), progress, cancel or CancelToken(), unit="clip")
    entries = {clip.name: f"{_word(clip.person)}/{_word(clip.name)}" for clip in clips}
    for clip in clips:
        stage.cancel.check(stage.stage)
        if not (root / entries[clip.name]).exists():
            _write_clip(clip, root / entries[clip.name], side)
        stage.advance()
    (root / "filelists").mkdir(exist_ok=True)
    for split in reversed(SPLITS):  # train.txt last: it is what marks a complete set
        lines = [f"{entries[clip.name]}\n" for clip in clips if clip.split == split]
        with atomic_write(root / "filelists" / f"{split}.txt") as part:
            part.write_bytes("".join(lines).encode())
    return len(clips)


def _word(name: str) -> str:
    """A name with whatever would end it in a file list replaced by underscores."""
    return re.sub(r"[^\w.-]+", "_", name)


def _write_clip(clip: FaceClip, folder: Path, side: int) -> None:
    with atomic_write(folder, explain=partial(write_error, what="A clip cannot be written")) as part:
        part.mkdir(parents=True)
        for number in range(len(clip)):
            face = clip.faces(np.array([number]), (side, side))[0]
            encoded, data = cv2.imencode(".jpg", face[..., ::-1])  # cv2.imwrite's default quality, as there
            assert encoded
            (part / f"{number}.jpg").write_bytes(data.tobytes())
        _write_audio(clip, part / "audio.wav")


def _write_audio(clip: FaceClip, path: Path) -> None:
    """Write the audio shifted by its delay and as long as the frames; 16-bit WAV."""
    delay = round(clip.audio_delay * SAMPLE_RATE)
    positions = np.arange(len(clip) * SAMPLE_RATE // FPS) + delay
    samples = clip.audio()
    inside = (positions >= 0) & (positions < len(samples))
    shifted = np.where(inside, samples[positions.clip(0, len(samples) - 1)], 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(shifted * 32767).astype("<i2").tobytes())
