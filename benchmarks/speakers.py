"""Active speaker detection on scenes with known answers.

Two people whom no network was trained on stand side by side, half of the time with a still picture of a
third. The sound is that of one of them at a time, then that of somebody who is not in the picture, then
nobody's; whoever is not heard goes on moving the lips, which is harder than real conversations.

    python -m benchmarks.speakers --use val --scenes 8

Needs clips with a manifest.tsv (see `benchmarks.model_scores`). Prints the share of speech frames that go to
the right face, of frames with a voice from outside that go to nobody, and what the largest face would give.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

from benchmarks.common import report
from lipsync.dubbing.speakers import SpeakerTurn, find_speakers
from lipsync.media import ffmpeg_path, open_audio
from lipsync.speech import detect_speech
from lipsync.types import AudioClip, FloatArray

SHARED = Path(__file__).resolve().parents[2] / "shared"
_SIDE, _FPS, _RATE = 256, 25, 16_000
_TURN = 3.0
"""Seconds of each turn."""
_OUTSIDE, _NOBODY = -1, -2
_ORDER = (0, 1, _OUTSIDE, _NOBODY, 1, 0)


@dataclass(frozen=True)
class Scene:
    """A video with known speakers.

    Attributes:
        video: the file.
        truth: (T,) number of the cell that speaks, -1 for a voice from outside, -2 for silence.
        cells: of equal width, from left to right.
    """

    video: Path
    truth: np.ndarray
    cells: int


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument("--use", default="val", help="people of the manifest: val or test")
    parser.add_argument("--scenes", type=int, default=8)
    chosen = parser.parse_args()
    if not (chosen.data / "manifest.tsv").exists():
        raise SystemExit(f"skipped: no clips in {chosen.data}")
    counts = np.zeros((3, 2))
    largest = []
    with tempfile.TemporaryDirectory() as folder:
        for scene in make_scenes(chosen.data, chosen.use, chosen.scenes, Path(folder)):
            turns = find_speakers(scene.video)
            found = cells_of(turns, scene)
            for row, of in enumerate((scene.truth >= 0, scene.truth == _OUTSIDE, scene.truth == _NOBODY)):
                right = found == np.maximum(scene.truth, _OUTSIDE)
                counts[row] += (right & of).sum(), of.sum()
            largest.append(float((scene.truth[scene.truth >= 0] == 0).mean()))
    shares = counts[:, 0] / np.maximum(counts[:, 1], 1)
    rows = dict(zip(("right face", "voice from outside", "nobody speaks"), shares.tolist(), strict=True))
    rows["right face, if always the same"] = float(np.mean(largest))
    report("speakers", [(name, f"{share:.1%}") for name, share in rows.items()], rows)


def cells_of(turns: Sequence[SpeakerTurn], scene: Scene) -> np.ndarray:
    """The cell that each frame's turn gives, (T,); -1 where there is none, or nobody in the picture."""
    found = np.full(len(scene.truth), _OUTSIDE)
    for turn in turns:
        if turn.point is not None:
            cell = int(turn.point.x * scene.cells)
            found[round(turn.start * _FPS) : round(turn.end * _FPS)] = cell
    return found


def make_scenes(data: Path, use: str, count: int, folder: Path) -> list[Scene]:
    """Scenes of different pairs of people."""
    with (data / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["use"] == use]
    people: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        people.setdefault(row["person"], []).append(row)
    length = _TURN * len(_ORDER)
    enough = [name for name, clips in people.items() if sum(float(c["seconds"]) for c in clips) > length / 2]
    reels = {name: _reel(data, people[name], length, folder / f"{name}.mkv") for name in sorted(enough)}
    rng = np.random.default_rng(1)
    pairs = list(itertools.permutations(sorted(reels), 2))
    scenes = []
    for number, at in enumerate(rng.permutation(len(pairs))[:count]):
        others = [name for name in reels if name not in pairs[at]]
        outside, poster = rng.choice(others, 2, replace=False)
        chosen = [reels[name] for name in (*pairs[at], outside, poster)]
        scenes.append(_scene(chosen, bool(number % 2), folder / f"scene{number}"))
    return scenes


