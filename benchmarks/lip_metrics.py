"""What real speech, a frozen, another and a wrong mouth score in the metrics of lips.

A metric that cannot tell them apart measures nothing. Real clips of people with their own voices are measured
by the built-in model's locator, which users have, and by MediaPipe's. Then what is wrong is made of the same
measurements:

- frozen: one frame of the mouth for the whole clip;
- another mouth: that of another clip, with this clip's voice;
- wrong voice: this mouth, with another clip's voice;
- blurred: the same mouth out of focus, as a network of few pixels draws it.

    python -m benchmarks.lip_metrics --use val

Needs the mediapipe package and clips with a manifest.tsv, see `benchmarks.model_scores`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.common import report
from benchmarks.model_scores import SHARED
from benchmarks.model_scores_clips import FPS, Take, choose_people, read_people
from benchmarks.model_scores_drawing import MouthReader
from lipsync.errors import LipsyncError
from lipsync.faces import pixel_box
from lipsync.metrics.bilabials import bilabial_spans
from lipsync.metrics.closure_rate import real_closures
from lipsync.metrics.lip_base import LipObservation, LipSeries, measure_lips
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.metrics.lips import CLOSED, OPEN, LipTrack
from lipsync.metrics.mouth_image import lightness_range, lip_sharpness
from lipsync.metrics.voice_frames import frame_levels, pause_frames
from lipsync.options import TranscriptOptions
from lipsync.registries import LIP_METRICS
from lipsync.speech import transcribe
from lipsync.types import AudioClip, FloatArray, Frame

_BLUR = 0.012
"""Sigma in widths of the face: what an enlarged 128 px face loses."""


@dataclass(frozen=True)
class Clip:
    """One real clip: its observation with its own voice, and its blurred mouth.

    Attributes:
        observed: with `closures` of the real mouth.
        blurred: the same mouth, blurred.
        bilabials: closures by the transcript; None where the language has no transcript here.
    """

    name: str
    observed: LipObservation
    blurred: LipSeries
    bilabials: tuple[tuple[int, int], ...] | None

    def drawn_as(self, result: LipSeries) -> Clip:
        """The clip with another mouth in the place of its own."""
        return replace(self, observed=replace(self.observed, result=result))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder with manifest.tsv")
    parser.add_argument("--landmarker", type=Path, default=SHARED / "models" / "face_landmarker.task")
    parser.add_argument("--use", default="val", choices=("val", "test", "train"))
    parser.add_argument("--people", type=int, default=0, help="how many people (default all)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each person (default 6)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    try:
        reader, locator = MouthReader(chosen.landmarker), LipLocator()
    except LipsyncError as error:
        raise SystemExit(str(error)) from error
    people = choose_people(chosen.data, chosen.use, chosen.people, chosen.seconds)
    by_locator: dict[str, list[Clip]] = {"MediaPipe": [], "built-in": []}
    for person in read_people(people, reader):
        for take in person.takes:
            bilabials = _bilabials(take) if person.language == "English" else None
            name = f"{person.name} {len(by_locator['MediaPipe'])}"
            by_locator["MediaPipe"].append(_by_mediapipe(name, take, bilabials))
            by_locator["built-in"].append(_by_locator(name, take, locator, bilabials))
        person.forget_frames()
        print(person.name, flush=True)
    values = {name: compare(clips) for name, clips in by_locator.items()}
    agreement = _agreement(by_locator["built-in"], by_locator["MediaPipe"])
    rows = [(f"built-in against MediaPipe: {name}", f"{value:.3f}") for name, value in agreement.items()]
    report("lip_metrics", [*_table(values), *rows], {**values, "agreement": agreement})


def _agreement(clips: Sequence[Clip], judge: Sequence[Clip]) -> dict[str, float]:
    """How well the openings of one locator agree with those of another, over all frames."""
    seen, truth = (np.concatenate([clip.observed.result.opening for clip in each]) for each in (clips, judge))
    known = ~(np.isnan(seen) | np.isnan(truth))
    seen, truth = seen[known], truth[known]
    gain = float(truth.std() / seen.std())
    return {
        "r of the opening": float(np.corrcoef(seen, truth)[0, 1]),
        "gain still missing": gain,
        "rest still missing": float(seen.mean() - truth.mean() / gain),
        "closed frames found closed": float((seen[truth <= CLOSED] <= CLOSED).mean()),
        "open frames found open": float((seen[truth >= OPEN] >= OPEN).mean()),
    }


def _bilabials(take: Take) -> tuple[tuple[int, int], ...] | None:
    """Closures of what is said; None without a model that can write it down."""
    try:
        transcript = transcribe(AudioClip(take.audio), TranscriptOptions())
    except LipsyncError:
        return None
    return tuple(bilabial_spans(transcript, FPS, len(take.frames)))


def _by_mediapipe(name: str, take: Take, bilabials: tuple[tuple[int, int], ...] | None) -> Clip:
    width = float(np.nanmedian(take.track.boxes[:, 2] - take.track.boxes[:, 0]))
    soft = [_blurred(frame, width) for frame in take.frames]
    real = _observe(_series(take.frames, take.lips), take)
    return Clip(name, real, _series(soft, take.lips), bilabials)


def _by_locator(
    name: str, take: Take, locator: LipLocator, bilabials: tuple[tuple[int, int], ...] | None
) -> Clip:
    real, soft = LipMeter(locator), LipMeter(locator)
    corner = np.array([take.window.x1, take.window.y1] * 2, np.float32)
    for number, frame in enumerate(take.frames):
        box = None
        if take.track.present[number]:
            box = pixel_box(take.track.boxes[number] - corner, frame.shape[1], frame.shape[0])
        real.update(frame, None, box)
        soft.update(_blurred(frame, box.width if box else 100), None, box)
    empty = np.zeros(len(real), np.float32)
    still = np.zeros(len(real), np.bool_)
    series = [meter.observation(empty, still).result for meter in (real, soft)]
    return Clip(name, _observe(series[0], take), series[1], bilabials)


def _series(frames: Sequence[Frame], lips: LipTrack) -> LipSeries:
    pairs = list(zip(frames, lips.outlines, strict=True))
    sharpness = [lip_sharpness(frame, outline) for frame, outline in pairs]
    contrast = [lightness_range(frame, outline) for frame, outline in pairs]
    unknown = np.full(len(frames), np.nan, np.float32)
    return LipSeries(
        lips.opening, np.asarray(sharpness, np.float32), np.asarray(contrast, np.float32), unknown
    )


def _observe(series: LipSeries, take: Take) -> LipObservation:
    """A clip with its own voice, compared with itself."""
    audio, count = AudioClip(take.audio), len(series)
    pauses = pause_frames(audio, FPS, count)
    closures = real_closures(series.opening, pauses)
    seam = np.full(count, np.nan, np.float32)
    return LipObservation(series, series, frame_levels(audio, FPS, count), pauses, closures, seam, True)


def _blurred(frame: Frame, width: float) -> Frame:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), max(0.5, _BLUR * width)), np.uint8)


def compare(clips: Sequence[Clip]) -> dict[str, dict[str, float]]:
    """Medians of every metric over the clips, for each kind of mouth."""
    kinds: dict[str, Callable[[Clip, Clip], Clip]] = {
        "real": lambda clip, _: clip,
        "frozen": lambda clip, _: clip.drawn_as(_frozen(clip.observed.result)),
        "another mouth": lambda clip, other: clip.drawn_as(other.observed.result),
        "wrong voice": _with_voice,
        "blurred": lambda clip, _: clip.drawn_as(clip.blurred),
    }
    names = [*LIP_METRICS, "closures by words"]
    found = {}
    for kind, make in kinds.items():
        each = [_values(make(clip, _other(clips, number))) for number, clip in enumerate(clips)]
        found[kind] = {name: _median([values.get(name, np.nan) for values in each]) for name in names}
    return found


def _values(clip: Clip) -> dict[str, float]:
    """All metrics; closures by the real mouth and by the words, the source's leak as under another voice."""
    values = measure_lips(clip.observed)
    other = measure_lips(replace(clip.observed, own_voice=False, closures=clip.bilabials))
    values["source_leak"] = other.get("source_leak", np.nan)
    return {**values, "closures by words": other.get("closure_rate", np.nan)}


