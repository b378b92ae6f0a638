"""Jobs of the page as plain functions, independent of Gradio and the browser."""

from __future__ import annotations

import contextlib
import dataclasses
import zipfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from lipsync.batch.items import BatchSettings, Outcome, plan_items
from lipsync.batch.run import Cluster
from lipsync.batch.worker import UNEXPECTED
from lipsync.context import ModelProvider
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.media import open_video, probe_audio, probe_video, write_image, write_side_by_side
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.provenance import METADATA_MARKS
from lipsync.media.video.sequence_copy import write_sequence_copy
from lipsync.options import MediaOptions, SyncOptions
from lipsync.pipeline.excerpt import Excerpt, excerpt
from lipsync.pipeline.job import free_name
from lipsync.pipeline.overall import Overall, stage_weights
from lipsync.pipeline.preview import preview
from lipsync.pipeline.provenance import choose_signing, describe_comparison
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.types import Frame, Preview, SyncResult, TimeRange
from lipsync.ui.background import Done, run_in_thread
from lipsync.ui.components.score_card import write_scores
from lipsync.ui.face_thumbnails import face_crop
from lipsync.ui.formatting import error_text
from lipsync.ui.languages import strings
from lipsync.ui.request import SyncRequest
from lipsync.ui.settings_file import settings_json
from lipsync.ui.spoken_rows import overlong_rows, with_speech
from lipsync.ui.zerogpu.dispatch import local_options, run_job
from lipsync.utils.atomic_write import write_text
from lipsync.utils.file_names import fitting_name
from lipsync.utils.timecodes import typed_time
from lipsync.weights import model_weights

_ARCHIVE = "lipsync_results"
_END_TOLERANCE_SECONDS = 0.05
_FACE_ROOM = 1.25
"""Side of the enlarged face, in sides of its box."""
_FACE_PIXELS = 384


# --- run -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunOutputs:
    """Output files of a run.

    Attributes:
        results: one per model.
        side_by_side: video of source and results, where two models were compared.
        settings: the settings used, as JSON; "auto" is replaced by the model that was taken.
        failed: of the comparison, whose first result was kept: the second model, and why; "" otherwise.
        scores: the score cards, as JSON; None where nothing was measured.
        request: the inputs.
        archives: of image sequences, one per model: zip files of their folders. The results are then videos
            to watch; empty otherwise.
    """

    results: tuple[SyncResult, ...]
    side_by_side: Path | None
    settings: Path
    scores: Path | None
    request: SyncRequest
    failed: str = ""
    archives: tuple[Path, ...] = ()

    @property
    def downloads(self) -> tuple[Path, ...]:
        """The results as files, one per model."""
        return self.archives or tuple(result.path for result in self.results)


def run_sync(
    request: SyncRequest,
    compare_with: str,
    folder: Path,
    cancel: CancelToken,
    models: ModelProvider,
    expected: float | None = None,
) -> Iterator[tuple[str, Progress] | Done[RunOutputs]]:
    """Run a job, or the same job with two models.

    All weights are fetched before the first frame. A second model that fails does not take the first result
    with it.

    Args:
        compare_with: name of the second model, or "".
        folder: where the files are written; the caller removes it after an error.
        models: the page's models.
        expected: seconds for one result, from past runs; None if unknown.

    Yields:
        (label of the current result, progress of the whole), and the outputs last.

    Raises:
        LipsyncError: the job failed.
    """
    video, _ = request.files()
    variants = [request.options.generator.variant, *([compare_with] if compare_with else [])]
    results: list[SyncResult] = []
    archives: list[Path] = []
    overall = Overall(stage_weights(request.options), len(variants), expected)
    failed = yield from _fetch_second(compare_with, cancel)
    container = VIDEO_CODECS[request.options.media.codec].suffixes[0]
    for number, variant in enumerate(variants[:1] if failed else variants):
        suffix = f"_{number + 1}_{variant}" if len(variants) > 1 else ""
        output = folder / fitting_name("", video.stem[:80], f"_synced{suffix}{container}")
        label = strings.STATUS_ITEM.format(number=number + 1, count=len(variants), name=variant)
        try:
            for item in run_job(request.with_variant(variant), output, cancel, models):
                if isinstance(item, Done):
                    made = item.value
                    if made.path.is_dir():
                        made, archive = yield from _pack_sequence(made, cancel)
                        archives.append(archive)
                    warnings = (*request.notes, *made.warnings)
                    results.append(dataclasses.replace(made, warnings=warnings))
                    overall.finish()
                else:
                    yield (label if len(variants) > 1 else ""), overall.update(item)
        except Exception as error:  # of any kind: the first result is whole
            if not results:
                raise
            failed = strings.STATUS_CANCELLED if isinstance(error, Cancelled) else error_text(error)
            failed = f"{variant}: {failed}"
    outputs = _write_outputs(request, results, folder, failed)
    side_by_side = None
    if len(results) > 1:
        with contextlib.suppress(LipsyncError):  # both results are whole, and it can be made later
            for step in run_in_thread(
                lambda progress: write_comparison(outputs, folder, progress, cancel), cancel
            ):
                if isinstance(step, Done):
                    side_by_side = step.value
                else:
                    yield "", overall.update(step)
    yield Done(dataclasses.replace(outputs, side_by_side=side_by_side, archives=tuple(archives)))


