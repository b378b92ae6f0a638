"""The whole road from a video and a voice to a lip-synced video, and to one previewed frame.

This is the only place where stages meet. Frames are read twice: once reduced, to find and follow
the face over the whole length (so that the face is chosen, smoothed and carried over gaps with
knowledge of what comes later), and once at full size, to draw on. Within each pass all stages run
at the same time, one thread each, joined by short queues; the generator is loaded during the
first pass. Nothing here holds more than a few chunks of frames, whatever the length.

What a stage does to the frames that pass through it is in `lipsync.pipeline.stages`, what the speakers say
in `lipsync.pipeline.audio_conditioning`.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from lipsync.blending import make_mask
from lipsync.devices import choose_device, free_memory
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.errors import (
    DownloadError,
    NoFaceError,
    OptionError,
    RangeError,
    ToolError,
    WeightsError,
)
from lipsync.faces import (
    DETECTORS,
    DetectionCache,
    TrackedFaces,
    build_tracks,
    content_hash,
    detect_faces,
    detection_key,
    fixed_box_track,
    pixel_box,
    read_references,
    recognition_warnings,
)
from lipsync.generators import LipGenerator, choose_variant
from lipsync.media import (
    AudioReader,
    FrameWriter,
    OutputSpec,
    ResumableWriter,
    VideoReader,
    open_audio,
    open_video,
    plan_timeline,
)
from lipsync.media.audio.mix import mix_segments
from lipsync.media.subtitles import add_subtitles
from lipsync.options import FaceOptions, GeneratorOptions, SyncOptions
from lipsync.pipeline import stages
from lipsync.pipeline.audio_conditioning import AudioConditioning, condition_audio, speaking_faces
from lipsync.pipeline.model_provider import FreshModels, ModelProvider
from lipsync.pipeline.stages import Chunk, Speaker
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.segments import PlacedSegment, Segment, place_segments
from lipsync.speech import Transcript, to_srt, transcribe
from lipsync.sync_score import SyncExpert, SyncMeter, with_default_pads
from lipsync.types import FaceTrack, Frame, IntArray, Plan, Preview, ScoreCard, SeenFace, SyncResult
from lipsync.utils.atomic_write import write_text
from lipsync.utils.prefetch import Prefetcher, StageTimer
from lipsync.weights import require

PREVIEW_SECONDS = 0.5
"""How far around the previewed frame faces are followed, so that its box is smoothed as in a run."""


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
    resume: bool = False,
    models: ModelProvider | None = None,
    cache: DetectionCache | None = None,
) -> SyncResult:
    """Make the lips in `video` say `voice`.

    Args:
        video: any video, or a photo.
        voice: any sound file, or a video whose sound is used.
        options: all settings; the defaults suit most material.
        progress: called with a `Progress` at most ten times a second, from this thread.
        cancel: `cancel.cancel()` in another thread ends the job within about a second.
        output: the file to write (.mp4, .mov or .mkv); by default a new name beside `video`.
        segments: who says what and when, where it is not one person who says all; the result is then
            as long as the picture, with its own sound where nobody is given words.
        more_voices: further voices that segments may name; `voice` is number 0.
        resume: keep what is finished when the job breaks off, or is cancelled, and go on from there
            when it is started again with the same files and settings.
        networks: where networks come from; by default they are loaded for this job. Give all jobs of
            a program the same `CachedModels` to load them once.
        cache: keeps where faces were seen, so that the next run of the same picture with another pad,
            smoothing, face or model need not look for them again.

    Raises:
        LipsyncError: with what happened, what was given and what to do next. Nothing is left
            behind (but with `resume`): the result appears under its name only when it is whole.
    """
    options, cancel, models = options or SyncOptions(), cancel or CancelToken(), models or FreshModels()
    timer, started = StageTimer(), time.perf_counter()

    # 1. Open what was given. Every check that needs no work comes first.
    job = open_job(video, voice, options, segments, more_voices)
    picture, timeline = job.picture, job.timeline
    target = Path(output) if output is not None else free_name(Path(video))
    warnings = [*picture.warnings, *_length_warnings(job, options), *recognition_warnings(job.faces(options))]

    with ExitStack() as cleanup:
        # What enlarges frames has to be there first: it says how large they are.
        enhancement, upscaler, missing = _load_enhancers(models, options, progress, cancel)
        # Opened before all other work and downloads: a place that cannot be written to shows now.
        # Closed last, and only then, when all went well, the file appears under its name.
        writer = _open_writer(cleanup, job, target, options, upscaler, resume, progress, cancel)
        # 2. Load the generator and listen to the voice, while
        variant, weights = _choose_weights(options.generator, progress, cancel)
        loading = _load_in_background(cleanup, models, variant, weights, options, job, cancel, timer)

        # 3. the faces are found and followed, in the reduced picture.
        needed = np.arange(int(timeline.max()) + 1)
        found = _find_faces(
            picture, needed, job.faces(options), options, loading, cache, progress, cancel, timer
        )
        ready = _wait_for(loading, cancel)
        speakers = _speakers(found, ready.heard, job, options)
        meters = _meters(ready, job, cancel)
        free_memory(choose_device(options.generator.device))  # the detector's, and the checkpoint's

        # 4. Read, crop, draw, blend, sharpen, measure and write, all at once.
        averaged = ready.generator.spec.antialias_crops
        stage = StageProgress("Drawing lips", len(timeline), progress, cancel, done=writer.finished)
        read = stages.read_chunks(
            picture, timeline, speakers, ready.generator, cancel, timer, writer.finished, writer.part_frames
        )
        chunks: Iterable[Chunk] = cleanup.enter_context(Prefetcher(read, 1, cancel, "read"))
        drawn = stages.draw(chunks, speakers, ready.generator, timer)
        chunks = cleanup.enter_context(Prefetcher(drawn, 1, cancel, "draw"))
        blended = stages.blend(
            chunks, speakers, options.blend, picture.fps, averaged, timer, writer.part_frames
        )
        chunks = stages.enhance(blended, enhancement, cancel, timer)
        chunks = cleanup.enter_context(Prefetcher(chunks, 1, cancel, "blend"))
        earlier = stages.earlier_chunks(writer.earlier_frames(), picture, timeline[: writer.finished], cancel)
        measured = stages.measure(
            chain(earlier, chunks), speakers, meters.of_result, meters.of_source, picture.fps, timer
        )
        finished = stages.results(measured, writer.finished, upscaler, cancel, timer)
        for frame in cleanup.enter_context(Prefetcher(finished, 2, cancel, "measure")):
            with timer("write"):
                writer.write(frame)
            stage.advance(preview=lambda frame=frame: stages.reduced(frame))  # type: ignore[misc]

        # 5. Write down what is said, where that is asked for.
        transcript, trouble = _write_down(job, options, progress, cancel)

    # 6. The file is whole and in its place.
    subtitles = _add_subtitles(target, transcript, options)
    warnings += [
        *missing,
        *ready.heard.warnings,
        *trouble,
        *writer.warnings,
        *_pass_through_warnings(speakers, timeline),
    ]
    return SyncResult(
        path=target,
        frames=len(timeline),
        frames_synced=_synced_frames(speakers, timeline),
        fps=picture.fps,
        width=writer.spec.encoded_size[0],
        height=writer.spec.encoded_size[1],
        variant=variant,
        timings={**timer.seconds, "total": time.perf_counter() - started},
        warnings=tuple(warnings),
        score=meters.card(),
        subtitles=subtitles,
    )


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
) -> Preview:
    """Draw the one frame that the result of `sync` would show at `at` seconds.

    The face is followed only around that moment, so where several faces meet the choice may
    differ from that of a whole run.

    Raises:
        RangeError: the result would not be that long.
        LipsyncError: as `sync`.
    """
    options, cancel, models = options or SyncOptions(), cancel or CancelToken(), models or FreshModels()
    timer = StageTimer()

    # 1. Open, and find which picture frame is shown at that time.
    job = open_job(video, voice, options, segments, more_voices)
    picture, timeline = job.picture, job.timeline
    number = int(at * picture.fps)
    if not 0 <= number < len(timeline):
        length = len(timeline) / picture.fps
        raise RangeError("The preview time is outside the result", given=f"{at:g} s of {float(length):.2f} s")
    shown = int(timeline[number])

    # 2. Load the networks, and 3. follow the faces around that moment.
    variant, weights = _choose_weights(options.generator, progress, cancel)
    enhancement, upscaler, _ = _load_enhancers(models, options, progress, cancel)
    with ExitStack() as cleanup:
        loading = _load_in_background(cleanup, models, variant, weights, options, job, cancel, timer)
        reach = int(PREVIEW_SECONDS * picture.fps) + 1
        around = np.arange(max(0, shown - reach), min(picture.frame_count, shown + reach + 1))
        start = float(around[0] / picture.fps)
        choices = [
            replace(choice, face_time=max(0.0, choice.face_time - start)) for choice in job.faces(options)
        ]
        try:
            found = _find_faces(picture, around, choices, options, loading, cache, progress, cancel, timer)
        except NoFaceError:  # none around here, which says nothing of the rest
            found = [TrackedFaces(_no_track(len(around)), (), ())] * len(choices)
        ready = _wait_for(loading, cancel)

    # 4. The same steps as in a run, for a chunk of one frame.
    here = int(np.searchsorted(around, shown))
    [frame] = picture.read_yuv([shown], cancel=cancel)
    speakers = _speakers(found, ready.heard, job, options)
    chunks: Iterable[Chunk] = [stages.cut_chunk([frame], number, [here], speakers, ready.generator)]
    chunks = stages.draw(chunks, speakers, ready.generator, timer)
    chunks = stages.blend(
        chunks, speakers, options.blend, picture.fps, ready.generator.spec.antialias_crops, timer
    )
    [chunk] = stages.enhance(chunks, enhancement, cancel, timer)
    [result] = stages.results([chunk], 0, upscaler, cancel, timer)
    part = chunk.parts[0] if chunk.parts else None
    source = frame.to_rgb()
    return Preview(
        time=at,
        source=source,
        result=result.to_rgb(),
        box=part.box if part else None,
        points=part.points if part else None,
        mask=make_mask(source, part.box, part.points, options.blend) if part else None,
        variant=variant,
        people=_seen_with(here, found[0], picture),
        picture_time=float(shown / picture.fps),
    )


def plan(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions | None = None,
    *,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
) -> Plan:
    """What `sync` would make of these, told from their headers: takes no network and no decoding.

    Raises:
        LipsyncError: as `sync` for what is wrong with the files, the ranges and the settings.
    """
    options = options or SyncOptions()
    job = open_job(video, voice, options, segments, more_voices)
    picture = job.picture
    scale = 2 if options.enhance.upscaler != "none" else 1
    return Plan(
        frames=len(job.timeline),
        fps=picture.fps,
        width=picture.width * scale,
        height=picture.height * scale,
        picture_seconds=0.0 if picture.is_still else float(picture.frame_count / picture.fps),
        voice_seconds=job.voices[0].duration,
    )


# --- 1. what was given -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Job:
    """What was given, opened and checked.

    Attributes:
        voices: the voice, and further ones that segments name.
        segments: who says what, with all times known; empty where one person says all of one voice.
        sound: what is heard in the result.
        timeline: the picture frame shown in every frame of the result.
    """

    picture: VideoReader
    voices: list[AudioReader]
    segments: tuple[PlacedSegment, ...]
    sound: AudioReader
    timeline: IntArray

    def faces(self, options: SyncOptions) -> list[FaceOptions]:
        """How each speaker is found."""
        if not self.segments:
            return [options.faces]
        speaking = {one.segment.face: one.segment for one in self.segments}
        return [speaking[face].face_options(options.faces) for face in speaking_faces(self.segments)]


def open_job(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
) -> Job:
    """Open and check what is given to `sync`, without decoding.

    Raises:
        LipsyncError: as `sync` for what is wrong with the files, the ranges, the segments and settings.
    """
    media = options.media
    picture = open_video(Path(video), media)
    voices = [open_audio(Path(voice), media.voice_ranges, media.voice_shift / 1000)]
    voices += [open_audio(Path(other)) for other in more_voices]
    if not segments:
        timeline = plan_timeline(picture.frame_count, voices[0].duration, picture.fps, media.length_mode)
        return Job(picture, voices, (), voices[0], timeline)
    shown = None if picture.is_still else float(picture.frame_count / picture.fps)
    placed = place_segments(segments, shown, [one.duration for one in voices])
    seconds = shown or max(one.end for one in placed)
    timeline = plan_timeline(picture.frame_count, seconds, picture.fps, "picture")
    return Job(picture, voices, placed, mix_segments(placed, voices, seconds, picture), timeline)


def free_name(video: Path) -> Path:
    """A name for the result: `clip_synced.mp4` beside `clip.*`, numbered where that is taken."""
    candidate = video.with_name(f"{video.stem}_synced.mp4")
    number = 2
    while candidate.exists():
        candidate = video.with_name(f"{video.stem}_synced_{number}.mp4")
        number += 1
    return candidate


def _length_warnings(job: Job, options: SyncOptions) -> list[str]:
    """Say what the length mode did, where voice and picture differ by more than a frame."""
    picture = job.picture
    shown, heard = picture.frame_count / picture.fps, job.voices[0].duration
    length = len(job.timeline) / picture.fps
    if job.segments or picture.is_still or abs(shown - heard) * picture.fps <= 1:
        return []
    return [
        f"The picture is {float(shown):.2f} s and the voice {heard:.2f} s; "
        f"the result is {float(length):.2f} s (length mode '{options.media.length_mode}')."
    ]


def _open_writer(
    cleanup: ExitStack,
    job: Job,
    target: Path,
    options: SyncOptions,
    upscaler: Upscaler | None,
    resume: bool,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> FrameWriter | ResumableWriter:
    scale = upscaler.spec.scale if upscaler else 1
    spec = OutputSpec(
        width=job.picture.width * scale,
        height=job.picture.height * scale,
        fps=job.picture.fps,
        frames=len(job.timeline),
        audio=job.sound,
        source=job.picture.info,
        quality=options.media.quality,
        encoder=options.media.encoder,
    )
    if not resume:
        return cleanup.enter_context(FrameWriter(target, spec, cancel=cancel))
    _, weights = _choose_weights(options.generator, progress, cancel)
    files = [job.picture.info.path, *(voice.info.path for voice in job.voices), weights]
    key = _job_key(files, options, job.segments)
    return cleanup.enter_context(ResumableWriter(target, spec, key=key, cancel=cancel))


def _job_key(files: Sequence[Path], options: SyncOptions, segments: Sequence[PlacedSegment]) -> str:
    """What tells one job from all others: its files, by their content, and its settings."""
    told = [repr(options), *map(str, segments), *map(content_hash, files)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


# --- 2. the networks, and the voice -------------------------------------------------------------


def _choose_weights(
    options: GeneratorOptions, progress: ProgressCallback, cancel: CancelToken
) -> tuple[str, Path]:
    """The variant to use and its checkpoint, which is downloaded if it is not there yet."""
    variant = choose_variant(options.variant)
    return variant, options.weights or require(variant, progress=progress, cancel=cancel)


def _load_enhancers(
    models: ModelProvider, options: SyncOptions, progress: ProgressCallback, cancel: CancelToken
) -> tuple[FaceEnhancement | None, Upscaler | None, list[str]]:
    """What sharpens faces and what enlarges frames, where they are asked for; and what to know of it."""
    device = options.generator.device
    enhancer, first = models.enhancer(options.enhance, device, progress, cancel)
    upscaler, second = models.upscaler(options.enhance, device, progress, cancel)
    enhancement = FaceEnhancement(enhancer, options.enhance) if enhancer else None
    return enhancement, upscaler, [words for words in (first, second) if words]


@dataclass(frozen=True, eq=False)
class _Ready:
    """The generator, what it hears, and who judges the result; the last None where nobody is to."""

    generator: LipGenerator
    heard: AudioConditioning
    expert: SyncExpert | None


def _load_in_background(
    cleanup: ExitStack,
    models: ModelProvider,
    variant: str,
    weights: Path,
    options: SyncOptions,
    job: Job,
    cancel: CancelToken,
    timer: StageTimer,
) -> Future[_Ready]:
    """Start loading the generator and preparing what it hears."""

    def load() -> _Ready:
        with timer("load"):
            generator = models.generator(variant, weights, options.generator)
            expert = models.expert() if options.report.score else None
        with timer("listen"):
            heard = condition_audio(
                job.voices, job.segments, generator, job.picture.fps, len(job.timeline), options, cancel
            )
        return _Ready(generator, heard, expert)

    pool = ThreadPoolExecutor(1, thread_name_prefix="lipsync load")
    # A network that is being read cannot be interrupted: on an error or a cancel, don't wait for it.
    cleanup.callback(pool.shutdown, wait=False, cancel_futures=True)
    return pool.submit(load)


def _wait_for(loading: Future[_Ready], cancel: CancelToken) -> _Ready:
    """What was loaded, or its error; a cancel does not wait for it."""
    while not loading.done():
        cancel.check("Loading")
        wait([loading], timeout=CancelToken.POLL_SECONDS)
    return loading.result()


def _while_loading_is_well(frames: Iterable[Frame], loading: Future[_Ready]) -> Iterator[Frame]:
    """`frames`, but a checkpoint that cannot be loaded ends the search for faces at once."""
    for frame in frames:
        if loading.done():
            loading.result()
        yield frame


# --- 3. the face -------------------------------------------------------------------------------


def _find_faces(
    picture: VideoReader,
    numbers: IntArray,
    choices: Sequence[FaceOptions],
    options: SyncOptions,
    loading: Future[_Ready],
    cache: DetectionCache | None,
    progress: ProgressCallback,
    cancel: CancelToken,
    timer: StageTimer,
) -> list[TrackedFaces]:
    """Each chosen face in the picture frames `numbers` (consecutive), without holding frames.

    Looking for faces is what takes time; what was seen before is not looked for again.
    """
    faces, size = options.faces, (picture.width, picture.height)
    if faces.box is not None:
        fixed = TrackedFaces(fixed_box_track(faces.box, len(numbers), size), (), ())
        return [fixed] * len(choices)
    stage = StageProgress("Finding faces", len(numbers), progress, cancel)
    with timer("detect"):
        device = choose_device(options.generator.device)
        detector = DETECTORS.create(faces.detector, weights=faces.detector_weights, device=device)
        references = read_references(choices, detector)  # an error in a picture shows before the search
        key = detection_key(picture.info.path, numbers, options.media, faces, detector) if cache else None
        detections = cache.get(key) if cache and key else None
        if detections is not None:
            stage.advance(len(numbers))
        else:
            with ExitStack() as cleanup:
                reduced = picture.read(numbers, max_side=faces.detect_size, cancel=cancel)
                frames = cleanup.enter_context(Prefetcher(reduced, 8, cancel, "look"))
                detections = detect_faces(_while_loading_is_well(frames, loading), detector, faces, stage)
            if cache and key:
                cache.put(key, detections)
        return build_tracks(
            detections,
            count=len(numbers),
            frame_size=size,
            fps=picture.fps,
            choices=choices,
            references=references,
        )


def _seen_with(here: int, found: TrackedFaces, picture: VideoReader) -> tuple[SeenFace, ...]:
    """The people of the scene that frame `here` of the looked-at ones is in."""
    scene = bisect_right(found.cuts, here)
    seen = []
    for person in (person for person in found.identities if person.shot == scene):
        box = pixel_box(person.box, picture.width, picture.height)
        if box is not None:
            x, y = (box.x1 + box.x2) / 2 / picture.width, (box.y1 + box.y2) / 2 / picture.height
            seen.append(SeenFace(box, x, y, person.chosen))
    return tuple(seen)


def _no_track(count: int) -> FaceTrack:
    """A track of `count` frames without a face."""
    boxes, points = np.full((count, 4), np.nan, np.float32), np.full((count, 5, 2), np.nan, np.float32)
    return FaceTrack(boxes, points, np.zeros(count, np.float32))


# --- 5. and 6. words and figures, and the result -----------------------------------------------


def _write_down(
    job: Job, options: SyncOptions, progress: ProgressCallback, cancel: CancelToken
) -> tuple[Transcript | None, list[str]]:
    """What is said in the result; the result is not given up for what is lacking to hear it."""
    if options.report.subtitles == "none":
        return None, []
    try:
        return transcribe(job.sound.read(cancel=cancel), options.transcript, progress, cancel), []
    except (ToolError, DownloadError, WeightsError, OptionError) as error:
        return None, [f"There are no subtitles: {error}"]


def _add_subtitles(target: Path, transcript: Transcript | None, options: SyncOptions) -> Path | None:
    if transcript is None or not transcript.segments:
        return None
    subtitles = target.with_suffix(".srt")
    write_text(subtitles, to_srt(transcript))
    if options.report.subtitles == "track":
        add_subtitles(target, subtitles, transcript.language)
    return subtitles


def _speakers(
    found: Sequence[TrackedFaces], heard: AudioConditioning, job: Job, options: SyncOptions
) -> tuple[Speaker, ...]:
    """Who speaks, and what."""
    size = (job.picture.width, job.picture.height)
    return tuple(
        Speaker(
            track=faces.track,
            cuts=faces.cuts,
            rows=said.rows,
            weights=said.weights,
            judged=with_default_pads(faces.track.boxes, size, options.faces),
        )
        for faces, said in zip(found, heard.speakers, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Meters:
    """What judges the result, and the source with its own sound; None where that is not to be judged.

    Attributes:
        no_source: why the source is not, in words.
    """

    of_result: SyncMeter | None = None
    of_source: SyncMeter | None = None
    no_source: str = ""

    def card(self) -> ScoreCard | None:
        """What they say in the end."""
        if self.of_result is None:
            return None
        source = self.of_source.result() if self.of_source else None
        return ScoreCard(self.of_result.result(), source, self.no_source)


def _meters(ready: _Ready, job: Job, cancel: CancelToken) -> _Meters:
    if ready.expert is None:
        return _Meters()
    fps = job.picture.fps
    of_result = SyncMeter(ready.expert, ready.heard.voice, fps)
    if job.picture.is_still:
        return _Meters(of_result, None, "a photo has no voice of its own")
    if not job.picture.info.has_audio:
        return _Meters(of_result, None, "the video has no sound of its own")
    seconds = float(job.picture.frame_count / fps)
    own = mix_segments((), job.voices, seconds, job.picture).read(cancel=cancel)
    return _Meters(of_result, SyncMeter(ready.expert, own, fps))


def _synced_frames(speakers: Sequence[Speaker], timeline: IntArray) -> int:
    drawn = [speaker.track.present[timeline] & (speaker.weights > 0) for speaker in speakers]
    return int(np.any(drawn, axis=0).sum())


def _pass_through_warnings(speakers: Sequence[Speaker], timeline: IntArray) -> list[str]:
    faceless = ~np.any([speaker.track.present[timeline] for speaker in speakers], axis=0)
    if not faceless.any():
        return []
    untouched, total = int(faceless.sum()), len(timeline)
    return [
        f"{untouched} of {total} frames ({100 * untouched / total:.0f} %) have no face to use and passed "
        "through unchanged."
    ]
