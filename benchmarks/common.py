"""Shared parts of the benchmarks: clips, measured subprocesses, report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.media import ffmpeg_path

SAMPLES = Path(__file__).resolve().parents[1] / "lipsync" / "samples"
RESULTS = Path(__file__).resolve().parent / "results"
FPS = 25


@dataclass(frozen=True)
class Measurement:
    """Output, time and memory of one command, with its child processes."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def add_avx2_option(parser: argparse.ArgumentParser) -> None:
    """Add `--avx2`; to be followed by `limit_to_avx2`."""
    parser.add_argument(
        "--avx2",
        action="store_true",
        help="as on a CPU without AVX-512 and bf16, which most laptops have; measured in fp32",
    )


def limit_to_avx2(chosen: argparse.Namespace) -> None:
    """Limit the processes that are started from here on to AVX2, where `--avx2` was given."""
    if chosen.avx2:
        os.environ |= {
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "NUMBA_CPU_NAME": "haswell",
            "NUMBA_CPU_FEATURES": "+avx2,+fma",
        }


def measure_lipsync(arguments: Sequence[str]) -> Measurement:
    """Measure `python -m lipsync …` in a subprocess."""
    return measure_command([sys.executable, "-m", "lipsync", *arguments])


def measure_command(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Measurement:
    """Run a command and measure memory and CPU time of its process tree.

    Memory is the proportional set size (PSS) where available, so that shared pages count once; else
    the resident set size.

    Args:
        folder: working directory.
        environment: variables in addition to this process's own.

    Raises:
        SystemExit: the command failed.
    """
    own, started = psutil.Process(), time.perf_counter()
    before = own.cpu_times()
    process = psutil.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
    peak, cpu = 0, 0.0
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak, cpu
        while not finished.wait(0.1):
            tree_bytes, tree_cpu = _tree(process)
            peak, cpu = max(peak, tree_bytes), max(cpu, tree_cpu)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - started
    finished.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"the run failed:\n{errors}")
    after = own.cpu_times()  # includes children that ended between two samples
    ended = after.children_user + after.children_system - before.children_user - before.children_system
    return Measurement(output, seconds, max(cpu, ended), peak)


def _tree(process: psutil.Process) -> tuple[int, float]:
    """Bytes and CPU seconds of a process and its running children."""
    total, cpu = 0, 0.0
    try:
        members = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0.0
    for member in members:
        try:
            memory = member.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
            times = member.cpu_times()
            cpu += times.user + times.system
            if member is process:  # children that have ended are counted in their parent
                cpu += times.children_user + times.children_system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total, cpu


def make_talking_head(folder: Path, width: int, height: int, seconds: float) -> tuple[Path, Path]:
    """A video of the sample face with slow camera motion, and the looped sample voice."""
    video, voice = folder / f"head_{width}x{height}_{seconds:g}s.mp4", folder / f"voice_{seconds:g}s.wav"
    # A crop around the face with the wanted aspect ratio; then a slowly moving view of it.
    shape = f"min(iw\\,ih*{width}/{height})':'min(ih\\,iw*{height}/{width})"
    wide, high = round(width * 0.6) * 2, round(height * 0.6) * 2
    motion = (
        f"crop='{shape}':'clip(iw*0.44-ow/2\\,0\\,iw-ow)':0,scale={wide}:{high},"
        f"crop={width}:{height}:'(iw-ow)*(0.5+0.4*sin(n/25))':'(ih-oh)*(0.4+0.3*cos(n/31))',setsar=1"
    )
    still = ["-loop", "1", "-framerate", str(FPS), "-i", str(SAMPLES / "face.jpg"), "-t", str(seconds)]
    _ffmpeg(
        [*still, "-vf", motion, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", str(video)]
    )
    _ffmpeg(["-stream_loop", "-1", "-i", str(SAMPLES / "voice.mp3"), "-t", str(seconds), str(voice)])
    return video, voice


def make_voice(folder: Path, seconds: float) -> Path:
    """The looped sample voice as MP3, copied without encoding."""
    path = folder / f"voice_{seconds:g}s.mp3"
    source = ["-stream_loop", "-1", "-i", str(SAMPLES / "voice.mp3"), "-t", str(seconds)]
    _ffmpeg([*source, "-map", "0:a", "-c", "copy", str(path)])
    return path


def apply_edits(folder: Path, edits: Sequence[tuple[str, str, str]]) -> None:
    """Replace text in a copy of another program.

    Args:
        edits: file below `folder`, old text, new text.

    Raises:
        SystemExit: a file has neither text.
    """
    for name, old, new in edits:
        path = folder / name
        text = path.read_text()
        if old not in text and new not in text:
            raise SystemExit(f"{path} is not as expected: it does not contain {old!r}")
        path.write_text(text.replace(old, new))


def _ffmpeg(arguments: Sequence[str]) -> None:
    subprocess.run([ffmpeg_path(), "-y", "-v", "error", *arguments], check=True)


def random_checkpoint(folder: Path, width: float = 1.0, gain: float = 1.2, seed: int = 0) -> Path:
    """A checkpoint in the official format with random weights.

    At full width it takes as much work as the real one. Convolutions are scaled so that activations keep
    their magnitude; with torch's default initialisation the output would hardly depend on the audio.

    Args:
        width: of the network, as a share of the official one's channels; a multiple of 1/16.
        gain: variance of a layer's weights, times the number of its inputs.
        seed: of the random numbers.
    """
    random = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in Wav2LipNetwork(width=width).state_dict().items():
        if value.ndim > 1:
            fan_in = value[0].numel()
            value = torch.randn(value.shape, generator=random) * (gain / fan_in) ** 0.5
        state[f"module.{key}"] = value
    path = folder / "wav2lip.pth"
    torch.save({"state_dict": state, "optimizer": {}, "global_step": 0, "global_epoch": 0}, path)
    return path


def material_arguments(description: str | None, *, size: str, seconds: float) -> argparse.ArgumentParser:
    """Arguments that every benchmark of a whole run takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", default=size, help=f"width x height of the generated clip (default {size})")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"its length (default {seconds:g})")
    parser.add_argument("--weights", type=Path, help="Wav2Lip checkpoint (default: random weights)")
    parser.add_argument("extra", nargs="*", help="more settings for `lipsync run`, after --")
    return parser


def report(name: str, table: Sequence[tuple[str, str]], values: dict[str, Any]) -> None:
    """Print a table, and write the values and a description of the machine as JSON."""
    width = max(len(label) for label, _ in table)
    for label, value in table:
        print(f"{label:<{width}}  {value}")
    machine = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **values}, indent=2))
    print(f"written to {path}")


def run_arguments(video: Path, voice: Path, output: Path) -> list[str]:
    """Arguments of `lipsync run` that replaces its result and takes nothing from earlier runs."""
    return ["run", str(video), str(voice), "-o", str(output), "--overwrite", "--no-cache"]
