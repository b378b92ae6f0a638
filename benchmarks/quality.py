"""Quality of blended mouths in real faces.

Seam, colour shift, sharpness, jitter, and motion in silence are measured.

Clips of one person each are synced to the next clip's voice, and to silence, and blended in several ways;
see `benchmarks.mouth_metrics` for the metrics. `--sheets` writes contact sheets of full-size frames.

    python -m benchmarks.quality CLIPS --sheets sheets
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import report
from benchmarks.mouth_metrics import MotionMeter, Movement, color_shift, jitter, sharpness
from lipsync.blending import Blender, make_mask
from lipsync.errors import LipsyncError
from lipsync.faces import DETECTORS, FaceDetector, VideoShape, crop_face, pixel_box, track_faces
from lipsync.generators import GENERATORS, LipGenerator, choose_variant
from lipsync.media import open_audio, open_video
from lipsync.metrics.seam import Edge, expand_box, seam
from lipsync.options import BlendOptions, FaceOptions, MediaOptions
from lipsync.progress import CancelToken, StageProgress, ignore_progress
from lipsync.types import AudioClip, FloatArray, Frame, Mask, PixelBox, TimeRange
from lipsync.weights import create_model, require

PLAIN = BlendOptions(color_match=0, keep_detail=0, occlusion=False)
BLENDS = {
    "hard paste": BlendOptions(mask="box"),
    "feathered": PLAIN,
    "default": BlendOptions(),
    "multi-band": BlendOptions(blend="multiband"),
}
TINTED_BLENDS = {
    "tinted, hard paste": BlendOptions(mask="box"),
    "tinted, feathered": PLAIN,
    "tinted, default": BlendOptions(),
    "tinted, multi-band": BlendOptions(blend="multiband", color_match=0),
}
"""The same with a colour cast on the mouths, as from networks with less exact colours."""
_TINT = np.array([1.08, 0.97, 0.9], np.float32)
SMOOTHINGS = {
    "none": FaceOptions(smoothing="none"),
    "official 5": FaceOptions(smoothing="official"),
    **{f"symmetric {n}": FaceOptions(smoothing_frames=n) for n in (3, 5, 9, 15, 25)},
}
FIGURES = {
    "seam": "added gradient across the mask's border, worst sector, grey levels per pixel",
    "tint": "colour difference to the source inside the border, CIELAB",
    "sharpness": "of the mouth region, relative to the source",
    "jitter": "of the mouth relative to the head, with silence, % of the box's width",
    "jitter, photo": "the same in a photo with noise (with --smoothings)",
    "speech": "motion of the mouth in speech, relative to the source",
    "silence": "the same in silence",
}
_NOISE = 2.0
"""Grey levels; makes the boxes in a photo jitter as camera noise does."""


@dataclass(frozen=True)
class Shot:
    """A few seconds of a face with generated mouths.

    Attributes:
        frames: those with a face; boxes, points, crops: one per frame.
        mouths: by voice, "speech" and "silence"; float32 (3, h, w), one per frame.
        fps: frames per second.
    """

    frames: list[Frame]
    boxes: list[PixelBox]
    points: FloatArray
    crops: list[Frame]
    mouths: dict[str, list[FloatArray]]
    fps: float

    def blended(self, options: BlendOptions, voice: str) -> Iterator[tuple[Frame, Mask | None]]:
        """Result and mask of each frame."""
        blender = Blender(options, self.fps)
        for n, frame in enumerate(self.frames):
            inputs = frame, self.mouths[voice][n], self.boxes[n], self.points[n]
            yield blender.blend(*inputs, crop=self.crops[n])


class ShotMaker:
    """Generates mouths for clips, with one detector and generator."""

    def __init__(self, variant: str, weights: Path | None, seconds: float) -> None:
        name = choose_variant(variant)
        self.generator: LipGenerator = create_model(GENERATORS, name, weights=weights or require(name))
        self.detector: FaceDetector = DETECTORS.create("centerface")
        self.seconds = seconds

    def make(self, clip: Path, voice: Path, faces: FaceOptions, photo: bool = False) -> Shot:
        """Generate for the first seconds of a clip; `photo` repeats its first frame with noise.

        Raises:
            LipsyncError: as the stages of the pipeline.
        """
        part, cancel = (TimeRange(0, self.seconds),), CancelToken()
        video = open_video(clip, MediaOptions(video_ranges=part))
        frames = list(video.read(np.arange(video.frame_count)))
        if photo:
            frames = noisy(frames[0], len(frames))
        size = video.width, video.height
        track = track_faces(
            [_reduced(frame, faces.detect_size) for frame in frames],
            VideoShape(len(frames), size, video.fps),
            detector=self.detector,
            options=faces,
            progress=StageProgress("faces", len(frames), ignore_progress, cancel),
        ).track
        present = np.flatnonzero(track.present).tolist()
        boxes = [pixel_box(track.boxes[n], *size) for n in present]
        spec = self.generator.spec
        crops = [
            crop_face(frames[n], b, spec.size_for(b.height, b.width), True)
            for n, b in zip(present, boxes, strict=True)
        ]
        voices = {"silence": AudioClip(np.zeros(int(self.seconds * 16_000), np.float32))}
        if not photo:
            voices["speech"] = open_audio(voice, part).read(cancel=cancel)
        mouths = {}
        for name, audio in voices.items():
            rows = self.generator.encode_audio(audio, video.fps, len(frames))
            mouths[name] = [*self.generator.generate(crops, rows[np.array(present)])]
        kept = [frames[n] for n in present]
        return Shot(kept, boxes, track.points[present], crops, mouths, float(video.fps))


def noisy(frame: Frame, count: int) -> list[Frame]:
    """Copies of a frame, each with different noise, from a fixed seed."""
    random = np.random.default_rng(0)
    grain = (random.normal(0, _NOISE, frame.shape) for _ in range(count))
    return [np.clip(frame + each, 0, 255).astype(np.uint8) for each in grain]


def _reduced(frame: Frame, longest: int) -> Frame:
    scale = min(1.0, longest / max(frame.shape[:2]))
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def image_metrics(shot: Shot, options: BlendOptions) -> dict[str, float]:
    """Seam, colour shift and sharpness of one blend; medians over every third frame."""
    found = defaultdict(list)
    for n, (result, mask) in enumerate(shot.blended(options, "speech")):
        if n % 3 or mask is None:
            continue
        frame = shot.frames[n]
        edge = Edge.of(mask, shot.boxes[n], frame)
        found["seam"].append(seam(result, frame, edge))
        found["tint"].append(color_shift(result, frame, edge))
        found["sharpness"].append(sharpness(result, frame, _area(shot, n)))
    return {name: float(np.median(values)) for name, values in found.items()}


def motion_metrics(shot: Shot, options: BlendOptions, own: Sequence[Movement]) -> dict[str, float]:
    """Jitter, and motion of the mouth in speech and in silence relative to the source's (`own`)."""
    speech, silence = (
        movements(shot, [result for result, _ in shot.blended(options, voice)])
        for voice in ("speech", "silence")
    )
    return {
        "jitter": jitter(silence),
        "speech": _change(speech) / _change(own),
        "silence": _change(silence) / _change(own),
    }


