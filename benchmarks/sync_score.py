"""Sync score of real video, with shifted audio, and with a wrong voice.

The folder holds real talking-face clips and a `manifest.tsv` (columns file and person). Every clip passes
through all stages: decoding, face tracking, 25 frames a second, expert. The thresholds of `lipsync.types`
and `lipsync.sync_score.thresholds` come from the people whom the expert was not trained on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import report
from lipsync.faces import DETECTORS, VideoShape, track_faces
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

TRAINED = (
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
"""People that the shipped expert was trained on: `--seed 2 --people 0.7`, see weights/README.md."""
VALIDATION = (
    *("grid_s2", "grid_unk_lrwp9a", "hdtf_RD_Radio2", "hdtf_WDA_EdMarkey0", "obama", "pcavs_00086"),
    *("pcavs_741400163", "vrt_1", "vrt_2"),
)
"""People of its validation split."""
RATE = 16_000


@dataclass(frozen=True)
class Material:
    """One clip: embeddings of its face windows, and its audio.

    Attributes:
        windows: number of the first window and embeddings of each run, as from `FaceEmbedder.push`.
        audio: float32 (n,) at 16 kHz.
    """

    name: str
    person: str
    windows: Sequence[tuple[int, FloatArray]]
    audio: FloatArray

    def score(self, expert: SyncExpert, audio: FloatArray) -> SyncScore:
        """Sync score with another audio."""
        embedder = AudioEmbedder(expert, AudioClip(np.ascontiguousarray(audio)))
        return score_similarity(
            np.concatenate([embedder.similarity(first, faces) for first, faces in self.windows]),
            np.concatenate([np.arange(first, first + len(faces)) for first, faces in self.windows]),
            np.concatenate([embedder.loudness(first, len(faces)) for first, faces in self.windows]),
        )

    def shifted(self, frames: int) -> FloatArray:
        """Its audio this many frames earlier, padded with silence; negative is later."""
        by = frames * RATE // EXPERT_FPS
        return np.pad(self.audio, (max(0, -by), max(0, by)))[max(0, by) :][: len(self.audio) - max(0, by)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="clips, with a manifest.tsv")
    parser.add_argument("--expert", type=Path, help="weights of the expert (default: the shipped ones)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a clip, at most")
    parser.add_argument("--clips", type=int, default=1, help="clips per person, at most")
    chosen = parser.parse_args()
    expert = load_expert(chosen.expert or require("expert"))
    clips = list(read_material(chosen.folder, expert, chosen.seconds, chosen.clips))
    rows, values = [], {}
    groups = {
        "trained on": [clip for clip in clips if clip.person in TRAINED],
        "validation": [clip for clip in clips if clip.person in VALIDATION],
        "not trained on": [clip for clip in clips if clip.person not in TRAINED],
    }
    for name, members in groups.items():
        figures = measure(members, clips, expert)
        values[name] = figures
        rows += [("", ""), (name, f"{len(members)} clips"), *figures.items()]
    for clip in clips:
        score = clip.score(expert, clip.audio)
        split = "train" if clip.person in TRAINED else "val" if clip.person in VALIDATION else "-"
        values[clip.name] = score.as_dict()
        rows.append((clip.name[:40], f"{split:5}  {format_score(score)}"))
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
        video = open_video(path, MediaOptions(fps=EXPERT_FPS))
        numbers = np.arange(min(round(seconds * EXPERT_FPS), video.frame_count))
        tracked = track_faces(
            video.read(numbers, max_side=FaceOptions().detect_size),
            VideoShape(len(numbers), (video.width, video.height), EXPERT_FPS),
            detector=detector,
            options=FaceOptions(),
            progress=StageProgress(path.name, len(numbers)),
        )
        windows = list(embed(video.read(numbers), tracked.track.boxes, expert))
        audio = open_audio(path).read().samples[: len(numbers) * RATE // EXPERT_FPS]
        yield Material(path.name, person, windows, audio)


def embed(frames: Iterator[Frame], boxes: FloatArray, expert: SyncExpert) -> Iterator[tuple[int, FloatArray]]:
    """Embed all windows with a face, as the meter does."""
    faces = FaceEmbedder(expert)
    for number, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
        if not np.isnan(box[0]) and (windows := faces.push(number, crop_lower_face(frame, box))):
            yield windows
    if last := faces.flush():
        yield last


def measure(members: list[Material], all_clips: list[Material], expert: SyncExpert) -> dict[str, str]:
    """Values of one group, as text."""
    real = [clip.score(expert, clip.audio) for clip in members]
    wrong, silent = [], []
    for number, clip in enumerate(members):
        others = [other for other in all_clips if other.person != clip.person]
        for step in range(4):
            voice = others[(7 * number + 5 * step) % len(others)].audio
            wrong.append(clip.score(expert, np.resize(voice, len(clip.audio))))
        silent.append(clip.score(expert, np.zeros_like(clip.audio)))
    return {
        "real, confidence at 10, 25, 50, 75, 90 %": quantiles(real, "confidence"),
        "real, distance": quantiles(real, "distance"),
        "real, offset": ", ".join(str(score.offset) for score in real),
        "real, verdicts": verdicts(real),
        "wrong voice, verdicts": verdicts(wrong),
        "wrong voice, confidence where there is one": quantiles(wrong, "confidence"),
        "silence, verdicts": verdicts(silent),
        **shift_accuracy(members, real, expert),
    }


def shift_accuracy(members: list[Material], real: list[SyncScore], expert: SyncExpert) -> dict[str, str]:
    """How often audio shifted by n frames is found n frames from its offset, within the search range."""
    exact, near, total, missing = 0, 0, 0, 0
    for clip, own in zip(members, real, strict=True):
        if own.offset is None or own.verdict is Verdict.POOR:
            continue
        for frames in range(-MAX_OFFSET, MAX_OFFSET + 1):
            if abs(own.offset + frames) > MAX_OFFSET - 1:
                continue
            found = clip.score(expert, clip.shifted(frames)).offset
            total, missing = total + 1, missing + (found is None)
            error = None if found is None else abs(found - own.offset - frames)
            exact, near = exact + (error == 0), near + (error is not None and error <= 1)
    return {
        "shifted by -15 .. 15 frames": f"{exact} exact, {near} within 1, {missing} without score of {total}"
    }


def quantiles(scores: list[SyncScore], name: str) -> str:
    """At 10, 25, 50, 75 and 90 %."""
    known = [value for score in scores if (value := getattr(score, name)) is not None]
    return "  ".join(f"{value:.3f}" for value in np.percentile(known, (10, 25, 50, 75, 90))) if known else "-"


def verdicts(scores: list[SyncScore]) -> str:
    """Number of scores with each verdict."""
    return ", ".join(f"{sum(s.verdict is kind for s in scores)} {kind.value}" for kind in Verdict)


def format_score(score: SyncScore) -> str:
    """The values of one clip in one line."""
    if score.confidence is None:
        return f"{score.verdict.value} ({score.windows} windows)"
    return (
        f"{score.verdict.value:5} confidence {score.confidence:.3f}, distance {score.distance:.3f}, "
        f"offset {score.offset:+d} ({score.offset_ms:+.0f} ms), certainty {score.certainty:.2f}, "
        f"weak {', '.join(map(str, score.weak)) or 'nowhere'}"
    )


if __name__ == "__main__":
    main()
