"""LSE-D and LSE-C: lip-sync error, distance and confidence, by SyncNet.

Prajwal et al., "A Lip Sync Expert Is All You Need", ACM MM 2020, arXiv 2008.10010. The arithmetic is that of
Wav2Lip's `evaluation/scores_LSE/SyncNetInstance_calc_scores.py`, itself joonson/syncnet_python's: windows of
frames and audio are embedded, and the mean distance between the embeddings is taken at every shift of the
audio from -15 to 15 frames.
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

STAGE = "Measuring lip sync"
LSE_FPS = 25
"""Frame rate that SyncNet was trained at."""
LSE_SAMPLE_RATE = 16_000
FRAME_SAMPLES = LSE_SAMPLE_RATE // LSE_FPS
MIN_FRAMES = WINDOW_FRAMES + 1
"""Frames that a clip must have: the reference leaves its last window out."""
_MFCC_STEP, _MFCC_SAMPLES = 160, 400  # python_speech_features' defaults: 25 ms every 10 ms
_FRAME_ROWS = FRAME_SAMPLES // _MFCC_STEP
_WINDOW_ROWS = WINDOW_FRAMES * _FRAME_ROWS
MFCC_CHUNK_ROWS = 6000  # a minute of audio
DISTANCE_CHUNK = 4096  # windows
BATCH_WINDOWS = 24
"""Default batch size: a multiple of `window_conv.WINDOWS_PER_BLOCK`."""
_Batch: TypeAlias = tuple[Callable[[Tensor], Tensor], Tensor]
"""An embedding function, and its input."""


class SyncEmbedder(Protocol):
    """Embeds faces and audio for LSE.

    Values are comparable with papers only for `lipsync.sync_score.SyncNet`.
    """

    @property
    def concurrent_batches(self) -> int:
        """Batches to embed in parallel, each in a thread of its own."""
        ...

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Embed all windows of T consecutive frames, (T, 224, 224, 3) RGB uint8 -> (T - 4, D)."""
        ...

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        """Embed audio windows, (B, 1, 13, 20) MFCC -> (B, D)."""
        ...


@dataclass(frozen=True)
class LseScore:
    """LSE-D, LSE-C and offset of one clip.

    Attributes:
        distance: LSE-D, the mean distance at the best shift; lower is better.
        confidence: LSE-C, the median over all shifts less `distance`; higher is better.
        offset: the best shift, frames of 40 ms by which the audio is early; negative where it is late.
        windows: five-frame windows that were compared. The shifts reach beyond both ends of the clip,
            where the audio's embedding is zero, so with fewer than 50 (two seconds) the figures are not
            reliable.
    """

    distance: float
    confidence: float
    offset: int
    windows: int


def measure_lse(
    network: SyncEmbedder,
    frames: Iterable[Frame],
    audio: AudioClip,
    *,
    batch: int = BATCH_WINDOWS,
    cancel: CancelToken | None = None,
) -> LseScore:
    """LSE-D, LSE-C and offset of one clip.

    Frames are read once, `batch` at a time, and not beyond the end of the audio; 4 kB of embedding are kept
    for each frame and as much for its audio.

    Args:
        network: from `lipsync.sync_score.load_syncnet`.
        frames: 25 a second, each (H, W, 3) RGB uint8 of any size: crops of one face, or whole frames that one
            face fills, as in the LRS sets.
        audio: 16 kHz.
        batch: windows per call of the network; `network.concurrent_batches` batches run in parallel.

    Raises:
        InputError: there are fewer than six frames, or less audio than those take.
        ValueError: the audio is not at 16 kHz.
        Cancelled: the token was cancelled.
    """
    if audio.sample_rate != LSE_SAMPLE_RATE:
        raise ValueError(f"audio must be at {LSE_SAMPLE_RATE} Hz, got {audio.sample_rate}")
    cancel = cancel or CancelToken()
    audio_frames = len(audio.samples) // FRAME_SAMPLES
    if audio_frames < MIN_FRAMES:
        raise _too_short(f"{audio.duration:.2f} s of audio")
    video_embeddings, audio_embeddings = _embed(network, islice(frames, audio_frames), audio, batch, cancel)
    by_shift = mean_distances(video_embeddings, audio_embeddings)
    best = int(by_shift.argmin())
    distance = float(by_shift[best])
    confidence = float(np.median(by_shift)) - distance
    return LseScore(distance, confidence, MAX_OFFSET - best, len(video_embeddings))


def _too_short(given: str) -> InputError:
    needed = f"{MIN_FRAMES / LSE_FPS:.2f} s"
    hint = f"Give at least {needed} ({MIN_FRAMES} frames at {LSE_FPS} a second) of video and audio."
    return InputError("The clip is too short for LSE", given=given, hint=hint)


