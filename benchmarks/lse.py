"""Comparison of LSE with the reference scripts: same clips and weights.

    git clone https://github.com/Rudrabha/Wav2Lip WAV2LIP
    git clone https://github.com/joonson/syncnet_python SYNCNET
    pip install --no-deps --target SCENEDETECT scenedetect==0.5.6.1
    python -m benchmarks.lse WAV2LIP SYNCNET --scenedetect SCENEDETECT

Three cases are measured. "frames": a clip in which one face fills the frame, as in the LRS sets. "set":
several such clips of two to seven seconds in one process, so that one-time costs count less. "tracks": a
real video, in which faces are detected first; the reference does so in every frame with S3FD, this program
with its own detector. The reference runs from a copy, changed as `benchmarks.lse_reference` says.

All may use every core; `--threads 1` shows the amount of work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.common import SAMPLES, report
from benchmarks.lse_reference import environment, prepare_reference, write_detector_weights
from benchmarks.lse_worker import PROGRAMS, Turn
from lipsync.media import ffmpeg_path
from lipsync.types import PixelBox

PIECES = ((0.0, 6.6), (0.0, 4.0), (2.0, 5.0), (4.0, 6.0))
"""Start and end of the clips in seconds of the sample; the first is all of it."""
Figures = dict[str, float]


def main() -> None:
    """Measure all in turn and print the ratios."""
    chosen = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = chosen.weights or random_syncnet(folder)
        reference = prepare_reference(chosen.wav2lip, chosen.syncnet, folder)
        clips = {
            "frames": make_clips(folder / "clip", PIECES[:1]),
            "set": chosen.clips or make_clips(folder / "clips", PIECES),
            "tracks": chosen.video or make_real_video(folder),
        }
        if "tracks" in chosen.forms:
            write_detector_weights(reference, *find_face(clips["tracks"]))
        turns = [
            Turn(form, program, *map(_absolute, (clips[form], weights, reference, chosen.scenedetect)))
            for form in chosen.forms
            for program in PROGRAMS[form]
        ]
        done = [[run_turn(turn, chosen.threads) for turn in turns] for _ in range(chosen.turns)]
    table: list[tuple[str, str]] = []
    values: dict[str, object] = {"turns": chosen.turns, "threads": chosen.threads}
    for form in chosen.forms:
        found = {
            turn.name: medians([each[number] for each in done])
            for number, turn in enumerate(turns)
            if turn.form == form
        }
        table += [(f"{form}: {clips[form].name}", ""), *table_rows(found)]
        values[form] = {**found, "clip": clips[form].name}
    report("lse", table, values)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wav2lip", type=Path, help="checkout of Rudrabha/Wav2Lip")
    parser.add_argument("syncnet", type=Path, help="checkout of joonson/syncnet_python")
    parser.add_argument("--scenedetect", type=Path, help="folder with scenedetect 0.5.6.1")
    parser.add_argument("--clips", type=Path, help="set: folder of *.mp4 (default: parts of the sample)")
    parser.add_argument("--video", type=Path, help="a video with one face (default: the sample in 1280x720)")
    parser.add_argument("--weights", type=Path, help="syncnet_v2.model (default: random weights)")
    parser.add_argument("--forms", nargs="+", choices=sorted(PROGRAMS), default=sorted(PROGRAMS))
    parser.add_argument("--turns", type=int, default=3, help="rounds; medians are reported")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each process")
    return parser.parse_args()


def _absolute(path: Path | None) -> str:
    return str(path.resolve()) if path else ""


def run_turn(turn: Turn, threads: int) -> Figures:
    """Measure one turn in its own process."""
    variables = {**os.environ, **environment(Path(turn.reference)), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.lse_worker", turn.as_json()],
        env=variables,
        stdin=subprocess.DEVNULL,  # the reference opens a debugger where ffmpeg fails
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{turn.name} failed:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(turns: Sequence[Figures]) -> Figures:
    """Median of each value over the turns."""
    return {key: median(turn[key] for turn in turns) for key in turns[0]}


def table_rows(found: Mapping[str, Figures]) -> list[tuple[str, str]]:
    """A table with a column for each program, and ratios of the first to each."""
    reference = next(iter(found.values()))
    rows = [("", "".join(f"{name:>14}" for name in found))]
    for key in ("wall_seconds", "cpu_seconds", "peak_megabytes"):
        rows.append((key, "".join(f"{each[key]:14.2f}" for each in found.values())))
        rows.append(
            (" reference over it", "".join(f"{reference[key] / each[key]:14.2f}" for each in found.values()))
        )
    for key in ("distance", "confidence", "offset", "rows"):
        rows.append((key, "".join(f"{each[key]:14.4g}" for each in found.values())))
    return rows


def make_clips(folder: Path, pieces: Sequence[tuple[float, float]]) -> Path:
    """Parts of the sample, 25 frames a second."""
    folder.mkdir()
    for number, (start, end) in enumerate(pieces):
        piece = ["-i", str(SAMPLES / "talk.mp4"), "-ss", str(start), "-to", str(end)]
        path = str(folder / f"{number}.mp4")
        subprocess.run([str(ffmpeg_path()), "-v", "error", *piece, "-crf", "18", path], check=True)
    return folder


def make_real_video(folder: Path) -> Path:
    """The sample in the middle of a 1280x720 frame."""
    path = folder / "talk_720p.mp4"
    layout = ["-vf", "scale=-2:720,pad=1280:720:(ow-iw)/2:0", "-c:v", "libx264", "-crf", "18"]
    command = [str(ffmpeg_path()), "-v", "error", "-i", str(SAMPLES / "talk.mp4"), *layout]
    subprocess.run([*command, "-c:a", "copy", str(path)], check=True)
    return path


def find_face(video: Path) -> tuple[tuple[int, int], PixelBox]:
    """Size of the frames, and median box of the longest face track."""
    from lipsync.faces import DETECTORS
    from lipsync.media import open_video
    from lipsync.metrics.lse import LSE_FPS
    from lipsync.metrics.lse_tracks import TrackOptions, find_tracks
    from lipsync.options import MediaOptions

    reader = open_video(video, MediaOptions(fps=LSE_FPS))
    tracks = find_tracks(reader, DETECTORS.create("centerface"), TrackOptions())
    if not tracks:
        raise SystemExit(f"no face track is long enough in {video}")
    longest = max(tracks, key=lambda path: len(path.boxes))
    box = PixelBox(*(round(float(edge)) for edge in np.median(longest.boxes, axis=0)))
    return (reader.width, reader.height), box


def random_syncnet(folder: Path) -> Path:
    """A checkpoint in the official format with random weights; as much work as the real one."""
    from lipsync.sync_score import SyncNet

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
