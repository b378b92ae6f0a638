"""Comparison of inference backends for the official network, and the built-in model beside them.

Each backend runs in its own process; they take turns, so that other programs affect all alike, and two of
the processes measure the ceiling, the best convolution, in the same turns. "A core" comes from CPU time with
one thread, which a busy machine hardly affects; "all", with `--all-threads`, from wall time with all threads.
The start is everything up to the first batch: CPU seconds of Python, imports, weights and compilation.
Differences are to the published network in fp32, in grey levels of 255, over the given faces. A backend whose
package is missing is left out. The built-in model is another network, with its share of composition; its
differences are to itself in fp32.
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
from typing import IO, Any

import numpy as np
import psutil
import torch

from benchmarks.common import SAMPLES, add_avx2_option, limit_to_avx2, random_checkpoint, report
from benchmarks.generator_backends import BACKENDS, BUILTIN
from benchmarks.limit import CPU, best_seconds, convolution, formats
from lipsync.faces import DETECTORS, crop_face
from lipsync.generators.wav2lip.adapter import load_wav2lip
from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.media import open_audio, open_video
from lipsync.media.audio.mel import MelWindows, mel_spectrogram
from lipsync.types import FloatArray

CEILINGS = {"ceiling fp32": torch.float32, "ceiling bf16": torch.bfloat16}
FACES_PER_CLIP = 4
CEILING_SHAPE = (128, 48)
"""Channels and side of the ceiling's convolution; see `benchmarks.limit`."""


# --- worker process --------------------------------------------------------------------------------


def work(name: str, weights: Path, faces: Path, threads: int, batch: int, commands: IO[str]) -> None:
    """Answer each line of `commands` with a line of JSON on stdout."""
    torch.set_num_threads(threads)
    with np.load(faces) as stored:
        mel, face = stored["mel"], stored["face"]
    run, generate_all = _prepare(name, weights, mel, face, batch)
    run()
    print(json.dumps({"start": time.process_time()}), flush=True)
    for command in commands:
        if command.strip() == "turn":
            answer = {
                "cpu": best_seconds(run, time.process_time, 2),
                "wall": best_seconds(run, time.perf_counter, 2),
            }
        else:
            np.save(command.strip(), generate_all())
            answer = {"peak": _peak_bytes()}
        print(json.dumps(answer), flush=True)


def _prepare(
    name: str, weights: Path, mel: FloatArray, face: FloatArray, batch: int
) -> tuple[Callable[[], Any], Callable[[], FloatArray]]:
    """A function that runs one batch, and one that generates all faces."""
    if name in CEILINGS:
        run, _ = convolution(*CEILING_SHAPE, CEILINGS[name])
        return torch.inference_mode()(run), lambda: np.zeros(0, np.float32)
    generate = BACKENDS[name](weights)
    mel_batch = np.ascontiguousarray(np.resize(mel, (batch, *mel.shape[1:])))
    face_batch = np.ascontiguousarray(np.resize(face, (batch, *face.shape[1:])))
    parts = [slice(start, start + batch) for start in range(0, len(mel) - batch + 1, batch)]
    pairs = [(mel[part], face[part]) for part in parts] or [(mel_batch, face_batch)]
    return lambda: generate(mel_batch, face_batch), lambda: np.concatenate(
        [generate(*pair) for pair in pairs]
    )


def _peak_bytes() -> int:
    """Peak resident bytes of this process; on Linux `getrusage` would start with the parent's."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


@dataclass
class Runner:
    """Process of one backend with one number of threads."""

    process: subprocess.Popen[str]
    start: float
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def ask(self, command: str) -> dict[str, float]:
        """Send a command and wait for the answer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return _answer(self.process)

    def turn(self) -> None:
        """Measure one turn: the shortest of a few batches."""
        answer = self.ask("turn")
        self.cpu.append(answer["cpu"])
        self.wall.append(answer["wall"])


def _answer(process: subprocess.Popen[str]) -> dict[str, float]:
    """The next line of JSON; packages print other lines in between."""
    assert process.stdout
    for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
    raise EOFError


def start(name: str, weights: Path, faces: Path, threads: int, batch: int) -> Runner | None:
    """Start a worker process; None, with a printed reason, if the backend cannot run."""
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


# --- inputs and report -----------------------------------------------------------------------------


def collect_faces(clips: Sequence[Path]) -> tuple[FloatArray, FloatArray]:
    """Mel windows and six-channel faces from clips, or from the sample photo and voice."""
    detector = DETECTORS.create("centerface", weights=None, device=CPU)
    mels, crops = [], []
    for clip in clips or [SAMPLES / "face.jpg"]:
        video = open_video(clip)
        voice = mel_spectrogram(open_audio(clip if clips else SAMPLES / "voice.mp3").read())
        numbers = np.linspace(0, video.frame_count - 1, FACES_PER_CLIP).astype(int)
        windows = MelWindows(voice, video.fps, int(1 + 30 * FACES_PER_CLIP))
        for index, frame in enumerate(video.read(numbers)):
            faces = detector.detect([frame])[0]
            if not faces:
                continue
            x1, y1, x2, y2 = max(faces, key=lambda face: face.score).box
            box = (x1 + index, y1 - index, x2, y2 + 10)
            crops.append(crop_face(frame, box, (96, 96)))
            mels.append(windows[30 * index : 30 * index + 1][0])
    bgr = np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    masked = bgr.copy()
    masked[:, :, 48:] = 0
    return np.stack(mels), np.concatenate([masked, bgr], axis=1)


