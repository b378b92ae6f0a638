"""The official network in every arrangement that can be had, side by side, with the same weights.

Each arrangement runs in a process of its own; they take turns, so that what else the machine does
disturbs all alike, and two of the processes measure the ceiling, the best convolution, in the same
turns. "A core" is told from CPU time with one thread, which a busy machine disturbs little; "all", with
`--all-threads`, from wall time with all of them. The start is everything until the first batch is drawn:
CPU seconds of Python, imports, weights and whatever the arrangement compiles. Differences are to the
network as published in fp32, of 255, over the faces given. An arrangement whose package is absent is
left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import psutil
import torch

from benchmarks.common import SAMPLES, made_up_checkpoint, report
from benchmarks.limit import CPU, best_seconds, convolution, formats
from lipsync.faces import DETECTORS, crop_face
from lipsync.generators.wav2lip.adapter import load
from lipsync.generators.wav2lip.network import Wav2LipNetwork, fold_batch_norm, prepare_for_inference
from lipsync.media import open_audio, open_video
from lipsync.media.audio.mel import MelWindows, mel_spectrogram
from lipsync.types import FloatArray

Draw: TypeAlias = Callable[[FloatArray, FloatArray], FloatArray]
"""Mel (B, 1, 80, 16) and face (B, 6, 96, 96) in [0, 1], float32, to the picture (B, 3, 96, 96)."""
CEILINGS = {"ceiling fp32": torch.float32, "ceiling bf16": torch.bfloat16}
FACES_A_CLIP = 4
CEILING_SHAPE = (128, 48)
"""Channels and side of the convolution that the ceiling is measured with; see `benchmarks.limit`."""


# --- the arrangements ------------------------------------------------------------------------------


def _of_torch(
    network: Callable[..., Any], dtype: torch.dtype = torch.float32, face_dtype: torch.dtype | None = None
) -> Draw:
    def draw(mel: FloatArray, face: FloatArray) -> FloatArray:
        given = torch.from_numpy(face).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            out = network(torch.from_numpy(mel).to(dtype), given.to(face_dtype or dtype))
        drawn: FloatArray = out.float().numpy()
        return drawn

    return draw


def as_published(path: Path) -> Draw:
    """fp32, rows, batch norm as layers of its own."""
    network = load(path).eval()

    def draw(mel: FloatArray, face: FloatArray) -> FloatArray:
        with torch.inference_mode():
            drawn: FloatArray = network(torch.from_numpy(mel), torch.from_numpy(face)).numpy()
        return drawn

    return draw


def as_used(path: Path, dtype: torch.dtype) -> Draw:
    """What the program runs."""
    return _of_torch(prepare_for_inference(load(path), CPU, dtype), dtype, torch.float32)


def folded(path: Path, dtype: torch.dtype) -> Wav2LipNetwork:
    """Batch norm folded, channels last, the last layer in fp32; plain convolutions."""
    network = load(path)
    fold_batch_norm(network.eval().requires_grad_(False))
    network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.output_block[1].float()
    return network


def with_autocast(path: Path) -> Draw:
    """Weights in fp32, cast layer by layer as they are used."""
    network = load(path).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)

    def run(mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            drawn: torch.Tensor = network(mel, face)
        return drawn

    return _of_torch(run)


def compiled(path: Path, dtype: torch.dtype) -> Draw:
    """torch.compile, weights frozen in."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    return _of_torch(torch.compile(folded(path, dtype)), dtype)


def traced(path: Path, dtype: torch.dtype) -> Draw:
    """TorchScript, frozen, with its own oneDNN layers."""
    network = folded(path, dtype)
    example = (torch.zeros(2, 1, 80, 16, dtype=dtype), torch.zeros(2, 6, 96, 96, dtype=dtype))
    with torch.no_grad():
        graph = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(graph))
    return _of_torch(frozen, dtype)


