"""Speaker embeddings: vectors that are alike where the same voice speaks.

Wan et al., "Generalized End-to-End Loss for Speaker Verification" (ICASSP 2018), with network and weights of
Resemblyzer (Resemble AI, Apache License 2.0; its text is in the header of the file that ships).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.devices import ThreadLimit
from lipsync.media.audio.mel import SAMPLE_RATE, slaney_filters
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FloatArray
from lipsync.weights import load_into, load_state_dict

EMBEDDING_SECONDS = 1.6
"""Length of the sound that one embedding describes."""
_BANDS, _HIDDEN = 40, 256
_N_FFT, _HOP = 400, 160
_COLUMNS = round(EMBEDDING_SECONDS * SAMPLE_RATE) // _HOP
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
_LEVEL = 10 ** (-30 / 20)
"""Effective value of the sound that the network was trained on, -30 dB of full scale."""
_BATCH = 32


class VoiceEncoder(nn.Module):
    """GE2E speaker encoder: three LSTM layers over mel columns."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _HIDDEN, 3, batch_first=True)
        self.linear = nn.Linear(_HIDDEN, _HIDDEN)

    def forward(self, mel: Tensor) -> Tensor:
        """Embeddings (B, 256) of length 1 of mel spectrograms (B, T, 40)."""
        _, (hidden, _) = self.lstm(mel)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def load_voice_encoder(path: Path) -> VoiceEncoder:
    """The encoder for inference, on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or holds another network.
    """
    state = {name: value.float() for name, value in load_state_dict(path).items()}
    encoder = VoiceEncoder()
    load_into(encoder, state, what="the voice encoder", path=path)
    return encoder.eval().requires_grad_(False)


def embed_voices(
    encoder: VoiceEncoder, audio: AudioClip, seconds: FloatArray, cancel: CancelToken | None = None
) -> FloatArray:
    """Embeddings of the sound around each of these times, float32 (N, 256), each of length 1.

    Args:
        audio: mono at 16 kHz.
        seconds: (N,) the middle of each stretch of `EMBEDDING_SECONDS`; beyond the ends there is silence.

    Raises:
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    power = float(np.mean(np.square(audio.samples, dtype=np.float64))) if len(audio.samples) else 0.0
    gain = _LEVEL / max(power**0.5, 1e-9)
    filters = slaney_filters(_N_FFT, _BANDS, 0, SAMPLE_RATE / 2)
    out = np.zeros((len(seconds), _HIDDEN), np.float32)
    # One thread: the steps of an LSTM are too small to share, 4 ms for an embedding.
    with ThreadLimit().limit(1), torch.inference_mode():
        for start in range(0, len(seconds), _BATCH):
            cancel.check("Listening to voices")
            part = slice(start, min(start + _BATCH, len(seconds)))
            mel = np.stack([_mel(audio.samples, float(at), gain, filters) for at in seconds[part]])
            out[part] = encoder(torch.from_numpy(mel)).numpy()
    return out


def _mel(samples: FloatArray, middle: float, gain: float, filters: FloatArray) -> FloatArray:
    """Mel power spectrogram of the sound around a time, float32 (160, 40)."""
    first = round((middle - EMBEDDING_SECONDS / 2) * SAMPLE_RATE) - _N_FFT // 2
    last = first + (_COLUMNS - 1) * _HOP + _N_FFT
    part = samples[max(0, first) : max(0, last)]
    heard = np.zeros(last - first, np.float32)
    begin = max(0, -first)
    heard[begin : begin + len(part)] = part * gain
    windows = np.lib.stride_tricks.sliding_window_view(heard, _N_FFT)[::_HOP]
    power = np.abs(np.fft.rfft(windows * _HANN, axis=1)) ** 2
    return np.asarray(power @ filters.T, np.float32)
