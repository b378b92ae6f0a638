"""Wav2Lip as a `LipGenerator`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from lipsync.devices import choose_device, choose_dtype
from lipsync.generators.base import GeneratorSpec
from lipsync.generators.batched import BatchedGenerator
from lipsync.generators.wav2lip.network import (
    OFFICIAL_SIZE,
    Wav2LipNetwork,
    network_from_state_dict,
    prepare_for_inference,
)
from lipsync.media.audio.mel import MelWindows, mel_spectrogram
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, Crops, FloatArray, Mouths
from lipsync.weights import entry, load_into, load_state_dict
from lipsync.weights.checkpoint import read_header
from lipsync.weights.weights_file import reading_errors

_FORMATS = ("fp32", "bf16", "fp16")
_ROW_STEP = 8
"""Rows that are left out are a multiple of it: packed layers keep something for each size they meet."""

FORMAT = "lipsync-wav2lip-1"
"""Value of "format" in the header of our own safetensors files."""


class Wav2Lip(BatchedGenerator):
    """Wav2Lip with any checkpoint in its format; a `LipGenerator`.

    Crops are (B, H, W, 3), 96 x 96 with the official weights; audio rows are mel windows (B, 1, 80, 16).
    A checkpoint's size and width are inferred from its tensors.

    Args:
        weights: the checkpoint, in any format that `load_state_dict` reads, or the network
            itself, ready to be called with (mel, face).
        name: the weights' name in the catalogue, for the licence in the spec, unless the file's header
            states one.
        device, number_format: as in `GeneratorOptions`.
        batch_size: frames per forward pass; 0 chooses by device.

    Raises:
        WeightsError: the file is no Wav2Lip generator.
        OptionError: there is no such device, or it does not support the precision.
    """

    def __init__(
        self,
        weights: Path | nn.Module,
        *,
        name: str = "wav2lip",
        device: str | torch.device = "auto",
        number_format: str = "auto",
        batch_size: int = 0,
    ) -> None:
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, _FORMATS)
        if isinstance(weights, nn.Module):
            size = weights.size if isinstance(weights, Wav2LipNetwork) else OFFICIAL_SIZE
            self.network, self.spec = weights, _spec(name, size)
        else:
            network = load_wav2lip(weights)
            self.spec = _spec(name, network.size, read_header(weights))
            self.network = prepare_for_inference(network, self.device, self.dtype)
        self.batch_size = batch_size or self.default_batch_size(self.device)

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> MelWindows:
        """One mel window, float32 (1, 80, 16), per frame; see `MelWindows`."""
        return MelWindows(mel_spectrogram(audio, cancel=cancel), fps, frames, lead)

    def generate_below(self, first_row: int, crops: Crops, audio_rows: FloatArray) -> Mouths:
        """See `PartialGenerator`; a fifth faster where the upper half is left out."""
        first_row -= first_row % _ROW_STEP
        return self._in_batches(partial(self._forward, first_row=first_row), crops, audio_rows)

    @torch.inference_mode()
    def _forward(self, crops: Crops, audio_rows: FloatArray, first_row: int = 0) -> FloatArray:
        images = torch.from_numpy(np.ascontiguousarray(np.asarray(crops))).to(self.device)
        # RGB -> BGR, which the network was trained on. The crops are channels-last in memory, and the
        # permuted (B, 3, H, W) stays so.
        bgr = images.flip(-1).float().div_(255).permute(0, 3, 1, 2)
        masked = bgr.clone()
        masked[:, :, masked.shape[2] // 2 :] = 0
        mel = torch.from_numpy(np.ascontiguousarray(audio_rows)).to(self.device, self.dtype)
        given = mel, torch.cat((masked, bgr), dim=1)
        if first_row and isinstance(self.network, Wav2LipNetwork):
            bgr[:, :, first_row:] = self.network(*given, first_row)
        else:
            bgr = self.network(*given)
        rgb: FloatArray = bgr.flip(1).float().cpu().numpy()
        return rgb


def load_wav2lip(path: Path) -> Wav2LipNetwork:
    """Load a checkpoint into a network of its size and width.

    The tensors may still be mapped from the file, see `load_into`.

    Raises:
        WeightsError: the file is no Wav2Lip generator.
    """
    state = load_state_dict(path)
    # "meta" skips the initialisation, which would take as long as the rest.
    with reading_errors(path), torch.device("meta"):
        network = network_from_state_dict(state)
    load_into(network, state, what="the Wav2Lip generator", path=path)
    return network


def _spec(
    name: str, size: tuple[int, int], header: Mapping[str, str] = MappingProxyType({})
) -> GeneratorSpec:
    ours = header.get("format") == FORMAT
    return GeneratorSpec(
        name=name,
        crop_size=size,
        fps=25,
        number_formats=_FORMATS,
        licence=header.get("licence", "") if ours else entry(name).licence,
        paper="Prajwal et al., ACM MM 2020, arXiv 2008.10010",
        # The official crops, and those of its preprocess.py, are bilinear; ours are antialiased.
        antialias_crops=ours or size != OFFICIAL_SIZE,
    )
