"""Widening a small set: other light, other cameras, other microphones, other rooms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, lfilter, resample_poly

from lipsync.training.data.dataset_format import MARGIN, SIDE
from lipsync.types import FloatArray, Frame

Rng = np.random.Generator


@dataclass(frozen=True)
class Augmentation:
    """How one picture is changed: the same for all pictures of an example."""

    matrix: npt.NDArray[np.float64]
    """(2, 3) from pixels of the stored crop to pixels of the face crop."""
    mirrored: bool
    table: npt.NDArray[np.uint8]
    """(1, 256, 3) new value of each value of each colour."""
    saturation: float
    blur: float
    quality: int
    noise: float


_SAME = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def no_augmentation() -> Augmentation:
    """No change: the stored crop without its margin."""
    matrix = np.array([[1.0, 0, -MARGIN], [0, 1, -MARGIN]])
    return Augmentation(matrix, False, _SAME, saturation=1.0, blur=0.0, quality=100, noise=0.0)


def sample_augmentation(generator: Rng, reach: float = 1.0) -> Augmentation:
    """A random look; `reach` stretches turning, scaling and shifting. Half keep the quality."""
    angle = generator.normal(0, 4 * reach)
    scale = np.exp(generator.normal(0, 0.04 * reach))
    middle = SIDE / 2 + MARGIN
    matrix = np.array(cv2.getRotationMatrix2D((middle, middle), angle, scale), np.float64)
    matrix[:, 2] = matrix[:, 2] + generator.normal(0, 3 * reach, 2) - MARGIN
    mirrored = bool(generator.random() < 0.5)
    if mirrored:
        matrix = np.array([[-1, 0, SIDE - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(generator.normal(0, 0.25))
    ramp = ramp * np.exp(generator.normal(0, 0.12) + generator.normal(0, 0.07, 3)) + generator.normal(0, 0.03)
    poor = generator.random() < 0.5
    return Augmentation(
        matrix=np.asarray(matrix, np.float64),
        mirrored=mirrored,
        table=np.asarray(np.clip(ramp * 255, 0, 255), np.uint8)[None],
        saturation=float(np.exp(generator.normal(0, 0.25))),
        blur=float(generator.uniform(0, 1.0)) if poor else 0.0,
        quality=int(generator.integers(40, 95)) if poor else 100,
        noise=float(generator.uniform(0, 4)) if poor else 0.0,
    )


def change_picture(
    picture: Frame,
    look: Augmentation,
    generator: Rng,
    extra: FloatArray | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
) -> Frame:
    """A stored crop (160, 160, 3) as a face crop (128, 128, 3) of that look.

    Args:
        extra: (2, 3) applied in pixels of the stored crop first, to lay one frame over another.
        size: (height, width) of the result; nothing is scaled to it.
    """
    matrix = look.matrix if extra is None else _after(look.matrix, extra)
    out: npt.NDArray[Any] = cv2.warpAffine(
        picture, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    out = cv2.LUT(out, look.table)
    if abs(look.saturation - 1) > 0.02:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        out = cv2.addWeighted(out, look.saturation, grey, 1 - look.saturation, 0)
    if look.blur > 0.3:
        out = cv2.GaussianBlur(out, (0, 0), look.blur)
    if look.noise > 0:
        out = np.clip(out + generator.normal(0, look.noise, out.shape), 0, 255).astype(np.uint8)
    if look.quality < 100:
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, look.quality])
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return np.asarray(out, np.uint8)


def change_face(face: Frame, look: Augmentation, generator: Rng) -> Frame:
    """A face crop of any size (H, W, 3), without a margin, in that look; the size stays.

    What a look shifts in from outside is the crop's edge, repeated.
    """
    height, width = face.shape[:2]
    x, y = width / SIDE, height / SIDE
    # Pixels' centres lie at whole numbers, and their edges half a pixel before.
    onto = np.array([[1 / x, 0, (1 / x - 1) / 2 + MARGIN], [0, 1 / y, (1 / y - 1) / 2 + MARGIN]])
    back = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])
    scaled = replace(look, matrix=_after(back, _after(look.matrix, onto)), blur=look.blur * y)
    return change_picture(face, scaled, generator, size=(height, width))


def _after(second: npt.NDArray[np.float64], first: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]), np.float64)


def move_points(
    points: FloatArray, look: Augmentation, mirrored: tuple[int, ...], margin: int = MARGIN
) -> FloatArray:
    """Points (..., P, 2) in pixels of the crop, moved as `change_picture` moves the pixels."""
    moved = (points + margin) @ look.matrix[:, :2].T + look.matrix[:, 2]
    return np.asarray(moved[..., list(mirrored), :] if look.mirrored else moved, np.float32)


def change_voice(sound: FloatArray, generator: Rng) -> FloatArray:
    """Another level, colour, room and background; the length stays. `sound` (n,) at 16 kHz."""
    out = sound.astype(np.float32)
    if generator.random() < 0.5:  # a room: noise that dies away, behind the straight sound
        decay = generator.uniform(0.02, 0.12)
        tail = np.exp(-np.arange(int(16_000 * decay * 4)) / (16_000 * decay)) * generator.normal(
            0, 1, int(16_000 * decay * 4)
        )
        tail[0] = 0
        tail *= generator.uniform(0.1, 0.7) / np.sqrt(np.square(tail).sum() + 1e-9)
        tail[0] = 1
        out = fftconvolve(out, tail)[: len(out)].astype(np.float32)
    if generator.random() < 0.6:  # a microphone: one tilt and one bump of the spectrum
        out = lfilter([1, generator.uniform(-0.6, 0.4)], [1], out).astype(np.float32)
    if generator.random() < 0.6:
        noise = generator.normal(0, 1, len(out)).astype(np.float32)
        noise = lfilter([1], [1, -generator.uniform(0, 0.98)], noise).astype(np.float32)
        level = np.sqrt(np.square(out).mean() + 1e-9) * 10 ** (-generator.uniform(8, 40) / 20)
        out = out + noise * level / (noise.std() + 1e-9)
    return np.asarray(out * 10 ** (generator.uniform(-14, 6) / 20), np.float32)


def change_speed(sound: FloatArray, speed: float) -> FloatArray:
    """Played faster (speed > 1) and higher, or slower and lower."""
    return np.asarray(resample_poly(sound, 100, round(100 * speed)), np.float32)
