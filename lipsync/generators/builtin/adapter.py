"""The built-in model as a `LipGenerator`: pictures and sound in, mouths out."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lipsync.devices import choose_device, choose_dtype
from lipsync.errors import WeightsError
from lipsync.generators.base import GeneratorSpec
from lipsync.generators.batched import BatchedGenerator
from lipsync.generators.builtin.log_mel import MEL_RATE, SAMPLE_RATE, log_mel, loudness, speech_level
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.types import AudioClip, FloatArray
from lipsync.weights import load_into

FORMAT = "lipsync-builtin-1"
"""What the header of a weights' file says under "format"."""
LICENCE = "research and demonstration; see weights/README.md"
_SHAPE_RATE = MEL_RATE / 2
_QUIET, _LOUD = -34.0, -22.0
"""Decibels below the voice's louder parts: closed mouth, and mouth free to move."""
_SILENT = -55.0
"""Decibels of full scale that are silence in any recording."""


class Builtin(BatchedGenerator):
    """The model that ships with the program.

    Crops are (B, S, S, 3), S being 128 in the weights that ship, audio rows (B, shape_numbers). Every
    frame is its own reference, and no frame depends on the others of its batch.

    Args:
        weights: a file of `lipsync.training.tasks.export`, or the network itself.
        name: what the spec is to say.
        device, number_format: as in `GeneratorOptions`.
        batch_size: frames drawn at a time; 0 chooses by device.

    Raises:
        WeightsError: the file is not of this model.
        OptionError: there is no such device, or no such number format for it.
    """

    def __init__(
        self,
        weights: Path | BuiltinNetwork,
        *,
        name: str = "builtin",
        device: str | torch.device = "auto",
        number_format: str = "auto",
        batch_size: int = 0,
    ) -> None:
        network = weights if isinstance(weights, BuiltinNetwork) else load(weights)
        self.spec = _spec(name, network.config)
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, self.spec.number_formats)
        # The voice network runs once for the whole clip: on the CPU, in full precision.
        self.voice = network.voice.float().eval().requires_grad_(False)
        self.gain = network.gain.float().numpy()
        self.network = prepare_for_inference(network, self.device, self.dtype)
        self.batch_size = batch_size or self.default_batch_size(self.device)

    def encode_audio(self, voice: AudioClip, fps: Fraction | float, frames: int, lead: int = 0) -> FloatArray:
        """Mouth shapes (frames, shape_numbers) float32; all zeros is the closed mouth.

        The voice is heard whole, 0.65 s around each frame. Where it is silent, and beyond its end,
        the mouth closes; the shapes are smooth in time.
        """
        clock = (np.arange(frames) - lead) / float(fps)
        if voice.sample_rate != SAMPLE_RATE:
            raise ValueError(f"the voice must be at {SAMPLE_RATE} Hz, got {voice.sample_rate}")
        if len(voice.samples) == 0:
            return np.zeros((frames, len(self.gain)), np.float32)
        shapes = self._hear(voice.samples) * gate(voice.samples)[:, None]
        at = clock * _SHAPE_RATE
        steps = np.arange(len(shapes))
        columns = [np.interp(at, steps, column, left=0.0, right=0.0) for column in smooth(shapes).T]
        return np.stack(columns, axis=1).astype(np.float32)

    @torch.inference_mode()
    def _hear(self, samples: FloatArray) -> FloatArray:
        """Shapes (T, shape_numbers) at 50 Hz, in pieces so that an hour needs little memory."""
        mel = torch.from_numpy(log_mel(samples, self.network.config.mels))
        piece, context = 6000, 200  # columns of the mel; both even, for the network halves their rate
        parts = []
        for start in range(0, mel.shape[1], piece):
            first = max(0, start - context)
            out: Tensor = self.voice(mel[None, :, first : start + piece + context])[0]
            parts.append(out[:, (start - first) // 2 : (start - first + piece) // 2])
        return np.asarray(torch.cat(parts, dim=1).numpy().T * self.gain, np.float32)

    @torch.inference_mode()
    def _draw(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        pictures = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
        faces = pictures.permute(0, 3, 1, 2).float().div_(255)
        shapes = torch.from_numpy(np.ascontiguousarray(audio_rows, np.float32)).to(self.device)
        rgb: FloatArray = self.network(faces, shapes).float().clamp_(0, 1).cpu().numpy()
        return rgb


def gate(samples: FloatArray) -> FloatArray:
    """How far the mouth may move, 0..1 at 50 Hz: 0 in silence, opening and closing softly."""
    level = loudness(samples)
    loud = max(speech_level(level), _SILENT - _QUIET)
    free = np.clip((level - loud - _QUIET) / (_LOUD - _QUIET), 0, 1)
    # The mouth moves before it is heard, and short gaps between words do not close it: widen first.
    padded = np.pad(free, 12)
    wide = np.lib.stride_tricks.sliding_window_view(padded, 25).max(1)
    kernel = np.hanning(19)[1:-1]
    soft = np.convolve(np.pad(wide, 8, mode="edge"), kernel / kernel.sum(), mode="valid")
    return np.asarray(soft[::2], np.float32)


def smooth(shapes: FloatArray) -> FloatArray:
    """(T, numbers) at 50 Hz without what is faster than lips: 60 ms wide, binomial."""
    padded = np.pad(shapes, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, np.float32)


def load(path: Path) -> BuiltinNetwork:
    """Read a weights' file; its header says how large the network is.

    Raises:
        WeightsError: the file is damaged or of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise WeightsError("The built-in model's file cannot be read", given=path) from error
    if header.get("format") != FORMAT:
        raise WeightsError("The file is not of the built-in model", given=path)
    fields = json.loads(header["config"])
    network = BuiltinNetwork(NetworkConfig(**{**fields, "widths": tuple(fields["widths"])}))
    load_into(network, state, what="the built-in model", path=path)
    return network


def prepare_for_inference(
    network: BuiltinNetwork, device: torch.device, dtype: torch.dtype
) -> BuiltinNetwork:
    """Freeze, fold and move, in place. Places and flows stay in 32 bits; only convolutions change."""
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            convolution = module[0]
            assert isinstance(convolution, nn.Conv2d)
            module[0] = torch.nn.utils.fuse_conv_bn_eval(convolution, module[1])
            module[1] = nn.Identity()
    network.to(device)
    network.place.body.to(dtype=dtype)
    network.painter.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _spec(name: str, config: NetworkConfig) -> GeneratorSpec:
    return GeneratorSpec(
        name=name,
        crop_size=(config.crop, config.crop),
        fps=25,
        number_formats=("fp32", "bf16", "fp16"),
        licence=LICENCE,
        paper="weights/README.md",
        antialias_crops=True,
    )
