"""How drawn mouths sit in real faces: seam, tint, sharpness, jitter, and movement in silence.

Clips of one person each are lip-synced with the next clip's voice, and with silence, and pasted in
several ways; see `benchmarks.picture_measures` for the figures. Sheets of frames at full size, to be
looked at, are written where `--sheets` says.

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
from benchmarks.picture_measures import (
    Edge,
    HeadFollower,
    Movement,
    color_shift,
    grown,
    jitter,
    seam,
    sharpness,
)
from lipsync.blending import Blender, make_mask
from lipsync.errors import LipsyncError
from lipsync.faces import DETECTORS, FaceDetector, crop_face, pixel_box, track_faces
from lipsync.generators import GENERATORS, LipGenerator, choose_variant
from lipsync.media import open_audio, open_video
from lipsync.options import BlendOptions, FaceOptions, MediaOptions
from lipsync.progress import CancelToken, StageProgress, ignore_progress
from lipsync.types import AudioClip, FloatArray, Frame, Mask, PixelBox, TimeRange
from lipsync.weights import create_model, require

PLAIN = BlendOptions(color_match=0, keep_detail=0, occlusion=False)
WAYS = {
    "hard paste": BlendOptions(mask="box"),
    "feathered": PLAIN,
    "default": BlendOptions(),
    "multi-band": BlendOptions(blend="multiband"),
}
TINTED_WAYS = {
    "tinted, hard paste": BlendOptions(mask="box"),
    "tinted, feathered": PLAIN,
    "tinted, default": BlendOptions(),
    "tinted, multi-band": BlendOptions(blend="multiband", color_match=0),
}
"""The same with mouths in the wrong light, as networks draw that give back colours less exactly."""
_TINT = np.array([1.08, 0.97, 0.9], np.float32)
SMOOTHINGS = {
    "none": FaceOptions(smoothing="none"),
    "official 5": FaceOptions(smoothing="official"),
    **{f"symmetric {n}": FaceOptions(smoothing_frames=n) for n in (3, 5, 9, 15, 25)},
}
FIGURES = {
    "seam": "new steps across the mask's border, worst sector, grey levels a pixel",
    "tint": "colours inside the border against the source, CIELAB",
    "sharpness": "of the mouth's region, source 1",
    "jitter": "with silence, the mouth against the head, % of the box's width",
    "jitter, photo": "the same in a photo with noise (with --smoothings)",
    "speech": "movement of the mouth in speech over that of the source's own",
    "silence": "the same in silence",
}
_NOISE = 2.0
"""Levels; makes boxes in a still photo shake as a camera's noise does."""


@dataclass(frozen=True)
class Shot:
    """A few seconds of a face and what was drawn for it.

    Attributes:
        frames: those with a face; boxes, points, crops: one a frame.
        mouths: by voice, "speech" and "silence"; float32 (n, 3, h, w).
        fps: frames per second.
    """

    frames: list[Frame]
    boxes: list[PixelBox]
    points: FloatArray
    crops: list[Frame]
    mouths: dict[str, FloatArray]
    fps: float

    def pasted(self, options: BlendOptions, voice: str) -> Iterator[tuple[Frame, Mask | None]]:
        """The results, in order."""
        blender = Blender(options, self.fps)
        for n, frame in enumerate(self.frames):
            place = frame, self.mouths[voice][n], self.boxes[n], self.points[n]
            yield blender.blend(*place, crop=self.crops[n])


