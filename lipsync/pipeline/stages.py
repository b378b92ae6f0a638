"""Frame stages of the pipeline, from source frames to result frames in chunks.

    read_chunks -> draw -> blend -> enhance -> upscale

Each is an iterator over chunks; `lipsync.pipeline.sync` puts them in a row and runs each in a thread of its
own. A frame in which nobody speaks goes through all of them as the object that was read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from lipsync.blending import Blender
from lipsync.context import RunContext
from lipsync.devices import ThreadLimit
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.faces import TrackedFaces, crop_face, pixel_box, reduced_size
from lipsync.generators import LipGenerator
from lipsync.media import VideoReader, YuvFrame
from lipsync.options import SyncOptions
from lipsync.pipeline.audio_conditioning import AudioConditioning, SpeakerAudio
from lipsync.pipeline.job import Job
from lipsync.progress import CancelToken
from lipsync.sync_score import with_default_pads
from lipsync.types import FaceTrack, FloatArray, Frame, IntArray, Mask, PixelBox
from lipsync.utils.prefetch import ordered_map

CHUNK_BYTES = 32 * 2**20
"""Full-size frames travel in chunks of about this size; five or six chunks are in flight at once."""


@dataclass(frozen=True, eq=False)
class Speaker:
    """Face track and audio of one speaker.

    Attributes:
        track: the face, one row a video frame.
        cuts: first video frames of the shots after the first.
        audio: what they say, one row a frame of the result.
        score_boxes: float32 (T, 4), the boxes that a `SyncMeter` measures; NaN where there is none.
    """

    track: FaceTrack
    cuts: tuple[int, ...]
    audio: SpeakerAudio
    score_boxes: FloatArray


def make_speakers(
    found: Sequence[TrackedFaces], audio: AudioConditioning, job: Job, options: SyncOptions
) -> tuple[Speaker, ...]:
    """Faces and audio put together, speaker by speaker."""
    size = (job.video.width, job.video.height)
    return tuple(
        Speaker(
            track=faces.track,
            cuts=faces.cuts,
            audio=said,
            score_boxes=with_default_pads(faces.track.boxes, size, options.faces),
        )
        for faces, said in zip(found, audio.speakers, strict=True)
    )


@dataclass(frozen=True, eq=False)
class RenderPlan:
    """Inputs that all frame stages share.

    Attributes:
        video: source of the frames.
        timeline: int64 (T,), the video frame shown in every frame of the result.
        speakers: whose mouths are drawn.
        generator: draws them.
    """

    video: VideoReader
    timeline: IntArray
    speakers: tuple[Speaker, ...]
    generator: LipGenerator


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """One face to draw in one frame.

    Attributes:
        index: of the frame in its chunk.
        speaker: whose face, as an index into the speakers.
        box: the pixels that are cropped and drawn anew.
        points: float32 (5, 2), the face's landmarks in pixels of the frame; NaN where unknown.
        weight: how strongly the drawn mouth shows, above 0 to 1.
    """

    index: int
    speaker: int
    box: PixelBox
    points: FloatArray
    weight: float


@dataclass(eq=False)
class Chunk:
    """A few consecutive frames of the result, filled stage by stage.

    Attributes:
        first: number of the first of them in the result.
        shown: for each frame the number of the video frame it is made of.
        frames: the source's frames, full size; only what a stage needs becomes RGB.
        faces: the faces to draw, speaker by speaker.
        crops: uint8 (m, h, w, 3) RGB, one a face.
        mouths: float32 (m, 3, h, w) in [0, 1], what the generator drew; empty before.
        masks: one a face: where its mouth shows; None where it was left alone after all.
        results: the frames of the result; those that were left alone are the objects in `frames`.
    """

    first: int
    shown: list[int]
    frames: list[YuvFrame]
    faces: list[DrawnFace]
    crops: npt.NDArray[np.uint8]
    mouths: FloatArray
    masks: list[Mask | None] = field(default_factory=list)
    results: list[YuvFrame] = field(default_factory=list)


# --- read and crop -----------------------------------------------------------------------------


def read_chunks(plan: RenderPlan, part: range, context: RunContext) -> Iterator[Chunk]:
    """Frames `part` of the result in order, with the faces cropped."""
    size = chunk_size(plan.video, plan.generator)
    frames = plan.video.read_yuv(plan.timeline[part.start : part.stop], cancel=context.cancel)
    for first in range(part.start, part.stop, size):
        shown = plan.timeline[first : min(first + size, part.stop)].tolist()
        with context.timer("read"):
            batch = list(islice(frames, len(shown)))
        with context.timer("crop"):
            chunk = cut_chunk(batch, first, shown, plan)
        yield chunk


def chunk_size(video: VideoReader, generator: LipGenerator) -> int:
    """Frames a chunk: a full batch for the generator, unless the frames are large."""
    frame_bytes = video.width * video.height * 3 // 2
    return max(1, min(generator.batch_size, CHUNK_BYTES // frame_bytes))


def cut_chunk(frames: list[YuvFrame], first: int, shown: list[int], plan: RenderPlan) -> Chunk:
    """A chunk with the crop of every face that is to be drawn.

    Args:
        frames: the video frames `shown`.
        first: number of the first in the result.
        shown: rows of the speakers' tracks, one a frame.
    """
    width, height = frames[0].width, frames[0].height
    faces = [
        DrawnFace(index, number, box, speaker.track.points[row], float(speaker.audio.weights[first + index]))
        for number, speaker in enumerate(plan.speakers)
        for index, row in enumerate(shown)
        if speaker.audio.weights[first + index] > 0
        if (box := _face_box(speaker, row, width, height)) is not None
    ]
    spec = plan.generator.spec
    pixels = [frames[face.index].to_rgb(face.box) for face in faces]
    crops = [
        crop_face(face, PixelBox(0, 0, face.shape[1], face.shape[0]), spec.crop_size, spec.antialias_crops)
        for face in pixels
    ]
    return Chunk(
        first=first,
        shown=shown,
        frames=frames,
        faces=faces,
        crops=np.stack(crops) if crops else np.empty((0, *spec.crop_size, 3), np.uint8),
        mouths=np.empty((0, 3, *spec.crop_size), np.float32),
    )


def _face_box(speaker: Speaker, row: int, width: int, height: int) -> PixelBox | None:
    """Whole pixels of the speaker's face in one video frame; None where there is none."""
    box = speaker.track.boxes[row]
    return None if np.isnan(box[0]) else pixel_box(box, width, height)


