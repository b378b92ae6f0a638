"""WAV files of 16 bits: written, and read back as samples."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lipsync.errors import MediaError
from lipsync.types import AudioClip, FloatArray


def write_wav(path: Path, blocks: Iterable[FloatArray], rate: int, channels: int = 1) -> None:
    """Write blocks of samples in [-1, 1], float32 (n, channels) or (n,); louder ones are clipped.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        for block in blocks:
            out.writeframes(np.rint(np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())


def read_wav(path: Path) -> AudioClip:
    """Samples of a mono WAV file of 16 bits, such as speech synthesisers write.

    Raises:
        MediaError: it is not such a file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form, rate, data = file.getparams()[:2], file.getframerate(), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise MediaError("This is not a WAV file", given=f"{path} ({error})") from error
    if form != (1, 2):
        raise MediaError("This is not a mono WAV file of 16 bits", given=path)
    return AudioClip(np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768), rate)