class Studio:
    """Detector and generator, and how long the clips are."""

    def __init__(self, variant: str, weights: Path | None, seconds: float) -> None:
        name = choose_variant(variant)
        self.generator: LipGenerator = create_model(GENERATORS, name, weights=weights or require(name))
        self.detector: FaceDetector = DETECTORS.create("centerface")
        self.seconds = seconds

    def record(self, clip: Path, voice: Path, faces: FaceOptions, photo: bool = False) -> Shot:
        """Find, crop and draw the first seconds of a clip; `photo` takes its first frame, with noise.

        Raises:
            LipsyncError: as the program's own stages.
        """
        part, cancel = (TimeRange(0, self.seconds),), CancelToken()
        picture = open_video(clip, MediaOptions(video_ranges=part))
        frames = list(picture.read(np.arange(picture.frame_count)))
        if photo:
            frames = noisy(frames[0], len(frames))
        size = picture.width, picture.height
        track = track_faces(
            [_reduced(frame, faces.detect_size) for frame in frames],
            count=len(frames),
            frame_size=size,
            fps=picture.fps,
            detector=self.detector,
            options=faces,
            progress=StageProgress("faces", len(frames), ignore_progress, cancel),
        ).track
        seen = np.flatnonzero(track.present).tolist()
        boxes = [pixel_box(track.boxes[n], *size) for n in seen]
        spec = self.generator.spec
        crops = [crop_face(frames[n], b, spec.crop_size, True) for n, b in zip(seen, boxes, strict=True)]
        heard = {"silence": AudioClip(np.zeros(int(self.seconds * 16_000), np.float32))}
        if not photo:
            heard["speech"] = open_audio(voice, part).read(cancel=cancel)
        drawn = {}
        for name, sound in heard.items():
            rows = self.generator.encode_audio(sound, picture.fps, len(frames))
            drawn[name] = self.generator.generate(np.stack(crops), rows[np.array(seen)])
        kept = [frames[n] for n in seen]
        return Shot(kept, boxes, track.points[seen], crops, drawn, float(picture.fps))


def noisy(frame: Frame, count: int) -> list[Frame]:
    """The same frame, each time with noise of its own, the same ones in every run."""
    random = np.random.default_rng(0)
    grain = (random.normal(0, _NOISE, frame.shape) for _ in range(count))
    return [np.clip(frame + each, 0, 255).astype(np.uint8) for each in grain]


def _reduced(frame: Frame, longest: int) -> Frame:
    scale = min(1.0, longest / max(frame.shape[:2]))
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def of_pictures(shot: Shot, options: BlendOptions) -> dict[str, float]:
    """Seam, tint and sharpness of one way of pasting; medians over every third frame."""
    found = defaultdict(list)
    for n, (result, mask) in enumerate(shot.pasted(options, "speech")):
        if n % 3 or mask is None:
            continue
        frame = shot.frames[n]
        edge = Edge.of(mask, shot.boxes[n], frame)
        found["seam"].append(seam(result, frame, edge))
        found["tint"].append(color_shift(result, frame, edge))
        found["sharpness"].append(sharpness(result, frame, _area(shot, n)))
    return {name: float(np.median(values)) for name, values in found.items()}


def of_movement(shot: Shot, options: BlendOptions, own: Sequence[Movement]) -> dict[str, float]:
    """Jitter, and the mouth's movement in speech and in silence; `own` is the source's."""
    spoken, silent = (
        movements(shot, [result for result, _ in shot.pasted(options, voice)])
        for voice in ("speech", "silence")
    )
    return {
        "jitter": jitter(silent),
        "speech": _change(spoken) / _change(own),
        "silence": _change(silent) / _change(own),
    }


def _change(moved: Sequence[Movement]) -> float:
    return float(np.mean([movement.change for movement in moved]))


def movements(shot: Shot, results: Sequence[Frame]) -> list[Movement]:
    """How the mouth moves from each frame to the next."""
    follower = HeadFollower()
    return [
        follower.movement(shot.frames[n : n + 2], results[n : n + 2], shot.boxes[n], _area(shot, n))
        for n in range(len(results) - 1)
    ]


def _area(shot: Shot, n: int) -> Mask:
    """The mouth's region of a frame, the same for every way of pasting."""
    return make_mask(shot.frames[n], shot.boxes[n], shot.points[n], BlendOptions())


