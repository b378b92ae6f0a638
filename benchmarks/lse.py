"""LSE against the reference scripts: the same clip and weights, by turns, each in a process of its own.

The reference is Rudrabha/Wav2Lip's `evaluation/scores_LSE` on joonson/syncnet_python's network; give the
paths of checkouts of both. Nothing of theirs is changed but `cuda()`, which does nothing where there is
no CUDA device. Both need `ffmpeg` to be found.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TypeAlias

import numpy as np
import torch

from benchmarks.common import SAMPLES, report
from lipsync.media import ffmpeg_path

Evaluate: TypeAlias = Callable[[], tuple[float, float, float]]
"""Gives LSE-D, LSE-C and offset of the clip."""
THREADS = 1  # more would wait for each other on a busy machine, and that counts as work


def main() -> None:
    """Run both by turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wav2lip", type=Path, help="checkout of Rudrabha/Wav2Lip")
    parser.add_argument("syncnet", type=Path, help="checkout of joonson/syncnet_python")
    parser.add_argument("--clip", type=Path, default=SAMPLES / "talk.mp4", help="25 frames a second")
    parser.add_argument("--weights", type=Path, help="syncnet_v2.model (default: made-up weights)")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", choices=sorted(CHILDREN), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(run_child(chosen)))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = chosen.weights or made_up_syncnet(Path(folder))
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in CHILDREN}
        for _ in range(chosen.turns):
            for name, done in turns.items():
                done.append(start_child(name, chosen, weights, Path(folder)))
    figures = {
        name: {key: median(turn[key] for turn in done) for key in done[0]} for name, done in turns.items()
    }
    theirs, names = figures["reference"], list(CHILDREN)
    rows = [("", "".join(f"{name:>14}" for name in names))]
    for key in ("wall_seconds", "cpu_seconds", "peak_megabytes"):
        rows.append((key, "".join(f"{figures[name][key]:14.2f}" for name in names)))
        rows.append(
            (" reference over it", "".join(f"{theirs[key] / figures[name][key]:14.2f}" for name in names))
        )
    for key in ("distance", "confidence", "offset"):
        rows.append((key, "".join(f"{figures[name][key]:14.3f}" for name in names)))
    report("lse", rows, {**figures, "clip": chosen.clip.name, "turns": chosen.turns})


def start_child(name: str, chosen: argparse.Namespace, weights: Path, folder: Path) -> dict[str, float]:
    """One turn in a process of its own; the same threads for both."""
    (folder / "bin").mkdir(exist_ok=True)
    if not (folder / "bin" / "ffmpeg").exists():
        (folder / "bin" / "ffmpeg").symlink_to(ffmpeg_path())
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": str(THREADS),
    }
    paths = (chosen.wav2lip.resolve(), chosen.syncnet.resolve())
    further = ["--child", name, "--weights", weights.resolve(), "--clip", chosen.clip.resolve()]
    command = [sys.executable, "-m", "benchmarks.lse", *map(str, (*paths, *further))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_child(chosen: argparse.Namespace) -> dict[str, float]:
    """Load the network, then measure the clip; only the second is timed, as a run judges many clips."""
    evaluate = CHILDREN[chosen.child](chosen)
    loaded_peak = peak_bytes()
    started, cpu = time.perf_counter(), cpu_seconds()
    distance, confidence, offset = evaluate()
    return {
        "distance": distance,
        "confidence": confidence,
        "offset": offset,
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": cpu_seconds() - cpu,
        "peak_megabytes": peak_bytes() / 1e6,
        "peak_megabytes_loaded": loaded_peak / 1e6,
    }


def load_ours(chosen: argparse.Namespace, dtype: torch.dtype = torch.float32) -> Evaluate:
    """This program's way from file to figures."""
    from lipsync.evaluation.tracks import by_lse, evaluate_frames
    from lipsync.experts import load_syncnet

    measure = by_lse(load_syncnet(chosen.weights, dtype=dtype))

    def evaluate() -> tuple[float, float, float]:
        score = evaluate_frames(chosen.clip, measure).score
        return score.distance, score.confidence, score.offset

    return evaluate


def load_reference(chosen: argparse.Namespace) -> Evaluate:
    """The reference script's, as `calculate_scores_LRS.py` calls it."""
    if not torch.cuda.is_available():
        torch.nn.Module.cuda = lambda self, device=None: self  # type: ignore[method-assign]
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    sys.path[:0] = [str(chosen.wav2lip / "evaluation" / "scores_LSE"), str(chosen.syncnet)]
    from SyncNetInstance_calc_scores import SyncNetInstance  # type: ignore[import-not-found]

    network = SyncNetInstance()
    network.loadParameters(str(chosen.weights))

    def evaluate() -> tuple[float, float, float]:
        with tempfile.TemporaryDirectory() as folder:
            options = SimpleNamespace(tmp_dir=folder, reference="demo", batch_size=20, vshift=15)
            offset, confidence, distance = network.evaluate(options, videofile=str(chosen.clip))
        return float(distance), float(confidence), float(offset)

    return evaluate


CHILDREN: dict[str, Callable[[argparse.Namespace], Evaluate]] = {
    "reference": load_reference,
    "ours": load_ours,
    "ours_bf16": partial(load_ours, dtype=torch.bfloat16),
}


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return float(sum(os.times()[:4]))


def peak_bytes() -> int:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def made_up_syncnet(folder: Path) -> Path:
    """A checkpoint in the official format with random weights: the same work as the real one."""
    from lipsync.experts import SyncNet

    torch.manual_seed(0)
    state = dict(SyncNet().state_dict())
    for name, value in state.items():
        if name.startswith("netcnnlip") and value.ndim == 4:
            state[name] = value.unflatten(1, (-1, 5 if value.shape[1] == 15 else 1))
        if value.ndim > 1:
            fan_in = np.prod(value.shape[1:])
            state[name] = torch.randn(state[name].shape) * (1.2 / fan_in) ** 0.5
    path = folder / "syncnet_v2.model"
    torch.save(state, path)
    return path


if __name__ == "__main__":
    main()
