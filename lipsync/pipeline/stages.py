"""Frame stages of the pipeline, from source frames to result frames in chunks.

    read_chunks -> draw -> blend -> enhance -> upscale

Each stage maps an iterator over chunks to another; `lipsync.pipeline.sync` chains them, each in its own
thread. `blend` is in `lipsync.pipeline.blend_stage`. A frame in which no mouth is generated passes through
all stages as the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lipsync.blending import first_row_used, make_mask
from lipsync.context import RunContext
from lipsync.devices import ThreadLimit
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.faces import (
    TrackedFaces,
    UnusedFaces,
    UnusedReason,
    UprightView,
    crop_face,
    pixel_box,
    reduced_size,
    without,
)
from lipsync.generators import LipGenerator, PartialGenerator
from lipsync.media import YuvFrame
from lipsync.options import BlendOptions, SyncOptions
from lipsync.pipeline.audio_conditioning import AudioConditioning, SpeakerAudio
from lipsync.pipeline.job import Job
from lipsync.progress import CancelToken
from lipsync.sync_score import with_default_pads
from lipsync.types import Crops, FaceTrack, FloatArray, Frame, IntArray, Mask, Mouths, PixelBox
from lipsync.utils.prefetch import ordered_map

CHUNK_BYTES = 32 * 2**20
"""Size of a chunk of full-size frames, about; five or six chunks are in memory at once."""


@dataclass(frozen=True, eq=False)
class Speaker:
    """Face track and audio of one speaker.

    Attributes:
        track: the face, one row per video frame.
        cuts: numbers of the first video frames of the shots after the first.
        audio: audio features and mouth weights, one row per frame of the result.
        score_boxes: float32 (T, 4) x1, y1, x2, y2 for `SyncMeter`, with the default pads; NaN without a face.
        unused: video frames with a face that is not drawn, and why.
    """

    track: FaceTrack
    cuts: tuple[int, ...]
    audio: SpeakerAudio
    score_boxes: FloatArray
    unused: tuple[UnusedFaces, ...] = ()


def make_speakers(
    tracked: Sequence[TrackedFaces], audio: AudioConditioning, job: Job, options: SyncOptions
) -> tuple[Speaker, ...]:
    """Combine the face tracks and the audio of each speaker."""
    size = (job.video.width, job.video.height)
    return tuple(
        Speaker(
            track=track,
            cuts=faces.cuts,
            audio=speaker_audio,
            score_boxes=with_default_pads(track.boxes, size, options.faces, track.points),
            unused=unused,
        )
        for faces, speaker_audio in zip(tracked, audio.speakers, strict=True)
        for track, unused in [_track_to_draw(faces, options.blend)]
    )


def _track_to_draw(faces: TrackedFaces, options: BlendOptions) -> tuple[FaceTrack, tuple[UnusedFaces, ...]]:
    """The track, without covered mouths where these are to be left alone, and all unused faces."""
    if options.occlusion and options.mask != "box":
        return without(faces.track, faces.unused), faces.unused
    unused = tuple(one for one in faces.unused if one.reason is not UnusedReason.COVERED)
    return faces.track, unused


class FrameSource(Protocol):
    """What the frame stages need of a `VideoReader`."""

    width: int
    height: int
    fps: Fraction

    def read_yuv(self, indices: npt.ArrayLike, *, cancel: CancelToken | None = None) -> Iterator[YuvFrame]:
        """As `VideoReader.read_yuv`."""
        ...


@dataclass(frozen=True, eq=False)
class RenderPlan:
    """Inputs that all frame stages share.

    Attributes:
        video: reader of the source frames.
        timeline: int64 (T,), the video frame shown in each frame of the result.
        speakers: all speakers.
        generator: the lip generator.
    """

    video: FrameSource
    timeline: IntArray
    speakers: tuple[Speaker, ...]
    generator: LipGenerator


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """Face to render in one frame.

    Attributes:
        index: index of the frame in its chunk.
        speaker: index of the speaker.
        box: the crop for the generator; of a tilted face, the rectangle around its upright view.
        points: float32 (5, 2) landmarks in pixels of the frame; NaN where unknown.
        weight: opacity of the generated mouth, in (0, 1].
        view: in which a tilted face is drawn; None for an upright one.
    """

    index: int
    speaker: int
    box: PixelBox
    points: FloatArray
    weight: float
    view: UprightView | None = None


@dataclass(eq=False)
class Chunk:
    """A few consecutive frames of the result, filled stage by stage.

    Attributes:
        first: number of the first frame in the result.
        shown: number of the video frame behind each frame.
        frames: the source frames at full size.
        faces: the m faces to render, ordered by speaker.
        crops: RGB uint8, one per face, as large as the generator takes them.
        mouths: float32 in [0, 1], the generator's output, as large as the crops; empty before `draw`.
        masks: alpha mask of each face's mouth; None where nothing of it shows.
        results: the frames of the result; unchanged ones are the objects in `frames`.
    """

    first: int
    shown: list[int]
    frames: list[YuvFrame]
    faces: list[DrawnFace]
    crops: Crops
    mouths: Mouths
    masks: list[Mask | None] = field(default_factory=list)
    results: list[YuvFrame] = field(default_factory=list)


# --- read and crop -----------------------------------------------------------------------------


def read_chunks(plan: RenderPlan, part: range, context: RunContext) -> Iterator[Chunk]:
    """Read the frames `part` of the result, in order, and crop the faces."""
    size = chunk_size(plan.video, plan.generator)
    frames = plan.video.read_yuv(plan.timeline[part.start : part.stop], cancel=context.cancel)
    for first in range(part.start, part.stop, size):
        shown = plan.timeline[first : min(first + size, part.stop)].tolist()
        with context.timer("read"):
            batch = list(islice(frames, len(shown)))
        with context.timer("crop"):
            chunk = make_chunk(batch, first, shown, plan)
        yield chunk


def chunk_size(video: FrameSource, generator: LipGenerator) -> int:
    """Frames per chunk: the generator's batch size, or fewer if `CHUNK_BYTES` holds fewer."""
    frame_bytes = video.width * video.height * 3 // 2
    return max(1, min(generator.batch_size, CHUNK_BYTES // frame_bytes))


def make_chunk(frames: list[YuvFrame], first: int, shown: list[int], plan: RenderPlan) -> Chunk:
    """A chunk of source frames with the crops of all faces to render.

    Args:
        frames: the source frames.
        first: number of the first one in the result.
        shown: row of the speakers' tracks for each frame.
    """
    size = frames[0].width, frames[0].height
    faces = [
        _drawn_face(speaker.track, row, size, (index, number, float(speaker.audio.weights[first + index])))
        for number, speaker in enumerate(plan.speakers)
        for index, row in enumerate(shown)
        if speaker.audio.weights[first + index] > 0 and speaker.track.present[row]
    ]
    spec = plan.generator.spec
    pixels = [_face_pixels(frames[face.index], face) for face in faces]
    crops = [
        crop_face(
            face,
            PixelBox(0, 0, face.shape[1], face.shape[0]),
            spec.size_for(*face.shape[:2]),
            spec.antialias_crops,
        )
        for face in pixels
    ]
    stacked = spec.crop_size is not None and bool(crops)
    return Chunk(first, shown, frames, faces, np.stack(crops) if stacked else crops, [])


def _drawn_face(
    track: FaceTrack, row: int, frame_size: tuple[int, int], drawing: tuple[int, int, float]
) -> DrawnFace:
    """The face in one video frame; `drawing` is index in the chunk, speaker and weight."""
    box, points = track.boxes[row], track.points[row]
    index, speaker, weight = drawing
    view = UprightView.of(box, points, frame_size)
    in_frame = view.bounds if view else pixel_box(box, *frame_size)
    return DrawnFace(index, speaker, in_frame, points, weight, view)


def _face_pixels(frame: YuvFrame, face: DrawnFace) -> Frame:
    """The face's box, upright, RGB uint8 (h, w, 3)."""
    pixels = frame.to_rgb(face.box)
    return face.view.crop(pixels, face.box[:2]) if face.view else pixels


def face_mask(frame: Frame, face: DrawnFace, options: BlendOptions) -> Mask:
    """Mask of a face in a frame, as `make_mask`, rotated with a tilted face."""
    if face.view is None:
        return make_mask(frame, face.box, face.points, options)
    view = face.view.read(frame, (0, 0))
    mask = make_mask(view, face.view.box, face.view.points(face.points), options)
    return face.view.mask_in_frame(mask)


def finished_chunks(
    plan: RenderPlan, results: Iterator[YuvFrame], part: range, cancel: CancelToken
) -> Iterator[Chunk]:
    """Chunks of frames that an earlier run has made; for scoring.

    Args:
        results: the frames of `part`; upscaled ones are reduced to the source's size.
    """
    timeline = plan.timeline[part.start : part.stop]
    sources = plan.video.read_yuv(timeline, cancel=cancel)
    for number, shown, frame, result in zip(part, timeline.tolist(), sources, results, strict=True):
        if (result.width, result.height) != (frame.width, frame.height):
            result = result.resized(frame.width, frame.height)
        yield Chunk(number, [shown], [frame], [], [], [], [], [result])


# --- draw --------------------------------------------------------------------------------------


def draw(chunks: Iterable[Chunk], plan: RenderPlan, context: RunContext) -> Iterator[Chunk]:
    """Generate the mouth of every face; several chunks concurrently, returned in order."""
    generator = plan.generator
    cores = ThreadLimit(shared_by=generator.concurrent_batches)

    def work(chunk: Chunk) -> Chunk:
        if chunk.faces:
            rows = _audio_rows(chunk, plan.speakers)
            with context.timer("generate"), cores.share():
                if isinstance(generator, PartialGenerator):
                    first = _first_row_used(chunk, context.options.blend)
                    chunk.mouths = generator.generate_below(first, chunk.crops, rows)
                else:
                    chunk.mouths = generator.generate(chunk.crops, rows)
        return chunk

    yield from ordered_map(work, chunks, generator.concurrent_batches, "draw")


def _first_row_used(chunk: Chunk, options: BlendOptions) -> int:
    """First row of the generated crops that any face's mask needs."""
    return min(
        first_row_used(face.view.points(face.points), face.view.box, len(crop), options)
        if face.view
        else first_row_used(face.points, face.box, len(crop), options)
        for face, crop in zip(chunk.faces, chunk.crops, strict=True)
    )


def _audio_rows(chunk: Chunk, speakers: Sequence[Speaker]) -> FloatArray:
    """Audio features of each face, float32 (m, ...)."""
    frames_by_speaker = [
        [face.index for face in chunk.faces if face.speaker == number] for number in range(len(speakers))
    ]
    rows = [
        speaker.audio.rows[chunk.first + np.array(indices)]
        for speaker, indices in zip(speakers, frames_by_speaker, strict=True)
        if indices
    ]
    return np.concatenate(rows)


# --- enhance and upscale -----------------------------------------------------------------------


def enhance(
    chunks: Iterable[Chunk], enhancement: FaceEnhancement | None, context: RunContext
) -> Iterator[Chunk]:
    """Enhance the generated faces, if `enhancement` is given."""
    for chunk in chunks:
        if enhancement is not None and chunk.faces:
            with context.timer("enhance"):
                for number in sorted({face.speaker for face in chunk.faces}):
                    _enhance_speaker(chunk, number, enhancement, context.cancel)
        yield chunk


def _enhance_speaker(chunk: Chunk, number: int, enhancement: FaceEnhancement, cancel: CancelToken) -> None:
    masked_faces = [
        (face, mask) for face, mask in zip(chunk.faces, chunk.masks, strict=True) if face.speaker == number
    ]
    indices = [face.index for face, _ in masked_faces]
    before = [chunk.results[index].to_rgb() for index in indices]
    enhanced = enhancement.apply(
        before,
        [face.box for face, _ in masked_faces],
        np.stack([face.points for face, _ in masked_faces]),
        [mask for _, mask in masked_faces],
        cancel,
    )
    for index, old, new in zip(indices, before, enhanced, strict=True):
        frame = chunk.results[index]
        whole = PixelBox(0, 0, frame.width, frame.height)
        chunk.results[index] = frame.with_region(whole, old, new)


def upscale(chunk: Chunk, upscaler: Upscaler | None, context: RunContext) -> Iterator[YuvFrame]:
    """The finished frames of a chunk, upscaled if `upscaler` is given."""
    for frame in chunk.results:
        if upscaler is None:
            yield frame
            continue
        with context.timer("upscale"):
            larger = YuvFrame.from_rgb(upscaler.upscale(frame.to_rgb(), context.cancel), frame.color_space)
        yield larger


def reduced(frame: YuvFrame, longest: int = 640) -> Frame:
    """The frame as RGB uint8 (H, W, 3) for display, its longer side at most `longest` pixels."""
    return frame.resized(*reduced_size(frame.width, frame.height, longest)).to_rgb()
