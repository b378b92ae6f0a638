"""The built-in model as a `LipGenerator`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lipsync.devices import choose_device, choose_dtype
from lipsync.errors import WeightsError
from lipsync.generators.base import GeneratorSpec
from lipsync.generators.batched import BatchedGenerator
from lipsync.generators.builtin.composition import compose_crops
from lipsync.generators.builtin.layers import fold_batch_norms, pack_convolutions
from lipsync.generators.builtin.log_mel import ENCODING, SAMPLE_RATE, loudness, speech_level
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig, feature_pieces, feature_rate
from lipsync.generators.builtin.packed_matrices import unpack_matrices
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, Crops, FloatArray, Frame
from lipsync.weights.checkpoint import check_fits, load_into, load_safetensors
from lipsync.weights.weights_file import reading_errors

FORMAT = "lipsync-builtin-2"
"""Value of "format" in the header of a weights file."""
_READABLE = ("lipsync-builtin-1", FORMAT)
PERSON_NOTE = "tuned to a person"
"""Entry of the header of a file whose brightness of teeth was measured on that person."""
_LIGHTEST_TEETH = 0.9
"""Largest brightness, relative to the face, that the networks are told of teeth that nobody has measured."""
LICENCE = "research and demonstration; see weights/README.md"
Network = TypeVar("Network", bound=nn.Module)
_MAX_NETWORK_CROP = 1024
"""Largest side of the networks' own crop that a file may ask for, pixels."""
_MAX_LAYERS = 64
_SHAPE_RATE = 50
"""Mouth shapes per second."""
_CLOSED_DB, _OPEN_DB = -34.0, -22.0
"""Levels relative to the speech level, dB: the mouth is closed below the first, free above the second."""
_MAX_CROP = 640
"""Largest side of a crop in pixels; larger faces are reduced, to bound time and memory."""
_SILENCE_DB = -55.0
"""Level, dB of full scale, that is silence in any recording."""


