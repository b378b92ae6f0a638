"""Evaluation of the built-in model by face landmarks and a sync expert.

Each clip is rendered three times: with its own audio, with another clip's audio, and with silence. A
mouth that follows the audio moves with the other audio and rests in silence; where the source's mouth
leaks through, it moves with the source instead. The expert should be one that the model was not
trained with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt
import torch

from lipsync.generators.builtin.adapter import Builtin
from lipsync.generators.builtin.log_mel import MEL_RATE, SAMPLE_RATE, loudness
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.metrics.ssim import ssim_map
from lipsync.sync_score import (
    CompactSyncNet,
    embed_clip,
    estimate_sync,
    similarity_by_offset,
    split_into_seconds,
)
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.training.data.dataset import Clip
from lipsync.training.data.dataset_format import FPS, resize_images, without_margin
from lipsync.training.data.landmarks import FaceLandmarker
from lipsync.training.data.mel_windows import mel_windows
from lipsync.training.tasks.losses import feature_distance
from lipsync.training.tasks.shape_figures import opening_weights
from lipsync.types import AudioClip, FloatArray

Images = npt.NDArray[np.uint8]
_MOUTH = (slice(None), slice(64, 120), slice(24, 104))
"""The mouth's region of face crops (T, 128, 128, 3)."""
_FEATURE_STRIDE = 3  # every third frame
_SSIM_STRIDE = 5


@dataclass(frozen=True)
class MouthFigures:
    """Figures of one clip; openings in distances between the eyes.

    Attributes:
        real_loudness: correlation of the real opening with the loudness of the clip's own audio.
        own_loudness: the same of the opening rendered with its own audio.
        own_real: correlation of the opening rendered with its own audio with the real one.
        other_requested: correlation of the opening rendered with other audio with the requested one.
        other_loudness: the same with the loudness of that audio.
        other_real: the same with the mouth of the source, which should not show.
        real_moves, own_moves, other_moves, silent_moves: standard deviations of the openings.
        real_opening, own_opening, silent_opening: their means.
        own_l1, own_ssim: L1 in [0, 1] and SSIM of the mouth's region rendered with its own audio.
        own_distance: its `feature_distance` from the real one.
        far_distance: that of the real mouth and the real one 0.4 s earlier, for comparison.
        real_offset, own_offset, other_offset: 1 where the expert finds the audio within one frame of
            where it is, among 31 offsets, else 0; the real clip's known delay is removed.
        real_seconds, own_seconds, other_seconds: the share of single seconds in which it does.
        real_margin, own_margin, other_margin: the expert's confidence, see `SyncEstimate`.
    """

    real_loudness: float
    own_loudness: float
    own_real: float
    other_requested: float
    other_loudness: float
    other_real: float
    real_moves: float
    own_moves: float
    other_moves: float
    silent_moves: float
    real_opening: float
    own_opening: float
    silent_opening: float
    own_l1: float
    own_ssim: float
    own_distance: float
    far_distance: float
    real_offset: float
    own_offset: float
    other_offset: float
    real_seconds: float
    own_seconds: float
    other_seconds: float
    real_margin: float
    own_margin: float
    other_margin: float


@dataclass(frozen=True, repr=False)
class _Rendering:
    """Rendered crops (T, 128, 128, 3), openings (T,) and requested shapes."""

    crops: Images
    openings: FloatArray
    shapes: FloatArray


