"""Lip sync of a whole video, in numbered steps from the inputs to the result file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from lipsync.context import ModelProvider, RunContext
from lipsync.devices import choose_device, free_memory
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.faces import DetectionCache, recognition_warnings
from lipsync.media import FrameWriter, VideoReader, YuvFrame
from lipsync.media.subtitle_formats import Cue
from lipsync.media.video.deep import DeepFrame, DeepResult
from lipsync.media.video.mouth_layer import LayerResult
from lipsync.options import SyncOptions
from lipsync.pipeline import outputs, stages
from lipsync.pipeline.active_speakers import assign_speakers
from lipsync.pipeline.arguments import Redraw, SyncArguments, check_arguments
from lipsync.pipeline.background import keep_background
from lipsync.pipeline.blend_stage import BlendState, blend
from lipsync.pipeline.job import channel_warnings, free_name, length_warnings, open_job
from lipsync.pipeline.living_photo import bring_to_life
from lipsync.pipeline.model_provider import choose_provider
from lipsync.pipeline.output_limits import output_warnings
from lipsync.pipeline.preparation import Preparation, choose_weights, load_enhancers
from lipsync.pipeline.provenance import choose_signing
from lipsync.pipeline.rest_watch import RestWatch
from lipsync.pipeline.scoring import SyncScorer
from lipsync.pipeline.shared_parts import PartBoard, PartTask, lead_of
from lipsync.pipeline.smart_copy import SmartCopying, drawn_frames
from lipsync.pipeline.stages import Chunk, RenderPlan
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.segments import Segment
from lipsync.types import SyncResult
from lipsync.utils.prefetch import Prefetcher


def sync(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    output: str | Path | None = None,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
    cues: Sequence[Cue] = (),
    resume: bool = False,
    redraw: Redraw | None = None,
    overwrite: bool = True,
    models: ModelProvider | None = None,
    cache: DetectionCache | None = None,
    networks: ModelProvider | None = None,
    sign_cert: str | Path | None = None,
    sign_key: str | Path | None = None,
) -> SyncResult:
    """A copy of `video` whose lips match `voice`.

    Args:
        video: any video, or a photo.
        voice: any audio file, or a video whose audio is used.
        options: all settings; the defaults suit most material.
        progress: called with a `Progress` at most ten times a second, from this thread.
        cancel: `cancel.cancel()` in another thread ends the job within about a second.
        output: the file to write (.mp4, .mov or .mkv), or the folder with `codec="png"`; by default a new
            name next to `video`.
        segments: who speaks when, for several speakers or parts of a video; the result is then as long as
            the video, with its own audio outside of the segments.
        more_voices: further voices for the segments; `voice` has index 0.
        cues: subtitles of the result, where the settings ask for some; without them the result is
            transcribed.
        resume: keep the finished part if the job fails or is cancelled, and continue from it when it is
            started again with the same files and settings.
        redraw: parts of an earlier result that alone are drawn; the rest is copied from it, without another
            generation of encoding. The sound is made anew. Not together with `resume`.
        overwrite: replace `output`, and the subtitles beside it, where they exist; otherwise they are refused
            before any work. A run that `resume` continues has its output checked when it is begun.
        models: provides the networks; by default they are loaded for this job. Give all jobs of a program
            the same `CachedModels` to load them once.
        cache: a `RunCache`: the next run of the same files does only what depends on the settings that
            changed. A `DetectionCache` keeps the faces alone.
        networks: deprecated name of `models`.
        sign_cert: certificate chain of whoever publishes the result, a PEM file, to sign its Content
            Credentials with; by default what the environment variable LIPSYNC_SIGN_CERT names, else the
            certificate that this installation made for itself, which viewers show as not trusted.
        sign_key: its key, a PEM file; by default what LIPSYNC_SIGN_KEY names.

    Raises:
        LipsyncError: what happened, what was given and what to do next. The result appears under its name
            only when it is complete; otherwise nothing is left behind, except with `resume`.
    """
    given = check_arguments(
        SyncArguments, options, video=video, voice=voice, output=output, segments=segments,
        more_voices=more_voices, cues=cues, resume=resume, overwrite=overwrite, progress=progress,
        cancel=cancel, cache=cache, redraw=redraw, sign_cert=sign_cert, sign_key=sign_key,
    )  # fmt: skip
    return run(given, given.context(choose_provider(models, networks)))


def run(given: SyncArguments, context: RunContext, board: PartBoard | None = None) -> SyncResult:
    """A copy of a video whose lips match a voice; `sync` with its arguments checked.

    Args:
        board: lets other processes draw parts of a long result.

    Raises:
        LipsyncError: as `sync`. Where parts are shared, those that are made stay.
    """
    started = time.perf_counter()

    # 1. Open the inputs. All cheap checks come first.
    cache = given.cache
    outputs.check_free(given)
    signing = choose_signing(given.options.report.provenance, given.sign_cert, given.sign_key)
    job, speaker_warnings = assign_speakers(open_job(given), context, cache=cache)
    job, background_warnings = keep_background(job, context)
    sizes = outputs.input_sizes(job)
    codec = context.options.media.codec
    target = outputs.Target(
        given.output or free_name(given.video, codec),
        given.resume,
        given.overwrites,
        signing,
        given.redraw,
        board is not None
        and outputs.has_parts(context.options)
        and board.divides(len(job.timeline), job.video.fps),
    )
    if not target.shared:
        board = None
    faces = job.face_options(context.options)
    job_warnings = [
        *job.video.warnings,
        *output_warnings(job.video, job.timeline, target.path, context.options),
        *length_warnings(job, context.options),
        *channel_warnings(job),
        *recognition_warnings(faces),
    ]

    with ExitStack() as cleanup:
        # 2. Load the upscaler, which decides the frame size, and open the writer before any other work, so
        # that an output that cannot be written fails early. It is closed last; only then the file appears.
        enhancement, upscaler, enhancer_warnings = load_enhancers(context)
        out = cleanup.enter_context(outputs.open_output(job, target, upscaler, context))

        # 3. Load the generator and condition the audio, in the background.
        variant, weights = choose_weights(context)
        preparation = cleanup.enter_context(Preparation(job, (variant, weights), context, cache))

        # 4. Meanwhile detect and track the faces in the reduced video.
        copying = SmartCopying(job, out, context)
        tracked = copying.find_faces(faces, preparation.check, cache)
        prepared = preparation.wait()
        speakers = stages.make_speakers(tracked, prepared.audio, job, context.options)
        plan = RenderPlan(job.video, job.timeline, speakers, prepared.generator)
        if job.video.is_still:  # the head moves first, so that the lips are drawn where they then are
            plan = bring_to_life(plan, prepared.audio.voice, context.options.media.liveliness, context.cancel)
        copying.decide(plan)  # where nobody is drawn, the source is copied, if it can be
        scorer = SyncScorer.for_job(job, plan.speakers, prepared, context, out.shown)
        watch = RestWatch(plan.speakers, job.video.fps, context)
        free_memory(choose_device(context.options.generator.device))  # of the detector and the checkpoint

        # 5. Read, crop, draw, blend, enhance, score, upscale and write, concurrently.
        frames: Iterator[YuvFrame | DeepResult | LayerResult | MadePart]
        if board is None:
            frames = _frames(plan, out, (scorer, watch), (enhancement, upscaler), context)
        else:
            cleanup.callback(board.close)
            frames = _shared_frames(board, plan, out, (scorer, watch), (enhancement, upscaler), context)
        report = context.stage("Drawing lips", len(job.timeline), done=out.finished)
        for frame in cleanup.enter_context(Prefetcher(frames, 2, context.cancel, "measure")):
            if isinstance(frame, MadePart):
                out.skip(frame.number)
                report.advance(frame.frames)
                continue
            with context.timer("write"):
                out.write(frame)
            report.advance(preview=lambda frame=frame: stages.reduced(outputs.in_8_bits(frame)))  # type: ignore[misc]
        outputs.check_not_cut_short(sizes)

        # 6. Transcribe the audio, if subtitles are on and not given.
        subtitles, subtitle_warnings = outputs.make_subtitles(job, given.cues, context)

    # 7. The video file is complete; add the subtitles.
    subtitle_file, marked = outputs.write_subtitles(out, subtitles, given.overwrites, context.options)
    return SyncResult(
        path=out.path,
        frames=len(job.timeline),
        frames_synced=int(drawn_frames(plan).sum()),
        fps=job.video.fps,
        width=out.encoded_size[0],
        height=out.encoded_size[1],
        variant=variant,
        timings={**context.timer.seconds, "total": time.perf_counter() - started},
        warnings=(
            *job_warnings,
            *speaker_warnings,
            *background_warnings,
            *enhancer_warnings,
            *prepared.audio.warnings,
            *watch.warnings(),
            *subtitle_warnings,
            *copying.warnings,
            *_new((*signing.warnings, *out.warnings, *marked.warnings), job_warnings),
            *outputs.pass_through_warnings(plan, copying.searched),
        ),
        score=scorer.card(),
        subtitles=subtitle_file,
        provenance=signing.told(marked.signed),
    )


def _new(warnings: Iterable[str], said: Sequence[str]) -> list[str]:
    """Each warning once, without those that were said before."""
    return [one for one in dict.fromkeys(warnings) if one not in said]


def _frames(
    plan: RenderPlan,
    out: outputs.Output,
    observers: tuple[SyncScorer, RestWatch],
    enhancers: tuple[FaceEnhancement | None, Upscaler | None],
    context: RunContext,
) -> Iterator[YuvFrame | DeepResult | LayerResult]:
    """The frames still to be written; the observers also get those of an earlier run."""
    enhancement, upscaler = enhancers
    state = BlendState(plan, context.options.blend)
    for part, is_made in out.pieces():
        originals = None if is_made else _originals(plan, part, out.chroma, context)
        if is_made:
            chunks = stages.finished_chunks(plan, out.made_frames(part), part, context.cancel)
        else:
            lead = _lead(plan, part, out, state)
            chunks = _render(plan, part, enhancement, context, lead, state)
        for chunk in chunks:
            if not is_made and chunk.first + len(chunk.frames) == part.stop:
                out.save_state(part.stop, state)  # before the part is complete, so that none is without
            for observer in observers:
                observer.update(chunk)
            if not is_made:
                yield from _results(chunk, originals, upscaler, context)


def _lead(plan: RenderPlan, part: range, out: outputs.Output, state: BlendState) -> int | None:
    """Bring the state to the start of a part; the frame to draw from where none was kept, see `lead_of`."""
    if not out.goes_on_at(part.start) or out.restore_state(part.start, state):
        return None
    return lead_of(plan, part)


@dataclass(frozen=True)
class MadePart:
    """A part of the result that another process has written, in place of its frames."""

    number: int
    frames: int


def _shared_frames(
    board: PartBoard,
    plan: RenderPlan,
    out: outputs.Output,
    observers: tuple[SyncScorer, RestWatch],
    enhancers: tuple[FaceEnhancement | None, Upscaler | None],
    context: RunContext,
) -> Iterator[YuvFrame | DeepResult | LayerResult | MadePart]:
    """The frames of the parts that nobody else draws, and a mark for each that somebody has."""
    enhancement, upscaler = enhancers
    files = out.cut(board.starts(plan))
    board.open(plan, files, out.made_parts())
    for number, file in enumerate(files):
        part = file.part
        originals = None
        is_made = board.take(number, context.cancel)
        if is_made:
            chunks = stages.finished_chunks(plan, out.part_frames(number), part, context.cancel)
        else:
            originals = _originals(plan, part, out.chroma, context)
            chunks = _render(plan, part, enhancement, context, lead_of(plan, part))
        for chunk in chunks:
            for observer in observers:
                observer.update(chunk)
            if not is_made:
                yield from _results(chunk, originals, upscaler, context)
        if is_made:
            yield MadePart(number, len(part))


def draw_part(task: PartTask, context: RunContext) -> None:
    """Draw a part of another process's run, and write its file.

    Raises:
        LipsyncError: as `sync`; then there is no file.
    """
    part, spec = task.file.part, task.file.spec
    enhancement, upscaler, _ = load_enhancers(context)
    variant, weights = choose_weights(context)
    generator = context.models.generator(variant, weights, context.options.generator)
    plan = replace(task.plan, generator=generator)
    label = outputs.make_label(context.options, spec.width, spec.height)
    with FrameWriter(task.file.path, spec, cancel=context.cancel) as writer:
        out = outputs.Output(writer, len(part), label)
        originals = _originals(plan, part, out.chroma, context)
        report = context.stage("Drawing lips", len(part))
        for chunk in _render(plan, part, enhancement, context, task.lead):
            for frame in _results(chunk, originals, upscaler, context):
                out.write(frame)
                report.advance()


def _results(
    chunk: Chunk, originals: Iterator[DeepFrame] | None, upscaler: Upscaler | None, context: RunContext
) -> Iterator[YuvFrame | DeepResult | LayerResult]:
    """The frames of a chunk as they are written."""
    if context.options.media.layer != "none":
        yield from _layers(chunk, originals)
    elif originals is not None:
        yield from map(DeepResult, chunk.results, chunk.frames, originals)
    else:
        yield from stages.upscale(chunk, upscaler, context)


def _layers(chunk: Chunk, originals: Iterator[DeepFrame] | None) -> Iterator[LayerResult]:
    """The frames of a chunk with their masks."""
    for index, (frame, before) in enumerate(zip(chunk.results, chunk.frames, strict=True)):
        of_frame = zip(chunk.faces, chunk.masks, strict=True)
        masks = [mask for face, mask in of_frame if face.index == index and mask is not None]
        yield LayerResult(frame, before, next(originals) if originals else None, masks)


def _originals(plan: RenderPlan, part: range, chroma: str, context: RunContext) -> Iterator[DeepFrame] | None:
    """The source's frames with all of their bits, where the result keeps them."""
    if not chroma or not isinstance(plan.video, VideoReader):
        return None
    return plan.video.read_deep(plan.timeline[part.start : part.stop], chroma, cancel=context.cancel)


def _render(
    plan: RenderPlan,
    part: range,
    enhancement: FaceEnhancement | None,
    context: RunContext,
    lead: int | None = None,
    state: BlendState | None = None,
) -> Iterator[Chunk]:
    """The rendered chunks of one range of frames; each stage runs in its own thread.

    Args:
        lead: number of an earlier frame from which on they are blended, for the smoothing over time.
        state: of that smoothing before these frames.
    """
    first = part.start if lead is None else lead
    with ExitStack() as threads:
        chunks: Iterable[Chunk] = stages.read_chunks(plan, part, context)
        if first < part.start:
            chunks = chain(stages.read_chunks(plan, range(first, part.start), context), chunks)
        chunks = threads.enter_context(Prefetcher(chunks, 1, context.cancel, "read"))
        chunks = stages.draw(chunks, plan, context)
        chunks = threads.enter_context(Prefetcher(chunks, 1, context.cancel, "draw"))
        chunks = blend(chunks, plan, context, state)
        chunks = (chunk for chunk in chunks if chunk.first >= part.start)
        chunks = stages.enhance(chunks, enhancement, context)
        yield from threads.enter_context(Prefetcher(chunks, 1, context.cancel, "blend"))