class Builtin(BatchedGenerator):
    """The built-in model; a `LipGenerator`.

    Crops have their own sizes, 128 to 640 pixels a side; audio rows are mouth shapes (B, shape_numbers).
    Every frame is its own reference, independent of the others in its batch.

    Args:
        weights: a file of `lipsync.training.tasks.export`, or the network itself.
        name: its name in the spec.
        device, number_format: as in `GeneratorOptions`.
        batch_size: frames per forward pass; 0 chooses by device.

    Raises:
        WeightsError: the file is not of this model.
        OptionError: there is no such device, or it does not support the precision.
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
        network = weights if isinstance(weights, BuiltinNetwork) else load_builtin(weights)
        self.spec = _spec(name, network.config)
        self.device = choose_device(device) if isinstance(device, str) else device
        self.dtype = choose_dtype(number_format, self.device, self.spec.number_formats)
        # Audio2Shape runs once for the whole clip: on the CPU, in full precision.
        self.audio2shape = network.voice.float().eval().requires_grad_(False)
        self.gain = network.gain.float().numpy()
        self.network = prepare_for_inference(network, self.device, self.dtype)
        self.batch_size = batch_size or self.default_batch_size(self.device)

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> FloatArray:
        """Mouth shapes, float32 (frames, shape_numbers); all zeros is the closed mouth.

        Each row depends on some seconds of audio to either side: 0.65 s without a speech encoder, see
        `SpeechEncoder.encode`. In silence, and beyond the end of the audio, the mouth closes; the shapes
        are smooth in time.

        Raises:
            ValueError: the audio is not at 16 kHz.
            Cancelled: the token was cancelled.
        """
        times = (np.arange(frames) - lead) / float(fps)
        if audio.sample_rate != SAMPLE_RATE:
            raise ValueError(f"the audio must be at {SAMPLE_RATE} Hz, got {audio.sample_rate}")
        if len(audio.samples) == 0:
            return np.zeros((frames, len(self.gain)), np.float32)
        cancel = cancel or CancelToken()
        gate = speech_gate(audio.samples, cancel)
        shapes = self._predict_shapes(audio.samples, cancel, gate) * gate[:, None]
        positions = times * _SHAPE_RATE
        steps = np.arange(len(shapes))
        columns = [
            np.interp(positions, steps, column, left=0.0, right=0.0) for column in smooth_shapes(shapes).T
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    @torch.inference_mode()
    def _predict_shapes(
        self, samples: FloatArray, cancel: CancelToken, gate: FloatArray | None = None
    ) -> FloatArray:
        """Mouth shapes (T, shape_numbers) at 50 Hz.

        In pieces, so that an hour takes little memory. Pieces in which the gate (T,) is 0 are zeros.
        """
        config = self.network.config
        features = feature_pieces(samples, config, self.network.encoder, cancel)
        stride = feature_rate(config) // _SHAPE_RATE
        piece, context = 3000 * stride, 100 * stride
        parts: list[Tensor] = []
        for before, columns in overlapping_pieces(features, piece, context):
            cancel.check(ENCODING)
            first = len(parts) * piece // stride
            if gate is not None and not gate[first : first + piece // stride].any():
                count = len(range(before, min(before + piece, columns.shape[1]), stride))
                parts.append(torch.zeros(len(self.gain), count))
                continue
            out: Tensor = self.audio2shape(torch.from_numpy(columns)[None])[0]
            parts.append(out[:, before // stride : (before + piece) // stride])
        return np.asarray(torch.cat(parts, dim=1).numpy().T * self.gain, np.float32)

    @torch.inference_mode()
    def _forward(self, crops: Crops, audio_rows: FloatArray) -> list[FloatArray]:
        faces = np.stack([resize_crop(crop, self.network.config.crop) for crop in crops])
        images = torch.from_numpy(faces).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        shapes = torch.from_numpy(np.ascontiguousarray(audio_rows, np.float32)).to(self.device)
        maps, outlines = self.network.predict(images, shapes)
        return compose_crops(self.network, [*crops], maps, outlines)


def resize_crop(crop: Frame, side: int) -> Frame:
    """A crop (h, w, 3) as the networks see it, (side, side, 3); shrunk by area, enlarged bilinearly."""
    if crop.shape[:2] == (side, side):
        return crop
    shrinks = crop.shape[0] > side and crop.shape[1] > side
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (side, side), interpolation=interpolation), np.uint8)


def speech_gate(samples: FloatArray, cancel: CancelToken | None = None) -> FloatArray:
    """Gain on mouth shapes by the level of the audio, smooth in time.

    Args:
        samples: float32 (n,) at 16 kHz.
        cancel: checked between pieces of it.

    Returns:
        float32 (T,) in [0, 1] at 50 Hz; 0 in silence.

    Raises:
        Cancelled: the token was cancelled.
    """
    level = loudness(samples, cancel)
    reference = max(speech_level(level), _SILENCE_DB - _CLOSED_DB)
    gain = np.clip((level - reference - _CLOSED_DB) / (_OPEN_DB - _CLOSED_DB), 0, 1)
    # The mouth moves before the sound, and short gaps between words do not close it: dilate first.
    padded = np.pad(gain, 12)
    wide = np.lib.stride_tricks.sliding_window_view(padded, 25).max(1)
    kernel = np.hanning(19)[1:-1]
    soft = np.convolve(np.pad(wide, 8, mode="edge"), kernel / kernel.sum(), mode="valid")
    return np.asarray(soft[::2], np.float32)


def overlapping_pieces(
    parts: Iterable[FloatArray], piece: int, context: int
) -> Iterator[tuple[int, FloatArray]]:
    """Pieces of equal length with the columns around them, of an array that comes in parts.

    Args:
        parts: (channels, any number of columns).
        piece: columns of each piece; the last one is shorter.
        context: columns before and after it, as far as there are any.

    Yields:
        Number of columns before the piece, and (channels, columns) with those before and after it.
    """
    before, held, ended = 0, next(iterator := iter(parts)), False
    while held.shape[1] > before:
        following = [held]
        while not ended and sum(part.shape[1] for part in following) < before + piece + context:
            part = next(iterator, None)
            ended = part is None
            following += [] if part is None else [part]
        held = np.concatenate(following, axis=1)
        yield before, np.ascontiguousarray(held[:, : before + piece + context])
        skipped = max(0, before + piece - context)
        before, held = before + piece - skipped, held[:, skipped:]


def smooth_shapes(shapes: FloatArray) -> FloatArray:
    """Binomial filter of 60 ms on mouth shapes (T, numbers) at 50 Hz; same shape."""
    padded = np.pad(shapes, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, np.float32)


def load_builtin(path: Path) -> BuiltinNetwork:
    """Load a weights file; its header holds the network's architecture.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    network, _, header = _load_network(path, BuiltinNetwork)
    if network.painter.mouth is not None and PERSON_NOTE not in header:
        network.painter.usual_tone.clamp_(max=_LIGHTEST_TEETH)
    return network