def evaluate_clip(
    generator: Builtin,
    clip: Clip,
    other_audio: FloatArray,
    landmarker: FaceLandmarker,
    expert: CompactSyncNet,
    frames: int = 250,
) -> MouthFigures:
    """Render one clip and measure the result.

    Args:
        clip: with crops.
        other_audio: of another person, float32 (n,) at 16 kHz; repeated where it is shorter.
        frames: of the clip that are used at most.
    """
    assert clip.crops is not None
    count = min(frames, len(clip))
    stored = np.array(clip.crops[:count])
    crops = np.ascontiguousarray(without_margin(stored))
    other_audio = np.resize(other_audio, count * SAMPLE_RATE // FPS)
    render = _renderer(generator, stored, landmarker)
    own, other = render(clip.audio), render(other_audio)
    silent = render(np.zeros_like(other_audio)).openings
    real = read_openings(landmarker, stored)
    requested = other.shapes @ opening_weights(generator.network.components.cpu().numpy())
    own_sync, other_sync = _sync(expert, own.crops, clip.audio), _sync(expert, other.crops, other_audio)
    real_sync = _sync(expert, crops, clip.audio, clip.audio_delay)
    return MouthFigures(
        real_loudness=_correlation(real, _loudness(clip.audio, count)),
        own_loudness=_correlation(own.openings, _loudness(clip.audio, count)),
        own_real=_correlation(own.openings, real),
        other_requested=_correlation(other.openings, requested),
        other_loudness=_correlation(other.openings, _loudness(other_audio, count)),
        other_real=_correlation(other.openings, real),
        real_moves=float(np.nanstd(real)),
        own_moves=float(np.nanstd(own.openings)),
        other_moves=float(np.nanstd(other.openings)),
        silent_moves=float(np.nanstd(silent)),
        real_opening=float(np.nanmean(real)),
        own_opening=float(np.nanmean(own.openings)),
        silent_opening=float(np.nanmean(silent)),
        own_l1=float(np.abs(own.crops[_MOUTH].astype(np.float32) - crops[_MOUTH]).mean() / 255),
        own_ssim=_ssim(own.crops[_MOUTH], crops[_MOUTH]),
        own_distance=_feature_distance(expert, own.crops[_MOUTH], crops[_MOUTH]),
        far_distance=_feature_distance(expert, crops[_MOUTH][:-10], crops[_MOUTH][10:]),
        **{f"real_{name}": value for name, value in real_sync.items()},
        **{f"own_{name}": value for name, value in own_sync.items()},
        **{f"other_{name}": value for name, value in other_sync.items()},
    )


def _renderer(
    generator: Builtin, stored: Images, landmarker: FaceLandmarker
) -> Callable[[FloatArray], _Rendering]:
    """A function that renders stored crops (T, 160, 160, 3) with given audio."""
    crops = np.ascontiguousarray(without_margin(stored))

    def render(audio: FloatArray) -> _Rendering:
        shapes = generator.encode_audio(AudioClip(np.ascontiguousarray(audio)), FPS, len(crops))
        mouths = np.stack([*generator.generate([*crops], shapes)]).transpose(0, 2, 3, 1)
        rendered = np.asarray(mouths * 255 + 0.5, np.uint8)
        whole = stored.copy()
        without_margin(whole)[:] = rendered
        return _Rendering(rendered, read_openings(landmarker, whole), shapes)

    return render


def _sync(
    expert: CompactSyncNet, crops: Images, audio: FloatArray, audio_delay: float = 0.0
) -> dict[str, float]:
    """Whether the expert finds the true offset, whole and by the second; confidence."""
    count = len(crops) - WINDOW_FRAMES + 1
    mel = mel_windows(mel_spectrogram(AudioClip(audio)), 0, count, audio_delay)
    lower = resize_images(crops, (96, 96))[:, 48:]
    table = similarity_by_offset(*embed_clip(expert, lower, mel))
    whole = estimate_sync(table)
    seconds = [
        abs(one.offset) <= 1 for one in map(estimate_sync, split_into_seconds(table)) if one is not None
    ]
    return {
        "offset": float(whole is not None and abs(whole.offset) <= 1),
        "seconds": float(np.mean(seconds)) if seconds else np.nan,
        "margin": whole.confidence if whole is not None else np.nan,
    }


@torch.inference_mode()
def _feature_distance(expert: CompactSyncNet, a: Images, b: Images) -> float:
    first, second = (
        torch.from_numpy(images[::_FEATURE_STRIDE].copy()).permute(0, 3, 1, 2).float() / 255
        for images in (a, b)
    )
    return float(feature_distance(expert, first, second))


def mean_figures(figures: Sequence[MouthFigures]) -> MouthFigures:
    """The mean of each figure, NaN left out.

    Given one clip a person, all people count alike.
    """
    return MouthFigures(
        *(_mean([getattr(one, field.name) for one in figures]) for field in fields(MouthFigures))
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def read_openings(landmarker: FaceLandmarker, crops: Images) -> FloatArray:
    """Mouth opening in distances between the eyes, (T,); NaN where not detected."""
    framed = (
        cv2.copyMakeBorder(cv2.resize(crop, None, fx=2, fy=2), 64, 64, 64, 64, cv2.BORDER_REPLICATE)
        for crop in crops
    )
    points = landmarker(np.asarray(image, np.uint8) for image in framed)[..., :2]
    gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
    return np.asarray(gap / np.linalg.norm(points[:, 33] - points[:, 263], axis=1), np.float32)


def _loudness(audio: FloatArray, frames: int) -> FloatArray:
    """Loudness in dB at each frame, averaged over 90 ms."""
    level = np.convolve(np.maximum(loudness(audio), -60), np.ones(9) / 9, "same")
    at_frames = np.interp(np.arange(frames) / FPS, np.arange(len(level)) / MEL_RATE, level)
    return np.asarray(at_frames, np.float32)


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Pearson's r where both are known."""
    known = ~(np.isnan(a) | np.isnan(b))
    return float(np.corrcoef(a[known], b[known])[0, 1])


def _ssim(a: Images, b: Images) -> float:
    """Mean SSIM of every fifth image, windows across the edges included."""
    pairs = zip(a[::_SSIM_STRIDE], b[::_SSIM_STRIDE], strict=True)
    return float(np.stack([ssim_map(x, y) for x, y in pairs]).mean())
