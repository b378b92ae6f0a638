"""Clips of one person whose mouths the built-in model locates itself.

Its locator finds lips, chin and the head's projection, as it does when it draws; MediaPipe is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lipsync.generators.builtin.adapter import resize_crop
from lipsync.generators.builtin.network import BuiltinNetwork
from lipsync.training.data.dataset import Clip, usable_frames
from lipsync.training.data.dataset_format import (
    FPS,
    SAMPLE_RATE,
    SIDE,
    ManifestRow,
    read_annotations,
    read_audio,
    read_crop_side,
    read_crops,
    read_manifest,
    with_margin,
    without_margin,
)
from lipsync.training.data.mouth_shapes import lip_gap
from lipsync.types import FloatArray

_BATCH = 32
_LONG_CLIP = 6 * FPS
"""Frames of a clip that is cut in two, into train and val; shorter ones go whole into either."""
_GAP = FPS // 2
"""Frames left out between the two, which would show the same mouth twice."""
_RIDGE = 1e-3
"""Regularisation of the shape coefficients, of their squared movements."""


@dataclass(frozen=True)
class _Part:
    """Frames [start, end) of a clip of the set, and their split."""

    row: ManifestRow
    split: str
    start: int
    end: int


def read_located_clips(folder: Path, network: BuiltinNetwork, val_share: float) -> list[Clip]:
    """The clips of a prepared set in a model's shape space, split by time.

    Args:
        folder: a prepared set of one person; it needs no landmarks.
        network: whose locator finds the mouths; its batch norms must be in evaluation mode.
        val_share: share of the frames in the validation split, the end of each long clip or whole short ones.

    Raises:
        InputError: there is no set.
    """
    rows = read_manifest(folder)
    side = with_margin(_crop_side(folder, rows))
    clips = []
    for part in _split_by_time(rows, val_share):
        crops = read_crops(folder, part.row.name, side)[part.start : part.end]
        clips.append(_located_clip(folder, part, crops, network))
    return clips


def _crop_side(folder: Path, rows: Sequence[ManifestRow]) -> int:
    """Side of the crops to work with: small where the faces are small in their videos."""
    stored = read_crop_side(folder)
    faces = [_face_sides(read_annotations(folder, row.name).boxes) for row in rows]
    return SIDE if faces and np.median(np.concatenate(faces)) < (SIDE + stored) / 2 else stored


def _face_sides(boxes: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])), np.float32)


def _split_by_time(rows: Sequence[ManifestRow], val_share: float) -> Iterator[_Part]:
    """Train and validation parts of the clips, in their order.

    Of short clips every n-th is for validation.
    """
    short = 0.0
    for row in rows:
        if row.frames >= _LONG_CLIP:
            border = round(row.frames * (1 - val_share))
            yield _Part(row, "train", 0, border - _GAP)
            yield _Part(row, "val", border, row.frames)
            continue
        short += val_share
        yield _Part(row, "val" if short >= 1 else "train", 0, row.frames)
        short -= short >= 1


def _located_clip(folder: Path, part: _Part, crops: npt.NDArray[np.uint8], network: BuiltinNetwork) -> Clip:
    mouth, closed, projection = _locate(crops, network)
    audio = read_audio(folder, part.row.name)
    samples_per_frame = SAMPLE_RATE // FPS
    return Clip(
        name=f"{part.row.name}.{part.split}",
        person=part.row.person,
        split=part.split,
        shapes=_shapes(mouth - closed, projection, network.components.numpy()),
        mouth=mouth,
        closed_mouth=closed,
        projection=projection,
        lip_gap=lip_gap(mouth),
        amplitude=1.0,
        audio=audio[part.start * samples_per_frame : part.end * samples_per_frame],
        audio_delay=part.row.audio_delay,
        usable=usable_frames(closed, np.ones(len(mouth), np.bool_)),
        crops=crops,
        face_side=float(np.median(_face_sides(read_annotations(folder, part.row.name).boxes))),
    )


@torch.inference_mode()
def _locate(
    crops: npt.NDArray[np.uint8], network: BuiltinNetwork
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Outlines of mouth and closed mouth (T, 49, 2) in pixels of the crop, and projections (T, 2, 3)."""
    c, found = network.config, []
    for start in range(0, len(crops), _BATCH):
        faces = without_margin(crops[start : start + _BATCH])
        windows = np.stack([resize_crop(face, c.crop) for face in faces])
        windows = windows[:, c.top : c.top + c.height, c.left : c.left + c.width]
        images = torch.from_numpy(np.ascontiguousarray(windows)).permute(0, 3, 1, 2).float() / 255
        found.append(network.place(images))
    mouth, closed, projection = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return np.asarray(mouth * SIDE, np.float32), np.asarray(closed * SIDE, np.float32), projection


def _shapes(moves: FloatArray, projection: FloatArray, components: FloatArray) -> FloatArray:
    """Shape coefficients (T, coefficients) whose projected movements come closest to `moves`.

    Args:
        moves: (T, 49, 2) in pixels of the crop.
        projection: (T, 2, 3).
    """
    basis = components.reshape(len(components), -1, 3)
    seen = np.einsum("kpi,tji->tkpj", basis, projection).reshape(len(moves), len(basis), -1) * SIDE
    squares = np.einsum("tkn,tln->tkl", seen, seen)
    squares += _RIDGE * np.trace(squares, axis1=1, axis2=2)[:, None, None] * np.eye(len(basis))
    right = np.einsum("tkn,tn->tk", seen, moves.reshape(len(moves), -1))
    return np.asarray(np.linalg.solve(squares, right[..., None])[..., 0], np.float32)
