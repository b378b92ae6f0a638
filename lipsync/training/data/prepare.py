"""Preparation of a training set from videos: face clips, split by person."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

from lipsync.errors import Cancelled, InputError, LipsyncError, OutputError
from lipsync.faces import DETECTORS
from lipsync.options import option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.training.data.clip_extraction import ExtractionOptions, FaceTools, extract_clips
from lipsync.training.data.dataset_format import (
    ManifestRow,
    clip_files,
    read_manifest,
    remove_clip,
    set_crop_side,
    write_manifest,
    write_table,
)
from lipsync.training.data.landmarks import MediaPipeLandmarker
from lipsync.training.data.prepare_state import FileRecord, PrepareJob, find_jobs, read_records
from lipsync.training.data.sources import SourceVideo
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.worker_pool import run_jobs


@dataclass(frozen=True)
class PrepareOptions(ExtractionOptions):
    """Which clips a training set has, and how they are split."""

    landmarker: Path | None = option(  # noqa: RUF009 - a field declaration
        None,
        "MediaPipe's face landmarker model, face_landmarker.task; only the built-in model needs landmarks",
    )
    val_people: tuple[str, ...] = option((), "people of the validation split, never trained on")
    val_share: float = option(
        0.0, "share of the other people that joins the validation split, chosen by name", min=0.0, max=0.9
    )
    workers: int = option(2, "files prepared in parallel", min=1, max=64)


_SPLIT_OPTIONS = ("val_people", "val_share", "workers")  # these change no clip


@dataclass(frozen=True)
class PreparedSet:
    """Clips of a prepared set, and the files that gave none.

    Attributes:
        rows: of the manifest, sorted by name.
        failures: why, by file; also in the set's `failures.tsv`.
    """

    rows: tuple[ManifestRow, ...]
    failures: dict[str, str]


MakeFaceTools = Callable[[PrepareOptions], FaceTools]


def default_face_tools(options: PrepareOptions) -> FaceTools:
    """CenterFace, and MediaPipe's landmarker where its model is given.

    Raises:
        ToolError: the mediapipe package or its model is missing.
    """
    landmarker = MediaPipeLandmarker(options.landmarker) if options.landmarker else None
    return FaceTools(DETECTORS.create("centerface"), landmarker)


def prepare(
    sources: list[SourceVideo],
    folder: Path,
    options: PrepareOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    tools: MakeFaceTools = default_face_tools,
) -> PreparedSet:
    """Prepare all sources into `folder`; its manifest lists their clips and no others.

    Files that were prepared before are skipped, unless they or the options have changed. A file
    that fails is reported, and the others continue.

    Args:
        tools: makes detector and landmarker, once in each worker process; importable by name there.

    Raises:
        Cancelled: the user stopped the job; finished files are kept.
        InputError: the set has crops of another size, or no source shows a person of `val_people`.
        DiskFullError, OutputError: the set cannot be written.
        ToolError: a package or model is missing.
    """
    _check_people(sources, options)
    folder.mkdir(parents=True, exist_ok=True)
    set_crop_side(folder, options.crop_side)
    cancel = cancel or CancelToken()
    settings = _clip_settings(options)
    jobs = list(find_jobs([source.path for source in sources], folder, settings, read_records(folder)))
    _remove_from_manifest(folder, {clip for job in jobs for clip in job.outdated})
    stage = StageProgress("Preparing clips", len(sources), progress, cancel, unit="file")
    stage.advance(len(sources) - len(jobs))
    failures = {}
    try:
        with closing(_run(jobs, _Preparer(folder, options, tools), options.workers, cancel)) as ended:
            for job, failure in ended:
                failures[str(job.path)] = failure
                shutil.rmtree(folder / "partial" / job.name, ignore_errors=True)  # of a killed worker
                stage.advance()
    finally:
        shutil.rmtree(folder / "partial", ignore_errors=True)
    return _write_set(sources, folder, options, failures)


def _check_people(sources: list[SourceVideo], options: PrepareOptions) -> None:
    if unknown := sorted(set(options.val_people) - {source.person for source in sources}):
        raise InputError(
            "No video shows a person of that name",
            given=", ".join(unknown),
            hint="People are named by their folder, or by the column person of manifest.tsv.",
        )


def _clip_settings(options: PrepareOptions) -> dict[str, object]:
    """The options that the clips depend on, as recorded in the set."""
    settings = {
        name: value for name, value in dataclasses.asdict(options).items() if name not in _SPLIT_OPTIONS
    }
    return {**settings, "landmarker": options.landmarker.name if options.landmarker else None}


def _remove_from_manifest(folder: Path, clips: set[str]) -> None:
    """Remove clips from the manifest before they are replaced.

    A stopped run must not leave them in it.
    """
    if clips and (folder / "manifest.tsv").exists():
        write_manifest(folder, [row for row in read_manifest(folder) if row.name not in clips])


# --- one file after the other --------------------------------------------------------------------


class _Preparer:
    """Worker that prepares files one by one and records their outcome."""

    def __init__(self, folder: Path, options: PrepareOptions, make_tools: MakeFaceTools) -> None:
        self._folder, self._options, self._make_tools = folder, options, make_tools
        self._tools: FaceTools | None = None

    def __call__(self, job: PrepareJob, cancel: CancelToken) -> str:
        """Prepare one file; returns why it gave no clip, "" if it did.

        Raises:
            OutputError, ToolError: no file can be prepared here.
        """
        cv2.setNumThreads(1)
        self._tools = self._tools or self._make_tools(self._options)
        part = self._folder / "partial" / job.name
        try:
            clips = extract_clips(job.path, part, job.name, self._options, self._tools, cancel)
            failure = "" if clips else "no part of it shows one face long and large enough"
            self._keep(job, part, clips, failure)
        except InputError as error:
            cancel.check()  # Ctrl-C also ends the ffmpeg that was reading, which is no fault of the file
            failure = str(error)
            self._keep(job, part, {}, failure)
        except (Cancelled, OutputError):
            raise
        except Exception as error:  # whatever a broken file does to whichever library
            failure = str(error) if isinstance(error, LipsyncError) else f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return failure

    def _keep(self, job: PrepareJob, part: Path, clips: dict[str, int], failure: str) -> None:
        """Write the record, then move the clips into the set.

        A file stopped in between is prepared again.
        """
        for clip in {*job.outdated, *clips}:
            remove_clip(self._folder, clip)
        record = FileRecord(str(job.path), job.name, job.made_with, clips, failure)
        path = self._folder / "sources" / f"{job.name}.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as written:
            written.write_text(json.dumps(dataclasses.asdict(record)), "utf-8")
        (self._folder / "clips").mkdir(exist_ok=True)
        for clip in clips:
            for file in clip_files(self._folder, clip):
                (part / file.name).replace(file)


def _run(
    jobs: list[PrepareJob], work: _Preparer, workers: int, cancel: CancelToken
) -> Generator[tuple[PrepareJob, str], None, None]:
    if workers == 1:
        return ((job, work(job, cancel)) for job in jobs)
    return run_jobs(work, jobs, workers, cancel)


# --- manifest and failures -----------------------------------------------------------------------


def _write_set(
    sources: list[SourceVideo], folder: Path, options: PrepareOptions, failed: dict[str, str]
) -> PreparedSet:
    """Write manifest and failures, keeping the audio delays of known clips."""
    records = read_records(folder)
    known = {row.name: row for row in read_manifest(folder)} if (folder / "manifest.tsv").exists() else {}
    rows: dict[str, ManifestRow] = {}
    failures = {}
    for source in sources:
        path = source.path.resolve()
        record = records.get(str(path))
        why = failed.get(str(path)) or (record.failure if record else "")
        if why:
            failures[str(source.path)] = why
        elif record:
            rows |= {row.name: row for row in _rows(source, record, known)}
    people = {source.person for source in sources if source.use == "train"}
    split = _split_by_person([*rows.values()], people, options)
    write_manifest(folder, split)
    _write_failures(folder, failures)
    return PreparedSet(tuple(sorted(split, key=lambda row: row.name)), failures)


def _rows(source: SourceVideo, record: FileRecord, known: dict[str, ManifestRow]) -> Iterator[ManifestRow]:
    split = source.use if source.use in ("train", "val") else "test"
    for name, frames in record.clips.items():
        row = ManifestRow(name, source.person, split, frames, source=source.source, licence=source.licence)
        if before := known.get(name):
            row = dataclasses.replace(row, audio_delay=before.audio_delay, note=before.note)
        yield row


def _split_by_person(rows: list[ManifestRow], people: set[str], options: PrepareOptions) -> list[ManifestRow]:
    """Move all clips of the validation people from train to val.

    `val_share` takes people in the order of a hash of their names, so that further people change
    the split of few.
    """
    order = sorted(
        people - set(options.val_people), key=lambda name: hashlib.sha256(os.fsencode(name)).digest()
    )
    val = {*options.val_people, *order[: round(options.val_share * len(order))]}
    return [
        dataclasses.replace(row, split="val") if row.split == "train" and row.person in val else row
        for row in rows
    ]


def _write_failures(folder: Path, failures: dict[str, str]) -> None:
    path = folder / "failures.tsv"
    if failures:
        write_table(path, ("file", "why"), [{"file": file, "why": why} for file, why in failures.items()])
    else:
        path.unlink(missing_ok=True)
