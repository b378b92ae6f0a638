"""Speech encoder: the first layers of Whisper's audio encoder, at 50 Hz.

Radford et al., ICML 2023, arXiv 2212.04356; weights and code of OpenAI's Whisper are under the MIT licence
(`LICENCE`). What lips do is easiest to read from the second to fourth layer, long before the words.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lipsync.generators.builtin.layers import dtype_of
from lipsync.generators.builtin.log_mel import ENCODING, MEL_RATE, SAMPLE_RATE, loudness, speech_level
from lipsync.media.audio.mel import slaney_filters
from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from lipsync.utils.mapped_array import release

LICENCE = """Speech encoder: first layers of OpenAI Whisper's audio encoder (https://github.com/openai/whisper),
tuned where the file says so. MIT License. Copyright (c) 2022 OpenAI. Permission is hereby granted, free of
charge, to any person obtaining a copy of this software and associated documentation files (the "Software"),
to deal in the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions: The above copyright notice and this
permission notice shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS
PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER
DEALINGS IN THE SOFTWARE.""".replace("\n", " ")
FEATURE_RATE = 50
"""Feature vectors per second; vector k is centred on second k / FEATURE_RATE."""
_FFT, _HOP = 400, SAMPLE_RATE // MEL_RATE
_LEVEL_DB, _MAX_GAIN_DB = -20.0, 30.0
"""Speech level, dB of full scale, that recordings are brought to, and the most that they are raised by."""
_TOP, _DECADES = 1.5, 8.0
"""Log10 of the loudest mel band of levelled speech, and what is kept below it.

Whisper takes the loudest of each recording. Of levelled speech it is nearly constant, and a constant keeps
every moment independent of a bang elsewhere.
"""
_PADDING = MEL_RATE // 2
"""Columns of silence before and after the audio, so that the first sound has a start."""
_PIECE, _CONTEXT = 8 * MEL_RATE, 2 * MEL_RATE
"""Columns that are encoded at a time, and further ones to either side that only attention sees."""
_LONGEST_PERIOD = 10_000


class _Layer(nn.Module):
    """Transformer layer with normalisation before attention and matrices."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, width)."""
        joined: Tensor = self.query_key_value(self.attention_norm(x))
        query, key, value = joined.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value)
        x = x + self.attention_out(seen.transpose(1, 2).flatten(2))
        out: Tensor = x + self.down(F.gelu(self.up(self.norm(x))))
        return out


