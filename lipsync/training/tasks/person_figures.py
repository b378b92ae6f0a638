"""Figures that say whether tuning the built-in model to a person helped."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.generators.builtin.adapter import Builtin
from lipsync.generators.builtin.network import BuiltinNetwork
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.metrics.mouth_image import at_like_openings
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import FPS, SAMPLE_RATE, without_margin
from lipsync.types import AudioClip, FloatArray, Frame, PixelBox

_FRAMES = 150
_BLUR_PENALTY = 0.5
"""What a lost share of the sharpness costs in the score, of the L1."""
_HELPED = 0.98
"""Score below which the tuning helped; the original's is 1."""
_MAX_LOSS = 0.1
"""Share of sharpness and contrast that may be lost under another voice; what exceeds 1 may be lost too."""


@dataclass(frozen=True)
class PersonFigures:
    """Likeness of mouths drawn from other frames to the real ones.

    Attributes:
        l1: mean absolute difference at the mouth, of 1.
        ssim: structural similarity in the rectangle around the mouth.
        sharpness: gradient energy at the mouth over that of the real one.
    """

    l1: float
    ssim: float
    sharpness: float


@dataclass(frozen=True)
class OtherVoiceFigures:
    """Mouths drawn with another voice over the person's own, at like openings.

    Attributes:
        sharpness: of the lips, see `MouthSharpness`; NaN where no openings are alike.
        contrast: range of lightness inside the open mouth, see `MouthContrast`; NaN likewise.
    """

    sharpness: float
    contrast: float


def score(before: PersonFigures, now: PersonFigures) -> float:
    """The score to minimise, 1 for the original: the L1 over the original's, and a penalty for blur."""
    lost = max(0.0, 1 - now.sharpness / max(before.sharpness, 1e-9))
    return now.l1 / max(before.l1, 1e-9) + _BLUR_PENALTY * lost


def has_helped(
    before: tuple[PersonFigures, OtherVoiceFigures], now: tuple[PersonFigures, OtherVoiceFigures]
) -> bool:
    """Whether the tuned model is better enough.

    Mouths must be closer to the real ones and as similar, and in use about as sharp and as rich in contrast.
    """
    closer = score(before[0], now[0]) <= _HELPED and now[0].ssim >= before[0].ssim
    kept = ((before[1].sharpness, now[1].sharpness), (before[1].contrast, now[1].contrast))
    return closer and not any(new < min(old, 1.0) - _MAX_LOSS for old, new in kept)


def measure_other_voice(network: BuiltinNetwork, clips: Sequence[Clip]) -> OtherVoiceFigures:
    """Draw the validation split with the voice of the train split, each frame its own reference.

    Args:
        network: it is not changed.
        clips: of one person.
    """
    crops = _val_crops(clips)
    voice = np.concatenate([clip.audio for clip in clips if clip.split == "train"])
    voice = voice[: (len(crops) // FPS + 2) * SAMPLE_RATE]
    generator = Builtin(copy.deepcopy(network), device="cpu")
    rows = generator.encode_audio(AudioClip(voice, SAMPLE_RATE), FPS, len(crops))
    meter = LipMeter(LipLocator())
    for drawn, crop in zip(generator.generate(crops, rows), crops, strict=True):
        meter.update(_to_frame(drawn), crop, PixelBox(0, 0, crop.shape[1], crop.shape[0]))
    nothing = np.zeros(len(crops), np.float32)
    observed = meter.observation(nothing, nothing > 0)
    result, source = observed.result, observed.source
    assert source is not None
    return OtherVoiceFigures(
        *(
            at_like_openings(drawn, result.opening, real, source.opening)
            for drawn, real in ((result.sharpness, source.sharpness), (result.contrast, source.contrast))
        )
    )


def _val_crops(clips: Sequence[Clip]) -> list[Frame]:
    """The first frames of the validation split without margin."""
    crops: list[Frame] = []
    for clip in clips:
        if clip.split == "val" and clip.crops is not None:
            crops += map(np.ascontiguousarray, without_margin(clip.crops[: _FRAMES - len(crops)]))
    return crops


def _to_frame(drawn: FloatArray) -> Frame:
    levels = np.clip(np.rint(drawn.transpose(1, 2, 0) * 255), 0, 255)
    return np.ascontiguousarray(levels, np.uint8)