def _change(moved: Sequence[Movement]) -> float:
    return float(np.mean([movement.change for movement in moved]))


def movements(shot: Shot, results: Sequence[Frame]) -> list[Movement]:
    """Motion of the mouth from each frame to the next."""
    meter = MotionMeter()
    return [
        meter.movement(shot.frames[n : n + 2], results[n : n + 2], shot.boxes[n], _area(shot, n))
        for n in range(len(results) - 1)
    ]


def _area(shot: Shot, n: int) -> Mask:
    """The mouth region of a frame, the same for all blends."""
    return make_mask(shot.frames[n], shot.boxes[n], shot.points[n], BlendOptions())


def sheet(shot: Shot) -> Frame:
    """Contact sheet of source and all blends: the frame with the widest mouth, speech and silence."""
    speech, silence = shot.mouths["speech"], shot.mouths["silence"]
    changes = [np.abs(one - other).mean() for one, other in zip(speech, silence, strict=True)]
    widest = int(np.argmax(changes))
    frame, box = shot.frames[widest], shot.boxes[widest]
    x1, y1, x2, y2 = expand_box(box, (box[2] - box[0]) // 8, frame)
    rows = []
    for voice in ("speech", "silence"):
        images = [_labelled(frame[y1:y2, x1:x2], "source")]
        for name, options in BLENDS.items():
            result = [each for each, _ in shot.blended(options, voice)][widest]
            images.append(_labelled(result[y1:y2, x1:x2], f"{name}, {voice}"))
        rows.append(np.hstack(images))
    return np.vstack(rows)


def _labelled(image: Frame, label: str) -> Frame:
    bar = np.full((24, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, label, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, image])


def choose_clips(folder: Path, count: int, seconds: float) -> list[Path]:
    """One clip per person, first those that no model was trained on; any clips without a manifest."""
    manifest = folder / "manifest.tsv"
    if not manifest.exists():
        return sorted(folder.rglob("*.mp4"))[:count]
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    first: dict[str, Path] = {}
    for row in sorted(rows, key=lambda row: (row["use"] != "check", -int(row["height"]))):
        if float(row["seconds"]) > seconds and min(int(row["width"]), int(row["height"])) >= 350:
            first.setdefault(row["person"], folder / row["file"])
    return list(first.values())[:count]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder with clips of people who speak")
    parser.add_argument("--count", type=int, default=9, help="how many clips (default 9)")
    parser.add_argument("--seconds", type=float, default=1.6, help="of each (default 1.6)")
    parser.add_argument("--variant", default="builtin")
    parser.add_argument("--weights", type=Path, help="checkpoint of the variant")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--smoothings", action="store_true", help="compare box smoothings instead")
    chosen = parser.parse_args()
    clips = choose_clips(chosen.clips, chosen.count, chosen.seconds) if chosen.clips.is_dir() else []
    if not clips:
        raise SystemExit(f"skipped: no clips in {chosen.clips}")
    maker = ShotMaker(chosen.variant, chosen.weights, chosen.seconds)
    work = compare_smoothings if chosen.smoothings else compare_blends
    work(maker, clips, chosen.sheets)


def compare_blends(maker: ShotMaker, clips: Sequence[Path], sheets: Path | None) -> None:
    """Measure every blend on every clip."""
    figures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for clip, voice in zip(clips, [*clips[1:], clips[0]], strict=True):
        try:
            shot = maker.make(clip, voice, FaceOptions())
        except LipsyncError as error:
            print(f"{clip.stem}: left out, {error}")
            continue
        own = movements(shot, shot.frames)
        figures["source"][clip.stem] = {"sharpness": 1, "jitter": jitter(own), "speech": 1}
        for name, options in BLENDS.items():
            figures[name][clip.stem] = {**image_metrics(shot, options), **motion_metrics(shot, options, own)}
        tinted = replace(shot, mouths={v: _with_color_cast(mouths) for v, mouths in shot.mouths.items()})
        for name, options in TINTED_BLENDS.items():
            figures[name][clip.stem] = image_metrics(tinted, options)
        shown = figures["default"][clip.stem].items()
        print(f"{clip.stem}:", "  ".join(f"{name} {value:.3f}" for name, value in shown), flush=True)
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(sheets / f"{clip.stem}.png"), sheet(shot)[..., ::-1])
    _report("quality", figures)


