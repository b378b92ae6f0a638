"""Losses of pixels, of embeddings and of features, shared by the tasks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lipsync.sync_score import CompactSyncNet, SyncExpert
from lipsync.types import FloatArray

_SYNC_LOSS_KNEE = 0.05
"""Similarity below which `sync_loss` continues as the tangent of the logarithm."""
_FEATURE_LAYERS = 3
_ENERGY_FLOOR = 1e-5
"""Added to squared gradients, whose root would have no slope at 0."""

# --- pixels --------------------------------------------------------------------------------------


def weighted_l1(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference of images.

    Args:
        a, b: (B, C, h, w).
        weight: (B, 1, h, w).
    """
    return ((a - b).abs() * weight).sum() / (weight.sum() * a.shape[1] + 1e-6)


def edge_loss(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of the image gradients, at full and at half size.

    Args:
        a, b: (B, 3, h, w).
        weight: (B, 1, h, w).
    """
    total = a.new_zeros(())
    difference = a - b
    for _ in range(2):
        across = (difference[..., :, 1:] - difference[..., :, :-1]).abs() * weight[..., :, 1:]
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
        total = total + (across.sum() + down.sum()) / (weight.sum() * 3 + 1e-6)
        difference, weight = F.avg_pool2d(difference, 2), F.avg_pool2d(weight, 2)
    return total / 2


def detail_energy(image: Tensor) -> Tensor:
    """Strength of the detail in each place: mean square of the gradient over about 8x8 pixels.

    Args:
        image: (B, 3, h, w).

    Returns:
        (B, 1, h // 4, w // 4).
    """
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean(1, keepdim=True)
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean(1, keepdim=True)
    squares = F.pad(across, (0, 1, 0, 0)) + F.pad(down, (0, 0, 0, 1))
    return F.avg_pool2d(F.avg_pool2d(squares, 4), 3, 1, 1)


def texture_loss(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of the strength of detail, wherever the detail itself lies.

    An error in pixels alone is smallest for a blurred image.

    Args:
        a, b: (B, 3, h, w).
        weight: (B, 1, h, w).
    """
    near = F.avg_pool2d(weight, 4)
    strengths = [(detail_energy(image) + _ENERGY_FLOOR).sqrt() for image in (a, b)]
    return ((strengths[0] - strengths[1]).abs() * near).sum() / (near.sum() + 1e-6)


def sharpness_loss(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Absolute logarithm of the ratio of two images' gradient energies, 0 for equally sharp ones.

    Args:
        a, b: (B, 3, h, w).
        weight: (B, 1, h, w).
    """
    near = F.avg_pool2d(weight, 4)
    share = near / (near.sum((1, 2, 3), keepdim=True) + 1e-6)
    energies = [(detail_energy(image) * share).sum((1, 2, 3)) + _ENERGY_FLOOR for image in (a, b)]
    return (energies[0] / energies[1]).log().abs().mean()


def feature_distance(expert: CompactSyncNet, a: Tensor, b: Tensor) -> Tensor:
    """Perceptual distance: L1 of the features of the sync expert's first three layers.

    After Johnson et al., ECCV 2016, arXiv 1603.08155; the expert's features are those of lips, teeth
    and the dark between them.

    Args:
        a, b: (B, 3, H, W) RGB in [0, 1], mouths about as large as in a face crop.
    """
    layers = list(expert.look)[:_FEATURE_LAYERS]
    a, b = a - 0.5, b - 0.5
    total = a.new_zeros(())
    for layer in layers:
        a, b = layer(a), layer(b)
        total = total + F.l1_loss(a, b)
    return total / len(layers)


# --- sync ----------------------------------------------------------------------------------------


def contrastive_loss(
    faces: Tensor, audio: Tensor, scale: Tensor, stride: int
) -> tuple[Tensor, dict[str, float]]:
    """Symmetric InfoNCE over the windows of each clip (arXiv 1807.03748).

    Only windows of the same clip are compared: across clips it would be enough to recognise the
    speaker. A window one frame away shares four of five frames and is neither positive nor negative.

    Args:
        faces, audio: (C, W, D) unit vectors of W windows of C clips.
        scale: of the logits, the inverse of the temperature.
        stride: frames from window to window.

    Returns:
        The loss in nats, and figures.
    """
    similarity = torch.einsum("cvd,cwd->cvw", faces, audio)
    windows = torch.arange(similarity.shape[1], device=faces.device)
    neighbours = (windows[:, None] - windows[None]).abs() * stride == 1
    logits = (similarity * scale).masked_fill(neighbours, -1e4)
    target = windows.expand(len(faces), -1)
    both = F.cross_entropy(logits.mT, target) + F.cross_entropy(logits, target)
    accuracy = (logits.detach().argmax(2) == target).float().mean()
    return both / 2, {"info_nce": both.item() / 2, "accuracy": accuracy.item()}


def pair_loss(faces: Tensor, audio: Tensor, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
    """Wav2Lip's expert loss: cosine and BCE of matching and shifted pairs.

    Half of the pairs, at random by `seed` and `step`, are of two different windows of a clip.

    Args:
        faces, audio: (C, W, D) unit vectors of W windows of C clips.

    Returns:
        The loss in nats, and figures.
    """
    count = faces.shape[1]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    shift = torch.randint(1, count, (len(faces), count), generator=generator)
    matching = torch.rand(len(faces), count, generator=generator) < 0.5
    offset = torch.where(matching, 0, shift).to(faces.device)
    index = (torch.arange(count, device=faces.device) + offset) % count
    paired = torch.take_along_dim(audio, index.unsqueeze(2), dim=1)
    # ReLU keeps the official network's cosine in [0, 1]; other networks go below.
    similarity = (faces * paired).sum(2).clamp(1e-6, 1 - 1e-6)
    loss = F.binary_cross_entropy(similarity, matching.to(similarity))
    accuracy = ((similarity > 0.5) == matching.to(similarity.device)).float().mean()
    return loss, {"bce": loss.item(), "accuracy": accuracy.item()}


def offset_table_loss(table: FloatArray, scale: float | None) -> float:
    """The validation loss of a recipe on a table of `similarity_by_offset`, in nats.

    Args:
        table: (windows, 31); rows with NaN are left out.
        scale: of the logits in `contrastive_loss`, where each window's audio is sought among all
            offsets and chance is ln 31 = 3.43; None for `pair_loss`, whose chance is ln 2 = 0.69.
    """
    complete = table[~np.isnan(table).any(1)]
    middle = table.shape[1] // 2
    if scale is not None:
        logits = complete * scale
        return float((np.log(np.exp(logits).sum(1)) - logits[:, middle]).mean())
    similarity = np.clip(complete, 1e-6, 1 - 1e-6)
    negatives = np.delete(similarity, range(middle - 1, middle + 2), axis=1)
    return float(-(np.log(similarity[:, middle]).mean() + np.log(1 - negatives).mean()) / 2)


def sync_loss(expert: SyncExpert, generated: Tensor, mel: Tensor) -> Tensor:
    """Wav2Lip's sync loss: BCE of the similarity of lips and audio against 1.

    Below a similarity of 0.05 the logarithm continues as its tangent, so that similarities around and
    below 0, where it is undefined, still have a useful gradient.

    Args:
        generated: (B, 3, 5, H, W) BGR in [0, 1], the whole face.
        mel: (B, 1, 80, 16).
    """
    lower = generated[..., generated.shape[-2] // 2 :, :].flip(1)
    similarity = (expert.embed_faces(lower).float() * expert.embed_audio(mel).float()).sum(1)
    return (
        -similarity.clamp(_SYNC_LOSS_KNEE, 1).log() + (1 - similarity / _SYNC_LOSS_KNEE).clamp_min(0)
    ).mean()
