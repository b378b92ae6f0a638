"""The whole road from a video and a voice to a lip-synced video, and to one previewed frame.

This is the only place where stages meet. Frames are read twice: once reduced, to find and follow
the face over the whole length (so that the face is chosen, smoothed and carried over gaps with
knowledge of what comes later), and once at full size, to draw on. Within each pass all stages run
at the same time, one thread each, joined by short queues; the generator is loaded during the
first pass. Nothing here holds more than a few chunks of frames, whatever the length.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.blending import blend, make_mask
from lipsync.data_types import (
    FaceTrack,
    FloatArray,
    Frame,
    IntArray,
    PixelBox,
    Plan,
    Preview,
    SeenFace,
    SyncResult,
)
from lipsync.devices import choose_device, free_memory
from lipsync.errors import NoFaceError, RangeError
from lipsync.faces import DETECTORS, TrackedFaces, crop_face, fixed_box_track, pixel_box, track_faces
from lipsync.generators import GENERATORS, AudioRows, LipGenerator, choose_variant
from lipsync.media import FrameWriter, Picture, Voice, open_picture, open_voice, plan_timeline
from lipsync.options import BlendOptions, GeneratorOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.streaming import Ahead, Clock
from lipsync.weights import require

CHUNK_BYTES = 32 * 2**20
"""Full-size frames travel in chunks of about this size; five or six chunks are under way at once."""

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
) -> SyncResult:
    """Make the lips in `video` say `voice`.

    Args:
        video: any video, or a photo.
        voice: any sound file, or a video whose sound is used.
        options: all settings; the defaults suit most material.
        progress: called with a `Progress` at most ten times a second, from this thread.
        cancel: `cancel.cancel()` in another thread ends the job within about a second.
        output: the file to write (.mp4, .mov or .mkv); by default a new name beside `video`.

    Raises:
        LipsyncError: with what happened, what was given and what to do next. Nothing is left
            behind: the result appears under its name only when it is whole.
    """
    options = options or SyncOptions()
    cancel = cancel or CancelToken()
    clock, started = Clock(), time.perf_counter()

    # 1. Open what was given. Every check that needs no work comes first.
    picture = open_picture(Path(video), options.media)
    speech = open_voice(Path(voice), options.media.voice_ranges)
    target = Path(output) if output is not None else free_name(Path(video))
    timeline = plan_timeline(picture.frame_count, speech.duration, picture.fps, options.media.length_mode)
    warnings = list(picture.warnings) + _length_warnings(picture, speech, len(timeline), options)

    with ExitStack() as cleanup:
        # Opened first: a place that cannot be written to shows now. Closed last, and only then,
        # when all went well, the file appears under its name.
        writer = cleanup.enter_context(
            FrameWriter(
                target,
                width=picture.width,
                height=picture.height,
                fps=picture.fps,
                frames=len(timeline),
                voice=speech,
                source=picture.info,
                quality=options.media.quality,
                encoder=options.media.encoder,
                cancel=cancel,
            )
        )
        # 2. Load the generator and listen to the voice, while
        variant, weights = _choose_weights(options.generator, progress, cancel)
        loading = _load_in_background(
            cleanup, variant, weights, options.generator, speech, picture, len(timeline), cancel, clock
        )

        # 3. the face is found and followed, in the reduced picture.
        needed = int(timeline.max()) + 1
        track = _find_face(picture, np.arange(needed), options, loading, progress, cancel, clock).track
        generator, rows, silent = _wait_for(loading, cancel)
        free_memory(choose_device(options.generator.device))  # the detector's, and the checkpoint's
        if silent:
            warnings.append("The voice is silent, so the lips will hardly move.")

        # 4. Read, crop, draw, blend and write, all at once.
        stage = StageProgress("Drawing lips", len(timeline), progress, cancel)
        chunks = cleanup.enter_context(
            Ahead(_read_chunks(picture, timeline, track, generator, cancel, clock), 1, cancel, "read")
        )
        drawn = cleanup.enter_context(Ahead(_draw(chunks, generator, rows, clock), 1, cancel, "draw"))
        blended = cleanup.enter_context(Ahead(_blend(drawn, options.blend, clock), 2, cancel, "blend"))
        for frame in blended:
            with clock("write"):
                writer.write(frame)
            stage.advance()

    # 5. The file is whole and in its place.
    warnings += writer.warnings
    synced = int(track.present[timeline].sum())
    warnings += _pass_through_warnings(len(timeline) - synced, len(timeline))
    return SyncResult(
        path=target,
        frames=len(timeline),
        frames_synced=synced,
        fps=picture.fps,
        width=writer.encoded_size[0],
        height=writer.encoded_size[1],
        variant=variant,
        timings={**clock.seconds, "total": time.perf_counter() - started},
        warnings=tuple(warnings),
    )


def preview(
    video: str | Path,
    voice: str | Path,
    at: float = 0.0,
    options: SyncOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Preview:
    """Draw the one frame that the result of `sync` would show at `at` seconds.

    The face is followed only around that moment, so where several faces meet the choice may
    differ from that of a whole run.

    Raises:
        RangeError: the result would not be that long.
        LipsyncError: as `sync`.
    """
    options = options or SyncOptions()
    cancel = cancel or CancelToken()
    clock = Clock()

    # 1. Open, and find which picture frame is shown at that time.
    picture = open_picture(Path(video), options.media)
    speech = open_voice(Path(voice), options.media.voice_ranges)
    timeline = plan_timeline(picture.frame_count, speech.duration, picture.fps, options.media.length_mode)
    number = int(at * picture.fps)
    if not 0 <= number < len(timeline):
        length = len(timeline) / picture.fps
        raise RangeError("The preview time is outside the result", given=f"{at:g} s of {float(length):.2f} s")
    shown = int(timeline[number])

    # 2. Load the generator, and 3. follow the face around that moment.
    variant, weights = _choose_weights(options.generator, progress, cancel)
    with ExitStack() as cleanup:
        loading = _load_in_background(
            cleanup, variant, weights, options.generator, speech, picture, len(timeline), cancel, clock
        )
        reach = int(PREVIEW_SECONDS * picture.fps) + 1
        around = np.arange(max(0, shown - reach), min(picture.frame_count, shown + reach + 1))
        start = float(around[0] / picture.fps)
        nearby = replace(options.faces, face_time=max(0.0, options.faces.face_time - start))
        try:
            nearby_options = replace(options, faces=nearby)
            found = _find_face(picture, around, nearby_options, loading, progress, cancel, clock)
        except NoFaceError:  # none around here, which says nothing of the rest
            found = TrackedFaces(_no_track(len(around)), (), (), 0)
        generator, rows, _ = _wait_for(loading, cancel)

    # 4. The same steps as in a run, for a chunk of one frame.
    here = int(np.searchsorted(around, shown))
    [frame] = picture.read([shown], cancel=cancel)
    chunk = _cut_chunk([frame], number, [here], found.track, generator)
    result = next(_blend(_draw([chunk], generator, rows, clock), options.blend, clock))
    box, points = chunk.boxes[0], chunk.points[0]
    return Preview(
        time=at,
        source=frame,
        result=result,
        box=box,
        points=points if box is not None else None,
        mask=make_mask(frame, box, points, options.blend) if box is not None else None,
        variant=variant,
        people=_seen_with(here, found, picture),
        picture_time=float(shown / picture.fps),
    )


def plan(video: str | Path, voice: str | Path, options: SyncOptions | None = None) -> Plan:
    """What `sync` would make of these, told from their headers: takes no network and no decoding.

    Raises:
        LipsyncError: as `sync` for what is wrong with the files, the ranges and the settings.
    """
    media = (options or SyncOptions()).media
    picture, speech = open_picture(Path(video), media), open_voice(Path(voice), media.voice_ranges)
    timeline = plan_timeline(picture.frame_count, speech.duration, picture.fps, media.length_mode)
    return Plan(
        frames=len(timeline),
        fps=picture.fps,
        width=picture.width,
        height=picture.height,
        picture_seconds=0.0 if picture.is_still else float(picture.frame_count / picture.fps),
        voice_seconds=speech.duration,
    )


# --- 1. what was given -------------------------------------------------------------------------


def free_name(video: Path) -> Path:
    """A name for the result: `clip_synced.mp4` beside `clip.*`, numbered where that is taken."""
    candidate = video.with_name(f"{video.stem}_synced.mp4")
    number = 2
    while candidate.exists():
        candidate = video.with_name(f"{video.stem}_synced_{number}.mp4")
        number += 1
    return candidate


def _length_warnings(picture: Picture, speech: Voice, frames: int, options: SyncOptions) -> list[str]:
    """Say what the length mode did, where voice and picture differ by more than a frame."""
    shown, heard = picture.frame_count / picture.fps, speech.duration
    length = frames / picture.fps
    if picture.is_still or abs(shown - heard) * picture.fps <= 1:
        return []
    return [
        f"The picture is {float(shown):.2f} s and the voice {heard:.2f} s; "
        f"the result is {float(length):.2f} s (length mode '{options.media.length_mode}')."
    ]


# --- 2. the generator --------------------------------------------------------------------------


def _choose_weights(
    options: GeneratorOptions, progress: ProgressCallback, cancel: CancelToken
) -> tuple[str, Path]:
    """The variant to use and its checkpoint, which is downloaded if it is not there yet."""
    variant = choose_variant(options.variant)
    return variant, options.weights or require(variant, progress=progress, cancel=cancel)


Loaded: TypeAlias = tuple[LipGenerator, AudioRows, bool]
"""The generator, what it hears in every frame of the result, and whether that is silence."""


def _load_in_background(
    cleanup: ExitStack,
    variant: str,
    weights: Path,
    options: GeneratorOptions,
    speech: Voice,
    picture: Picture,
    frames: int,
    cancel: CancelToken,
    clock: Clock,
) -> Future[Loaded]:
    """Start loading the generator and preparing what it hears."""

    def load() -> Loaded:
        with clock("load"):
            generator = GENERATORS.create(
                variant,
                weights=weights,
                device=choose_device(options.device),
                number_format=options.number_format,
                batch_size=options.batch_size,
            )
        with clock("listen"):
            audio = speech.read(cancel=cancel)
            rows = generator.encode_audio(audio, picture.fps, frames, options.voice_lead)
        return generator, rows, speech.is_silent(audio)

    pool = ThreadPoolExecutor(1, thread_name_prefix="lipsync load")
    # A network that is being read cannot be interrupted: on an error or a cancel, don't wait for it.
    cleanup.callback(pool.shutdown, wait=False, cancel_futures=True)
    return pool.submit(load)


def _wait_for(loading: Future[Loaded], cancel: CancelToken) -> Loaded:
    """The result of the loading, or its error; a cancel does not wait for it."""
    while not loading.done():
        cancel.check("Loading")
        wait([loading], timeout=CancelToken.POLL_SECONDS)
    return loading.result()


def _while_loading_is_well(frames: Iterable[Frame], loading: Future[Loaded]) -> Iterator[Frame]:
    """`frames`, but a checkpoint that cannot be loaded ends the search for faces at once."""
    for frame in frames:
        if loading.done():
            loading.result()
        yield frame


# --- 3. the face -------------------------------------------------------------------------------


def _find_face(
    picture: Picture,
    numbers: IntArray,
    options: SyncOptions,
    loading: Future[Loaded],
    progress: ProgressCallback,
    cancel: CancelToken,
    clock: Clock,
) -> TrackedFaces:
    """The chosen face in the picture frames `numbers` (consecutive), without holding frames."""
    faces, size = options.faces, (picture.width, picture.height)
    if faces.box is not None:
        return TrackedFaces(fixed_box_track(faces.box, len(numbers), size), (), (), 0)
    stage = StageProgress("Finding faces", len(numbers), progress, cancel)
    device = choose_device(options.generator.device)
    with clock("detect"), ExitStack() as cleanup:
        detector = DETECTORS.create(faces.detector, weights=faces.detector_weights, device=device)
        reduced = picture.read(numbers, max_side=faces.detect_size, cancel=cancel)
        frames = cleanup.enter_context(Ahead(reduced, 8, cancel, "look"))
        return track_faces(
            _while_loading_is_well(frames, loading),
            count=len(numbers),
            frame_size=size,
            fps=picture.fps,
            detector=detector,
            options=faces,
            progress=stage,
        )


def _seen_with(here: int, found: TrackedFaces, picture: Picture) -> tuple[SeenFace, ...]:
    """The people of the scene that frame `here` of the looked-at ones is in."""
    scene = bisect_right(found.cuts, here)
    seen = []
    for person in (person for person in found.people if person.scene == scene):
        box = pixel_box(person.box, picture.width, picture.height)
        if box is not None:
            x, y = (box[0] + box[2]) / 2 / picture.width, (box[1] + box[3]) / 2 / picture.height
            seen.append(SeenFace(box, x, y, person.chosen))
    return tuple(seen)


def _no_track(count: int) -> FaceTrack:
    """A track of `count` frames without a face."""
    boxes, points = np.full((count, 4), np.nan, np.float32), np.full((count, 5, 2), np.nan, np.float32)
    return FaceTrack(boxes, points, np.zeros(count, np.float32))


# --- 4. drawing --------------------------------------------------------------------------------


@dataclass
class _Chunk:
    """A few consecutive frames of the result on their way through the stages.

    Attributes:
        frames: n source frames, full size.
        first: number of the first of them in the result.
        boxes: for each its whole-pixel face box; None where the frame passes through.
        points: float32 (n, 5, 2), the face's points in pixels of the frame, NaN where unknown.
        crops: uint8 (m, h, w, 3), of the m frames that have a box.
        mouths: float32 (m, 3, h, w), what the generator drew; empty until it has.
    """

    frames: list[Frame]
    first: int
    boxes: list[PixelBox | None]
    points: FloatArray
    crops: npt.NDArray[np.uint8]
    mouths: FloatArray

    @property
    def with_face(self) -> list[int]:
        """Places in this chunk that have a face."""
        return [place for place, box in enumerate(self.boxes) if box is not None]


def _cut_chunk(
    frames: list[Frame], first: int, shown: list[int], track: FaceTrack, generator: LipGenerator
) -> _Chunk:
    """Cut the face out of every frame that has one; `shown` are the frames' places in `track`."""
    height, width = frames[0].shape[:2]
    present = track.present
    boxes = [pixel_box(track.boxes[n], width, height) if present[n] else None for n in shown]
    size, averaged = generator.spec.crop_size, generator.spec.averaged_crops
    crops = [crop_face(frame, box, size, averaged) for frame, box in zip(frames, boxes, strict=True) if box]
    return _Chunk(
        frames=frames,
        first=first,
        boxes=boxes,
        points=track.points[shown],
        crops=np.stack(crops) if crops else np.empty((0, *size, 3), np.uint8),
        mouths=np.empty((0, 3, *size), np.float32),
    )


