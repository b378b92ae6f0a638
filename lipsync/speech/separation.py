"""Vocal separation by Hybrid Transformer Demucs.

Rouard et al., "Hybrid Transformers for Music Source Separation", 2022,
arXiv 2211.08553. The package demucs is optional, and only its network is used: its own loader downloads
files and instantiates the class that they name.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lipsync.devices import choose_device
from lipsync.errors import ToolError, WeightsError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech.vad import SAMPLE_RATE
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.cancellable import CancellableCalls
from lipsync.utils.mapped_array import large_zeros, pieces, release
from lipsync.weights import require
from lipsync.weights.weights_file import reading_errors

if TYPE_CHECKING:
    import torch

_STAGE = "Separating the voice"
_CLASS = "demucs.htdemucs.HTDemucs"
_TICKS = 100  # per second: segments begin on a grid that is whole samples at all usual rates
_OVERLAP = 0.25  # share of a segment, as in demucs


def separate_voice(
    clip: AudioClip,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    device: str = "auto",
    weights: Path | None = None,
) -> AudioClip:
    """Separate the voice in `clip` from everything else.

    Best from 44.1 kHz, the rate of the network; other rates are resampled. Works in overlapping segments
    of a few seconds, so that an hour needs little memory beyond its own.

    Args:
        clip: at a multiple of 100 Hz.
        device: as in `GeneratorOptions`.
        weights: a file in the format of `adefossez/HTDemucs`; None is that of the catalogue.

    Returns:
        The voice at 16 kHz, as long as `clip`.

    Raises:
        ToolError: the package demucs is missing.
        DownloadError, WeightsError: its weights cannot be downloaded, or are of another network.
        ValueError: the sample rate is not a multiple of 100 Hz.
        Cancelled: the token was cancelled.
    """
    audio = _Audio(clip.samples[:, None], clip.sample_rate)
    voice = _separated(audio, SAMPLE_RATE, progress, cancel or CancelToken(), device, weights)[:, 0]
    for part in pieces(voice):
        np.clip(part, -1, 1, out=part)
    return AudioClip(voice, SAMPLE_RATE)


def separate_vocals(
    samples: FloatArray,
    sample_rate: int,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    device: str = "auto",
    weights: Path | None = None,
) -> FloatArray:
    """Separate the voices of a mix at its own rate and channels; the mix less them is music and noise.

    Args:
        samples: float32 (n, channels), one channel or two, at a multiple of 100 Hz.
        device, weights: as for `separate_voice`.

    Returns:
        float32 (n, channels), possibly in a temporary file, as `large_zeros`.

    Raises:
        ToolError, DownloadError, WeightsError, ValueError, Cancelled: as `separate_voice`.
    """
    audio = _Audio(samples, sample_rate)
    return _separated(audio, sample_rate, progress, cancel or CancelToken(), device, weights)


def require_separation() -> None:
    """Check that voices can be separated.

    Raises:
        ToolError: the package demucs is missing.
    """
    try:
        import demucs.htdemucs  # noqa: F401 - availability
    except ImportError as error:
        hint = "Install it with: pip install 'demucs>=4.1', or do without 'separate_voice' and 'background'."
        raise ToolError("Separating the voice needs the package demucs", hint=hint) from error


class _Audio(NamedTuple):
    """Samples, float32 (n, channels), and their rate."""

    samples: FloatArray
    rate: int


def _separated(
    audio: _Audio,
    rate: int,
    progress: ProgressCallback,
    cancel: CancelToken,
    device: str,
    weights: Path | None,
) -> FloatArray:
    """The voices at another rate, float32 (n, channels), by overlap-add of segments."""
    if audio.rate % _TICKS:
        raise ValueError(f"the sample rate must be a multiple of {_TICKS} Hz, got {audio.rate}")
    require_separation()
    path = weights or require("htdemucs", progress=progress, cancel=cancel)
    seconds = len(audio.samples) / audio.rate
    with CancellableCalls(cancel, _STAGE) as calls:
        network = calls.run(load_demucs, path, choose_device(device))
        stage = StageProgress(_STAGE, round(seconds), progress, cancel, unit="s")
        voice = large_zeros((-(-len(audio.samples) * rate // audio.rate), audio.samples.shape[1]))
        total = large_zeros(len(voice))
        ticks = round(float(network.segment) * _TICKS)
        fade = _triangle(ticks * rate // _TICKS)
        scale = _mean_and_std(audio.samples)
        for start in range(0, max(1, math.ceil(seconds * _TICKS)), round(ticks * (1 - _OVERLAP))):
            segment = calls.run(_vocals, network, _segment(audio, start, ticks, scale[0]), rate, scale)
            first = start * rate // _TICKS
            span = slice(first, first + len(segment))
            voice[span] += (segment * fade[:, None])[: len(voice) - first]
            total[span] += fade[: len(voice) - first]
            for array in (audio.samples, voice, total):
                release(array)
            stage.advance(min(stage.total, (start + ticks) // _TICKS) - stage.done)
    for part, weight in zip(pieces(voice), pieces(total), strict=True):
        np.divide(part, weight[:, None], out=part, where=weight[:, None] > 0)
    return voice


# ------------------------------------------------------------------------------------ the network


def load_demucs(path: Path, device: torch.device) -> Any:
    """Load HTDemucs from a safetensors file whose header holds its arguments as JSON.

    No other class is instantiated, whatever the header names, so the file cannot choose code to run.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    import torch
    from demucs.htdemucs import HTDemucs

    from lipsync.weights.checkpoint import check_fits, load_into, load_safetensors

    try:
        state, header = load_safetensors(path)
        if header.get("klass") != _CLASS:
            raise WeightsError("The weights are not those of HTDemucs", given=path)
        with reading_errors(path):
            args, kwargs = (json.loads(header[key], object_hook=_fraction) for key in ("args", "kwargs"))
            with torch.device("meta"):  # takes no memory, whatever sizes the header claims
                claimed = HTDemucs(*args, **kwargs)
    except WeightsError as error:
        what = f"The weights that separate a voice cannot be read ({error.what[0].lower()}{error.what[1:]})"
        raise WeightsError(what, given=error.given, hint=error.hint) from error
    check_fits(claimed, state, what="HTDemucs", path=path)
    if "vocals" not in claimed.sources:
        raise WeightsError("The weights have no vocals output", given=path)
    network = HTDemucs(*args, **kwargs)
    load_into(network, state, what="HTDemucs", path=path)
    return network.eval().requires_grad_(False).to(device)


