"""Inference backends for `benchmarks.generator`: the official network, and the built-in model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch

from benchmarks.limit import CPU
from lipsync.generators.builtin.adapter import load_builtin, resize_crop
from lipsync.generators.builtin.adapter import prepare_for_inference as prepare_builtin
from lipsync.generators.builtin.composition import compose_crops
from lipsync.generators.wav2lip.adapter import load_wav2lip
from lipsync.generators.wav2lip.network import Wav2LipNetwork, fold_batch_norm, prepare_for_inference
from lipsync.types import FloatArray
from lipsync.weights import find

BUILTIN = "built-in model"
"""Beginning of the names of what runs another network."""
BUILTIN_SIDE = 250
"""Pixels of its faces, as in a close-up in 720p."""
FIRST_ROW = 40
"""Where the mask of most faces begins; see `lipsync.blending.first_row_used`."""
Generate: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]
"""Mel (B, 1, 80, 16) and face (B, 6, 96, 96) in [0, 1] -> mouths (B, 3, 96, 96), float32."""


def _of_torch(
    network: Callable[..., Any], dtype: torch.dtype = torch.float32, face_dtype: torch.dtype | None = None
) -> Generate:
    def generate(mel: FloatArray, face: FloatArray) -> FloatArray:
        given = torch.from_numpy(face).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            out = network(torch.from_numpy(mel).to(dtype), given.to(face_dtype or dtype))
        mouths: FloatArray = out.float().numpy()
        return mouths

    return generate


def as_published(path: Path) -> Generate:
    """fp32, channels first, separate batch norms."""
    network = load_wav2lip(path).eval()

    def generate(mel: FloatArray, face: FloatArray) -> FloatArray:
        with torch.inference_mode():
            mouths: FloatArray = network(torch.from_numpy(mel), torch.from_numpy(face)).numpy()
        return mouths

    return generate


def as_used(path: Path, dtype: torch.dtype, first_row: int = 0) -> Generate:
    """As this program runs it; with a mask of mouth and chin it needs the rows below `first_row` alone."""
    network = prepare_for_inference(load_wav2lip(path), CPU, dtype)
    return _of_torch(lambda mel, face: network(mel, face, first_row), dtype, torch.float32)


def builtin(dtype: torch.dtype) -> Generate:
    """The built-in model on the same faces, enlarged, with mouth shapes that change."""
    weights = find("builtin")
    assert weights, "the built-in model ships with the program"
    network = prepare_builtin(load_builtin(weights), CPU, dtype)
    size = (BUILTIN_SIDE, BUILTIN_SIDE)

    @torch.inference_mode()
    def generate(mel: FloatArray, face: FloatArray) -> FloatArray:
        rgb = (face[:, :2:-1] * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        crops = [cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in rgb]
        shapes = torch.from_numpy(mel[:, 0, : network.config.shape_numbers, 0] / 8)
        side = network.config.crop
        images = np.stack([resize_crop(crop, side) for crop in crops])
        maps, outlines = network.predict(torch.from_numpy(images).permute(0, 3, 1, 2) / 255, shapes)
        return np.stack(compose_crops(network, crops, maps, outlines))

    return generate


def folded(path: Path, dtype: torch.dtype) -> Wav2LipNetwork:
    """Folded batch norms, channels last, last layer in fp32; plain convolutions."""
    network = load_wav2lip(path)
    fold_batch_norm(network.eval().requires_grad_(False))
    network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.output_block[1].float()
    return network


def with_autocast(path: Path) -> Generate:
    """Weights in fp32, autocast per layer."""
    network = load_wav2lip(path).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)

    def run(mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            drawn: torch.Tensor = network(mel, face)
        return drawn

    return _of_torch(run)


def compiled(path: Path, dtype: torch.dtype) -> Generate:
    """torch.compile with frozen weights."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    return _of_torch(torch.compile(folded(path, dtype)), dtype)


def traced(path: Path, dtype: torch.dtype) -> Generate:
    """Frozen TorchScript with oneDNN layers."""
    network = folded(path, dtype)
    example = (torch.zeros(2, 1, 80, 16, dtype=dtype), torch.zeros(2, 6, 96, 96, dtype=dtype))
    with torch.no_grad():
        graph = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(graph))
    return _of_torch(frozen, dtype)


def with_onednn_graph(path: Path) -> Generate:
    """TorchScript with oneDNN's graph compiler, fp32."""
    torch.jit.enable_onednn_fusion(True)
    network = folded(path, torch.float32)
    with torch.no_grad():
        example = (torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
        graph = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
    return _of_torch(torch.jit.freeze(graph))


def with_openvino(path: Path, number_format: str) -> Generate:
    """OpenVINO's CPU plugin."""
    import openvino

    model = openvino.convert_model(
        load_wav2lip(path).eval(), example_input=(torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    )
    settings = {
        "INFERENCE_PRECISION_HINT": number_format,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    ready = openvino.Core().compile_model(model, "CPU", settings)
    return lambda mel, face: np.asarray(ready([mel, face])[0], np.float32)


def with_onnxruntime(path: Path) -> Generate:
    """onnxruntime's CPU provider, fp32 (it has no bf16 convolution)."""
    import onnxruntime

    network = folded(path, torch.float32)
    example = (torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    axes = {"mel": {0: "batch"}, "face": {0: "batch"}}
    with tempfile.TemporaryDirectory() as folder:
        stored = str(Path(folder) / "network.onnx")
        names = {"input_names": ["mel", "face"], "output_names": ["drawn"]}
        torch.onnx.export(network, example, stored, **names, dynamic_axes=axes, dynamo=False)  # type: ignore[arg-type]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(stored, options, providers=["CPUExecutionProvider"])
    return lambda mel, face: np.asarray(session.run(None, {"mel": mel, "face": face})[0], np.float32)


BACKENDS: dict[str, Callable[[Path], Generate]] = {
    "as published, fp32": as_published,
    "as used, fp32": lambda path: as_used(path, torch.float32),
    "as used, bf16": lambda path: as_used(path, torch.bfloat16),
    "as used, mask's rows, fp32": lambda path: as_used(path, torch.float32, FIRST_ROW),
    "as used, mask's rows, bf16": lambda path: as_used(path, torch.bfloat16, FIRST_ROW),
    "folded, fp32": lambda path: _of_torch(folded(path, torch.float32)),
    "folded, bf16": lambda path: _of_torch(folded(path, torch.bfloat16), torch.bfloat16),
    "autocast, bf16": with_autocast,
    "TorchScript, fp32": lambda path: traced(path, torch.float32),
    "oneDNN graph, fp32": with_onednn_graph,
    "torch.compile, fp32": lambda path: compiled(path, torch.float32),
    "torch.compile, bf16": lambda path: compiled(path, torch.bfloat16),
    "OpenVINO, fp32": lambda path: with_openvino(path, "f32"),
    "OpenVINO, bf16": lambda path: with_openvino(path, "bf16"),
    "onnxruntime, fp32": with_onnxruntime,
    f"{BUILTIN}, fp32": lambda _: builtin(torch.float32),
    f"{BUILTIN}, bf16": lambda _: builtin(torch.bfloat16),
}