def load_locator(path: Path) -> tuple[MouthLocator, NetworkConfig]:
    """Load the mouth locator alone from a weights file, and the architecture it belongs to.

    Raises:
        WeightsError: as `load_builtin`.
    """
    return _load_network(path, lambda config: MouthLocator(config.height, config.width), "place.")[:2]


def _load_network(
    path: Path, build: Callable[[NetworkConfig], Network], prefix: str = ""
) -> tuple[Network, NetworkConfig, dict[str, str]]:
    """The network that `build` makes for the file's architecture, with the tensors under `prefix`.

    With it come the architecture and the file's header.
    """
    tensors, header = load_safetensors(path, prefix)
    if header.get("format") not in _READABLE:
        raise WeightsError("The file is not of the built-in model", given=path)
    state = {name.removeprefix(prefix): value for name, value in unpack_matrices(tensors).items()}
    with reading_errors(path):
        fields = json.loads(header["config"])
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        config = NetworkConfig(**fields)
        _check_config(config)
        with torch.device("meta"):  # takes no memory, whatever sizes the header claims
            claimed = build(config)
    check_fits(claimed, state, what="the built-in model", path=path)
    network = build(config)
    load_into(network, state, what="the built-in model", path=path)
    return network, config, header


def _check_config(config: NetworkConfig) -> None:
    """Check the sizes in a header that no tensor confirms.

    Raises:
        ValueError: the window does not lie in the crop, the crop is larger or the speech encoder deeper
            than any network's, or its heads do not share the features evenly.
    """
    ends = (config.top + config.height, config.left + config.width)
    if (
        not 0 < config.crop <= _MAX_NETWORK_CROP
        or min(config.top, config.left) < 0
        or max(ends) > config.crop
    ):
        raise ValueError(f"a window up to {ends} in a crop of {config.crop}")
    layers, width, heads = config.encoder_layers, config.encoder_width, config.encoder_heads
    if not 0 <= layers <= _MAX_LAYERS or heads < 1 or width % (2 * heads):
        raise ValueError(f"a speech encoder of {layers} layers with {heads} heads for {width} features")


def prepare_for_inference(
    network: BuiltinNetwork, device: torch.device, dtype: torch.dtype
) -> BuiltinNetwork:
    """Freeze the network, fold batch norms, move it to `device` and pack its convolutions, in place.

    Only convolutions get `dtype`; points and flows stay in fp32.
    """
    network.eval().requires_grad_(False)
    fold_batch_norms(network)
    network.to(device)
    if network.encoder is not None:
        network.encoder.to(dtype=dtype)
    network.place.body.to(dtype=dtype)
    network.painter.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part in (network.place.body, network.painter):
        pack_convolutions(part, device, dtype)
    return network


def _spec(name: str, config: NetworkConfig) -> GeneratorSpec:
    return GeneratorSpec(
        name=name,
        crop_size=None,
        fps=25,
        number_formats=("fp32", "bf16", "fp16"),
        licence=LICENCE,
        paper="weights/README.md",
        antialias_crops=True,
        crop_sides=(config.crop, _MAX_CROP),
    )