def _fraction(value: dict[str, Any]) -> Any:
    """JSON object hook: the header stores the segment length as {"_type": "fraction", …}."""
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return value


def _vocals(network: Any, audio: _Audio, rate: int, scale: tuple[float, float]) -> FloatArray:
    """The voices of one segment, (n, channels); the network takes stereo, standardised over the whole."""
    import torch

    mean, std = scale
    samples = _resample((audio.samples - mean) / std, audio.rate, network.samplerate)
    device = next(network.parameters()).device
    mix = torch.from_numpy(samples.T.copy()).to(device).expand(network.audio_channels, -1)
    with torch.inference_mode():
        voice = network(mix[None])[0, network.sources.index("vocals")]
    if audio.samples.shape[1] == 1:
        voice = voice.mean(0, keepdim=True)
    return _resample(voice.T.float().cpu().numpy() * std + mean, network.samplerate, rate)


# ------------------------------------------------------------------------------------- the segments


def _segment(audio: _Audio, start: int, ticks: int, mean: float) -> _Audio:
    """`ticks` hundredths of a second from `start` on, padded with silence after the end."""
    step = audio.rate // _TICKS
    samples = audio.samples[start * step : (start + ticks) * step]
    missing = ticks * step - len(samples)
    return _Audio(np.pad(samples, ((0, missing), (0, 0)), constant_values=mean), audio.rate)


def _resample(samples: FloatArray, rate: int, wanted: int) -> FloatArray:
    from scipy.signal import resample_poly  # imported here: it takes a second

    return np.asarray(resample_poly(samples, wanted, rate), np.float32)


def _triangle(length: int) -> FloatArray:
    """Weights of the samples of a segment for overlap-add."""
    rising = np.arange(1, length // 2 + 1, dtype=np.float32)
    falling = np.arange(length - length // 2, 0, -1, dtype=np.float32)
    return np.asarray(np.concatenate([rising, falling]) / rising[-1], np.float32)


def _mean_and_std(samples: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation, without a copy of the samples."""
    mean = sum(float(block.sum(dtype=np.float64)) for block in pieces(samples)) / max(1, samples.size)
    power = sum(float(np.square(block, dtype=np.float64).sum()) for block in pieces(samples))
    return mean, max(0.0, power / max(1, samples.size) - mean**2) ** 0.5 + 1e-8
