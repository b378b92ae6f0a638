"""On-disk cache of audio features and generated mouths.

Another mask, colour, enhancer, upscaler, encoder or score then needs no new ones.

    generator = mouths.around(generator, generator_key(variant, weights, options, device))

The key of an entry is a digest of all that it depends on: the generator, and the samples of the voice, or
the pixels of the crop and its audio row. So other pads, faces, a shifted voice or another model never find an
outdated entry, and nothing needs invalidating. Entries hold parts of people's faces: a program with several
visitors gives each a folder of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import struct
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lipsync.generators.base import AudioRows, LipGenerator
from lipsync.generators.wrapped import WrappedGenerator
from lipsync.options import GeneratorOptions
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, Crops, FloatArray, Frame, Mouths
from lipsync.utils.file_digest import code_digest, weights_hash

LIMIT_BYTES = 400_000_000
"""Ten seconds of a face 350 pixels wide take about 200 MB with the built-in model, 30 MB with Wav2Lip's."""
_MOUTH, _ROWS = ".mouth", ".features"
_HEADER = struct.Struct("<6I")
"""Height and width of the mouth, and its part that is stored: top, left, height, width."""


class MouthCache:
    """Cache folder of audio features and generated mouths.

    Args:
        folder: created by the first entry.
        limit_bytes: size of all entries together. Once it is reached, the entries that were not used
            since the run began make room; where all were, the rest of the run is not kept.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def around(self, generator: LipGenerator, key: str) -> LipGenerator:
        """The generator, with its features and mouths looked up first.

        Args:
            key: of `generator_key`.
        """
        return _CachedGenerator(generator, _Entries(self.folder, self.limit_bytes, key))


def generator_key(variant: str, weights: Path, options: GeneratorOptions, device: str) -> str:
    """Digest of all that decides how a generator draws: weights, code, number format and device.

    Raises:
        OSError: the weights cannot be read.
    """
    parts = (
        code_digest(Path(__file__).parent),
        variant,
        weights_hash(weights),
        options.number_format,
        device,
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=32).hexdigest()


class _CachedGenerator(WrappedGenerator):
    """A `LipGenerator` that generates only what the cache lacks."""

    def __init__(self, generator: LipGenerator, entries: _Entries) -> None:
        super().__init__(generator)
        self._entries = entries

    @property
    def batch_size(self) -> int:
        """See `LipGenerator`."""
        return self.wrapped.batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self.wrapped.batch_size = value

    @property
    def concurrent_batches(self) -> int:
        """See `LipGenerator`."""
        return self.wrapped.concurrent_batches

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> AudioRows:
        """See `LipGenerator`.

        Features that are computed on demand are not kept. The others come back equal to the bit: computed
        again beside other work, on another number of threads, their last digits would differ, and every
        mouth with them.
        """
        given = np.array([audio.sample_rate, *Fraction(fps).as_integer_ratio(), frames, lead], np.int64)
        name = self._entries.name(audio.samples, given)
        rows: AudioRows | None = self._entries.get_rows(name)
        if rows is None:
            rows = super().encode_audio(audio, fps, frames, lead, cancel)
            if isinstance(rows, np.ndarray):
                self._entries.put_rows(name, rows)
        return rows

    def generate(self, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """See `LipGenerator`; equal to the bit to what was generated when the mouth was kept."""
        if len(crops) != len(audio_rows):
            return self.wrapped.generate(crops, audio_rows)  # explains what does not fit
        names = [self._entries.name(crop, row) for crop, row in zip(crops, audio_rows, strict=True)]
        mouths = [self._entries.get(name, crop) for name, crop in zip(names, crops, strict=True)]
        missing = [index for index, mouth in enumerate(mouths) if mouth is None]
        if missing:
            drawn = self.wrapped.generate(_chosen(crops, missing), audio_rows[missing])
            for index, mouth in zip(missing, drawn, strict=True):
                self._entries.put(names[index], mouth, crops[index])
                mouths[index] = mouth
        found: list[FloatArray] = [mouth for mouth in mouths if mouth is not None]
        return np.stack(found) if self.spec.crop_size is not None and found else found


def _chosen(crops: Crops, indices: Sequence[int]) -> Crops:
    return crops[indices] if isinstance(crops, np.ndarray) else [crops[index] for index in indices]


class _Entries:
    """Entries of one generator, in one run."""

    def __init__(self, folder: Path, limit_bytes: int, key: str) -> None:
        self._folder, self._limit, self._key = folder, limit_bytes, key.encode()
        self._began = time.time()
        self._lock = threading.Lock()
        self._total: int | None = None
        """Bytes of all entries; None until the first is stored."""

    def name(self, *arrays: npt.NDArray[Any]) -> str:
        """Name of the entry that belongs to these arrays."""
        digest = hashlib.blake2b(self._key, digest_size=24)
        for array in arrays:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def get_rows(self, name: str) -> FloatArray | None:
        """Audio features; None if there are none. A damaged entry is removed."""
        entry = self._read(self._path(name, _ROWS))
        if entry is None:
            return None
        try:
            return np.asarray(np.load(io.BytesIO(entry), allow_pickle=False), np.float32)
        except (ValueError, EOFError):
            self._path(name, _ROWS).unlink(missing_ok=True)
            return None

    def put_rows(self, name: str, rows: FloatArray) -> None:
        """Keep audio features, if there is room."""
        entry = io.BytesIO()
        np.save(entry, np.asarray(rows, np.float32), allow_pickle=False)
        self._write(self._path(name, _ROWS), entry.getbuffer())

    def get(self, name: str, crop: Frame) -> FloatArray | None:
        """The mouth (3, h, w) for that crop; None if there is none. A damaged entry is removed."""
        entry = self._read(self._path(name))
        if entry is None:
            return None
        try:
            height, width, top, left, rows, columns = _HEADER.unpack_from(entry)
            part = np.frombuffer(entry, np.float32, offset=_HEADER.size).reshape(3, rows, columns)
            mouth = np.empty((3, height, width), np.float32)
            if (height, width) == crop.shape[:2]:
                mouth[:] = _unchanged(crop)
            mouth[:, top : top + rows, left : left + columns] = part
        except (struct.error, ValueError):
            self._path(name).unlink(missing_ok=True)
            return None
        return mouth

    def put(self, name: str, mouth: FloatArray, crop: Frame) -> None:
        """Keep a mouth, if there is room."""
        rows, columns = _changed_part(mouth, crop)
        part = np.ascontiguousarray(mouth[:, rows, columns], np.float32)
        header = _HEADER.pack(*mouth.shape[1:], rows.start, columns.start, *part.shape[1:])
        self._write(self._path(name), header, part.data)

    def _path(self, name: str, suffix: str = _MOUTH) -> Path:
        return self._folder / (name + suffix)

    def _read(self, path: Path) -> bytes | None:
        try:
            entry = path.read_bytes()
            os.utime(path)  # used now: the least recently used make room
        except OSError:
            return None
        return entry

    def _write(self, path: Path, *parts: bytes | memoryview) -> None:
        """Write an entry if there is room; with a full disk the run goes on without."""
        if not self._makes_room(sum(memoryview(part).nbytes for part in parts)):
            return
        unfinished = path.with_suffix(f".{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            try:
                with unfinished.open("xb") as file:
                    file.writelines(parts)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

    def _makes_room(self, size: int) -> bool:
        with self._lock:
            if self._total is None:
                with contextlib.suppress(OSError):
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._total = sum(size for _, _, size in self._stored())
            if self._total + size > self._limit:
                self._total = self._remove_old(self._limit - size)
            fits = self._total + size <= self._limit
            self._total += size if fits else 0
            return fits

    def _remove_old(self, limit: int) -> int:
        """Remove the entries that this run has not used, oldest first, down to the limit; the size left."""
        stored = sorted(self._stored())
        total = sum(size for _, _, size in stored)
        for used, path, size in stored:
            if total <= limit or used >= self._began:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
        return total

    def _stored(self) -> list[tuple[float, Path, int]]:
        """Time of last use, path and size of every entry."""
        stored = []
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            with contextlib.suppress(OSError):  # another run has removed it
                status = path.stat()
                stored.append((status.st_mtime, path, status.st_size))
        return stored


def _unchanged(crop: Frame) -> FloatArray:
    """The crop (h, w, 3) as a generator gives it where it changes nothing, (3, h, w) in [0, 1]."""
    return np.asarray((crop * np.float32(1 / 255)).transpose(2, 0, 1), np.float32)


def _changed_part(mouth: FloatArray, crop: Frame) -> tuple[slice, slice]:
    """Rows and columns around all that differs from the crop: most of a face is as it was."""
    height, width = mouth.shape[1:]
    if (height, width) != crop.shape[:2]:
        return slice(0, height), slice(0, width)
    changed = (mouth != _unchanged(crop)).any(0)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