def with_onednn_graph(path: Path) -> Draw:
    """TorchScript handed to oneDNN's graph compiler, fp32."""
    torch.jit.enable_onednn_fusion(True)
    network = folded(path, torch.float32)
    with torch.no_grad():
        example = (torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
        graph = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
    return _of_torch(torch.jit.freeze(graph))


def with_openvino(path: Path, number_format: str) -> Draw:
    """OpenVINO's CPU plugin."""
    import openvino

    model = openvino.convert_model(
        load(path).eval(), example_input=(torch.zeros(2, 1, 80, 16), torch.zeros(2, 6, 96, 96))
    )
    settings = {
        "INFERENCE_PRECISION_HINT": number_format,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    ready = openvino.Core().compile_model(model, "CPU", settings)
    return lambda mel, face: np.asarray(ready([mel, face])[0], np.float32)


def with_onnxruntime(path: Path) -> Draw:
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


ARRANGEMENTS: dict[str, Callable[[Path], Draw]] = {
    "as published, fp32": as_published,
    "as used, fp32": lambda path: as_used(path, torch.float32),
    "as used, bf16": lambda path: as_used(path, torch.bfloat16),
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
}


# --- one process an arrangement --------------------------------------------------------------------


def work(name: str, weights: Path, faces: Path, threads: int, batch: int, commands: IO[str]) -> None:
    """Answer each line of `commands` with one line of JSON on the standard output."""
    torch.set_num_threads(threads)
    with np.load(faces) as stored:
        mel, face = stored["mel"], stored["face"]
    run, drawn = _prepared(name, weights, mel, face, batch)
    run()
    print(json.dumps({"start": time.process_time()}), flush=True)
    for command in commands:
        if command.strip() == "turn":
            answer = {
                "cpu": best_seconds(run, time.process_time, 2),
                "wall": best_seconds(run, time.perf_counter, 2),
            }
        else:
            np.save(command.strip(), drawn())
            answer = {"peak": _peak_bytes()}
        print(json.dumps(answer), flush=True)


def _prepared(
    name: str, weights: Path, mel: FloatArray, face: FloatArray, batch: int
) -> tuple[Callable[[], Any], Callable[[], FloatArray]]:
    """What one turn runs, and what draws all faces."""
    if name in CEILINGS:
        run, _ = convolution(*CEILING_SHAPE, CEILINGS[name])
        return torch.inference_mode()(run), lambda: np.zeros(0, np.float32)
    draw = ARRANGEMENTS[name](weights)
    first = np.ascontiguousarray(np.resize(mel, (batch, *mel.shape[1:])))
    seen = np.ascontiguousarray(np.resize(face, (batch, *face.shape[1:])))
    parts = [slice(start, start + batch) for start in range(0, len(mel) - batch + 1, batch)]
    return lambda: draw(first, seen), lambda: np.concatenate([draw(mel[p], face[p]) for p in parts])


def _peak_bytes() -> int:
    """Most memory this process had; not by `getrusage`, which on Linux begins with the parent's."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


@dataclass
class Runner:
    """The process of one arrangement with one number of threads."""

    process: subprocess.Popen[str]
    start: float
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def ask(self, command: str) -> dict[str, float]:
        """Send a command and wait for its answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return _answer(self.process)

    def turn(self) -> None:
        """Draw a batch a few times and note the shortest."""
        told = self.ask("turn")
        self.cpu.append(told["cpu"])
        self.wall.append(told["wall"])


def _answer(process: subprocess.Popen[str]) -> dict[str, float]:
    """The next line of JSON; packages print lines of their own in between."""
    assert process.stdout
    for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            told = json.loads(line)
            if isinstance(told, dict):
                return told
    raise EOFError


def start(name: str, weights: Path, faces: Path, threads: int, batch: int) -> Runner | None:
    """A process ready for its turns; None, with a line that says why, where it cannot run."""
    command = [sys.executable, "-m", "benchmarks.generator", "--weights", str(weights)]
    command += ["--worker", name, str(faces), str(threads), str(batch)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            return Runner(process, _answer(process)["start"])
        except EOFError:
            process.wait()
            errors.seek(0)
            reason = [line for line in errors.read().splitlines() if line.strip()]
            print(f"{name}: cannot run here ({reason[-1] if reason else process.returncode})", flush=True)
            return None


# --- what is drawn, and the report -----------------------------------------------------------------


def collect_faces(clips: Sequence[Path]) -> tuple[FloatArray, FloatArray]:
    """Mel windows and six-channel faces from clips, or from the sample photo and voice."""
    detector = DETECTORS.create("centerface", weights=None, device=CPU)
    mels, crops = [], []
    for clip in clips or [SAMPLES / "face.jpg"]:
        picture = open_video(clip)
        voice = mel_spectrogram(open_audio(clip if clips else SAMPLES / "voice.mp3").read())
        numbers = np.linspace(0, picture.frame_count - 1, FACES_A_CLIP).astype(int)
        sound = MelWindows(voice, picture.fps, int(1 + 30 * FACES_A_CLIP))
        for place, frame in enumerate(picture.read(numbers)):
            seen = detector.detect([frame])[0]
            if not seen:
                continue
            x1, y1, x2, y2 = max(seen, key=lambda face: face.score).box
            box = (x1 + place, y1 - place, x2, y2 + 10)
            crops.append(crop_face(frame, box, (96, 96)))
            mels.append(sound[30 * place : 30 * place + 1][0])
    bgr = np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    hidden = bgr.copy()
    hidden[:, :, 48:] = 0
    return np.stack(mels), np.concatenate([hidden, bgr], axis=1)


def operations(network: Wav2LipNetwork) -> float:
    """Multiplications and additions of one frame, all convolutions together."""
    total = 0.0

    def count(module: torch.nn.Module, given: Any, out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))
        places = given[0] if isinstance(module, torch.nn.ConvTranspose2d) else out
        total += 2.0 * module.weight.numel() * places.shape[-1] * places.shape[-2]

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, *network.size))
    return total


