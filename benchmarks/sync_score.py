"""What the sync score says of real video, of the same video with its sound moved, and of a wrong voice.

The folder is one of real talking-face clips with a `manifest.tsv` (columns file and person). Every clip
goes the whole way: file, faces, 25 frames a second, expert. The thresholds of `lipsync.types` and
`lipsync.sync_score.thresholds` come from the rows of people whom the expert was not trained on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import report
from lipsync.faces import DETECTORS, track_faces
from lipsync.media import open_audio, open_video
from lipsync.options import FaceOptions, MediaOptions
from lipsync.progress import StageProgress
from lipsync.sync_score import SyncExpert, crop_lower_face, load_expert
from lipsync.sync_score.base import EXPERT_FPS
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.sync_score.streaming_embed import AudioEmbedder, FaceEmbedder
from lipsync.sync_score.thresholds import score_similarity
from lipsync.types import AudioClip, FloatArray, Frame, SyncScore, Verdict
from lipsync.weights import require

SEEN = (
    *(
        "aniportrait_pose_ref",
        "dfrf_cnn2_25fps",
        "grid_s33",
        "grid_s34",
        "grid_unk_brbk7n",
        "grid_unk_lbbc2a",
    ),
    *("grid_unk_sbia1a", "grid_unk_sbwe5n", "grid_unk_swiz3n", "hdtf_RD_Radio10"),
    *("hdtf_WDA_AlexandriaOcasioCortez", "latentsync_demo2", "morfant_1", "pcavs_00015", "pcavs_517600055"),
    *("pcavs_620900105", "pcavs_731200067", "pcavs_796100172", "vanshg_talk", "vrt_3"),
)
"""Whom the expert that ships was trained on: `--seed 2 --people 0.7`, see weights/README.md."""
HELD = (
    *("grid_s2", "grid_unk_lrwp9a", "hdtf_RD_Radio2", "hdtf_WDA_EdMarkey0", "obama", "pcavs_00086"),
    *("pcavs_741400163", "vrt_1", "vrt_2"),
)
"""Who steered when its training ended."""
RATE = 16_000


@dataclass(frozen=True)
class Material:
    """One clip: its windows of pictures, and its sound."""

    name: str
    person: str
    windows: Sequence[tuple[int, FloatArray]]
    sound: FloatArray

    def score(self, expert: SyncExpert, sound: FloatArray) -> SyncScore:
        """With this sound."""
        heard = AudioEmbedder(expert, AudioClip(np.ascontiguousarray(sound)))
        return score_similarity(
            np.concatenate([heard.similarity(first, faces) for first, faces in self.windows]),
            np.concatenate([np.arange(first, first + len(faces)) for first, faces in self.windows]),
            np.concatenate([heard.loudness(first, len(faces)) for first, faces in self.windows]),
        )

    def moved(self, frames: int) -> FloatArray:
        """Its sound so many frames early, silence at the end; negative is late."""
        by = frames * RATE // EXPERT_FPS
        return np.pad(self.sound, (max(0, -by), max(0, by)))[max(0, by) :][: len(self.sound) - max(0, by)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="clips, with a manifest.tsv")
    parser.add_argument("--expert", type=Path, help="weights of the expert (default: those that ship)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how much of a clip is used at most")
    parser.add_argument("--clips", type=int, default=1, help="clips of each person at most")
    chosen = parser.parse_args()
    expert = load_expert(chosen.expert or require("expert"))
    clips = list(read_material(chosen.folder, expert, chosen.seconds, chosen.clips))
    rows, values = [], {}
    groups = {
        "seen by the expert": [clip for clip in clips if clip.person in SEEN],
        "held out": [clip for clip in clips if clip.person in HELD],
        "not seen": [clip for clip in clips if clip.person not in SEEN],
    }
    for name, members in groups.items():
        figures = measure(members, clips, expert)
        values[name] = figures
        rows += [("", ""), (name, f"{len(members)} clips"), *figures.items()]
    for clip in clips:
        score = clip.score(expert, clip.sound)
        seen = "seen" if clip.person in SEEN else "held" if clip.person in HELD else "-"
        values[clip.name] = score.as_dict()
        rows.append((clip.name[:40], f"{seen:4}  {in_short(score)}"))
    report("sync_score", [(label, str(value)) for label, value in rows], values)


def read_material(folder: Path, expert: SyncExpert, seconds: float, most: int) -> Iterator[Material]:
    """The first clips of each person."""
    detector, taken = DETECTORS.create("centerface"), dict[str, int]()
    with (folder / "manifest.tsv").open(encoding="utf-8") as file:
        listed = [(folder / row["file"], row["person"]) for row in csv.DictReader(file, delimiter="\t")]
    for path, person in listed:
        if taken.get(person, 0) >= most:
            continue
        taken[person] = taken.get(person, 0) + 1
        picture = open_video(path, MediaOptions(fps=EXPERT_FPS))
        numbers = np.arange(min(round(seconds * EXPERT_FPS), picture.frame_count))
        tracked = track_faces(
            picture.read(numbers, max_side=FaceOptions().detect_size),
            count=len(numbers),
            frame_size=(picture.width, picture.height),
            fps=EXPERT_FPS,
            detector=detector,
            options=FaceOptions(),
            progress=StageProgress(path.name, len(numbers)),
        )
        windows = list(embed(picture.read(numbers), tracked.track.boxes, expert))
        sound = open_audio(path).read().samples[: len(numbers) * RATE // EXPERT_FPS]
        yield Material(path.name, person, windows, sound)


def embed(frames: Iterator[Frame], boxes: FloatArray, expert: SyncExpert) -> Iterator[tuple[int, FloatArray]]:
    """All windows with a face, as the meter embeds them."""
    faces = FaceEmbedder(expert)
    for number, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
        if not np.isnan(box[0]) and (windows := faces.push(number, crop_lower_face(frame, box))):
            yield windows
    if last := faces.flush():
        yield last


def measure(members: list[Material], everybody: list[Material], expert: SyncExpert) -> dict[str, str]:
    """The figures of one group, in words."""
    real = [clip.score(expert, clip.sound) for clip in members]
    wrong, silent = [], []
    for number, clip in enumerate(members):
        others = [other for other in everybody if other.person != clip.person]
        for step in range(4):
            voice = others[(7 * number + 5 * step) % len(others)].sound
            wrong.append(clip.score(expert, np.resize(voice, len(clip.sound))))
        silent.append(clip.score(expert, np.zeros_like(clip.sound)))
    return {
        "real, confidence at 10, 25, 50, 75, 90 %": quantiles(real, "confidence"),
        "real, distance": quantiles(real, "distance"),
        "real, offset": ", ".join(str(score.offset) for score in real),
        "real, verdicts": verdicts(real),
        "wrong voice, verdicts": verdicts(wrong),
        "wrong voice, confidence where there is one": quantiles(wrong, "confidence"),
        "silence, verdicts": verdicts(silent),
        **shifted(members, real, expert),
    }


def shifted(members: list[Material], real: list[SyncScore], expert: SyncExpert) -> dict[str, str]:
    """Whether sound moved by n frames is found n frames from where it was, where that is in reach."""
    right, near, total, lost = 0, 0, 0, 0
    for clip, own in zip(members, real, strict=True):
        if own.offset is None or own.verdict is Verdict.POOR:
            continue
        for frames in range(-MAX_OFFSET, MAX_OFFSET + 1):
            if abs(own.offset + frames) > MAX_OFFSET - 1:
                continue
            found = clip.score(expert, clip.moved(frames)).offset
            total, lost = total + 1, lost + (found is None)
            apart = None if found is None else abs(found - own.offset - frames)
            right, near = right + (apart == 0), near + (apart is not None and apart <= 1)
    return {"moved by -15 .. 15 frames": f"{right} exact, {near} within 1, {lost} not judged of {total}"}


def quantiles(scores: list[SyncScore], name: str) -> str:
    """At 10, 25, 50, 75 and 90 %."""
    known = [value for score in scores if (value := getattr(score, name)) is not None]
    return "  ".join(f"{value:.3f}" for value in np.percentile(known, (10, 25, 50, 75, 90))) if known else "-"


def verdicts(scores: list[SyncScore]) -> str:
    """How many of each."""
    return ", ".join(f"{sum(s.verdict is kind for s in scores)} {kind.value}" for kind in Verdict)


def in_short(score: SyncScore) -> str:
    """The figures of one clip."""
    if score.confidence is None:
        return f"{score.verdict.value} ({score.windows} windows)"
    return (
        f"{score.verdict.value:5} confidence {score.confidence:.3f}, distance {score.distance:.3f}, "
        f"offset {score.offset:+d} ({score.offset_ms:+.0f} ms), certainty {score.certainty:.2f}, "
        f"weak {', '.join(map(str, score.weak)) or 'nowhere'}"
    )


if __name__ == "__main__":
    main()
