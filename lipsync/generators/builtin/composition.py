"""Composition of rendered mouths with crops at their own size, for inference.

The arithmetic of `Renderer.compose` with OpenCV on 8-bit crops: several times as fast on a CPU, and equal
within a few levels of 255, but for the detail that is restored at the end. The networks' maps are small and
soon back from a GPU; crops never go there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from lipsync.generators.builtin.mouth_painter import GRID
from lipsync.generators.builtin.network import BuiltinNetwork
from lipsync.generators.builtin.renderer import Outlines, WindowMaps, interior_boxes
from lipsync.generators.builtin.resampling import MAX_STEP, Region, window_region
from lipsync.types import Bools, FloatArray, Frame

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
MAX_DETAIL_GAIN = 1.2
"""Largest gain of detail. Beyond that, noise and edges of compression would show."""
_SMALL_REGION = 300 * 300
"""Pixels of a region, about that of a face 400 pixels wide, up to which interpolation takes its time."""


@dataclass(frozen=True)
class MovedCrop:
    """Region of a crop with its lips moved.

    Attributes:
        region: of the crop.
        source: uint8 (h, w, 3) RGB, the crop there.
        image: float32 (h, w, 3) RGB in levels of 255.
        mask: float32 (h, w) in [0, 1].
    """

    region: Region
    source: Frame
    image: FloatArray
    mask: FloatArray


def compose_crops(
    network: BuiltinNetwork, crops: Sequence[Frame], maps: WindowMaps, outlines: Outlines
) -> list[FloatArray]:
    """Apply maps to crops, each its own reference.

    Args:
        crops: B crops (H, W, 3) RGB uint8, of any sizes.
        maps, outlines: of `BuiltinNetwork.predict`.

    Returns:
        B images (3, H, W) RGB float32 in [0, 1], views of channels-last arrays.
    """
    applied = [_channels_last(part) for part in network.painter.applied_maps(maps)]
    boxes, reference_boxes = (part.cpu().numpy() for part in interior_boxes(outlines))
    drawn = _drawn_bounds(applied[0][..., 2], np.stack([boxes, reference_boxes]))
    window = network.config.window
    moved = [
        _move_lips(crop, geometry, added, window_region((crop.shape[0], crop.shape[1]), window).part(bounds))
        for crop, geometry, added, bounds in zip(crops, *applied, drawn, strict=True)
    ]
    if network.painter.mouth is not None:
        _paint(network, moved, maps, outlines, (boxes, reference_boxes))
    return [_finished(crop, one) for crop, one in zip(crops, moved, strict=True)]


def _drawn_bounds(masks: FloatArray, boxes: FloatArray) -> list[tuple[float, float, float, float]]:
    """What is drawn of windows, and what the painter sees: left, top, right and bottom in their pixels.

    Args:
        masks: (B, h, w).
        boxes: (2, B, 4) of `interior_boxes`.
    """
    edges = np.concatenate([boxes[..., :2].min(0), (boxes[..., :2] + boxes[..., 2:]).max(0)], axis=1)
    bounds = []
    for mask, (left, top, right, bottom) in zip(masks, edges.tolist(), strict=True):
        (columns,), (rows,) = mask.any(0).nonzero(), mask.any(1).nonzero()
        bounds.append(
            (
                min([left, *columns[:1]]),
                min([top, *rows[:1]]),
                max([right, *columns[-1:]]),
                max([bottom, *rows[-1:]]),
            )
        )
    return bounds


def _channels_last(images: Tensor) -> FloatArray:
    """(B, C, h, w) -> (B, h, w, 4), further channels being 0: OpenCV is fastest with four."""
    array = images.float().cpu().numpy().transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.pad(array, ((0, 0), (0, 0), (0, 0), (0, 4 - array.shape[3]))))


def _move_lips(crop: Frame, geometry: FloatArray, added: FloatArray, region: Region) -> MovedCrop:
    geometry, added = _enlarged(geometry, region), _enlarged(added, region)
    height, width = region.size
    x = np.arange(width, dtype=np.float32) + np.float32(region.columns.start)
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(region.rows.start)
    across = geometry[..., 0] * np.float32(region.scale[0]) + x
    down = geometry[..., 1] * np.float32(region.scale[1]) + y
    moved = cv2.remap(crop, across, down, _interpolation(region), borderMode=cv2.BORDER_REPLICATE)
    image = cv2.cvtColor(added, cv2.COLOR_RGBA2RGB) * np.float32(255)
    hidden = np.ascontiguousarray(geometry[..., 3])
    if hidden.any():
        shown = cv2.cvtColor(1 - hidden, cv2.COLOR_GRAY2RGB)
        cv2.add(image, cv2.multiply(moved, shown, dtype=cv2.CV_32F), dst=image)
    else:
        cv2.add(image, moved, dst=image, dtype=cv2.CV_32F)
    mask = np.ascontiguousarray(geometry[..., 2])
    return MovedCrop(region, crop[region.rows, region.columns], np.asarray(image, np.float32), mask)


def _interpolation(region: Region) -> int:
    """Interpolation of moved pixels: half a pixel's bilinear move takes much of the detail.

    Lanczos' eight by eight pixels keep it best, at a price that only small faces need: the detail of
    large ones spans several pixels.
    """
    height, width = region.size
    return cv2.INTER_LANCZOS4 if height * width <= _SMALL_REGION else cv2.INTER_CUBIC


def _enlarged(maps: FloatArray, region: Region) -> FloatArray:
    """Maps (h, w, 4) of the window in the region's pixels."""
    (x, y), (left, top) = region.scale, region.corner
    matrix = np.array([[1 / x, 0, left], [0, 1 / y, top]])
    size = region.size[::-1]
    return np.asarray(
        cv2.warpAffine(maps, matrix, size, flags=_FLAGS, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _paint(
    network: BuiltinNetwork,
    moved: Sequence[MovedCrop],
    maps: WindowMaps,
    outlines: Outlines,
    interiors: tuple[FloatArray, FloatArray],
) -> None:
    """Paint the interiors, in the boxes of `interior_boxes`, into the moved crops."""
    boxes, reference_boxes = interiors
    lips = [_sample_box(one.image, one.region, box) for one, box in zip(moved, boxes, strict=True)]
    own = [_sample_box(one.source, one.region, box) for one, box in zip(moved, reference_boxes, strict=True)]
    device = maps.tone.device
    painted = network.painter.paint_boxes(
        _to_images(lips, device), _to_images(own, device), outlines, maps.tone
    )
    for one, colors, box in zip(moved, _channels_last(painted), boxes, strict=True):
        _paste(one, colors, box)


def _to_images(samples: Sequence[FloatArray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(samples)).to(device).permute(0, 3, 1, 2) / 255


def _sample_box(image: Frame | FloatArray, region: Region, box: FloatArray) -> FloatArray:
    """The samples of a box, (80, 112, 3) float32; halved first where they lie far apart."""
    step = box[2:] / np.array(GRID[::-1]) * np.array(region.scale)
    first = (box[:2] - np.array(region.corner)) * np.array(region.scale) + step / 2
    samples: Frame | FloatArray = image
    while step[0] > MAX_STEP and min(samples.shape[:2]) > 2:
        rows, columns = (size // 2 * 2 for size in samples.shape[:2])
        even = samples[:rows, :columns].astype(np.float32)
        half = cv2.resize(even, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        samples, step, first = np.asarray(half, np.float32), step / 2, (first - 0.5) / 2
    matrix = np.array([[step[0], 0, first[0]], [0, step[1], first[1]]])
    sampled = cv2.warpAffine(samples, matrix, GRID[::-1], flags=_FLAGS, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def _paste(moved: MovedCrop, painted: FloatArray, box: FloatArray) -> None:
    """Blend what was painted in a box, (80, 112, 4) colour and opacity, over the moved crop, in place."""
    scale, corner = np.array(moved.region.scale), np.array(moved.region.corner)
    first = (box[:2] - corner) * scale
    left, top = np.maximum(np.floor(first), 0).astype(int)
    right, bottom = np.minimum(np.ceil(first + box[2:] * scale) + 1, moved.mask.shape[::-1]).astype(int)
    if right <= left or bottom <= top:
        return
    step = np.array(GRID[::-1]) / (box[2:] * scale)
    start = (np.array([left, top]) - first) * step - 0.5
    matrix = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
    enlarged = cv2.warpAffine(painted, matrix, (int(right - left), int(bottom - top)), flags=_FLAGS)
    target = moved.image[top:bottom, left:right]
    difference = cv2.cvtColor(enlarged, cv2.COLOR_RGBA2RGB) * np.float32(255) - target
    target += difference * enlarged[..., 3:]


def _finished(crop: Frame, moved: MovedCrop) -> FloatArray:
    """The whole crop with its mouth, (3, H, W) in [0, 1]."""
    change = cv2.subtract(restore_detail(moved), moved.source, dtype=cv2.CV_32F)
    cv2.multiply(change, cv2.cvtColor(moved.mask, cv2.COLOR_GRAY2RGB), dst=change)
    result = crop.astype(np.float32)
    result[moved.region.rows, moved.region.columns] += change
    result *= np.float32(1 / 255)
    return np.clip(result, 0, 1, out=result).transpose(2, 0, 1)


def restore_detail(moved: MovedCrop) -> FloatArray:
    """The moved region (h, w, 3) with as much detail as the source has there.

    Interpolation between pixels takes a share of the detail that depends on how far they moved, the painter
    a share of its own. A frame of the source says how much detail this face has in this video.
    """
    shown = moved.mask > 0.5
    if not shown.any():
        return moved.image
    blurred = np.asarray(cv2.GaussianBlur(moved.image, (3, 3), 0), np.float32)
    drawn, source = _edges(moved.image, shown), _edges(moved.source, shown)
    taken = drawn - _edges(blurred, shown)
    goal = min(float(source.var()), float(drawn.var()) * MAX_DETAIL_GAIN**2)
    amount = _amount(drawn, taken, goal)
    return np.asarray(cv2.addWeighted(moved.image, 1 + amount, blurred, -amount, 0), np.float32)


def _edges(image: Frame | FloatArray, shown: Bools) -> FloatArray:
    """Laplacian of the grey levels where `shown`, float32 (n,)."""
    grey = cv2.cvtColor(image.astype(np.float32, copy=False), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.Laplacian(grey, cv2.CV_32F)[shown], np.float32)


def _amount(drawn: FloatArray, taken: FloatArray, goal: float) -> float:
    """The a >= 0 for which `drawn` + a `taken` has the variance `goal`; 0 where it has it already."""
    missing = goal - float(drawn.var())
    square, mixed = float(taken.var()), float(((drawn - drawn.mean()) * taken).mean())
    if missing <= 0 or square <= 0:
        return 0.0
    return (math.sqrt(mixed * mixed + square * missing) - mixed) / square