def measure(names: Sequence[str], weights: Path, folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Figures of every arrangement that runs here."""
    faces = folder / "faces.npz"
    mel, face = collect_faces(chosen.clips)
    np.savez(faces, mel=mel, face=face)
    work_of_frame, all_threads = operations(load(weights)), torch.get_num_threads()
    runners: dict[tuple[str, int], Runner] = {}
    with contextlib.ExitStack() as cleanup:
        for name in names:
            for threads in sorted({1, all_threads}) if chosen.all_threads else [1]:
                runner = start(name, weights, faces, threads, chosen.batch)
                if runner is None:
                    break
                cleanup.callback(runner.process.kill)
                runners[name, threads] = runner
        for _ in range(chosen.turns):
            for runner in runners.values():
                runner.turn()
        found: dict[str, Any] = {}
        _, ceiling_work = convolution(*CEILING_SHAPE, torch.float32)
        for name in dict.fromkeys(name for name, _ in runners):
            one, every = runners[name, 1], runners.get((name, all_threads), runners[name, 1])
            amount = ceiling_work if name in CEILINGS else work_of_frame * chosen.batch
            found[name] = {
                "core": amount / min(one.cpu) / 1e9,
                **({"all": amount / min(every.wall) / 1e9} if every is not one else {}),
                "start_cpu_seconds": one.start,
            }
            if name not in CEILINGS:
                found[name] |= {
                    "frames_a_second_a_core": chosen.batch / min(one.cpu),
                    **({"frames_a_second": chosen.batch / min(every.wall)} if every is not one else {}),
                    "peak_bytes": one.ask(str(folder / f"{len(found)}.npy"))["peak"],
                    **_difference(folder / "1.npy", folder / f"{len(found)}.npy"),
                }
    return found


def _difference(reference: Path, drawn: Path) -> dict[str, float]:
    off = np.abs(np.load(drawn) - np.load(reference)) * 255
    return {"max_difference": float(off.max()), "mean_difference": float(off.mean())}


def in_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """One line an arrangement."""
    rows = []
    for name, told in found.items():
        if name in CEILINGS:
            every = f", {told['all']:.0f} all" if "all" in told else ""
            rows.append((name, f"{told['core']:6.0f}·10^9/s a core{every}"))
            continue
        ceiling = found.get("ceiling bf16" if name.endswith("bf16") else "ceiling fp32")
        every = f"{told['frames_a_second']:5.1f} all, " if "all" in told else ""
        share = f"{100 * told['core'] / ceiling['core']:3.0f} % of the ceiling" if ceiling else ""
        rows.append(
            (
                name,
                f"{told['frames_a_second_a_core']:5.1f} frames/s a core, {every}"
                f"{share}, start {told['start_cpu_seconds']:5.1f} s of CPU, "
                f"{told['peak_bytes'] / 2**20:5.0f} MiB, difference {told['max_difference']:.3f} "
                f"(mean {told['mean_difference']:.4f})",
            )
        )
    return rows


def main() -> None:
    """Start every arrangement, let them take turns, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="Wav2Lip checkpoint (default: made-up weights)")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="faces to draw, with their sound")
    parser.add_argument("--only", nargs="*", help=f"arrangements, of: {'; '.join(ARRANGEMENTS)}")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--all-threads", action="store_true", help="with all threads too; tells something on a quiet machine"
    )
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        name, faces, threads, batch = chosen.worker
        work(name, chosen.weights, Path(faces), int(threads), int(batch), sys.stdin)
        return
    wished = chosen.only or list(ARRANGEMENTS)
    first = "as published, fp32"
    ceilings = [name for name, dtype in CEILINGS.items() if dtype in formats().values()]
    names = [first, *(name for name in wished if name != first), *ceilings]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(names, chosen.weights or made_up_checkpoint(folder), folder, chosen)
    report("generator", in_rows(found), found)


if __name__ == "__main__":
    main()
