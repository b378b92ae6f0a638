"""Preview: one frame of the result at a given time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from lipsync.context import ModelProvider, RunContext
from lipsync.errors import NoFaceError, RangeError
from lipsync.faces import DetectionCache, TrackedFaces, pixel_box
from lipsync.media import VideoReader, open_video
from lipsync.options import FaceOptions, SyncOptions
from lipsync.pipeline import stages
from lipsync.pipeline.active_speakers import assign_speakers
from lipsync.pipeline.arguments import PreviewArguments, check_arguments
from lipsync.pipeline.blend_stage import blend
from lipsync.pipeline.face_tracks import empty_track, find_face_tracks
from lipsync.pipeline.job import SPEAKING, Job, open_job
from lipsync.pipeline.model_provider import choose_provider
from lipsync.pipeline.outputs import make_label
from lipsync.pipeline.preparation import Preparation, choose_weights, load_enhancers
from lipsync.pipeline.stages import Chunk, RenderPlan
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.segments import Segment
from lipsync.types import FaceCandidate, Preview

VOICE_SECONDS = 60.0
"""Seconds of the voice before and after the previewed frame that are heard: of a voice of hours a run's lips
there depend on no more."""
PREVIEW_SECONDS = 0.5
"""Seconds before and after the previewed frame in which faces are tracked, for the smoothing of its box."""


def preview(
    video: str | Path,
    voice: str | Path,
    at: float = 0.0,
    options: SyncOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
    models: ModelProvider | None = None,
    cache: DetectionCache | None = None,
    networks: ModelProvider | None = None,
) -> Preview:
    """The frame of the result of `sync` at `at` seconds.

    Faces are tracked only around that time, so with several faces the selection may differ from that of a
    whole run. The other arguments are those of `sync`.

    Raises:
        RangeError: `at` is outside the result.
        LipsyncError: as `sync`.
    """
    # 1. Check the arguments, open the inputs and find the video frame that is shown at that time.
    given = check_arguments(
        PreviewArguments, options, video=video, voice=voice, at=at, segments=segments,
        more_voices=more_voices, progress=progress, cancel=cancel, cache=cache,
    )  # fmt: skip
    context = given.context(choose_provider(models, networks))
    job = open_job(given)
    at, fps = given.at, job.video.fps
    number = int(at * fps)
    if not 0 <= number < len(job.timeline):
        length = float(len(job.timeline) / fps)
        raise RangeError("The preview time is outside the result", given=f"{at:g} s of {length:.2f} s")
    shown = int(job.timeline[number])
    job, _ = assign_speakers(job, context, at, cache)
    if context.options.faces.which_face == SPEAKING and not job.segments:
        return _unchanged(job, at, shown, context)
    job = job.around(number, VOICE_SECONDS)

    # 2. Load the networks in the background, and 3. track the faces around that time.
    variant, weights = choose_weights(context)
    enhancement, upscaler, _ = load_enhancers(context)
    with ExitStack() as cleanup:
        preparation = cleanup.enter_context(Preparation(job, (variant, weights), context, cache))
        choices = job.face_options(context.options)
        here, tracked = _tracked(job.video, shown, choices, preparation.check, cache, context)
        prepared = preparation.wait()

    # 4. The same steps as in a run, for a chunk of one frame.
    [frame] = job.video.read_yuv([shown], cancel=context.cancel)
    speakers = stages.make_speakers(tracked, prepared.audio, job, context.options)
    plan = RenderPlan(job.video, job.timeline, speakers, prepared.generator)
    chunks: Iterable[Chunk] = [stages.make_chunk([frame], number - job.first, [here], plan)]
    chunks = stages.draw(chunks, plan, context)
    chunks = blend(chunks, plan, context)
    [chunk] = stages.enhance(chunks, enhancement, context)
    [result] = stages.upscale(chunk, upscaler, context)
    if label := make_label(context.options, result.width, result.height):
        result = label.draw(result)
    face = chunk.faces[0] if chunk.faces else None
    source = frame.to_rgb()
    return Preview(
        time=at,
        source=source,
        result=result.to_rgb(),
        box=face.box if face else None,
        points=face.points if face else None,
        mask=stages.face_mask(source, face, context.options.blend) if face else None,
        variant=variant,
        people=_people(here, tracked[0], job.video),
        video_time=float(shown / fps),
        warnings=prepared.audio.warnings,
    )


def preview_face(
    video: str | Path,
    at: float = 0.0,
    options: SyncOptions | None = None,
    *,
    cancel: CancelToken | None = None,
    cache: DetectionCache | None = None,
) -> Preview:
    """A frame of a video with its face box, as long as there is no voice; nothing is drawn.

    Args:
        at: seconds in the video (its ranges joined); beyond its end the last frame is shown.

    Raises:
        LipsyncError: as `preview`.
    """
    options = options or SyncOptions()
    context = RunContext(choose_provider(None, None), options, cancel=cancel or CancelToken())
    reader = open_video(video, options.media)
    shown = min(max(0, int(at * reader.fps)), reader.frame_count - 1)
    here, tracked = _tracked(reader, shown, [_without_speaking(options.faces)], lambda: None, cache, context)
    [frame] = reader.read_yuv([shown], cancel=context.cancel)
    source, track, time = frame.to_rgb(), tracked[0].track, float(shown / reader.fps)
    box = pixel_box(track.boxes[here], reader.width, reader.height) if track.present[here] else None
    points = track.points[here] if box else None
    people = _people(here, tracked[0], reader)
    return Preview(time, source, source, box, points, None, "", people, time)


def _without_speaking(faces: FaceOptions) -> FaceOptions:
    """The options with another choice for who speaks in the source, which takes a voice to find."""
    return replace(faces, which_face="largest") if faces.which_face == SPEAKING else faces


def _tracked(
    video: VideoReader,
    shown: int,
    choices: Sequence[FaceOptions],
    check: Callable[[], None],
    cache: DetectionCache | None,
    context: RunContext,
) -> tuple[int, list[TrackedFaces]]:
    """Place of frame `shown` among the frames around it, and the faces that are tracked in these."""
    fps = video.fps
    reach = int(PREVIEW_SECONDS * fps) + 1
    around = np.arange(max(0, shown - reach), min(video.frame_count, shown + reach + 1))
    start = float(around[0] / fps)
    faces = [replace(each, face_time=max(0.0, each.face_time - start)) for each in choices]
    try:
        tracked = find_face_tracks(video, around, faces, check, cache, context)
    except NoFaceError:  # no face around this time; other parts of the video may have some
        tracked = [TrackedFaces(empty_track(len(around)), (), ())] * len(faces)
    return int(np.searchsorted(around, shown)), tracked


def _unchanged(job: Job, at: float, shown: int, context: RunContext) -> Preview:
    """The preview of a moment around which nobody in the picture speaks."""
    variant, _ = choose_weights(context)
    [frame] = job.video.read_yuv([shown], cancel=context.cancel)
    source, time = frame.to_rgb(), float(shown / job.video.fps)
    return Preview(at, source, source, None, None, None, variant, (), time)


def _people(here: int, tracked: TrackedFaces, video: VideoReader) -> tuple[FaceCandidate, ...]:
    """The faces in the shot of the tracked frame `here`, from left to right."""
    shot = bisect_right(tracked.cuts, here)
    people = []
    for person in (person for person in tracked.identities if person.shot == shot):
        box = pixel_box(person.box, video.width, video.height)
        if box is not None:
            x, y = (box.x1 + box.x2) / 2 / video.width, (box.y1 + box.y2) / 2 / video.height
            people.append(FaceCandidate(box, x, y, person.selected))
    return tuple(people)