def operations(network: Wav2LipNetwork) -> float:
    """Multiplications and additions per frame, over all convolutions."""
    total = 0.0

    def count(module: torch.nn.Module, given: Any, out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))
        positions = given[0] if isinstance(module, torch.nn.ConvTranspose2d) else out
        total += 2.0 * module.weight.numel() * positions.shape[-1] * positions.shape[-2]

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, *network.size))
    return total


def measure(names: Sequence[str], weights: Path, folder: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure every backend that runs here."""
    faces = folder / "faces.npz"
    mel, face = collect_faces(chosen.clips)
    np.savez(faces, mel=mel, face=face)
    frame_operations, all_threads = operations(load_wav2lip(weights)), torch.get_num_threads()
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
        _, ceiling_operations = convolution(*CEILING_SHAPE, torch.float32)
        for name in dict.fromkeys(name for name, _ in runners):
            one, every = runners[name, 1], runners.get((name, all_threads), runners[name, 1])
            found[name] = {"start_cpu_seconds": one.start}
            if not name.startswith(BUILTIN):
                amount = ceiling_operations if name in CEILINGS else frame_operations * chosen.batch
                found[name] |= {
                    "core": amount / min(one.cpu) / 1e9,
                    **({"all": amount / min(every.wall) / 1e9} if every is not one else {}),
                }
            if name not in CEILINGS:
                found[name] |= {
                    "frames_a_second_a_core": chosen.batch / min(one.cpu),
                    **({"frames_a_second": chosen.batch / min(every.wall)} if every is not one else {}),
                    "peak_bytes": one.ask(str(folder / f"{len(found)}.npy"))["peak"],
                    **_difference(folder / f"{_reference(list(found))}.npy", folder / f"{len(found)}.npy"),
                }
    return found


def _reference(names: Sequence[str]) -> int:
    """Number, from 1 on, of what the last one's faces are compared with: the first of the same network."""
    alike = [name.startswith(BUILTIN) for name in names]
    return alike.index(alike[-1]) + 1


def _difference(reference: Path, mouths: Path) -> dict[str, float]:
    drawn, expected = np.load(mouths), np.load(reference)
    difference = np.abs(drawn - expected[:, :, -drawn.shape[2] :]) * 255
    return {"max_difference": float(difference.max()), "mean_difference": float(difference.mean())}


def table_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """One row per backend."""
    rows = []
    for name, values in found.items():
        if name in CEILINGS:
            every = f", {values['all']:.0f} all" if "all" in values else ""
            rows.append((name, f"{values['core']:6.0f}·10^9/s a core{every}"))
            continue
        ceiling = found.get("ceiling bf16" if name.endswith("bf16") else "ceiling fp32")
        every = f"{values['frames_a_second']:5.1f} all, " if "all" in values else ""
        share = ""
        if ceiling and "core" in values:
            share = f"{100 * values['core'] / ceiling['core']:3.0f} % of the ceiling, "
        rows.append(
            (
                name,
                f"{values['frames_a_second_a_core']:5.1f} frames/s a core, {every}"
                f"{share}start {values['start_cpu_seconds']:5.1f} s of CPU, "
                f"{values['peak_bytes'] / 2**20:5.0f} MiB, difference {values['max_difference']:.3f} "
                f"(mean {values['mean_difference']:.4f})",
            )
        )
    return rows


def main() -> None:
    """Measure all backends in turn and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="Wav2Lip checkpoint (default: random weights)")
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="clips with faces and sound")
    parser.add_argument("--only", nargs="*", help=f"backends, of: {'; '.join(BACKENDS)}")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--all-threads", action="store_true", help="also with all threads; meaningful on an idle machine"
    )
    add_avx2_option(parser)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        name, faces, threads, batch = chosen.worker
        work(name, chosen.weights, Path(faces), int(threads), int(batch), sys.stdin)
        return
    limit_to_avx2(chosen)
    wanted = chosen.only or [name for name in BACKENDS if not (chosen.avx2 and "bf16" in name)]
    first = "as published, fp32"
    known = {torch.float32} if chosen.avx2 else set(formats().values())
    ceilings = [name for name, dtype in CEILINGS.items() if dtype in known]
    names = [first, *(name for name in wanted if name != first), *ceilings]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(names, chosen.weights or random_checkpoint(folder), folder, chosen)
    report("generator", table_rows(found), found)


if __name__ == "__main__":
    main()
