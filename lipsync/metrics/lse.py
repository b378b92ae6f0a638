"""LSE-D and LSE-C, "lip sync error" by distance and by confidence.

Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020, arXiv 2008.10010. The arithmetic is
that of Wav2Lip's `evaluation/scores_LSE/SyncNetInstance_calc_scores.py`, itself joonson/syncnet_python's:
pictures and sound become vectors, window by window; the mean distance between them is taken at every
shift of the sound, -15 to 15 frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lipsync.devices import ThreadLimit
from lipsync.errors import InputError
from lipsync.progress import CancelToken
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.sync_score.syncnet import SYNCNET_INPUT_SIZE
from lipsync.types import AudioClip, FloatArray, Frame
from lipsync.utils.prefetch import ordered_map

_STAGE = "Judging lip sync"
LSE_FPS = 25
"""Frames per second that pictures must come at."""
_SAMPLE_RATE = 16_000
_FRAME_SAMPLES = _SAMPLE_RATE // LSE_FPS
FEWEST_FRAMES = WINDOW_FRAMES + 1
"""Frames that a clip must have: the reference leaves its last window out."""
_ROW_STEP, _ROW_SAMPLES = 160, 400  # python_speech_features' defaults: rows of 25 ms, every 10 ms
_FRAME_ROWS = _FRAME_SAMPLES // _ROW_STEP
_WINDOW_ROWS = WINDOW_FRAMES * _FRAME_ROWS
_ROWS_AT_A_TIME = 6000  # a minute of sound
_DISTANCES_AT_A_TIME = 4096  # windows
WINDOWS_AT_A_TIME = 24
"""Go through the network: a multiple of those that its first layer works out together."""
_Batch: TypeAlias = tuple[Callable[[Tensor], Tensor], Tensor]
"""What makes vectors, and of what."""


class SyncEmbedder(Protocol):
    """What vectors come from; LSE is LSE only with `lipsync.sync_score.SyncNet`."""

    @property
    def at_once(self) -> int:
        """Batches to embed at the same time, each in a thread of its own."""
        ...

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Every window of T frames in a row, (T, 224, 224, 3) RGB uint8 -> (T - 4, D)."""
        ...

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        """The sound of windows, (B, 1, 13, 20) MFCC -> (B, D)."""
        ...


@dataclass(frozen=True)
class LseScore:
    """How well lips and sound of one clip go together.

    Attributes:
        distance: LSE-D, the mean distance at the best shift; lower is better.
        confidence: LSE-C, the median over all shifts less `distance`; higher is better.
        offset: the best shift, frames of 40 ms by which the sound comes early; negative where it
            comes late.
        windows: five-frame windows that were compared. The shifts reach beyond both ends of the
            clip, where there is nothing to compare with, so under 50 (two seconds) the figures are
            not to be relied on.
    """

    distance: float
    confidence: float
    offset: int
    windows: int


def measure_lse(
    network: SyncEmbedder,
    frames: Iterable[Frame],
    sound: AudioClip,
    *,
    batch: int = WINDOWS_AT_A_TIME,
    cancel: CancelToken | None = None,
) -> LseScore:
    """LSE-D, LSE-C and offset of one clip.

    Frames are read once, `batch` at a time, and no further than the sound goes; what stays is 4 kB
    of vector for a frame and as much for its sound.

    Args:
        network: from `lipsync.sync_score.load_syncnet`.
        frames: 25 a second, each (H, W, 3) RGB uint8 of any size: crops of one face, or whole frames
            where the face fills the picture, as in the LRS sets.
        sound: at 16 kHz.
        batch: windows that go through the network together; as many batches at the same time as it says.

    Raises:
        InputError: there are fewer than six frames, or less sound than those take.
        ValueError: the sound is not at 16 kHz.
        Cancelled: the user stopped it.
    """
    if sound.sample_rate != _SAMPLE_RATE:
        raise ValueError(f"sound must be at {_SAMPLE_RATE} Hz, got {sound.sample_rate}")
    cancel = cancel or CancelToken()
    heard_frames = len(sound.samples) // _FRAME_SAMPLES
    if heard_frames < FEWEST_FRAMES:
        raise _too_short(f"{sound.duration:.2f} s of sound")
    seen, heard = _embed(network, islice(frames, heard_frames), sound, batch, cancel)
    by_shift = mean_distances(seen, heard)
    best = int(by_shift.argmin())
    distance = float(by_shift[best])
    return LseScore(distance, float(np.median(by_shift)) - distance, MAX_OFFSET - best, len(seen))


