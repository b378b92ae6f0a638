"""A folder of videos to a training set: 25 fps, faces followed, scenes parted, landmarks, split by person."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from lipsync.errors import Cancelled, InputError, LipsyncError, OutputError
from lipsync.faces import DETECTORS, FaceDetector
from lipsync.options import option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.training.data.clip_extraction import CutOptions, cut_file
from lipsync.training.data.dataset_format import (
    Row,
    clip_files,
    fix_crop_side,
    read_manifest,
    remove_clip,
    write_manifest,
    write_table,
)
from lipsync.training.data.landmarks import FaceLandmarker, MediaPipeLandmarker
from lipsync.training.data.sources import Source
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.worker_pool import run_jobs

_VERSION = 2
"""Of what is written; clips of another one are made anew."""
_CHOICES_OF_SPLIT = ("held_out", "held_share", "workers")  # these change no clip


@dataclass(frozen=True)
class PrepareOptions(CutOptions):
    """What is taken into a training set."""

    landmarker: Path | None = option(  # noqa: RUF009 - a field declaration
        None,
        "MediaPipe's face landmarker model, face_landmarker.task; only the built-in model needs landmarks",
    )
    held_out: tuple[str, ...] = option((), "people to measure on; they are never trained on")
    held_share: float = option(0.0, "share of further people to hold out, chosen by name", min=0.0, max=0.9)
    workers: int = option(2, "files prepared at the same time", min=1, max=64)


@dataclass(frozen=True)
class Prepared:
    """What came of it: the clips, and for each file that gave none, why.

    The failures are in the set's `failures.tsv` too.
    """

    rows: tuple[Row, ...]
    failures: dict[str, str]


Tools = Callable[[PrepareOptions], tuple[FaceDetector, FaceLandmarker | None]]


def usual_tools(options: PrepareOptions) -> tuple[FaceDetector, FaceLandmarker | None]:
    """CenterFace, and MediaPipe where a landmarker is given."""
    teacher = MediaPipeLandmarker(options.landmarker) if options.landmarker else None
    return DETECTORS.create("centerface"), teacher


def prepare(
    sources: list[Source],
    folder: Path,
    options: PrepareOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    tools: Tools = usual_tools,
) -> Prepared:
    """Prepare all sources into `folder`; the manifest lists their clips and no others.

    Files that are done already are passed over, unless they or the options have changed. A file
    that fails is reported, and the others go on.

    Raises:
        Cancelled: the user stopped the job; what is done stays.
        InputError: the set has crops of another size, or nobody is called as `held_out` says.
        OutputError: the set cannot be written.
        ToolError: a package or model is missing.
    """
    _check_people(sources, options)
    folder.mkdir(parents=True, exist_ok=True)
    fix_crop_side(folder, options.crop_side)
    cancel = cancel or CancelToken()
    notes = _read_notes(folder)
    jobs = list(_jobs(sources, folder, options, notes))
    _forget(folder, [clip for job in jobs for clip in job.outdated])
    stage = StageProgress("Preparing clips", len(sources), progress, cancel)
    stage.advance(len(sources) - len(jobs))
    failures = {}
    try:
        with closing(_do(jobs, _Preparer(folder, options, tools), options.workers, cancel)) as ended:
            for job, failure in ended:
                failures[str(job.path)] = failure
                shutil.rmtree(folder / "partial" / job.name, ignore_errors=True)  # of one that was killed
                stage.advance()
    finally:
        shutil.rmtree(folder / "partial", ignore_errors=True)
    return _conclude(sources, folder, options, failures)


def _check_people(sources: list[Source], options: PrepareOptions) -> None:
    if unknown := sorted(set(options.held_out) - {source.person for source in sources}):
        raise InputError("Nobody is called that, so nobody can be held out", given=", ".join(unknown))


# --- what is known of files that are done --------------------------------------------------------


@dataclass(frozen=True)
class _Note:
    """What came of a file: the clips with their frames, or why there are none.

    `made_with` is the state of the file and of the options; when it changes, the note is void.
    """

    path: str
    name: str
    made_with: dict[str, Any]
    clips: dict[str, int]
    failure: str


@dataclass(frozen=True)
class _Job:
    """A file to prepare into clips called `<name>_00` and so on; `outdated` are its old ones."""

    path: Path
    name: str
    made_with: dict[str, Any]
    outdated: tuple[str, ...]


def _read_notes(folder: Path) -> dict[str, _Note]:
    """By the path of the file; notes that cannot be read count as none."""
    notes = {}
    for path in (folder / "sources").glob("*.json"):
        with suppress(ValueError, TypeError):
            note = _Note(**json.loads(path.read_text("utf-8")))
            notes[note.path] = note
    return notes


def _made_with(path: Path, options: PrepareOptions) -> dict[str, Any]:
    chosen = {
        name: value for name, value in dataclasses.asdict(options).items() if name not in _CHOICES_OF_SPLIT
    }
    chosen["landmarker"] = options.landmarker.name if options.landmarker else None
    try:
        state = path.stat()
    except OSError:
        return {"version": _VERSION, "bytes": -1, **chosen}
    return {"version": _VERSION, "bytes": state.st_size, "changed": state.st_mtime_ns, **chosen}


def _holds(note: _Note | None, made_with: dict[str, Any], folder: Path) -> bool:
    """Whether a note is of the file and the options as they are now, and its clips are there."""
    return (
        note is not None
        and note.made_with == made_with
        and all(file.exists() for clip in note.clips for file in clip_files(folder, clip))
    )


def _jobs(
    sources: list[Source], folder: Path, options: PrepareOptions, notes: dict[str, _Note]
) -> Iterator[_Job]:
    """What is to be done; each file has a name of its own, which it keeps."""
    taken = {note.name.casefold() for note in notes.values()}
    for path in dict.fromkeys(source.path.resolve() for source in sources):
        note, made_with = notes.get(str(path)), _made_with(path, options)
        if _holds(note, made_with, folder):
            continue
        name = note.name if note else _free_name(path, taken)
        taken.add(name.casefold())
        yield _Job(path, name, made_with, tuple(note.clips) if note else ())


def _free_name(path: Path, taken: Iterable[str]) -> str:
    """The file's own name in letters, digits, dots and dashes, and a number where that is taken.

    Names that differ in case alone count as the same, as some systems' files do.
    """
    word = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", path.stem)).strip("._-")[:80] or "clip"
    if word.casefold() not in taken:
        return word
    return f"{word}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _forget(folder: Path, clips: list[str]) -> None:
    """Take clips that are to be made anew out of the manifest: a stopped run must not leave them in it."""
    if clips and (folder / "manifest.tsv").exists():
        write_manifest(folder, [row for row in read_manifest(folder) if row.name not in set(clips)])


# --- the work ------------------------------------------------------------------------------------


class _Preparer:
    """Prepares one file after the other, and notes what came of it; may run in another process."""

    def __init__(self, folder: Path, options: PrepareOptions, tools: Tools) -> None:
        self._folder, self._options, self._tools = folder, options, tools
        self._made: tuple[FaceDetector, FaceLandmarker | None] | None = None

    def __call__(self, job: _Job, cancel: CancelToken) -> str:
        """Why the file gave no clip, "" if it did.

        Raises:
            OutputError, ToolError: no file can be prepared here.
        """
        cv2.setNumThreads(1)
        self._made = self._made or self._tools(self._options)
        part = self._folder / "partial" / job.name
        try:
            clips = cut_file(job.path, part, job.name, self._options, *self._made, cancel)
            failure = "" if clips else "no part of it shows one face long and large enough"
            self._keep(job, part, clips, failure)
        except InputError as error:
            cancel.check()  # Ctrl-C also ends the ffmpeg that was reading: that is no fault of the file
            failure = str(error)
            self._keep(job, part, {}, failure)
        except (Cancelled, OutputError):
            raise
        except Exception as error:  # whatever a broken file does to whichever library
            failure = str(error) if isinstance(error, LipsyncError) else f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return failure

    def _keep(self, job: _Job, part: Path, clips: dict[str, int], failure: str) -> None:
        """Write the note and then move the clips: one that is stopped between is done again."""
        for clip in {*job.outdated, *clips}:
            remove_clip(self._folder, clip)
        note = _Note(str(job.path), job.name, job.made_with, clips, failure)
        path = self._folder / "sources" / f"{job.name}.json"
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as written:
            written.write_text(json.dumps(dataclasses.asdict(note)), "utf-8")
        (self._folder / "clips").mkdir(exist_ok=True)
        for clip in clips:
            for file in clip_files(self._folder, clip):
                (part / file.name).replace(file)


def _do(
    jobs: list[_Job], work: _Preparer, workers: int, cancel: CancelToken
) -> Generator[tuple[_Job, str], None, None]:
    if workers == 1:
        return ((job, work(job, cancel)) for job in jobs)
    return run_jobs(work, jobs, workers, cancel)


# --- the result ----------------------------------------------------------------------------------


def _conclude(
    sources: list[Source], folder: Path, options: PrepareOptions, failed: dict[str, str]
) -> Prepared:
    """Write the manifest and the list of failures; lags that were noted before are kept."""
    notes = _read_notes(folder)
    known = {row.name: row for row in read_manifest(folder)} if (folder / "manifest.tsv").exists() else {}
    rows: dict[str, Row] = {}
    failures = {}
    for source in sources:
        path = source.path.resolve()
        note = notes.get(str(path))
        why = failed.get(str(path)) or (note.failure if note else "")
        if why:
            failures[str(source.path)] = why
        elif note:
            rows |= {row.name: row for row in _rows(source, note, known)}
    split = _split([*rows.values()], {source.person for source in sources if source.use != "check"}, options)
    write_manifest(folder, split)
    _write_failures(folder, failures)
    return Prepared(tuple(sorted(split, key=lambda row: row.name)), failures)


def _rows(source: Source, note: _Note, known: dict[str, Row]) -> Iterator[Row]:
    use = "train" if source.use == "train" else "check"
    for name, frames in note.clips.items():
        row = Row(name, source.person, use, frames, source=source.source, licence=source.licence)
        if before := known.get(name):
            row = dataclasses.replace(row, lag=before.lag, note=before.note)
        yield row


def _split(rows: list[Row], people: set[str], options: PrepareOptions) -> list[Row]:
    """By person, never by frame: a person who is held out is held out in all clips."""
    order = sorted(people - set(options.held_out), key=lambda name: hashlib.sha256(name.encode()).digest())
    held = {*options.held_out, *order[: round(options.held_share * len(order))]}
    return [
        dataclasses.replace(row, split="held") if row.split == "train" and row.person in held else row
        for row in rows
    ]


def _write_failures(folder: Path, failures: dict[str, str]) -> None:
    path = folder / "failures.tsv"
    if failures:
        write_table(path, ("file", "why"), [{"file": file, "why": why} for file, why in failures.items()])
    else:
        path.unlink(missing_ok=True)
