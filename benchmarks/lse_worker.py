"""Worker process of `benchmarks.lse`: one program measures clips, and is measured.

Not timed, since a run measures many clips: the start of Python, loading of packages and networks, and this
program's search for ffmpeg (the reference takes the one of that name). Only the reference's scripts for real
videos are timed with their loading, as they load for each video.
"""

from __future__ import annotations

import io
import json
import os
import resource
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

import numpy as np
import torch

from lipsync.media import ffmpeg_path

Evaluate: TypeAlias = Callable[[], dict[str, float]]
"""Returns mean LSE-D, LSE-C, offset if known, and the number of clips or tracks."""


@dataclass(frozen=True)
class Turn:
    """One measurement by one process.

    Attributes:
        form: "frames", "set" or "tracks".
        name: of the program in `PROGRAMS`.
        clip: for "tracks" a video, for the others a folder of *.mp4.
        weights: `syncnet_v2.model`.
        reference: folder of the reference's copy.
        scenedetect: folder of that package; "" for none.
    """

    form: str
    name: str
    clip: str
    weights: str
    reference: str
    scenedetect: str = ""

    def as_json(self) -> str:
        """Argument for the command line of the process."""
        return json.dumps(asdict(self))


def main() -> None:
    """Measure the turn in the only argument, and print the values as JSON."""
    print(json.dumps(measure(Turn(**json.loads(sys.argv[1])))))


def measure(turn: Turn) -> dict[str, float]:
    """Load, then evaluate; only the latter is timed."""
    ffmpeg_path()
    evaluate = PROGRAMS[turn.form][turn.name](turn)
    loaded_peak = peak_bytes()
    started, cpu = time.perf_counter(), cpu_seconds()
    found = evaluate()
    return {
        **found,
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": cpu_seconds() - cpu,
        "peak_megabytes": peak_bytes() / 1e6,
        "peak_megabytes_loaded": loaded_peak / 1e6,
    }


def our_frames(turn: Turn, dtype: torch.dtype = torch.float32) -> Evaluate:
    """This program on frames that one face fills."""
    from lipsync.metrics.lse_tracks import evaluate_frames
    from lipsync.sync_score import load_syncnet

    network = load_syncnet(Path(turn.weights), dtype=dtype)

    def evaluate() -> dict[str, float]:
        scores = [evaluate_frames(clip, network).score for clip in _clips(turn)]
        return means([(score.distance, score.confidence, score.offset) for score in scores])

    return evaluate


def our_tracks(turn: Turn, dtype: torch.dtype = torch.float32) -> Evaluate:
    """This program on a real video."""
    from lipsync.faces import DETECTORS
    from lipsync.metrics.lse_tracks import evaluate_tracks, mean_lse
    from lipsync.sync_score import load_syncnet

    network = load_syncnet(Path(turn.weights), dtype=dtype)
    detector = DETECTORS.create("centerface")

    def evaluate() -> dict[str, float]:
        rows = evaluate_tracks(turn.clip, network, detector)
        score = mean_lse(rows)
        if score is None:
            raise SystemExit(f"no face track is long enough in {turn.clip}")
        return figures(score.distance, score.confidence, score.offset, len(rows))

    return evaluate


def reference_frames(turn: Turn) -> Evaluate:
    """The reference as called by `calculate_scores_LRS.py`."""
    _enter_reference(turn)
    network = import_module("SyncNetInstance_calc_scores").SyncNetInstance()
    network.loadParameters(turn.weights)

    def evaluate() -> dict[str, float]:
        found = []
        with tempfile.TemporaryDirectory() as folder:
            options = SimpleNamespace(tmp_dir=folder, reference="demo", batch_size=20, vshift=15)
            for clip in _clips(turn):
                offset, confidence, distance = network.evaluate(options, videofile=str(clip))
                found.append((float(distance), float(confidence), float(offset)))
        return means(found)

    return evaluate


def reference_tracks(turn: Turn) -> Evaluate:
    """The reference's two scripts as called by `calculate_scores_real_videos.sh` for one video.

    They run in this process, so that their imports, done before, do not count. They print no offset.
    """
    _enter_reference(turn)
    for module in ("scenedetect", "detectors", "SyncNetInstance_calc_scores"):
        import_module(module)

    def evaluate() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            common = ["--videofile", turn.clip, "--reference", "wav2lip", "--data_dir", folder]
            _run_script("run_pipeline.py", common)
            rows = _run_script("calculate_scores_real_videos.py", [*common, "--initial_model", turn.weights])
        distances, confidences = np.array([row.split() for row in rows.splitlines()], float).T
        return figures(distances.mean(), confidences.mean(), float("nan"), len(distances))

    return evaluate


_OF_FRAMES: dict[str, Callable[[Turn], Evaluate]] = {
    "reference": reference_frames,
    "ours": our_frames,
    "ours_bf16": partial(our_frames, dtype=torch.bfloat16),
}
PROGRAMS: dict[str, dict[str, Callable[[Turn], Evaluate]]] = {
    "frames": _OF_FRAMES,
    "set": _OF_FRAMES,
    "tracks": {
        "reference": reference_tracks,
        "ours": our_tracks,
        "ours_bf16": partial(our_tracks, dtype=torch.bfloat16),
    },
}


def means(found: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Mean distance, confidence and offset of several clips."""
    distance, confidence, offset = np.mean(found, axis=0).tolist()
    return figures(distance, confidence, offset, len(found))


def _clips(turn: Turn) -> list[Path]:
    return sorted(Path(turn.clip).glob("*.mp4"))


def figures(distance: float, confidence: float, offset: float, rows: int = 1) -> dict[str, float]:
    """Values that are compared besides the time."""
    return {"distance": distance, "confidence": confidence, "offset": offset, "rows": rows}


def _enter_reference(turn: Turn) -> None:
    """Make its folder the working directory, with its modules and weights; `cuda()` does nothing."""
    torch.nn.Module.cuda = lambda self, device=None: self  # type: ignore[method-assign]
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    os.chdir(turn.reference)
    sys.path[:0] = [turn.reference, *([turn.scenedetect] if turn.scenedetect else [])]


def _run_script(name: str, arguments: list[str]) -> str:
    """Run a script; returns what it prints."""
    sys.argv = [name, *arguments]
    with redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(name)
    return printed.getvalue()


def cpu_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    return float(sum(os.times()[:4]))


def peak_bytes() -> int:
    """Peak resident bytes of this process so far, without its ffmpeg."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