def _reel(data: Path, clips: Sequence[dict[str, str]], seconds: float, path: Path) -> Path:
    """Clips of one person one after another, repeated if need be, with the sound in step."""
    parts, total = [], 0.0
    for number, clip in enumerate(itertools.cycle(clips)):
        lag = int(clip["sound_lag_frames"] or 0) / _FPS
        length = min(float(clip["seconds"]) - abs(lag), 6.0)
        part = path.with_name(f"{path.stem}.{number}.mkv")
        picture = (
            f"fps={_FPS},scale={_SIDE}:{_SIDE}:force_original_aspect_ratio=increase,crop={_SIDE}:{_SIDE}"
        )
        starts = max(0.0, -lag), max(0.0, lag)  # a sound that is late is taken from later
        inputs = [word for start in starts for word in ("-ss", str(start), "-i", str(data / clip["file"]))]
        codecs = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-c:a", "pcm_s16le"]
        _ffmpeg(*inputs, "-map", "0:v", "-map", "1:a", "-vf", picture, "-ar", _RATE, "-ac", "1",
                "-t", length, *codecs, part)  # fmt: skip
        parts.append(part)
        total += length
        if total >= seconds:
            break
    listed = path.with_suffix(".txt")
    listed.write_text("".join(f"file '{part}'\n" for part in parts), encoding="utf-8")
    _ffmpeg("-f", "concat", "-safe", "0", "-i", listed, "-c", "copy", "-t", seconds, path)
    return path


def _scene(reels: Sequence[Path], poster: bool, path: Path) -> Scene:
    """Two of the reels side by side, with the sound of each in turn, of the third, and of nobody."""
    turn = round(_TURN * _RATE)
    sounds = [open_audio(reel).read(_RATE).samples for reel in reels[:3]]
    mixed = np.zeros(turn * len(_ORDER), np.float32)
    truth = np.full(round(_TURN * _FPS) * len(_ORDER), _NOBODY)
    for number, who in enumerate(_ORDER):
        if who == _NOBODY:
            continue
        part = slice(number * turn, (number + 1) * turn)
        sound = sounds[who][part]
        mixed[part][: len(sound)] = sound * _fade(len(sound))
        speaks = _speaks(sound)
        at = number * round(_TURN * _FPS)
        truth[at : at + len(speaks)] = np.where(speaks, who, _NOBODY)
    soundfile.write(path.with_suffix(".wav"), mixed, _RATE)
    inputs = [word for reel in reels[:2] for word in ("-i", str(reel))]
    graph, cells = "[0:v][1:v]hstack[out]", 2
    if poster:
        inputs += ["-i", str(reels[3])]
        graph, cells = "[2:v]trim=end_frame=1,loop=-1:1[still];[0:v][1:v][still]hstack=3:shortest=1[out]", 3
    inputs += ["-i", str(path.with_suffix(".wav"))]
    chosen = ["-map", "[out]", "-map", f"{len(inputs) // 2 - 1}:a", "-r", str(_FPS)]
    codecs = ["-c:v", "libx264", "-crf", "16", "-c:a", "aac"]
    _ffmpeg(*inputs, "-filter_complex", graph, *chosen, *codecs, path.with_suffix(".mp4"))
    return Scene(path.with_suffix(".mp4"), truth, cells)


def _speaks(sound: FloatArray) -> np.ndarray:
    """Whether there is speech in each frame."""
    out = np.zeros(len(sound) * _FPS // _RATE, bool)
    for start, end in detect_speech(AudioClip(sound)).spans.tolist():
        out[round(start * _FPS) : round(end * _FPS)] = True
    return out


def _fade(count: int) -> FloatArray:
    ramp = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * _RATE)
    return np.clip(ramp, 0, 1).astype(np.float32)


def _ffmpeg(*arguments: object) -> None:
    subprocess.run([str(ffmpeg_path()), "-v", "error", "-y", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
