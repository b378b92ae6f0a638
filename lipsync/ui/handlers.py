"""What the page's buttons do: plain functions of the inputs, usable without a browser."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lipsync.blending import draw_overlay
from lipsync.context import ModelProvider
from lipsync.errors import Cancelled, InputError, LipsyncError, MediaError
from lipsync.faces import DetectionCache
from lipsync.media import open_video, probe_audio, probe_video, write_image, write_side_by_side
from lipsync.options import MediaOptions, SyncOptions
from lipsync.pipeline.job import Job, open_job, plan
from lipsync.pipeline.preview import preview
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.segments import Segment
from lipsync.types import Frame, Preview, SyncResult, TimeRange
from lipsync.ui import controls, strings
from lipsync.ui.background import Done, in_thread
from lipsync.ui.formatting import in_words
from lipsync.ui.score_card import write_scores
from lipsync.ui.zerogpu.dispatch import sync_in_turn, without_gpu
from lipsync.utils.atomic_write import write_text
from lipsync.utils.timecodes import typed_time

__all__ = [
    "Given",
    "Made",
    "PreviewFiles",
    "draw_preview",
    "frame_pair",
    "make",
    "make_batch",
    "plan",
    "put_beside",
    "range_problem",
]

SETTINGS_NAME, SCORES_NAME = "settings.json", "score.json"


@dataclass(frozen=True)
class Given:
    """What a visitor gave: files, and settings with the ranges in them."""

    video: str | None
    voice: str | None
    options: SyncOptions = dataclasses.field(default_factory=SyncOptions)
    segments: tuple[Segment, ...] = ()
    more_voices: tuple[str, ...] = ()
    cache: DetectionCache | None = None

    @property
    def spoken(self) -> dict[str, Any]:
        """Who says what, as `lipsync.plan` and the others take it."""
        return {"segments": self.segments, "more_voices": self.more_voices}

    def job(self) -> Job:
        """It all, opened and checked."""
        return open_job(*self.files(), self.options, **self.spoken)

    @property
    def complete(self) -> bool:
        """Both files are given."""
        return bool(self.video and self.voice)

    def files(self) -> tuple[Path, Path]:
        """Picture and voice.

        Raises:
            InputError: one of them is not given, or has been removed.
        """
        if not self.video:
            raise InputError(strings.NO_PICTURE, hint=strings.NO_PICTURE_HINT)
        if not self.voice:
            raise InputError(strings.NO_VOICE, hint=strings.NO_VOICE_HINT)
        paths = Path(self.video), Path(self.voice)
        for path in paths:
            if not path.exists():
                raise MediaError(strings.GONE, given=path.name, hint=strings.GONE_HINT)
        return paths


@dataclass(frozen=True)
class Made:
    """What a run made.

    Attributes:
        results: one a model.
        beside: source and results side by side, where two models were compared.
        settings: the settings used, as JSON.
        scores: the score cards, as JSON; None where nothing was measured.
        given: what it was made from.
    """

    results: tuple[SyncResult, ...]
    beside: Path | None
    settings: Path
    scores: Path | None
    given: Given


def make(
    given: Given, other_variant: str, folder: Path, cancel: CancelToken, models: ModelProvider
) -> Iterator[tuple[str, Progress] | Done[Made]]:
    """Run a job, or two with different models; yields (what is being made, progress), then what was made.

    Args:
        other_variant: a second model to compare with, or "".
        folder: where the files go; the caller removes it after an error.
        networks: those of this page.

    Raises:
        LipsyncError: what went wrong, in words.
    """
    video, voice = given.files()
    chosen = [given.options.generator.variant, *([other_variant] if other_variant else [])]
    results: list[SyncResult] = []
    more = {**given.spoken, "cache": given.cache}
    for number, variant in enumerate(chosen):
        generator = dataclasses.replace(given.options.generator, variant=variant)
        options = dataclasses.replace(given.options, generator=generator)
        suffix = f"_{number + 1}_{variant}" if len(chosen) > 1 else ""
        output = folder / f"{video.stem[:80]}_synced{suffix}.mp4"
        what = strings.STATUS_COMPARING.format(number=number + 1, count=len(chosen), variant=variant)
        for news in sync_in_turn(video, voice, options, output, cancel, models, more):
            if isinstance(news, Done):
                results.append(news.value)
            else:
                yield (what if len(chosen) > 1 else ""), news
    settings = folder / SETTINGS_NAME
    write_text(settings, controls.settings_text(given.options))
    made = Made(tuple(results), None, settings, write_scores(results, folder / SCORES_NAME), given)
    beside = None
    if len(results) > 1:
        for step in in_thread(lambda progress: put_beside(made, folder, progress, cancel), cancel):
            if isinstance(step, Done):
                beside = step.value
            else:
                yield "", step
    yield Done(dataclasses.replace(made, beside=beside))


def put_beside(made: Made, folder: Path, progress: ProgressCallback, cancel: CancelToken) -> Path:
    """Write the source and the results of a run side by side.

    Raises:
        LipsyncError: as `make`.
    """
    job = made.given.job()
    shown = [(job.video, job.timeline)]
    for result in made.results:
        after = open_video(result.path, MediaOptions())
        shown.append((after, np.arange(len(job.timeline))))
    name = f"{job.video.info.path.stem[:80]}_side_by_side.mp4"
    return write_side_by_side(shown, job.audio, folder / name, progress, cancel)


def frame_pair(made: Made, at: float) -> tuple[Frame, Frame]:
    """The frame at `at` seconds of the result before and after, full size.

    Raises:
        LipsyncError: a file cannot be read.
    """
    job = made.given.job()
    number = min(max(0, int(at * job.video.fps)), len(job.timeline) - 1)
    [before] = job.video.read([int(job.timeline[number])])
    [after] = open_video(made.results[0].path, MediaOptions()).read([number])
    height, width = before.shape[:2]
    if after.shape[0] >= 2 * height:  # enlarged
        return np.asarray(
            cv2.resize(before, after.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8
        ), after
    return before, after[:height, :width]


@dataclass(frozen=True)
class PreviewFiles:
    """A preview as pictures that can be shown.

    Attributes:
        preview: what was drawn.
        overlay, result: pictures: source with box and mask, and the result.
        faces: a thumbnail for everybody who is seen, from the left.
    """

    preview: Preview
    overlay: Path
    result: Path
    faces: tuple[Path, ...]


def draw_preview(
    given: Given, at: float, folder: Path, cancel: CancelToken, models: ModelProvider
) -> PreviewFiles:
    """Draw the frame at `at` seconds of the result, and write it as pictures into `folder`.

    Raises:
        LipsyncError: what went wrong, in words.
    """
    video, voice = given.files()
    drawn = preview(
        video,
        voice,
        at,
        without_gpu(given.options),
        cancel=cancel,
        models=models,
        cache=given.cache,
        **given.spoken,
    )
    overlay, result = folder / "overlay.jpg", folder / "result.jpg"
    write_image(overlay, draw_overlay(drawn))
    write_image(result, drawn.result)
    faces = []
    for number, person in enumerate(drawn.people if len(drawn.people) > 1 else ()):
        x1, y1, x2, y2 = person.box
        faces.append(folder / f"face_{number}.jpg")
        write_image(faces[-1], drawn.source[y1:y2, x1:x2])
    return PreviewFiles(drawn, overlay, result, tuple(faces))


def make_batch(
    videos: Sequence[str],
    voices: Sequence[str],
    options: SyncOptions,
    folder: Path,
    cancel: CancelToken,
    models: ModelProvider,
) -> Iterator[tuple[str, Progress] | Done[tuple[Path, list[tuple[str, str, bool]]]]]:
    """Run several jobs with the same settings; what fails is told and does not stop the rest.

    Yields:
        (which one, progress), and last the zip, and for every video its name, what to know and
        whether it was made.

    Raises:
        InputError: the counts do not fit.
        LipsyncError: not one could be made, with the reason of the last.
        Cancelled: the visitor stopped it.
    """
    if not videos or not voices or len(voices) not in (1, len(videos)):
        counts = f"{len(voices)} voices, {len(videos)} videos"
        raise InputError(strings.BATCH_COUNTS, given=counts, hint=strings.BATCH_COUNTS_HINT)
    pairs = list(zip(videos, list(voices) * (len(videos) if len(voices) == 1 else 1), strict=True))
    told: list[tuple[str, str, bool]] = []
    results: list[Path] = []
    for number, (video, voice) in enumerate(pairs):
        output = folder / f"{number + 1:03d}_{Path(video).stem[:80]}_synced.mp4"
        what = strings.STATUS_COMPARING.format(number=number + 1, count=len(pairs), variant=Path(video).name)
        try:
            files = Given(video, voice).files()
            for news in sync_in_turn(*files, options, output, cancel, models):
                if isinstance(news, Done):
                    told.append((Path(video).name, " ".join(news.value.warnings), True))
                    results.append(news.value.path)
                else:
                    yield what, news
        except Cancelled:
            raise
        except LipsyncError as error:
            told.append((Path(video).name, in_words(error), False))
    if not results:
        raise InputError(strings.BATCH_FAILED, given=told[-1][1])
    settings = folder / SETTINGS_NAME
    write_text(settings, controls.settings_text(options))
    yield Done((_zip([*results, settings], folder / "lipsync_results.zip"), told))


def _zip(paths: Sequence[Path], target: Path) -> Path:
    """Put files into one archive, without compressing videos once more, and remove them."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            archive.write(path, path.name)
            path.unlink()
    return target


def range_problem(start: str, end: str, path: str | None, *, sound: bool) -> str:
    """What is wrong with one row of a table of parts, in words; "" when nothing is."""
    if not start.strip() and not end.strip():
        return ""
    try:
        part = TimeRange.parse(f"{start.strip()}-{end.strip()}")
        seconds = (probe_audio(path) if sound else probe_video(path)).duration if path else None
    except LipsyncError as error:
        return in_words(error)
    if seconds and (part.start >= seconds or (part.end or 0) > seconds + 0.05):
        return strings.RANGE_PAST.format(length=typed_time(seconds))
    return ""
