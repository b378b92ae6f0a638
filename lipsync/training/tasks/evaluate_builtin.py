"""Judging the built-in model from outside, on people it has never seen, by landmarks and a sync expert.

Each clip is drawn three times: with its own voice, with another clip's voice, and with silence. A
mouth that follows the voice moves with the other voice as it was told to, and rests in silence; a
mouth that shines through from the source moves with the real one instead. The expert is to be one
that the model was not trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from lipsync.training.data.dataset_format import FPS, MARGIN, SIDE, scaled
from lipsync.training.data.landmarks import FaceLandmarker
from lipsync.training.data.mel_windows import windows_of_mel
from lipsync.training.tasks.builtin_audio2shape import opening_of
from lipsync.training.tasks.builtin_finetune import feature_distance
from lipsync.types import AudioClip, FloatArray

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """Figures of one clip; openings are read by the teacher, in distances between the eyes.

    Attributes:
        real_loudness: correlation of the real opening with the loudness of the clip's own voice.
        own_loudness: the same of the drawn opening.
        own_real: correlation of the opening drawn with the own voice with the real one.
        other_told: correlation of the opening drawn with another voice with what was asked for.
        other_loudness: the same with that voice's loudness.
        other_real: the same with the mouth of the source, which should not be seen any more.
        real_moves, own_moves, other_moves, silent_moves: standard deviations of the openings.
        silent_opening, own_opening, real_opening: their means.
        own_l1, own_ssim: the mouth's region drawn with the own voice against the real one.
        own_distance: their distance in what the expert looks at, see `feature_distance`.
        far_distance: the same of the real picture and the real one 0.4 s before, for comparison.
        real_offset, own_offset, other_offset: 1 where the expert finds the voice within one frame of
            where it is, among 31 offsets, else 0; the real clip's known lag is taken out.
        real_seconds, own_seconds, other_seconds: the share of single seconds in which it does.
        real_margin, own_margin, other_margin: its likeness at the best offset over the median.
    """

    real_loudness: float
    own_loudness: float
    own_real: float
    other_told: float
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


def judge(
    generator: Builtin,
    clip: Clip,
    other: FloatArray,
    teacher: FaceLandmarker,
    expert: CompactSyncNet,
    frames: int = 250,
) -> Verdict:
    """Draw one clip and read what was drawn.

    Args:
        other: another person's voice, float32 (n,) at 16 kHz; repeated where it is shorter.
        frames: how much of the clip is used at most.
    """
    assert clip.crops is not None
    count = min(frames, len(clip))
    stored = np.array(clip.crops[:count])
    inner = slice(MARGIN, MARGIN + SIDE)
    crops = np.ascontiguousarray(stored[:, inner, inner])

    other = np.resize(other, count * SAMPLE_RATE // FPS)

    def draw(sound: FloatArray) -> tuple[Pictures, FloatArray, FloatArray]:
        rows = generator.encode_audio(AudioClip(np.ascontiguousarray(sound)), FPS, count)
        drawn = generator.generate(crops, rows).transpose(0, 2, 3, 1)
        pictures = np.asarray(drawn * 255 + 0.5, np.uint8)
        whole = stored.copy()
        whole[:, inner, inner] = pictures
        return pictures, read_openings(teacher, whole), rows

    real = read_openings(teacher, stored)
    own_pictures, own, _ = draw(clip.sound)
    other_pictures, told, rows = draw(other)
    _, silent, _ = draw(np.zeros_like(other))
    asked = rows @ opening_of(generator.network.components.cpu().numpy())
    mouth = (slice(None), slice(64, 120), slice(24, 104))
    own_sync, other_sync = (
        _sync(expert, pictures, sound)
        for pictures, sound in ((own_pictures, clip.sound), (other_pictures, other))
    )
    real_sync = _sync(expert, crops, clip.sound, clip.lag)
    return Verdict(
        real_loudness=_r(real, _loudness(clip.sound, count)),
        own_loudness=_r(own, _loudness(clip.sound, count)),
        own_real=_r(own, real),
        other_told=_r(told, asked),
        other_loudness=_r(told, _loudness(other, count)),
        other_real=_r(told, real),
        real_moves=float(np.nanstd(real)),
        own_moves=float(np.nanstd(own)),
        other_moves=float(np.nanstd(told)),
        silent_moves=float(np.nanstd(silent)),
        real_opening=float(np.nanmean(real)),
        own_opening=float(np.nanmean(own)),
        silent_opening=float(np.nanmean(silent)),
        own_l1=float(np.abs(own_pictures[mouth].astype(np.float32) - crops[mouth]).mean() / 255),
        own_ssim=_ssim(own_pictures[mouth], crops[mouth]),
        own_distance=_distance(expert, own_pictures[mouth], crops[mouth]),
        far_distance=_distance(expert, crops[mouth][:-10], crops[mouth][10:]),
        **{f"real_{name}": value for name, value in real_sync.items()},
        **{f"own_{name}": value for name, value in own_sync.items()},
        **{f"other_{name}": value for name, value in other_sync.items()},
    )


def _sync(expert: CompactSyncNet, crops: Pictures, sound: FloatArray, lag: float = 0.0) -> dict[str, float]:
    """Whether the expert finds the sound where it belongs, in the whole and by the second, and its margin."""
    mel = windows_of_mel(mel_spectrogram(AudioClip(sound)), 0, len(crops) - WINDOW_FRAMES + 1, lag)
    lower = scaled(crops, (96, 96))[:, 48:]
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
def _distance(expert: CompactSyncNet, a: Pictures, b: Pictures) -> float:
    first, second = (torch.from_numpy(p[::3].copy()).permute(0, 3, 1, 2).float() / 255 for p in (a, b))
    return float(feature_distance(expert, first, second))


def mean_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """The mean of each figure; give one verdict a person, so that people count alike."""
    return Verdict(*(_mean([getattr(v, f.name) for v in verdicts]) for f in fields(Verdict)))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def read_openings(teacher: FaceLandmarker, pictures: Pictures) -> FloatArray:
    """How far the inner lips are apart in each picture (T,), over the distance of the eyes; NaN unseen."""
    framed = (
        cv2.copyMakeBorder(cv2.resize(p, None, fx=2, fy=2), 64, 64, 64, 64, cv2.BORDER_REPLICATE)
        for p in pictures
    )
    points = teacher(np.asarray(picture, np.uint8) for picture in framed)[..., :2]
    gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
    return np.asarray(gap / np.linalg.norm(points[:, 33] - points[:, 263], axis=1), np.float32)


def _loudness(sound: FloatArray, frames: int) -> FloatArray:
    level = np.convolve(np.maximum(loudness(sound), -60), np.ones(9) / 9, "same")
    at_frames = np.interp(np.arange(frames) / FPS, np.arange(len(level)) / MEL_RATE, level)
    return np.asarray(at_frames, np.float32)


def _r(a: FloatArray, b: FloatArray) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    return float(np.corrcoef(a[known], b[known])[0, 1])


def _ssim(a: Pictures, b: Pictures) -> float:
    """Mean structural similarity of every fifth picture, windows across the edges counted too."""
    return float(np.stack([ssim_map(x, y) for x, y in zip(a[::5], b[::5], strict=True)]).mean())
