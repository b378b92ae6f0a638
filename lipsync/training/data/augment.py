"""Data augmentation of face crops and audio.

Crops: geometry, colour, blur, noise and compression. Audio: reverberation, filter, noise, gain and speed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, lfilter, resample_poly

from lipsync.training.data.dataset_format import MARGIN, SAMPLE_RATE, SIDE
from lipsync.types import FloatArray, Frame

Rng = np.random.Generator


@dataclass(frozen=True)
class Augmentation:
    """One sampled image augmentation, the same for all images of an example.

    Attributes:
        matrix: float64 (2, 3), affine map from pixels of the stored crop to pixels of the face crop.
        mirrored: whether the matrix mirrors left and right.
        lut: uint8 (1, 256, 3), lookup table of each colour channel.
        saturation: factor; 1 changes nothing.
        blur: standard deviation of a Gaussian in pixels; up to 0.3 changes nothing.
        jpeg_quality: 100 is not compressed.
        noise: standard deviation of Gaussian noise, of 255.
    """

    matrix: npt.NDArray[np.float64]
    mirrored: bool
    lut: npt.NDArray[np.uint8]
    saturation: float
    blur: float
    jpeg_quality: int
    noise: float


_IDENTITY_LUT = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def no_augmentation() -> Augmentation:
    """The identity: the stored crop without its margin."""
    matrix = np.array([[1.0, 0, -MARGIN], [0, 1, -MARGIN]])
    return Augmentation(matrix, False, _IDENTITY_LUT, saturation=1.0, blur=0.0, jpeg_quality=100, noise=0.0)


def sample_augmentation(rng: Rng, strength: float = 1.0) -> Augmentation:
    """A random augmentation; half of them without blur, compression and noise.

    Args:
        strength: factor of rotation, scaling and translation.
    """
    angle = rng.normal(0, 4 * strength)
    scale = np.exp(rng.normal(0, 0.04 * strength))
    middle = SIDE / 2 + MARGIN
    matrix = np.array(cv2.getRotationMatrix2D((middle, middle), angle, scale), np.float64)
    matrix[:, 2] = matrix[:, 2] + rng.normal(0, 3 * strength, 2) - MARGIN
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        matrix = np.array([[-1, 0, SIDE - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    ramp = ramp * np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.07, 3)) + rng.normal(0, 0.03)
    degraded = rng.random() < 0.5
    return Augmentation(
        matrix=np.asarray(matrix, np.float64),
        mirrored=mirrored,
        lut=np.asarray(np.clip(ramp * 255, 0, 255), np.uint8)[None],
        saturation=float(np.exp(rng.normal(0, 0.25))),
        blur=float(rng.uniform(0, 1.0)) if degraded else 0.0,
        jpeg_quality=int(rng.integers(40, 95)) if degraded else 100,
        noise=float(rng.uniform(0, 4)) if degraded else 0.0,
    )


def augment_crop(
    crop: Frame,
    augmentation: Augmentation,
    rng: Rng,
    alignment: npt.NDArray[np.floating] | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Frame:
    """Augment a stored crop, uint8 (160, 160, 3) RGB, to a face crop (128, 128, 3).

    Larger crops go with an augmentation of `enlarge_augmentation`.

    Args:
        rng: of the noise.
        alignment: (2, 3) affine map in pixels of the stored crop, applied first; it aligns one frame
            with another.
        size: (height, width) of the result, in pixels of the augmentation's matrix.
    """
    matrix = augmentation.matrix if alignment is None else _compose(augmentation.matrix, alignment)
    out: npt.NDArray[Any] = cv2.warpAffine(
        crop, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    out = cv2.LUT(out, augmentation.lut)
    if abs(augmentation.saturation - 1) > 0.02:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        out = cv2.addWeighted(out, augmentation.saturation, grey, 1 - augmentation.saturation, 0)
    if augmentation.blur > 0.3:
        out = cv2.GaussianBlur(out, (0, 0), augmentation.blur)
    if augmentation.noise > 0:
        out = np.clip(out + rng.normal(0, augmentation.noise, out.shape), 0, 255).astype(np.uint8)
    if augmentation.jpeg_quality < 100:
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, augmentation.jpeg_quality])
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return np.asarray(out, np.uint8)


def augment_face(face: Frame, augmentation: Augmentation, rng: Rng) -> Frame:
    """Augment a face crop of any size, uint8 (H, W, 3) without margin; the size stays.

    Pixels from outside the crop repeat its edge.
    """
    height, width = face.shape[:2]
    x, y = width / SIDE, height / SIDE
    to_stored = _scaling(1 / x, 1 / y)
    to_stored[:, 2] += MARGIN
    matrix = _compose(_scaling(x, y), _compose(augmentation.matrix, to_stored))
    scaled = replace(augmentation, matrix=matrix, blur=augmentation.blur * y)
    return augment_crop(face, scaled, rng, size=(height, width))


def enlarge_augmentation(
    augmentation: Augmentation, factor: float, corner: tuple[float, float] = (0.0, 0.0)
) -> Augmentation:
    """The same augmentation for crops stored `factor` times as large.

    Args:
        corner: (x, y) of the part that is wanted, in pixels of the face crop of 128.
    """
    matrix = enlarge_alignment(augmentation.matrix, factor)
    matrix[:, 2] -= np.array(corner) * factor
    return replace(augmentation, matrix=matrix, blur=augmentation.blur * factor)


def enlarge_alignment(alignment: npt.NDArray[np.floating], factor: float) -> npt.NDArray[np.float64]:
    """The same affine map (2, 3) of a stored crop for crops stored `factor` times as large."""
    reduced = _compose(np.asarray(alignment, np.float64), _scaling(1 / factor, 1 / factor))
    return _compose(_scaling(factor, factor), reduced)


def _scaling(x: float, y: float) -> npt.NDArray[np.float64]:
    """Scaling (2, 3) of pixels, whose centres lie at integers and whose edges half a pixel before."""
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])


def _compose(second: npt.NDArray[np.float64], first: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The affine map (2, 3) of `first` followed by `second`."""
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]), np.float64)