def _too_short(given: str) -> InputError:
    needed = f"{FEWEST_FRAMES / LSE_FPS:.2f} s"
    hint = f"Give at least {needed} ({FEWEST_FRAMES} frames at {LSE_FPS} a second) of picture and sound."
    return InputError("The clip is too short to judge", given=given, hint=hint)


def _embed(
    network: SyncEmbedder, frames: Iterable[Frame], sound: AudioClip, batch: int, cancel: CancelToken
) -> tuple[Tensor, Tensor]:
    """All windows of T frames but the last, and their sound: two (T - 5, D) on the CPU."""
    cores = ThreadLimit(shared_by=network.at_once)

    def batches() -> Iterator[_Batch]:
        windows = 0
        for pictures in _in_batches(frames, batch, cancel):
            windows += len(pictures) - WINDOW_FRAMES + 1
            yield network.embed_faces, pictures
        # The sound comes last: its batches are short, so that no core waits long for the other ones.
        sounds = _sound_windows(sound, windows)
        for spans in torch.chunk(sounds, max(1, windows // batch)):  # all alike; few windows take long
            cancel.check(_STAGE)
            yield network.embed_audio, spans

    @torch.inference_mode()
    def work(one: _Batch) -> Tensor:
        embed, given = one
        with cores.share():
            return embed(given).cpu()

    vectors = torch.cat(list(ordered_map(work, batches(), network.at_once, "judge")))
    seen, heard = vectors.chunk(2)  # as many of sound as of pictures
    return seen, heard


def _in_batches(frames: Iterable[Frame], batch: int, cancel: CancelToken) -> Iterator[Tensor]:
    """Frames of `batch` windows, or at the end of less, (T, 224, 224, 3); the last window is left out."""
    count = 0
    waiting: list[cv2.typing.MatLike] = []
    for frame in frames:
        cancel.check(_STAGE)
        count += 1
        # Bilinear, whatever the scale, as the reference does.
        waiting.append(cv2.resize(frame, (SYNCNET_INPUT_SIZE, SYNCNET_INPUT_SIZE)))
        if len(waiting) == batch + WINDOW_FRAMES:
            yield torch.from_numpy(np.stack(waiting[:-1]))
            del waiting[:batch]  # the last five begin the next windows
    if count < FEWEST_FRAMES:
        raise _too_short(f"{count} frames")
    if len(waiting) > WINDOW_FRAMES:
        yield torch.from_numpy(np.stack(waiting[:-1]))


def _sound_windows(sound: AudioClip, count: int) -> Tensor:
    """The sound of the first `count` windows, (count, 1, 13, 20) MFCC."""
    rows = mfcc_rows(sound.samples, (count - 1) * _FRAME_ROWS + _WINDOW_ROWS)
    return torch.from_numpy(rows).unfold(0, _WINDOW_ROWS, _FRAME_ROWS)[:, None]


def mfcc_rows(samples: FloatArray, count: int) -> FloatArray:
    """The first `count` rows of MFCC, (count, 13), a hundred a second.

    `python_speech_features.mfcc` of the samples as 16-bit numbers, called for a minute at a time:
    its tables take twenty times as much as the sound.

    Args:
        samples: (n,) in [-1, 1] at 16 kHz, long enough for all rows.
    """
    # Here, since it brings part of SciPy along, which every run would wait for.
    from python_speech_features import mfcc

    rows = np.empty((count, 13), np.float32)
    for first in range(0, count, _ROWS_AT_A_TIME):
        last = min(first + _ROWS_AT_A_TIME, count)
        before = min(first, 1)  # a row more to start with: the pre-emphasis looks back a sample
        part = samples[(first - before) * _ROW_STEP : (last - 1) * _ROW_STEP + _ROW_SAMPLES]
        numbers = np.clip(np.round(part.astype(np.float64) * 32768), -32768, 32767)
        rows[first:last] = mfcc(numbers, _SAMPLE_RATE)[before:]
    return rows


def mean_distances(seen: Tensor, heard: Tensor) -> npt.NDArray[np.float64]:
    """Mean distance at each shift of the sound, (31,): from 15 frames back to 15 ahead.

    Beyond the ends of the clip the sound's vector is zero, as in the reference.

    Args:
        seen, heard: (N, D), one row a window.
    """
    padded = F.pad(heard, (0, 0, MAX_OFFSET, MAX_OFFSET))
    out = np.empty(2 * MAX_OFFSET + 1)
    for shift in range(len(out)):
        pairs = zip(
            torch.split(seen, _DISTANCES_AT_A_TIME),
            torch.split(padded[shift : shift + len(seen)], _DISTANCES_AT_A_TIME),
            strict=True,
        )
        out[shift] = torch.cat([F.pairwise_distance(a, b) for a, b in pairs]).double().mean()
    return out