def sheet(shot: Shot) -> Frame:
    """The source and every way beside each other, full size: the mouth farthest open, and in silence."""
    spoken, silent = shot.mouths["speech"], shot.mouths["silence"]
    widest = int(np.abs(spoken - silent).mean(axis=(1, 2, 3)).argmax())
    frame, box = shot.frames[widest], shot.boxes[widest]
    x1, y1, x2, y2 = grown(box, (box[2] - box[0]) // 8, frame)
    rows = []
    for voice in ("speech", "silence"):
        pictures = [_labelled(frame[y1:y2, x1:x2], "source")]
        for name, options in WAYS.items():
            result = [each for each, _ in shot.pasted(options, voice)][widest]
            pictures.append(_labelled(result[y1:y2, x1:x2], f"{name}, {voice}"))
        rows.append(np.hstack(pictures))
    return np.vstack(rows)


def _labelled(picture: Frame, label: str) -> Frame:
    bar = np.full((24, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, label, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def choose_clips(folder: Path, count: int, seconds: float) -> list[Path]:
    """One clip a person, those first that no model was trained on; without a manifest, any."""
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
    """Measure all clips and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder with clips of people who speak")
    parser.add_argument("--count", type=int, default=9, help="how many clips (default 9)")
    parser.add_argument("--seconds", type=float, default=1.6, help="of each (default 1.6)")
    parser.add_argument("--variant", default="builtin")
    parser.add_argument("--weights", type=Path, help="checkpoint of the variant")
    parser.add_argument("--sheets", type=Path, help="folder to write pictures into")
    parser.add_argument("--smoothings", action="store_true", help="compare ways to steady boxes instead")
    chosen = parser.parse_args()
    clips = choose_clips(chosen.clips, chosen.count, chosen.seconds) if chosen.clips.is_dir() else []
    if not clips:
        raise SystemExit(f"skipped: no clips in {chosen.clips}")
    studio = Studio(chosen.variant, chosen.weights, chosen.seconds)
    work = compare_smoothings if chosen.smoothings else compare_ways
    work(studio, clips, chosen.sheets)


def compare_ways(studio: Studio, clips: Sequence[Path], sheets: Path | None) -> None:
    """Every way of pasting on every clip."""
    figures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for clip, voice in zip(clips, [*clips[1:], clips[0]], strict=True):
        try:
            shot = studio.record(clip, voice, FaceOptions())
        except LipsyncError as error:
            print(f"{clip.stem}: left out, {error}")
            continue
        own = movements(shot, shot.frames)
        figures["source"][clip.stem] = {"sharpness": 1, "jitter": jitter(own), "speech": 1}
        for name, options in WAYS.items():
            figures[name][clip.stem] = {**of_pictures(shot, options), **of_movement(shot, options, own)}
        tinted = replace(shot, mouths={v: _in_another_light(mouths) for v, mouths in shot.mouths.items()})
        for name, options in TINTED_WAYS.items():
            figures[name][clip.stem] = of_pictures(tinted, options)
        shown = figures["default"][clip.stem].items()
        print(f"{clip.stem}:", "  ".join(f"{name} {value:.3f}" for name, value in shown), flush=True)
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(sheets / f"{clip.stem}.png"), sheet(shot)[..., ::-1])
    _report("quality", figures)


def _in_another_light(mouths: FloatArray) -> FloatArray:
    return np.asarray(np.clip(mouths * _TINT[:, None, None], 0, 1), np.float32)


def compare_smoothings(studio: Studio, clips: Sequence[Path], _: Path | None) -> None:
    """Jitter under every way of steadying the boxes."""
    figures: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for clip, voice in zip(clips, [*clips[1:], clips[0]], strict=True):
        for name, faces in SMOOTHINGS.items():
            found = figures[name].setdefault(clip.stem, {})
            for figure, photo in (("jitter", False), ("jitter, photo", True)):
                shot = studio.record(clip, voice, faces, photo)
                found[figure] = jitter(
                    movements(shot, [r for r, _ in shot.pasted(BlendOptions(), "silence")])
                )
        print(clip.stem, flush=True)
    _report("smoothings", figures)


def _report(name: str, figures: dict[str, dict[str, dict[str, float]]]) -> None:
    """Medians over the clips, one line a way."""
    used = [f for f in FIGURES if any(f in clip for clips in figures.values() for clip in clips.values())]
    table = [(f, FIGURES[f]) for f in used]
    for way, clips in figures.items():
        values = {f: [clip[f] for clip in clips.values() if f in clip] for f in used}
        table.append((way, "  ".join(f"{f} {np.median(v):.3f}" for f, v in values.items() if v)))
    report(name, table, {"figures": figures})


if __name__ == "__main__":
    main()
