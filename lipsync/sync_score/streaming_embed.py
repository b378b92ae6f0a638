"""Pictures and sound as a sync expert takes them: windows of five frames at 25 fps, as they stream past.

Window n is frames n to n + 4, the sound from n / 25 s on for 0.2 s.
"""

from __future__ import annotations

import numpy as np

from lipsync.media.audio.mel import HOP, mel_spectrogram
from lipsync.sync_score.base import COLUMNS, FRAMES, SyncExpert
from lipsync.sync_score.clip_embedding import embed_mels, embed_pictures
from lipsync.sync_score.offset import REACH
from lipsync.types import AudioClip, FloatArray, Frame

METER_FPS = 25
"""Frames per second that experts were trained at."""
_COLUMNS_A_FRAME = 3.2  # 16 000 samples a second, 200 a column, 25 frames a second
_EDGE = 4  # columns that an end of a piece of sound reaches into its mel
_BLOCK = 256  # windows of sound at a time, ten seconds
_KEPT_BLOCKS = 3
_PICTURES_AT_A_TIME = 64
_FRAME_SAMPLES = 640
_SILENT = -120.0


class FaceWindows:
    """Embeds the pictures of one face, given one by one.

    What is held are at most 64 pictures of 48x96.
    """

    def __init__(self, expert: SyncExpert) -> None:
        self._expert = expert
        self._waiting: list[Frame] = []
        self._first = 0

    def push(self, number: int, picture: Frame) -> tuple[int, FloatArray] | None:
        """Take frame `number`; where it doesn't follow on the one before, a new run of windows begins.

        Args:
            picture: (48, 96, 3) RGB uint8, see `crop_lower_face`.

        Returns:
            When there are enough: the number of the first window, and (n, D) of n in a row.
        """
        done = None
        if number != self._first + len(self._waiting):
            done = self.flush()
        if not self._waiting:
            self._first = number
        self._waiting.append(picture)
        if len(self._waiting) == _PICTURES_AT_A_TIME:
            done = self._embed()
            self._waiting = self._waiting[1 - FRAMES :]  # the last four begin the next windows
            self._first = number - len(self._waiting) + 1
        return done

    def flush(self) -> tuple[int, FloatArray] | None:
        """End the run: its last windows, or None where there are none."""
        done = self._embed() if len(self._waiting) >= FRAMES else None
        self._waiting = []
        return done

    def _embed(self) -> tuple[int, FloatArray]:
        return self._first, embed_pictures(self._expert, np.stack(self._waiting))


class SoundWindows:
    """Embeds the windows of a voice when they are asked for, in blocks; the last few are kept.

    Args:
        voice: at 16 kHz; its time 0 is that of frame 0.

    Attributes:
        count: windows that lie wholly within the voice.
    """

    def __init__(self, expert: SyncExpert, voice: AudioClip) -> None:
        self._expert, self._voice = expert, voice
        spare = 1 + len(voice.samples) // HOP - COLUMNS
        self.count = int((spare + 1) / _COLUMNS_A_FRAME - 1e-6) + 1 if spare >= 0 else 0
        self._blocks: dict[int, FloatArray] = {}

    def similarity(self, first: int, faces: FloatArray) -> FloatArray:
        """What windows of pictures have in common with the voice at each offset.

        Args:
            first: number of the first window.
            faces: (n, D), windows in a row.

        Returns:
            (n, 31) dot products for offsets -15 .. 15, as `similarity_by_offset`; NaN where the voice
            has no such window.
        """
        heard = self._rows(first - REACH, first + len(faces) + REACH, faces.shape[1])
        around = np.lib.stride_tricks.sliding_window_view(heard, 2 * REACH + 1, axis=0)  # (n, D, 31)
        by_place: FloatArray = np.einsum("nd,ndk->nk", faces, around)
        return by_place[:, ::-1]  # at offset o stands sound n - o

    def loudness(self, first: int, count: int) -> FloatArray:
        """Root mean square of windows in a row, (count,) in dB of full scale; -120 beyond the voice."""
        out = np.full(count, _SILENT, np.float32)
        for row in range(count):
            start = max(0, (first + row) * _FRAME_SAMPLES)
            part = self._voice.samples[start : start + FRAMES * _FRAME_SAMPLES]
            if len(part):
                out[row] = 10 * np.log10(max(float(np.square(part).mean()), 10 ** (_SILENT / 10)))
        return out

    def _rows(self, first: int, last: int, size: int) -> FloatArray:
        """Windows `first` to `last` - 1, (last - first, size); NaN where the voice has no such window."""
        out = np.full((last - first, size), np.nan, np.float32)
        start, stop = max(first, 0), min(last, self.count)
        while start < stop:
            block, at = divmod(start, _BLOCK)
            part = self._block(block)[at : at + stop - start]
            out[start - first : start - first + len(part)] = part
            start += len(part)
        return out

    def _block(self, number: int) -> FloatArray:
        if number not in self._blocks:
            while len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[number] = self._embed(number * _BLOCK, min((number + 1) * _BLOCK, self.count))
        return self._blocks[number]

    def _embed(self, first: int, last: int) -> FloatArray:
        """Windows `first` to `last` - 1, from the mel of that part of the voice."""
        starts = np.floor(np.arange(first, last) * _COLUMNS_A_FRAME + 1e-6).astype(int)
        begin, end = max(0, int(starts[0]) - _EDGE), int(starts[-1]) + COLUMNS + _EDGE
        # The mel is mirrored at both ends of what it is given; at the voice's own, as in training.
        mel = mel_spectrogram(AudioClip(self._voice.samples[begin * HOP : end * HOP]))
        views = np.lib.stride_tricks.sliding_window_view(mel, COLUMNS, axis=1)
        return embed_mels(self._expert, views[:, starts - begin].transpose(1, 0, 2))