def _embed(
    network: SyncEmbedder, frames: Iterable[Frame], audio: AudioClip, batch: int, cancel: CancelToken
) -> tuple[Tensor, Tensor]:
    """Embeddings of all windows but the last, and of their audio: two (T - 5, D) on the CPU."""
    threads = ThreadLimit(shared_by=network.concurrent_batches)

    def batches() -> Iterator[_Batch]:
        windows = 0
        for part in _batch_frames(frames, batch, cancel):
            windows += len(part) - WINDOW_FRAMES + 1
            yield network.embed_faces, part
        # Audio comes last: its batches are short, so no core waits long for the others. Chunks of one size:
        # a last one of a few windows would take disproportionately long.
        for mfcc in torch.chunk(_mfcc_windows(audio, windows), max(1, windows // batch)):
            cancel.check(STAGE)
            yield network.embed_audio, mfcc

    @torch.inference_mode()
    def embed(item: _Batch) -> Tensor:
        function, given = item
        with threads.share():
            return function(given).cpu()

    embeddings = torch.cat(list(ordered_map(embed, batches(), network.concurrent_batches, "lse")))
    video_embeddings, audio_embeddings = embeddings.chunk(2)  # equally many
    return video_embeddings, audio_embeddings


def _batch_frames(frames: Iterable[Frame], batch: int, cancel: CancelToken) -> Iterator[Tensor]:
    """Frames of `batch` windows, fewer at the end, (T, 224, 224, 3); the last window is left out."""
    count = 0
    buffer: list[cv2.typing.MatLike] = []
    for frame in frames:
        cancel.check(STAGE)
        count += 1
        # Bilinear at any scale, as in the reference.
        buffer.append(cv2.resize(frame, (SYNCNET_INPUT_SIZE, SYNCNET_INPUT_SIZE)))
        if len(buffer) == batch + WINDOW_FRAMES:
            yield torch.from_numpy(np.stack(buffer[:-1]))
            del buffer[:batch]  # the next windows begin with the last five
    if count < MIN_FRAMES:
        raise _too_short(f"{count} frames")
    if len(buffer) > WINDOW_FRAMES:
        yield torch.from_numpy(np.stack(buffer[:-1]))


def _mfcc_windows(audio: AudioClip, count: int) -> Tensor:
    """MFCC of the first `count` windows, (count, 1, 13, 20)."""
    rows = compute_mfcc(audio.samples, (count - 1) * _FRAME_ROWS + _WINDOW_ROWS)
    return torch.from_numpy(rows).unfold(0, _WINDOW_ROWS, _FRAME_ROWS)[:, None]


def compute_mfcc(samples: FloatArray, count: int, chunk_rows: int = MFCC_CHUNK_ROWS) -> FloatArray:
    """The first `count` MFCC frames, float32 (count, 13), a hundred a second.

    `python_speech_features.mfcc` of the samples as 16-bit integers, called for a minute at a time: its
    intermediate arrays take twenty times the memory of the audio.

    Args:
        samples: (n,) in [-1, 1] at 16 kHz, long enough for all frames.
        chunk_rows: computed in one call; the result does not depend on it.
    """
    # Imported here: it loads a part of SciPy that other runs do not need.
    from python_speech_features import mfcc

    rows = np.empty((count, 13), np.float32)
    for first in range(0, count, chunk_rows):
        last = min(first + chunk_rows, count)
        before = min(first, 1)  # one row more at the start: pre-emphasis uses the previous sample
        part = samples[(first - before) * _MFCC_STEP : (last - 1) * _MFCC_STEP + _MFCC_SAMPLES]
        pcm = np.clip(np.round(part.astype(np.float64) * 32768), -32768, 32767)
        rows[first:last] = mfcc(pcm, LSE_SAMPLE_RATE)[before:]
    return rows


def mean_distances(video: Tensor, audio: Tensor, chunk: int = DISTANCE_CHUNK) -> npt.NDArray[np.float64]:
    """Mean distance at each shift of the audio, float64 (31,): from 15 frames back to 15 ahead.

    Beyond the ends of the clip the audio's embedding is zero, as in the reference.

    Args:
        video, audio: (N, D) embeddings, one row a window.
        chunk: windows compared at a time; the result does not depend on it.
    """
    padded = F.pad(audio, (0, 0, MAX_OFFSET, MAX_OFFSET))
    out = np.empty(2 * MAX_OFFSET + 1)
    for shift in range(len(out)):
        pairs = zip(
            torch.split(video, chunk),
            torch.split(padded[shift : shift + len(video)], chunk),
            strict=True,
        )
        out[shift] = torch.cat([F.pairwise_distance(a, b) for a, b in pairs]).double().mean()
    return out