def _with_color_cast(mouths: list[FloatArray]) -> list[FloatArray]:
    return [np.asarray(np.clip(mouth * _TINT[:, None, None], 0, 1), np.float32) for mouth in mouths]


def compare_smoothings(maker: ShotMaker, clips: Sequence[Path], _: Path | None) -> None:
    """Measure the jitter of every box smoothing."""
    figures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for clip, voice in zip(clips, [*clips[1:], clips[0]], strict=True):
        for name, faces in SMOOTHINGS.items():
            found = figures[name].setdefault(clip.stem, {})
            for figure, photo in (("jitter", False), ("jitter, photo", True)):
                shot = maker.make(clip, voice, faces, photo)
                found[figure] = jitter(
                    movements(shot, [r for r, _ in shot.blended(BlendOptions(), "silence")])
                )
        print(clip.stem, flush=True)
    _report("smoothings", figures)


def _report(name: str, figures: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print medians over the clips, one line per variant."""
    used = [f for f in FIGURES if any(f in clip for clips in figures.values() for clip in clips.values())]
    table = [(f, FIGURES[f]) for f in used]
    for way, clips in figures.items():
        values = {f: [clip[f] for clip in clips.values() if f in clip] for f in used}
        table.append((way, "  ".join(f"{f} {np.median(v):.3f}" for f, v in values.items() if v)))
    report(name, table, {"figures": figures})


if __name__ == "__main__":
    main()