def _frozen(series: LipSeries) -> LipSeries:
    """The mouth of one frame, that with the median opening, throughout; no change over time."""
    order = np.argsort(series.opening)
    number = int(order[(~np.isnan(series.opening)).sum() // 2])

    def held(values: FloatArray) -> FloatArray:
        return np.full(len(values), values[number], np.float32)

    still = np.zeros(len(series), np.float32)
    return LipSeries(held(series.opening), held(series.sharpness), held(series.contrast), still)


def _other(clips: Sequence[Clip], number: int) -> Clip:
    """A clip of somebody else, as long as this one: repeated or cut."""
    person, count = clips[number].name.split()[0], len(clips[number].observed.result)
    others = [clip for clip in clips if clip.name.split()[0] != person]
    other = others[(7 * number + 3) % len(others)]
    seen = other.observed
    s = seen.result
    series = LipSeries(*(np.resize(v, count) for v in (s.opening, s.sharpness, s.contrast, s.flicker)))
    level, pauses = np.resize(seen.level, count), np.resize(seen.pauses, count)
    return replace(other, observed=replace(seen, result=series, level=level, pauses=pauses))


def _with_voice(clip: Clip, other: Clip) -> Clip:
    """The mouth of a clip where another voice speaks, pauses, and closes its lips."""
    voice, count = other.observed, len(clip.observed.result)
    closures = [span for span in voice.closures or () if span[1] < count]
    bilabials = other.bilabials and tuple(span for span in other.bilabials if span[1] < count)
    observed = replace(clip.observed, level=voice.level, pauses=voice.pauses, closures=closures)
    return replace(clip, observed=observed, bilabials=bilabials)


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")


def _table(values: dict[str, dict[str, dict[str, float]]]) -> list[tuple[str, str]]:
    rows = []
    for locator, kinds in values.items():
        rows.append((locator, "".join(f"{kind:>15}" for kind in kinds)))
        for name in next(iter(kinds.values())):
            rows.append((f"  {name}", "".join(f"{kinds[kind][name]:15.3f}" for kind in kinds)))
    return rows


if __name__ == "__main__":
    main()