class SpeechEncoder(nn.Module):
    """Two convolutions and the first transformer layers of Whisper's encoder.

    Attribute names are keys of the weights file.

    Args:
        layers: transformer layers.
        width: of the features.
        heads: of the attention.
        mels: bands of the spectrogram.
    """

    def __init__(self, layers: int, width: int, heads: int, mels: int = 80) -> None:
        super().__init__()
        self.width, self.heads, self.mels = width, heads, mels
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, mels, T) of `whisper_mel` -> (B, width, T / 2) at 50 Hz."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel.to(dtype_of(self))))))
        x = x.mT + sinusoids(x.shape[2], self.width).to(x)
        for layer in self.layers:
            x = layer(x)
        return x.mT

    def encode(self, samples: FloatArray, cancel: CancelToken | None = None) -> FloatArray:
        """Features of a whole recording.

        Returns:
            float32 (width, T) at 50 Hz, T being about n / 320; see `encode_pieces`.

        Raises:
            Cancelled: the token was cancelled.
        """
        return np.concatenate([*self.encode_pieces(samples, cancel)], axis=1)

    def encode_pieces(self, samples: FloatArray, cancel: CancelToken | None = None) -> Iterator[FloatArray]:
        """Features of a whole recording, some seconds at a time.

        Positions begin at 0 in every piece. Each vector depends on 2 to 10 s of audio to either side, and
        on the level of the recording.

        Args:
            samples: float32 (n,) in [-1, 1] at 16 kHz.
            cancel: checked between pieces.

        Yields:
            float32 (width, t) at 50 Hz, about n / 320 vectors in all.

        Raises:
            Cancelled: the token was cancelled.
        """
        gain, columns = level_gain(samples, cancel), mel_columns(samples, _PADDING)
        of_silence: dict[int, FloatArray] = {}  # by length; of a few lines in an hour nearly all is silent
        for first, start, stop, last in _pieces(columns):
            if cancel is not None:
                cancel.check(ENCODING)
            mel = _mel_piece(samples, gain, self.mels, _PADDING, range(first, last))
            release(samples)
            silent = _is_silent(mel)
            features = of_silence.get(last - first) if silent else None
            if features is None:
                features = self._features(mel)
            if silent:
                of_silence[last - first] = features
            # The silence at either end is left out.
            kept = range(max(start, _PADDING) // 2, min(stop, columns - _PADDING) // 2)
            yield features[:, kept.start - first // 2 : kept.stop - first // 2]

    @torch.inference_mode()
    def _features(self, mel: FloatArray) -> FloatArray:
        """(mels, T) of `whisper_mel` -> (width, T / 2)."""
        device = next(self.parameters()).device
        out: Tensor = self(torch.from_numpy(mel)[None].to(device))[0]
        return np.asarray(out.float().cpu().numpy(), np.float32)


def _is_silent(mel: FloatArray) -> bool:
    return bool(mel.max() == mel.min())


def levelled_mel(samples: FloatArray, bands: int = 80) -> FloatArray:
    """Input of the encoder: `whisper_mel` of levelled audio between two half seconds of silence.

    Returns:
        float32 (bands, T) at 100 Hz, T even.
    """
    return whisper_mel(level_speech(samples), bands, _PADDING)


def encode_mel(encoder: SpeechEncoder, mel: Tensor) -> Tensor:
    """Features of `levelled_mel` (B, mels, T) without the silence at either end, (B, width, T / 2 - 50)."""
    out: Tensor = encoder(mel)
    return out[..., _PADDING // 2 : -(_PADDING // 2)]


def _pieces(columns: int) -> Iterator[tuple[int, int, int, int]]:
    """First column with context, first, end, and end with context of each piece; all even."""
    count = 1 if columns <= _PIECE + 2 * _CONTEXT else -(-columns // _PIECE)
    edges = [2 * round(columns / 2 * i / count) for i in range(count)] + [columns]
    for start, stop in pairwise(edges):
        yield max(0, start - _CONTEXT), start, stop, min(columns, stop + _CONTEXT)


def level_speech(samples: FloatArray) -> FloatArray:
    """Audio brought to a speech level of -20 dB; what is below -50 dB is raised by 30 dB.

    Args:
        samples: float32 (n,) at 16 kHz.
    """
    return np.asarray(samples * level_gain(samples), np.float32)


def level_gain(samples: FloatArray, cancel: CancelToken | None = None) -> np.float32:
    """The factor of `level_speech`."""
    level = speech_level(loudness(samples, cancel))
    return np.float32(10 ** (min(_LEVEL_DB - level, _MAX_GAIN_DB) / 20))


def whisper_mel(samples: FloatArray, bands: int = 80, padding: int = 0) -> FloatArray:
    """Log-mel spectrogram as Whisper makes it, of levelled audio.

    Windows of 25 ms, power, Slaney's mel bands, log10, the last 8 decades below `_TOP`, (x + 4) / 4.

    Args:
        samples: float32 (n,) at 16 kHz, from `level_speech`.
        bands: number of mel bands.
        padding: columns of silence before and after.

    Returns:
        float32 (bands, T) at 100 Hz, T even; column k is centred on second k / 100 - padding / 100.
    """
    columns = mel_columns(samples, padding)
    parts = [
        _mel_piece(samples, np.float32(1), bands, padding, range(start, min(columns, start + 60 * MEL_RATE)))
        for start in range(0, columns, 60 * MEL_RATE)  # the spectra of an hour would fill the memory
    ]
    return np.concatenate(parts, axis=1)


def mel_columns(samples: FloatArray, padding: int = 0) -> int:
    """Number of columns of `whisper_mel`; even."""
    columns = len(samples) // _HOP + 1 + 2 * padding
    return columns + columns % 2


def _mel_piece(samples: FloatArray, gain: np.float32, bands: int, padding: int, columns: range) -> FloatArray:
    """Some columns of `whisper_mel` of the audio times `gain`, float32 (bands, columns)."""
    first = (columns.start - padding) * _HOP - _FFT // 2
    last = (columns.stop - 1 - padding) * _HOP + _FFT // 2
    heard = samples[max(0, first) : max(0, last)]
    if not heard.any():
        return np.repeat(_log_scale(np.zeros((bands, 1), np.float32)), len(columns), axis=1)
    heard = heard * gain
    padded = np.pad(heard, (max(0, min(last, 0) - first), max(0, last - max(first, len(samples)))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames * window)))
    mel = power.astype(np.float32) @ _filters(bands).T
    return np.ascontiguousarray(_log_scale(mel).T, np.float32)


def _log_scale(mel: FloatArray) -> FloatArray:
    logarithm = np.maximum(np.log10(np.maximum(mel, 1e-10)), _TOP - _DECADES)
    return np.asarray((logarithm + 4) / 4)


@cache
def _filters(bands: int) -> FloatArray:
    return slaney_filters(_FFT, bands, 0.0, SAMPLE_RATE / 2)


def sinusoids(length: int, width: int) -> Tensor:
    """Positions of Vaswani et al., arXiv 1706.03762, sines before cosines; float32 (length, width)."""
    half = width // 2
    rates = torch.exp(-np.log(_LONGEST_PERIOD) / (half - 1) * torch.arange(half))
    angles = torch.arange(length)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)
