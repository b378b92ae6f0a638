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
from typing import Any

import numpy as np
import torch

from lipsync.devices import choose_device
from lipsync.errors import ToolError, WeightsError
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech.vad import SAMPLE_RATE
from lipsync.types import AudioClip, FloatArray
from lipsync.utils.cancellable import CancellableCalls
from lipsync.utils.mapped_array import large_zeros, pieces, release
from lipsync.weights import load_into, require
from lipsync.weights.checkpoint import check_fits, load_safetensors
from lipsync.weights.weights_file import reading_errors

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
    cancel = cancel or CancelToken()
    if clip.sample_rate % _TICKS:
        raise ValueError(f"the sample rate must be a multiple of {_TICKS} Hz, got {clip.sample_rate}")
    _require_demucs()
    path = weights or require("htdemucs", progress=progress, cancel=cancel)
    with CancellableCalls(cancel, _STAGE) as calls:
        network = calls.run(load_demucs, path, choose_device(device))
        stage = StageProgress(_STAGE, round(clip.duration), progress, cancel)
        voice = large_zeros(-(-len(clip.samples) * SAMPLE_RATE // clip.sample_rate))
        total = large_zeros(len(voice))
        ticks = round(float(network.segment) * _TICKS)
        fade = _triangle(ticks * SAMPLE_RATE // _TICKS)
        mean, std = _mean_and_std(clip.samples)
        for start in range(0, max(1, math.ceil(clip.duration * _TICKS)), round(ticks * (1 - _OVERLAP))):
            segment = calls.run(_vocals, network, _segment(clip, start, ticks, mean), mean, std)
            first = start * SAMPLE_RATE // _TICKS
            span = slice(first, first + len(segment))
            voice[span] += (segment * fade)[: len(voice) - first]
            total[span] += fade[: len(voice) - first]
            for array in (clip.samples, voice, total):
                release(array)
            stage.advance(min(stage.total, (start + ticks) // _TICKS) - stage.done)
    for part, weight in zip(pieces(voice), pieces(total), strict=True):
        np.divide(part, weight, out=part, where=weight > 0)
        np.clip(part, -1, 1, out=part)
    return AudioClip(voice, SAMPLE_RATE)


# ------------------------------------------------------------------------------------ the network


def _require_demucs() -> None:
    try:
        import demucs.htdemucs  # noqa: F401 - availability
    except ImportError as error:
        hint = "Install it with: pip install 'demucs>=4.1', or switch 'separate_voice' off."
        raise ToolError("Separating the voice needs the package demucs", hint=hint) from error


def load_demucs(path: Path, device: torch.device) -> Any:
    """Load HTDemucs from a safetensors file whose header holds its arguments as JSON.

    No other class is instantiated, whatever the header names, so the file cannot choose code to run.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    from demucs.htdemucs import HTDemucs

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


@torch.inference_mode()
def _vocals(network: Any, clip: AudioClip, mean: float, std: float) -> FloatArray:
    """The voice of one segment at 16 kHz; the network takes stereo, standardised over the whole clip."""
    samples = _resample((clip.samples - mean) / std, clip.sample_rate, network.samplerate)
    device = next(network.parameters()).device
    mix = torch.from_numpy(samples).to(device).expand(1, network.audio_channels, -1)
    voice = network(mix)[0, network.sources.index("vocals")].mean(0).float().cpu().numpy()
    return _resample(voice * std + mean, network.samplerate, SAMPLE_RATE)


# ------------------------------------------------------------------------------------- the segments


def _segment(clip: AudioClip, start: int, ticks: int, mean: float) -> AudioClip:
    """`ticks` hundredths of a second from `start` on, padded with silence after the end."""
    step = clip.sample_rate // _TICKS
    samples = clip.samples[start * step : (start + ticks) * step]
    missing = ticks * step - len(samples)
    return AudioClip(np.pad(samples, (0, missing), constant_values=mean), clip.sample_rate)


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
    mean = sum(float(block.sum(dtype=np.float64)) for block in pieces(samples)) / max(1, len(samples))
    power = sum(float(np.square(block, dtype=np.float64).sum()) for block in pieces(samples))
    return mean, max(0.0, power / max(1, len(samples)) - mean**2) ** 0.5 + 1e-8