def finished_chunks(
    plan: RenderPlan, results: Iterator[YuvFrame], count: int, cancel: CancelToken
) -> Iterator[Chunk]:
    """The first `count` frames of the result, which are there already, with the source's frames.

    Args:
        results: those frames; upscaled ones are reduced again.
    """
    none = np.empty((0, 1, 1, 3), np.uint8)
    timeline = plan.timeline[:count]
    sources = plan.video.read_yuv(timeline, cancel=cancel)
    for number, (shown, frame, result) in enumerate(zip(timeline.tolist(), sources, results, strict=True)):
        if (result.width, result.height) != (frame.width, frame.height):
            result = result.resized(frame.width, frame.height)
        yield Chunk(number, [shown], [frame], [], none, none.astype(np.float32), [], [result])


# --- draw --------------------------------------------------------------------------------------


def draw(chunks: Iterable[Chunk], plan: RenderPlan, context: RunContext) -> Iterator[Chunk]:
    """Generate the mouth of every face; several chunks at a time, given out in order."""
    generator = plan.generator
    cores = ThreadLimit(shared_by=generator.concurrent_batches)

    def work(chunk: Chunk) -> Chunk:
        if chunk.faces:
            with context.timer("generate"), cores.share():
                chunk.mouths = generator.generate(chunk.crops, _audio_rows(chunk, plan.speakers))
        return chunk

    yield from ordered_map(work, chunks, generator.concurrent_batches, "draw")


def _audio_rows(chunk: Chunk, speakers: Sequence[Speaker]) -> FloatArray:
    """The row of audio features of each face."""
    indices = [
        [face.index for face in chunk.faces if face.speaker == number] for number in range(len(speakers))
    ]
    rows = [
        speaker.audio.rows[chunk.first + np.array(own)]
        for speaker, own in zip(speakers, indices, strict=True)
        if own
    ]
    return np.concatenate(rows)


# --- blend -------------------------------------------------------------------------------------

_MOST_SKIPPED = 2
"""Video frames that a changed frame rate may skip; more is a jump."""


