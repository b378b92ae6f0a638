"""Streaming embeddings of face crops and audio.

Windows are five frames at 25 fps. Window n is frames n to n + 4, and the audio from n / 25 s on for 0.2 s.
"""

from __future__ import annotations

import numpy as np

from lipsync.media.audio.mel import HOP, mel_spectrogram
from lipsync.sync_score.base import EXPERT_FPS, WINDOW_FRAMES, WINDOW_MEL_COLUMNS, SyncExpert
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.types import AudioClip, FloatArray, Frame
from lipsync.utils.mapped_array import release

_SAMPLE_RATE = 16_000
_COLUMNS_PER_FRAME = _SAMPLE_RATE / HOP / EXPERT_FPS  # 3.2
_EDGE_COLUMNS = 4  # mel columns that the cut end of a block of audio affects
_BLOCK = 256  # audio windows per call of the network, ten seconds
_CACHED_BLOCKS = 3
_FRAMES_PER_BATCH = 64
_FRAME_SAMPLES = _SAMPLE_RATE // EXPERT_FPS
_SILENCE_DB = -120.0


class FaceEmbedder:
    """Embeds a stream of face crops in batches; buffers at most 64 crops of 48x96."""

    def __init__(self, expert: SyncExpert) -> None:
        self._expert = expert
        self._crops: list[Frame] = []
        self._first = 0

    def push(self, number: int, crop: Frame) -> tuple[int, FloatArray] | None:
        """Add the crop of frame `number`; after a gap a new run of windows begins.

        Args:
            crop: (48, 96, 3) RGB uint8, see `crop_lower_face`.

        Returns:
            Once a batch is full or a run has ended: the number of the first window, and the embeddings of
            n consecutive windows, float32 (n, D). Else None.
        """
        done = None
        if number != self._first + len(self._crops):
            done = self.flush()
        if not self._crops:
            self._first = number
        self._crops.append(crop)
        if len(self._crops) == _FRAMES_PER_BATCH:
            done = self._embed()
            self._crops = self._crops[1 - WINDOW_FRAMES :]  # the next windows begin with the last four
            self._first = number - len(self._crops) + 1
        return done

    def flush(self) -> tuple[int, FloatArray] | None:
        """End the run: its last windows as from `push`, or None if it is shorter than a window."""
        done = self._embed() if len(self._crops) >= WINDOW_FRAMES else None
        self._crops = []
        return done

    def _embed(self) -> tuple[int, FloatArray]:
        from lipsync.sync_score.clip_embedding import embed_frames  # and torch with it

        return self._first, embed_frames(self._expert, np.stack(self._crops))


class AudioEmbedder:
    """Embeds audio windows on demand in blocks of 256; three blocks are cached.

    Args:
        audio: 16 kHz; its time 0 is that of frame 0.

    Attributes:
        count: windows that lie wholly within the audio.
    """

    def __init__(self, expert: SyncExpert, audio: AudioClip) -> None:
        self._expert, self._audio = expert, audio
        spare = 1 + len(audio.samples) // HOP - WINDOW_MEL_COLUMNS
        self.count = int((spare + 1) / _COLUMNS_PER_FRAME - 1e-6) + 1 if spare >= 0 else 0
        self._blocks: dict[int, FloatArray] = {}

    def similarity(self, first: int, faces: FloatArray) -> FloatArray:
        """Similarity of consecutive face windows with the audio at each offset.

        Args:
            first: number of the first window.
            faces: (n, D) embeddings.

        Returns:
            float32 (n, 31) dot products for offsets -15 .. 15, as `similarity_by_offset`; NaN outside the
            audio.
        """
        audio = self._rows(first - MAX_OFFSET, first + len(faces) + MAX_OFFSET, faces.shape[1])
        around = np.lib.stride_tricks.sliding_window_view(audio, 2 * MAX_OFFSET + 1, axis=0)  # (n, D, 31)
        by_delay: FloatArray = np.einsum("nd,ndk->nk", faces, around)
        return by_delay[:, ::-1]  # offset o compares face window n with audio window n - o

    def loudness(self, first: int, count: int) -> FloatArray:
        """RMS level of consecutive windows, float32 (count,) in dBFS; -120 outside the audio."""
        out = np.full(count, _SILENCE_DB, np.float32)
        for row in range(count):
            start = max(0, (first + row) * _FRAME_SAMPLES)
            part = self._audio.samples[start : start + WINDOW_FRAMES * _FRAME_SAMPLES]
            if len(part):
                out[row] = 10 * np.log10(max(float(np.square(part).mean()), 10 ** (_SILENCE_DB / 10)))
        return out

    def _rows(self, first: int, last: int, size: int) -> FloatArray:
        """Embeddings of windows `first` to `last` - 1, (last - first, size); NaN outside the audio."""
        out = np.full((last - first, size), np.nan, np.float32)
        start, stop = max(first, 0), min(last, self.count)
        while start < stop:
            block, row = divmod(start, _BLOCK)
            part = self._block(block)[row : row + stop - start]
            out[start - first : start - first + len(part)] = part
            start += len(part)
        return out

    def _block(self, number: int) -> FloatArray:
        if number not in self._blocks:
            while len(self._blocks) >= _CACHED_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[number] = self._embed(number * _BLOCK, min((number + 1) * _BLOCK, self.count))
        return self._blocks[number]

    def _embed(self, first: int, last: int) -> FloatArray:
        """Embeddings of windows `first` to `last` - 1, from the mel of that part of the audio."""
        starts = np.floor(np.arange(first, last) * _COLUMNS_PER_FRAME + 1e-6).astype(int)
        begin = max(0, int(starts[0]) - _EDGE_COLUMNS)
        end = int(starts[-1]) + WINDOW_MEL_COLUMNS + _EDGE_COLUMNS
        # mel_spectrogram mirrors its input at both ends; only the true ends of the audio may show that.
        from lipsync.sync_score.clip_embedding import embed_mels

        mel = mel_spectrogram(AudioClip(self._audio.samples[begin * HOP : end * HOP]))
        release(self._audio.samples)
        views = np.lib.stride_tricks.sliding_window_view(mel, WINDOW_MEL_COLUMNS, axis=1)
        return embed_mels(self._expert, views[:, starts - begin].transpose(1, 0, 2))