def _pack_sequence(
    made: SyncResult, cancel: CancelToken
) -> Generator[tuple[str, Progress], None, tuple[SyncResult, Path]]:
    """Pack an image sequence; returns the result as a video to watch, and the zip file."""
    names = [made.path.with_name(fitting_name("", made.path.name, suffix)) for suffix in (".mp4", ".zip")]

    def pack(_: ProgressCallback) -> tuple[SyncResult, Path]:
        copy = write_sequence_copy(made.path, names[0], made.fps, cancel)
        archive = _zip([made.path], names[1])
        warnings = (*made.warnings, strings.SEQUENCE_SHOWN)
        return dataclasses.replace(made, path=copy, warnings=warnings), archive

    for item in run_in_thread(pack, cancel):
        if isinstance(item, Done):
            return item.value
        yield "", item
    raise RuntimeError("the sequence was not packed")


def speak_texts(
    request: SyncRequest, folder: Path, cancel: CancelToken
) -> Generator[tuple[str, Progress], None, SyncRequest]:
    """Speak the texts of a request; returns it with the sounds, and with notes on those that are too long.

    Args:
        folder: of the visitor; keeps the sounds.

    Raises:
        LipsyncError: as `lipsync.dubbing.speak_lines`.
    """
    if not request.rows:
        return request
    for item in run_in_thread(lambda progress: with_speech(request, folder, progress, cancel=cancel), cancel):
        if isinstance(item, Done):
            return dataclasses.replace(item.value, notes=tuple(overlong_rows(request, folder)))
        yield "", item
    raise RuntimeError("the texts were not spoken")


def _fetch_second(variant: str, cancel: CancelToken) -> Generator[tuple[str, Progress], None, str]:
    """Fetch the weights of the second model before the first is run; returns why that failed, or ""."""
    if not variant:
        return ""
    try:
        for item in run_in_thread(
            lambda report: model_weights(variant, progress=report, cancel=cancel), cancel
        ):
            if not isinstance(item, Done):
                yield variant, item
    except Cancelled:
        raise
    except LipsyncError as error:
        return f"{variant}: {error_text(error)}"
    return ""


def _write_outputs(
    request: SyncRequest, results: Sequence[SyncResult], folder: Path, failed: str
) -> RunOutputs:
    """Write settings and scores beside the first result, under its name."""
    first = results[0]
    settings, scores = (first.path.with_suffix(f".{what}.json") for what in ("settings", "score"))
    write_text(settings, settings_json(request.with_variant(first.variant).options))
    return RunOutputs(tuple(results), None, settings, write_scores(results, scores), request, failed)


def write_comparison(
    outputs: RunOutputs, folder: Path, progress: ProgressCallback, cancel: CancelToken
) -> Path:
    """Write a video with the source and the results side by side, and return its path.

    Raises:
        LipsyncError: as `run_sync`.
    """
    job = outputs.request.open()
    columns = [(job.video, job.timeline)]
    for result in outputs.results:
        after = open_video(result.path, MediaOptions())
        shown = np.arange(len(job.timeline))  # results of two runs may differ in length
        columns.append((after, np.minimum(shown, after.frame_count - 1)))
    name = fitting_name("", job.video.info.path.stem[:80], "_side_by_side.mp4")
    files = [job.video.info.path, *(result.path for result in outputs.results)]
    marks = choose_signing(outputs.request.options.report.provenance).marks(describe_comparison(files))
    return write_side_by_side(columns, job.audio, folder / name, progress, cancel, marks)


