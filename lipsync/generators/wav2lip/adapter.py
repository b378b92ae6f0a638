"""Wav2Lip as a `LipGenerator`: pictures and sound in the program's form, the network's inside."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lipsync.data_types import AudioClip, FloatArray
from lipsync.devices import choose_device, choose_dtype
from lipsync.generators.base import GeneratorSpec
from lipsync.generators.batched import BatchedGenerator
from lipsync.generators.wav2lip.network import FACE_SIZE, Wav2LipNetwork, prepare_for_inference
from lipsync.mel import MelWindows, mel_spectrogram
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.weights import entry, load_into, load_state_dict, require


class Wav2Lip(BatchedGenerator):
    """The official generator, and any other checkpoint in its format.

    Crops are (B, 96, 96, 3), audio rows (B, 1, 80, 16).

    Args:
        weights: the checkpoint, in any format that `load_state_dict` reads, or the network
            itself, ready to be called with (mel, face).
        name: the catalogue's name of the weights; its licence is what the spec tells.
        device, number_format: as in `GeneratorOptions`.
        batch_size: frames drawn at a time; 0 chooses by device.

    Raises:
        WeightsError: the file is no Wav2Lip generator.
        OptionError: there is no such device, or no such number format for it.
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
        self.spec = _spec(name)
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, self.spec.number_formats)
        if isinstance(weights, nn.Module):
            self.network = weights
        else:
            self.network = self._load(weights)
        self.batch_size = batch_size or self.default_batch_size(self.device)

    def _load(self, path: Path) -> nn.Module:
        network = Wav2LipNetwork()
        load_into(network, load_state_dict(path), what="the Wav2Lip generator", path=path)
        return prepare_for_inference(network, self.device, self.dtype)

    def encode_audio(self, voice: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> MelWindows:
        """One mel window, (1, 80, 16) float32, per frame; see `MelWindows`."""
        return MelWindows(mel_spectrogram(voice), fps, frames, lead)

    @torch.inference_mode()
    def _draw(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        pictures = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
        # RGB -> BGR, which the network was trained on. The crops are channels-last already, and
        # seen as (B, 3, H, W) they stay so.
        bgr = pictures.flip(-1).to(self.dtype).div_(255).permute(0, 3, 1, 2)
        hidden = bgr.clone()
        hidden[:, :, FACE_SIZE // 2 :] = 0
        sound = torch.from_numpy(np.ascontiguousarray(audio_rows)).to(self.device, self.dtype)
        mouths = self.network(sound, torch.cat((hidden, bgr), dim=1))
        rgb: FloatArray = mouths.flip(1).float().cpu().numpy()
        return rgb


def _spec(name: str) -> GeneratorSpec:
    return GeneratorSpec(
        name=name,
        crop_size=(FACE_SIZE, FACE_SIZE),
        fps=25,
        number_formats=("fp32", "bf16", "fp16"),
        licence=entry(name).licence,
        paper="Prajwal et al., ACM MM 2020, arXiv 2008.10010",
    )


def create(
    name: str,
    *,
    weights: Path | None = None,
    device: str | torch.device = "auto",
    number_format: str = "auto",
    batch_size: int = 0,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Wav2Lip:
    """The generator called `name`, with its own weights unless others are given.

    Raises:
        DownloadError: no weights were given, they are not on this machine, and cannot be fetched.
        WeightsError, OptionError: as `Wav2Lip`.
        Cancelled: the user stopped the download.
    """
    path = weights or require(name, progress=progress, cancel=cancel)
    return Wav2Lip(path, name=name, device=device, number_format=number_format, batch_size=batch_size)