def blend(chunks: Iterable[Chunk], plan: RenderPlan, context: RunContext) -> Iterator[Chunk]:
    """Put the mouths into the frames; smoothing over time begins anew with the first chunk and at jumps."""
    averaged = plan.generator.spec.antialias_crops
    blenders = [Blender(context.options.blend, float(plan.video.fps)) for _ in plan.speakers]
    last: list[tuple[int, int] | None] = [None] * len(plan.speakers)
    for chunk in chunks:
        chunk.results = list(chunk.frames)
        with context.timer("blend"):
            for face, mouth, crop in zip(chunk.faces, chunk.mouths, chunk.crops, strict=True):
                now = (chunk.first + face.index, chunk.shown[face.index])
                chunk.results[face.index], mask = _blend_face(
                    blenders[face.speaker],
                    chunk.results[face.index],
                    face,
                    (mouth, crop if averaged else None),
                    fresh=not _follows(last[face.speaker], now, plan.speakers[face.speaker].cuts),
                )
                chunk.masks.append(mask)
                last[face.speaker] = now
        yield chunk


def _blend_face(
    blender: Blender, frame: YuvFrame, face: DrawnFace, drawn: tuple[FloatArray, Frame | None], fresh: bool
) -> tuple[YuvFrame, Mask | None]:
    """The frame with one mouth in it, and where it shows: `Blender.blend` of the pixels around the box.

    There are some around it unless the frame ends: the mask fades to the one and not to the other.
    """
    mouth, crop = drawn
    window = frame.aligned_box(face.box)
    x, y = window[:2]
    x1, y1, x2, y2 = face.box
    box = PixelBox(x1 - x, y1 - y, x2 - x, y2 - y)
    before = frame.to_rgb(window)
    points = face.points - np.array([x, y], np.float32)
    if fresh:
        blender.reset()
    after, mask = blender.blend(before, mouth, box, points, weight=face.weight, crop=crop)
    if mask is None:
        return frame, None
    return frame.with_region(window, before, after), replace(mask, x=mask.x + x, y=mask.y + y)


def _follows(before: tuple[int, int] | None, now: tuple[int, int], cuts: Sequence[int]) -> bool:
    """Whether a frame is the next one of the same shot; both are numbers in result and video."""
    if before is None or now[0] != before[0] + 1 or abs(now[1] - before[1]) > _MOST_SKIPPED:
        return False
    return bisect_right(cuts, now[1]) == bisect_right(cuts, before[1])


# --- enhance and upscale -----------------------------------------------------------------------


def enhance(
    chunks: Iterable[Chunk], enhancement: FaceEnhancement | None, context: RunContext
) -> Iterator[Chunk]:
    """Enhance the drawn faces, where that is asked for."""
    for chunk in chunks:
        if enhancement is not None and chunk.faces:
            with context.timer("enhance"):
                for number in sorted({face.speaker for face in chunk.faces}):
                    _enhance_speaker(chunk, number, enhancement, context.cancel)
        yield chunk


def _enhance_speaker(chunk: Chunk, number: int, enhancement: FaceEnhancement, cancel: CancelToken) -> None:
    own = [
        (face, mask) for face, mask in zip(chunk.faces, chunk.masks, strict=True) if face.speaker == number
    ]
    indices = [face.index for face, _ in own]
    before = [chunk.results[index].to_rgb() for index in indices]
    enhanced = enhancement.apply(
        before,
        [face.box for face, _ in own],
        np.stack([face.points for face, _ in own]),
        [mask for _, mask in own],
        cancel,
    )
    for index, old, new in zip(indices, before, enhanced, strict=True):
        frame = chunk.results[index]
        whole = PixelBox(0, 0, frame.width, frame.height)
        chunk.results[index] = frame.with_region(whole, old, new)


def upscale(chunk: Chunk, upscaler: Upscaler | None, context: RunContext) -> Iterator[YuvFrame]:
    """The finished frames of a chunk one by one, upscaled where that is asked for."""
    for frame in chunk.results:
        if upscaler is None:
            yield frame
            continue
        with context.timer("upscale"):
            larger = YuvFrame.from_rgb(upscaler.upscale(frame.to_rgb(), context.cancel), frame.color_space)
        yield larger


def reduced(frame: YuvFrame, longest: int = 640) -> Frame:
    """RGB uint8 (H, W, 3) of a frame for display, its longer side at most `longest` pixels."""
    return frame.resized(*reduced_size(frame.width, frame.height, longest)).to_rgb()
