"""Wav2Lip as a `LipGenerator`: pictures and sound in the program's form, the network's inside."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from lipsync.data_types import AudioClip, FloatArray
from lipsync.devices import choose_device, choose_dtype, free_memory, is_out_of_memory
from lipsync.errors import ToolError
from lipsync.generators.base import GeneratorSpec
from lipsync.generators.wav2lip.mel import MelWindows, mel_spectrogram
from lipsync.generators.wav2lip.network import FACE_SIZE, Wav2LipNetwork, prepare_for_inference
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.weights import entry, load_into, load_state_dict, require

_BATCH_SIZES = {"cpu": 16, "mps": 32, "cuda": 128}


class Wav2Lip:
    """The official generator, and any other checkpoint in its format.

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
        self.batch_size = batch_size or _BATCH_SIZES.get(self.device.type, 16)

    def _load(self, path: Path) -> nn.Module:
        network = Wav2LipNetwork()
        load_into(network, load_state_dict(path), what="the Wav2Lip generator", path=path)
        return prepare_for_inference(network, self.device, self.dtype)

    def encode_audio(self, voice: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> MelWindows:
        """One mel window, (1, 80, 16) float32, per frame; see `MelWindows`."""
        return MelWindows(mel_spectrogram(voice), fps, frames, lead)

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        """Draw a batch; (B, 96, 96, 3) uint8 RGB and (B, 1, 80, 16) -> (B, 3, 96, 96) RGB in [0, 1].

        A batch that does not fit into memory is drawn in halves, and so are those after it.

        Raises:
            ToolError: not even one frame fits.
        """
        expected = (FACE_SIZE, FACE_SIZE, 3)
        if crops.shape[1:] != expected or len(crops) != len(audio_rows):
            raise ValueError(f"crops {crops.shape} and audio rows {audio_rows.shape} do not fit")
        drawn = np.empty((len(crops), 3, FACE_SIZE, FACE_SIZE), np.float32)
        done = 0
        while done < len(crops):
            stop = min(done + self.batch_size, len(crops))
            try:
                drawn[done:stop] = self._draw(crops[done:stop], audio_rows[done:stop])
                done = stop
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if stop - done == 1:
                    raise _too_big(self.device) from error
                self.batch_size = (stop - done) // 2
            # Outside of the handler: the exception would hold on to the failed batch's tensors.
            free_memory(self.device)
        return drawn

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


def _too_big(device: torch.device) -> ToolError:
    return ToolError(
        "There is not enough memory to draw even one frame",
        given=f"device {device}",
        hint="Close other programs, or choose another device (for example 'cpu').",
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