def frame_pair(outputs: RunOutputs, at: float) -> tuple[Frame, Frame]:
    """Return the frame at `at` seconds of the result, before and after: RGB uint8 (H, W, 3) of one size.

    Raises:
        LipsyncError: a file cannot be read.
    """
    job = outputs.request.open()
    number = min(max(0, int(at * job.video.fps)), len(job.timeline) - 1)
    [before] = job.video.read([int(job.timeline[number])])
    [after] = open_video(outputs.results[0].path, MediaOptions()).read([number])
    height, width = before.shape[:2]
    if after.shape[0] >= 2 * height:  # upscaled
        return np.asarray(
            cv2.resize(before, after.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8
        ), after
    return before, after[:height, :width]


# --- preview ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PreviewFiles:
    """A previewed frame as image files.

    Attributes:
        preview: the frame and its face boxes.
        result: image of the result.
        face: the face enlarged, before and after; None without one.
        faces: thumbnails of the faces from left to right; empty where there is only one.
    """

    preview: Preview
    result: Path
    face: Path | None
    faces: tuple[Path, ...]


def render_preview(
    request: SyncRequest, at: float, folder: Path, cancel: CancelToken, models: ModelProvider
) -> PreviewFiles:
    """Render the frame at `at` seconds of the result into image files in `folder`.

    Raises:
        LipsyncError: the preview failed.
    """
    video, voice = request.files()
    drawn = preview(
        video,
        voice,
        at,
        local_options(request.options),
        cancel=cancel,
        models=models,
        cache=request.cache,
        **request.speakers,
    )
    result = folder / "result.jpg"
    write_image(result, drawn.result, METADATA_MARKS)
    faces = []
    for number, person in enumerate(drawn.people if len(drawn.people) > 1 else ()):
        faces.append(folder / f"face_{number}.jpg")
        write_image(faces[-1], face_crop(drawn.source, person.box))
    return PreviewFiles(drawn, result, _write_face(drawn, folder), tuple(faces))


def _write_face(drawn: Preview, folder: Path) -> Path | None:
    """Write the face before and after, side by side and enlarged; None without a face."""
    if drawn.box is None:
        return None
    x1, y1, x2, y2 = drawn.box
    side = round(_FACE_ROOM * max(x2 - x1, y2 - y1))
    left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    scale = drawn.result.shape[0] / drawn.source.shape[0]  # of the upscaler
    faces = [
        np.asarray(
            cv2.resize(_cut(*cut), (_FACE_PIXELS, _FACE_PIXELS), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        for cut in (
            (drawn.source, left, top, side),
            (drawn.result, *(round(one * scale) for one in (left, top, side))),
        )
    ]
    path = folder / "face.jpg"
    write_image(path, np.hstack([faces[0], np.full((_FACE_PIXELS, 8, 3), 255, np.uint8), faces[1]]))
    return path


def _cut(frame: Frame, left: int, top: int, side: int) -> Frame:
    """A square of a frame, moved inside it and as large as fits."""
    height, width = frame.shape[:2]
    side = min(side, height, width)
    left, top = min(max(0, left), width - side), min(max(0, top), height - side)
    return frame[top : top + side, left : left + side]


def render_clip(
    request: SyncRequest, at: float, folder: Path, cancel: CancelToken, models: ModelProvider
) -> Iterator[tuple[Excerpt, Progress] | Done[tuple[Excerpt, Path]]]:
    """Make a few seconds of the result around `at` seconds, with sound, as a video in `folder`.

    Yields:
        (what is made, its progress), and what was made with its path last.

    Raises:
        LipsyncError: as `run_sync`, or nobody speaks there.
    """
    part = excerpt(request.open(), request.options, at)
    short = dataclasses.replace(request, options=part.options, segments=part.segments)
    for item in run_job(short, folder / "clip.mp4", cancel, models):
        yield Done((part, item.value.path)) if isinstance(item, Done) else (part, item)


# --- batch -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VideoOutcome:
    """Outcome of one video of a batch.

    Attributes:
        video: name of its file.
        notes: warnings, or the error.
        made: whether there is a result.
    """

    video: str
    notes: str
    made: bool


@dataclass(frozen=True)
class BatchOutputs:
    """Results of a batch as one zip file, and the outcome of each video."""

    archive: Path
    items: tuple[VideoOutcome, ...]


def run_batch(
    videos: Sequence[str],
    voices: Sequence[str],
    options: SyncOptions,
    folder: Path,
    cancel: CancelToken,
    models: ModelProvider,
    cluster: Cluster | None = None,
) -> Iterator[tuple[str, Progress] | Done[BatchOutputs]]:
    """Run several jobs with the same settings; one that fails does not stop the others.

    A cancel ends the batch with the results that are there.

    Args:
        voices: one for all videos, or one per video.
        folder: where the files are written; the caller removes it after an error.
        models: the page's models.
        cluster: where the videos are made at the same time; None makes them here, one after the other.

    Yields:
        (label of the current video, progress of the whole), and the outputs last.

    Raises:
        InputError: the numbers of videos and voices do not match, or no video could be made.
        Cancelled: the batch was cancelled before the first result.
    """
    pairs = batch_pairs(videos, voices)
    if cluster is None:
        items, results = yield from _made_here(pairs, options, folder, cancel, models)
    else:
        items, results = yield from _made_on(cluster, pairs, options, folder, cancel)
    if not results:
        raise InputError(strings.BATCH_FAILED, given=items[-1].notes)
    settings = folder / f"{_ARCHIVE}.settings.json"
    used = SyncRequest(None, None, options).with_variant(results[0].variant).options
    write_text(settings, settings_json(used))
    archive = _zip([*(result.path for result in results), settings], folder / f"{_ARCHIVE}.zip")
    yield Done(BatchOutputs(archive, tuple(items)))


Made: TypeAlias = tuple[list[VideoOutcome], list[SyncResult]]
"""Outcome of each video of a batch, and the results."""


def _made_here(
    pairs: Sequence[tuple[str, str]],
    options: SyncOptions,
    folder: Path,
    cancel: CancelToken,
    models: ModelProvider,
) -> Generator[tuple[str, Progress], None, Made]:
    """The videos of a batch, made one after the other."""
    items: list[VideoOutcome] = []
    results: list[SyncResult] = []
    overall = Overall(stage_weights(options), len(pairs))
    for number, (video, voice) in enumerate(pairs):
        if number:
            overall.finish()
        name = Path(video).name
        output = free_name(folder / fitting_name("", Path(video).stem[:80], ".mp4"), options.media.codec)
        label = strings.STATUS_ITEM.format(number=number + 1, count=len(pairs), name=name)
        try:
            for item in run_job(SyncRequest(video, voice, options), output, cancel, models):
                if isinstance(item, Done):
                    items.append(VideoOutcome(name, " ".join(item.value.warnings), True))
                    results.append(item.value)
                else:
                    yield label, overall.update(item)
        except Cancelled:
            if not results:
                raise
            items += [
                VideoOutcome(Path(left).name, strings.STATUS_CANCELLED, False) for left, _ in pairs[number:]
            ]
            break
        except Exception as error:  # of any kind: the others are still made, and those made are kept
            items.append(VideoOutcome(name, error_text(error), False))
    return items, results


def _made_on(
    cluster: Cluster,
    pairs: Sequence[tuple[str, str]],
    options: SyncOptions,
    folder: Path,
    cancel: CancelToken,
) -> Generator[tuple[str, Progress], None, Made]:
    """The videos of a batch, made at the same time on a cluster."""
    short = [(Path(video), Path(voice)) for video, voice in pairs]
    planned = plan_items(short, folder, options.media.codec, most_letters=80)
    outcomes: dict[int, Outcome] = {}

    def make(progress: ProgressCallback) -> None:
        for one in cluster.make(planned, BatchSettings(options), progress, cancel):
            outcomes[one.number] = one

    try:
        for item in run_in_thread(make, cancel):
            if not isinstance(item, Done):
                yield "", item
    except Cancelled:
        if not any(one.result for one in outcomes.values()):
            raise
    items, results = list[VideoOutcome](), list[SyncResult]()
    for number, (video, _) in enumerate(pairs):
        one, name = outcomes.get(number), Path(video).name
        if one is None:
            items.append(VideoOutcome(name, strings.STATUS_CANCELLED, False))
        elif one.result is None:
            error: Exception = one.error or Cancelled()
            if one.error and one.error.what == UNEXPECTED:  # logged, and hidden from visitors
                error = RuntimeError(str(one.error))
            items.append(VideoOutcome(name, error_text(error), False))
        else:
            items.append(VideoOutcome(name, " ".join(one.result.warnings), True))
            results.append(one.result)
    return items, results


def batch_pairs(videos: Sequence[str], voices: Sequence[str]) -> list[tuple[str, str]]:
    """Each video of a batch with its voice.

    Raises:
        InputError: the numbers of videos and voices do not match.
    """
    if not videos or not voices or len(voices) not in (1, len(videos)):
        counts = f"{len(voices)} voices, {len(videos)} videos"
        raise InputError(strings.BATCH_COUNTS, given=counts, hint=strings.BATCH_COUNTS_HINT)
    return list(zip(videos, list(voices) * (len(videos) if len(voices) == 1 else 1), strict=True))


def _zip(paths: Sequence[Path], target: Path) -> Path:
    """Move files and folders into one archive, uncompressed since they are compressed already."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                archive.write(file, file.relative_to(path.parent))
                file.unlink()
            if path.is_dir():
                path.rmdir()
    return target


# --- time ranges -----------------------------------------------------------------------------------


def range_error(start: str, end: str, path: str | None, *, audio: bool) -> str:
    """Return the error of one row of a range table; "" when it is valid or empty.

    Args:
        start, end: as typed.
        path: the file that the range is of; None while not given.
        audio: the range is of the file's audio.
    """
    if not start.strip() and not end.strip():
        return ""
    try:
        part = TimeRange.parse(f"{start.strip()}-{end.strip()}")
        seconds = (probe_audio(path) if audio else probe_video(path)).duration if path else None
    except LipsyncError as error:
        return error_text(error)
    if seconds and (part.start >= seconds or (part.end or 0) > seconds + _END_TOLERANCE_SECONDS):
        return strings.RANGE_PAST.format(length=typed_time(seconds))
    return ""
