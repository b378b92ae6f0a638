"""A folder of videos to a training set: 25 fps, faces followed, scenes parted, landmarks, split by person."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from lipsync.data_types import FaceTrack, FloatArray, Frame, IntArray
from lipsync.errors import InputError, LipsyncError
from lipsync.faces import DETECTORS, FaceDetector, track_faces
from lipsync.media import Picture, open_picture
from lipsync.options import FaceOptions, OptionGroup, option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.training.shapes import KEPT
from lipsync.training.store import (
    FPS,
    MARGIN,
    SIDE,
    STORED_SIDE,
    Row,
    Stored,
    part_of,
    write_clip,
    write_manifest,
)
from lipsync.training.teacher import MediaPipeTeacher, Teacher, whole_head

_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".webm")


@dataclass(frozen=True)
class PrepareOptions(OptionGroup):
    """What is taken into a training set."""

    landmarker: Path | None = option(  # noqa: RUF009 - a field declaration
        None, "MediaPipe's face landmarker model, face_landmarker.task"
    )
    held_out: tuple[str, ...] = option((), "people to measure on; they are never trained on")
    held_share: float = option(0.0, "share of further people to hold out, chosen by name", min=0.0, max=0.9)
    min_seconds: float = option(1.5, "shorter parts are left out", min=0.2, unit="s")
    min_side: float = option(60.0, "smaller faces are left out", min=16, unit="pixels")
    min_score: float = option(0.5, "less certain faces are left out", min=0.05, max=0.99)
    detect_every: int = option(3, "look for faces in every n-th frame", min=1, max=25)
    workers: int = option(2, "files prepared at the same time", min=1, max=64)


@dataclass(frozen=True)
class Source:
    """One file to prepare; `use` "check" keeps it out of training altogether."""

    path: Path
    person: str
    use: str = "train"
    licence: str = ""
    source: str = ""


@dataclass(frozen=True)
class Prepared:
    """What came of it: the clips, and for each file that gave none, why."""

    rows: tuple[Row, ...]
    failures: dict[str, str]


Tools = Callable[[PrepareOptions], tuple[FaceDetector, Teacher]]


def usual_tools(options: PrepareOptions) -> tuple[FaceDetector, Teacher]:
    """CenterFace and MediaPipe."""
    teacher = MediaPipeTeacher(options.landmarker or Path("face_landmarker.task"))
    return DETECTORS.create("centerface"), teacher


def find_sources(folder: Path) -> list[Source]:
    """The videos of a folder.

    With a `manifest.tsv` (columns file, use, person, licence, source) those it lists; else all,
    the name of the folder that a file lies in being the person.

    Raises:
        InputError: there is none.
    """
    manifest = folder / "manifest.tsv"
    if manifest.exists():
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        found = [
            Source(
                folder / r["file"],
                r["person"],
                r.get("use", "train"),
                r.get("licence", ""),
                r.get("source", ""),
            )
            for r in rows
        ]
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
        found = [Source(path, path.parent.name if path.parent != folder else path.stem) for path in files]
    if not found:
        raise InputError("There are no videos in this folder", given=folder)
    return found


def prepare(
    sources: list[Source],
    folder: Path,
    options: PrepareOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    tools: Tools = usual_tools,
) -> Prepared:
    """Prepare all sources into `folder`; files that are done already are passed over.

    A file that fails is reported, and the others go on.

    Raises:
        Cancelled: the user stopped the job; what is done stays.
    """
    done = folder / "sources"
    done.mkdir(parents=True, exist_ok=True)
    stage = StageProgress("Preparing clips", len(sources), progress, cancel or CancelToken())
    waiting = [source for source in sources if not _note(done, source).exists()]
    stage.advance(len(sources) - len(waiting))
    if options.workers == 1:
        for source in waiting:
            _prepare_noting(source, folder, options, tools)
            stage.advance()
    elif waiting:
        with ProcessPoolExecutor(options.workers) as pool:
            jobs = [pool.submit(_prepare_noting, source, folder, options, tools) for source in waiting]
            try:
                for job in as_completed(jobs):
                    job.result()
                    stage.advance()
            finally:
                pool.shutdown(cancel_futures=True)
    notes = [json.loads(_note(done, source).read_text("utf-8")) for source in sources]
    rows = [Row(**row) for note in notes for row in note["rows"]]
    rows = _split(rows, {source.person for source in sources if source.use != "check"}, options)
    write_manifest(folder, rows)
    failures = {
        str(source.path): note["failure"]
        for source, note in zip(sources, notes, strict=True)
        if note["failure"]
    }
    return Prepared(tuple(rows), failures)


def _split(rows: list[Row], people: set[str], options: PrepareOptions) -> list[Row]:
    """By person, never by frame: a person who is held out is held out in all clips."""
    order = sorted(people - set(options.held_out), key=lambda name: hashlib.sha256(name.encode()).digest())
    held = {*options.held_out, *order[: round(options.held_share * len(order))]}
    return [
        dataclasses.replace(row, split="held") if row.split == "train" and row.person in held else row
        for row in rows
    ]


def _note(done: Path, source: Source) -> Path:
    key = hashlib.sha256(str(source.path.resolve()).encode()).hexdigest()[:12]
    return done / f"{source.path.stem}-{key}.json"


def _prepare_noting(source: Source, folder: Path, options: PrepareOptions, tools: Tools) -> None:
    """Prepare one file and write down what came of it."""
    cv2.setNumThreads(1)
    failure, rows = "", []
    try:
        rows = prepare_file(source, folder, options, *tools(options))
        failure = "" if rows else "no part of it shows one face long and large enough"
    except LipsyncError as error:
        failure = str(error)
    note = _note(folder / "sources", source)
    part = note.with_suffix(".part")
    part.write_text(
        json.dumps({"rows": [dataclasses.asdict(row) for row in rows], "failure": failure}), "utf-8"
    )
    os.replace(part, note)  # noqa: PTH105


def prepare_file(
    source: Source, folder: Path, options: PrepareOptions, detector: FaceDetector, teacher: Teacher
) -> list[Row]:
    """The clips of one file: one for each stretch of a scene in which a good face is seen.

    Raises:
        LipsyncError: the file has no picture, no sound or no face, or cannot be read.
    """
    picture = open_picture(source.path)
    frames = _at_25(picture)
    seconds = len(frames) / FPS
    part_of(source.path, 0.0, seconds)  # a file without sound is refused before the work
    face_options = FaceOptions(detect_every=options.detect_every, min_score=options.min_score)
    tracked = track_faces(
        picture.read(frames, max_side=face_options.detect_size),
        count=len(frames),
        frame_size=(picture.width, picture.height),
        fps=FPS,
        detector=detector,
        options=face_options,
        progress=StageProgress("Finding faces", len(frames)),
    )
    rows = []
    for number, (start, end) in enumerate(_stretches(tracked.track, tracked.cuts, options)):
        name = f"{source.path.stem}_{number:02d}"
        boxes = tracked.track.boxes[start:end]
        stored = Stored(_landmarks(picture, frames[start:end], boxes, teacher), boxes)
        if np.isnan(stored.landmarks[:, 0, 0]).mean() > 0.2:
            continue
        crops = (_crop(frame, box) for frame, box in zip(picture.read(frames[start:end]), boxes, strict=True))
        voice = part_of(source.path, start / FPS, (end - start) / FPS)
        write_clip(folder, name, picture.info, voice, crops, stored)
        use = "train" if source.use == "train" else "check"
        rows.append(Row(name, source.person, use, end - start, 0.0, source.source, source.licence))
    return rows


def _at_25(picture: Picture) -> IntArray:
    """Which frame of the file is shown at each 25th of a second."""
    count = int(picture.frame_count / picture.fps * FPS)
    at = np.floor(np.arange(count) / FPS * float(picture.fps) + 1e-6)
    return np.minimum(at.astype(np.int64), picture.frame_count - 1)


def _stretches(track: FaceTrack, cuts: tuple[int, ...], options: PrepareOptions) -> Iterator[tuple[int, int]]:
    side = np.sqrt((track.boxes[:, 2] - track.boxes[:, 0]) * (track.boxes[:, 3] - track.boxes[:, 1]))
    with np.errstate(invalid="ignore"):
        good = track.present & (side >= options.min_side) & (track.scores >= options.min_score)
    edges = {0, len(good), *cuts, *(np.flatnonzero(np.diff(good.astype(np.int8))) + 1).tolist()}
    for start, end in pairwise(sorted(edges)):
        if good[start] and end - start >= options.min_seconds * FPS:
            yield start, end


def _landmarks(picture: Picture, frames: IntArray, boxes: FloatArray, teacher: Teacher) -> FloatArray:
    """Kept landmarks (T, K, 3) in pixels of the stored crop."""
    back: list[FloatArray] = []

    def heads() -> Iterator[Frame]:
        for frame, box in zip(picture.read(frames), boxes, strict=True):
            head, corner = whole_head(frame, box)
            back.append(corner)
            yield head

    seen = teacher(heads())[:, list(KEPT)]
    corner, scale = np.stack(back)[:, None, :2], np.stack(back)[:, None, 2:]
    in_frame = seen[..., :2] * scale + corner
    stretch = SIDE / (boxes[:, 2:] - boxes[:, :2])[:, None]
    in_crop = (in_frame - boxes[:, None, :2]) * stretch + MARGIN
    depth = seen[..., 2:] * scale * stretch[..., :1]
    return np.concatenate([in_crop, depth], axis=2).astype(np.float32)


def _crop(frame: Frame, box: FloatArray) -> Frame:
    """The face and its margin, (160, 160, 3)."""
    stretch = SIDE / (box[2:] - box[:2])
    reduce = np.minimum(1.0, stretch)
    size = np.maximum(1, np.rint(np.array(frame.shape[1::-1]) * reduce)).astype(int)
    small = (
        cv2.resize(frame, tuple(size.tolist()), interpolation=cv2.INTER_AREA) if reduce.min() < 0.8 else frame
    )
    factor = np.array(small.shape[1::-1]) / np.array(frame.shape[1::-1])
    scale = stretch / factor
    shift = MARGIN - box[:2] * stretch
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float64)
    crop = cv2.warpAffine(
        small, matrix, (STORED_SIDE, STORED_SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)