def transform_points(
    points: FloatArray, augmentation: Augmentation, mirror_order: tuple[int, ...], margin: int = MARGIN
) -> FloatArray:
    """Points moved as `augment_crop` moves the pixels; float32 (..., P, 2).

    Args:
        mirror_order: (P,) which point takes each one's place in a mirrored image.
        margin: of the stored crop, in pixels.
    """
    moved = (points + margin) @ augmentation.matrix[:, :2].T + augmentation.matrix[:, 2]
    return np.asarray(moved[..., list(mirror_order), :] if augmentation.mirrored else moved, np.float32)


def augment_audio(samples: FloatArray, rng: Rng) -> FloatArray:
    """Random reverberation, filter, noise and gain; float32 (n,) at 16 kHz in and out."""
    out = samples.astype(np.float32)
    if rng.random() < 0.5:  # room impulse response: direct sound, then exponentially decaying noise
        decay = rng.uniform(0.02, 0.12)
        tail = np.exp(-np.arange(int(SAMPLE_RATE * decay * 4)) / (SAMPLE_RATE * decay)) * rng.normal(
            0, 1, int(SAMPLE_RATE * decay * 4)
        )
        tail[0] = 0
        tail *= rng.uniform(0.1, 0.7) / np.sqrt(np.square(tail).sum() + 1e-9)
        tail[0] = 1
        out = fftconvolve(out, tail)[: len(out)].astype(np.float32)
    if rng.random() < 0.6:  # microphone: a first-order filter that tilts the spectrum
        out = lfilter([1, rng.uniform(-0.6, 0.4)], [1], out).astype(np.float32)
    if rng.random() < 0.6:  # coloured background noise at 8 to 40 dB below the signal
        noise = rng.normal(0, 1, len(out)).astype(np.float32)
        noise = lfilter([1], [1, -rng.uniform(0, 0.98)], noise).astype(np.float32)
        level = np.sqrt(np.square(out).mean() + 1e-9) * 10 ** (-rng.uniform(8, 40) / 20)
        out = out + noise * level / (noise.std() + 1e-9)
    return np.asarray(out * 10 ** (rng.uniform(-14, 6) / 20), np.float32)


def change_speed(samples: FloatArray, speed: float) -> FloatArray:
    """Audio played `speed` times as fast, pitch included; float32 (n / speed,)."""
    return np.asarray(resample_poly(samples, 100, round(100 * speed)), np.float32)


def stable_hash(name: str) -> int:
    """A hash that is the same in every process, unlike `hash`; seeds augmentation."""
    return int.from_bytes(name.encode()[-8:], "little")