def _read_chunks(
    picture: Picture,
    timeline: IntArray,
    track: FaceTrack,
    generator: LipGenerator,
    cancel: CancelToken,
    clock: Clock,
) -> Iterator[_Chunk]:
    """Read the frames of the result in order and cut the faces out of them."""
    size = _chunk_size(picture, generator)
    frames = picture.read(timeline, cancel=cancel)
    for first in range(0, len(timeline), size):
        shown = timeline[first : first + size].tolist()
        with clock("read"):
            batch = list(islice(frames, len(shown)))
        with clock("crop"):
            chunk = _cut_chunk(batch, first, shown, track, generator)
        yield chunk


def _chunk_size(picture: Picture, generator: LipGenerator) -> int:
    """Frames a chunk: a full batch for the generator, unless the frames are large."""
    frame_bytes = picture.width * picture.height * 3
    return max(1, min(generator.batch_size, CHUNK_BYTES // frame_bytes))


def _draw(
    chunks: Iterable[_Chunk], generator: LipGenerator, rows: AudioRows, clock: Clock
) -> Iterator[_Chunk]:
    """Generate a mouth for every face of every chunk."""
    for chunk in chunks:
        if places := chunk.with_face:
            with clock("generate"):
                heard = rows[chunk.first : chunk.first + len(chunk.frames)][places]
                chunk.mouths = generator.generate(chunk.crops, heard)
        yield chunk


def _blend(chunks: Iterable[_Chunk], options: BlendOptions, clock: Clock) -> Iterator[Frame]:
    """Put the mouths back; a frame without a face goes on as it came, the same array."""
    for chunk in chunks:
        mouths = iter(chunk.mouths)
        for frame, box, points in zip(chunk.frames, chunk.boxes, chunk.points, strict=True):
            if box is None:
                yield frame
                continue
            with clock("blend"):
                blended = blend(frame, next(mouths), box, points, options)
            yield blended


# --- 5. the result -----------------------------------------------------------------------------


def _pass_through_warnings(untouched: int, total: int) -> list[str]:
    if not untouched:
        return []
    share = 100 * untouched / total
    return [
        f"{untouched} of {total} frames ({share:.0f} %) have no face to use and passed through unchanged."
    ]
