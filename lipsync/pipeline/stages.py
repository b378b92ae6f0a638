"""The stages that frames pass through on their way from the source to the result, a few at a time.

Each is an iterator over chunks; `lipsync.pipeline.sync` puts them in a row and lets each run in a thread of
its own. A frame that nobody speaks in goes through all of them as the array that was read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice

import numpy as np
import numpy.typing as npt

from lipsync.blending import Blender
from lipsync.devices import ThreadLimit
from lipsync.enhancers import FaceEnhancement, Upscaler
from lipsync.faces import crop_face, pixel_box, reduced_size
from lipsync.generators import AudioRows, LipGenerator
from lipsync.media import VideoReader, YuvFrame
from lipsync.options import BlendOptions
from lipsync.progress import CancelToken
from lipsync.sync_score import SyncMeter
from lipsync.types import FaceTrack, FloatArray, Frame, IntArray, Mask, PixelBox
from lipsync.utils.prefetch import StageTimer, ordered_map

CHUNK_BYTES = 32 * 2**20
"""Full-size frames travel in chunks of about this size; five or six chunks are under way at once."""


@dataclass(frozen=True, eq=False)
class Speaker:
    """A person who speaks, and what they say.

    Attributes:
        track: their face, one row a picture frame.
        cuts: first picture frames of the scenes after the first.
        rows: what the generator hears, one row a frame of the result.
        weights: float32, one a frame of the result: how strongly the drawn mouth shows; 0 is not drawn.
        judged: float32 (T, 4), the boxes in which a `SyncMeter` looks at them; NaN where there is none.
    """

    track: FaceTrack
    cuts: tuple[int, ...]
    rows: AudioRows
    weights: FloatArray
    judged: FloatArray


@dataclass(frozen=True, eq=False)
class Part:
    """One face in one frame.

    Attributes:
        place: the frame's place in its chunk.
        speaker: whose face, as a place among the speakers.
        box: the pixels that are cut out and drawn anew.
        points: float32 (5, 2), the face's points in pixels of the frame; NaN where unknown.
        weight: how strongly the drawn mouth shows, above 0 to 1.
    """

    place: int
    speaker: int
    box: PixelBox
    points: FloatArray
    weight: float


@dataclass(eq=False)
class Chunk:
    """A few consecutive frames of the result.

    Attributes:
        first: number of the first of them in the result.
        shown: for each frame the number of the picture frame it is made of.
        frames: the source's frames, full size; only what a stage looks at becomes RGB.
        parts: the faces to draw, speaker by speaker.
        crops: uint8 (m, h, w, 3), the face of each part.
        mouths: float32 (m, 3, h, w), what the generator drew; empty until it has.
        masks: for each part where its mouth shows; None where it was left alone after all.
        results: the frames of the result, those that were left alone the same arrays as in `frames`.
    """

    first: int
    shown: list[int]
    frames: list[YuvFrame]
    parts: list[Part]
    crops: npt.NDArray[np.uint8]
    mouths: FloatArray
    masks: list[Mask | None] = field(default_factory=list)
    results: list[YuvFrame] = field(default_factory=list)


def cut_chunk(
    frames: list[YuvFrame], first: int, shown: list[int], speakers: Sequence[Speaker], generator: LipGenerator
) -> Chunk:
    """Cut out every face that is to be drawn.

    Args:
        frames: the picture frames `shown`.
        first: number of the first in the result.
    """
    width, height = frames[0].width, frames[0].height
    parts = [
        Part(place, number, box, speaker.track.points[picture], float(speaker.weights[first + place]))
        for number, speaker in enumerate(speakers)
        for place, picture in enumerate(shown)
        if speaker.weights[first + place] > 0
        if (box := face_box(speaker, picture, width, height)) is not None
    ]
    size, averaged = generator.spec.crop_size, generator.spec.antialias_crops
    faces = [frames[part.place].to_rgb(part.box) for part in parts]
    crops = [crop_face(face, (0, 0, face.shape[1], face.shape[0]), size, averaged) for face in faces]
    return Chunk(
        first=first,
        shown=shown,
        frames=frames,
        parts=parts,
        crops=np.stack(crops) if crops else np.empty((0, *size, 3), np.uint8),
        mouths=np.empty((0, 3, *size), np.float32),
    )


def face_box(speaker: Speaker, picture: int, width: int, height: int) -> PixelBox | None:
    """Whole pixels of the speaker's face in one picture frame; None where there is none."""
    box = speaker.track.boxes[picture]
    return None if np.isnan(box[0]) else pixel_box(box, width, height)


def read_chunks(
    picture: VideoReader,
    timeline: IntArray,
    speakers: Sequence[Speaker],
    generator: LipGenerator,
    cancel: CancelToken,
    timer: StageTimer,
    begin: int = 0,
    part_frames: int = 0,
) -> Iterator[Chunk]:
    """Read the frames of the result in order and cut the faces out of them.

    Args:
        begin: the frame to begin with.
        part_frames: no chunk reaches over a multiple of this, so that a job which goes on from there
            gives the networks the same batches; 0 for no such limit.
    """
    size = chunk_size(picture, generator)
    frames = picture.read_yuv(timeline[begin:], cancel=cancel)
    first = begin
    while first < len(timeline):
        stop = first + size
        if part_frames:
            stop = min(stop, (first // part_frames + 1) * part_frames)
        shown = timeline[first:stop].tolist()
        with timer("read"):
            batch = list(islice(frames, len(shown)))
        with timer("crop"):
            chunk = cut_chunk(batch, first, shown, speakers, generator)
        yield chunk
        first += len(shown)


def earlier_chunks(
    results: Iterator[YuvFrame], picture: VideoReader, timeline: IntArray, cancel: CancelToken
) -> Iterator[Chunk]:
    """What an earlier try has finished, with the source's frames, for those who look at all of it.

    Args:
        results: the finished frames, one for each of `timeline`; enlarged ones are reduced again.
    """
    none = np.empty((0, 1, 1, 3), np.uint8)
    sources = picture.read_yuv(timeline, cancel=cancel)
    for number, (shown, frame, result) in enumerate(zip(timeline.tolist(), sources, results, strict=True)):
        if (result.width, result.height) != (frame.width, frame.height):
            result = result.resized(frame.width, frame.height)
        yield Chunk(number, [shown], [frame], [], none, none.astype(np.float32), [], [result])


def chunk_size(picture: VideoReader, generator: LipGenerator) -> int:
    """Frames a chunk: a full batch for the generator, unless the frames are large."""
    frame_bytes = picture.width * picture.height * 3 // 2
    return max(1, min(generator.batch_size, CHUNK_BYTES // frame_bytes))


def draw(
    chunks: Iterable[Chunk], speakers: Sequence[Speaker], generator: LipGenerator, timer: StageTimer
) -> Iterator[Chunk]:
    """Generate a mouth for every part; several chunks at a time, given out in order."""
    cores = ThreadLimit(shared_by=generator.concurrent_batches)

    def work(chunk: Chunk) -> Chunk:
        if chunk.parts:
            with timer("generate"), cores.share():
                chunk.mouths = generator.generate(chunk.crops, _heard(chunk, speakers))
        return chunk

    yield from ordered_map(work, chunks, generator.concurrent_batches, "draw")


def _heard(chunk: Chunk, speakers: Sequence[Speaker]) -> FloatArray:
    """The row of sound of each part."""
    places = [
        [part.place for part in chunk.parts if part.speaker == number] for number in range(len(speakers))
    ]
    rows = [
        speaker.rows[chunk.first + np.array(own)]
        for speaker, own in zip(speakers, places, strict=True)
        if own
    ]
    return np.concatenate(rows)


def blend(
    chunks: Iterable[Chunk],
    speakers: Sequence[Speaker],
    options: BlendOptions,
    fps: Fraction,
    averaged: bool,
    timer: StageTimer,
    part_frames: int = 0,
) -> Iterator[Chunk]:
    """Put the mouths into the frames.

    Args:
        averaged: the crops are the boxes averaged down, see `GeneratorSpec`.
        part_frames: what is smoothed over time begins anew at multiples of this; 0 for never.
    """
    blenders = [Blender(options, float(fps)) for _ in speakers]
    last: list[tuple[int, int] | None] = [None] * len(speakers)
    for chunk in chunks:
        chunk.results = list(chunk.frames)
        with timer("blend"):
            for part, mouth, crop in zip(chunk.parts, chunk.mouths, chunk.crops, strict=True):
                now = (chunk.first + part.place, chunk.shown[part.place])
                follows = _follows(last[part.speaker], now, speakers[part.speaker].cuts)
                fresh = not follows or (part_frames > 0 and now[0] % part_frames == 0)
                chunk.results[part.place], mask = _blend_part(
                    blenders[part.speaker],
                    chunk.results[part.place],
                    part,
                    mouth,
                    crop if averaged else None,
                    fresh,
                )
                chunk.masks.append(mask)
                last[part.speaker] = now
        yield chunk


def _blend_part(
    blender: Blender, frame: YuvFrame, part: Part, mouth: FloatArray, crop: Frame | None, fresh: bool
) -> tuple[YuvFrame, Mask | None]:
    """The frame with one mouth in it, and where it shows: `Blender.blend` of the pixels around the box.

    There are some around it unless the picture ends: the mask fades to the one and not to the other.
    """
    around = frame.aligned_box(part.box)
    x, y = around.x1, around.y1
    x1, y1, x2, y2 = part.box
    box = PixelBox(x1 - x, y1 - y, x2 - x, y2 - y)
    before = frame.to_rgb(around)
    points = part.points - np.array([x, y], np.float32)
    after, mask = blender.blend(
        before, mouth, box, points, weight=part.weight, discontinuity=fresh, crop=crop
    )
    if mask is None:
        return frame, None
    return frame.with_region(around, before, after), replace(mask, x=mask.x + x, y=mask.y + y)


def _follows(before: tuple[int, int] | None, now: tuple[int, int], cuts: Sequence[int]) -> bool:
    """Whether a frame is the next one of the same scene; both are numbers in result and picture."""
    if before is None or now[0] != before[0] + 1 or abs(now[1] - before[1]) > _STEP:
        return False
    return bisect_right(cuts, now[1]) == bisect_right(cuts, before[1])


_STEP = 2
"""Picture frames that a changed rate may skip; more is a jump."""


def enhance(
    chunks: Iterable[Chunk],
    enhancement: FaceEnhancement | None,
    cancel: CancelToken,
    timer: StageTimer,
) -> Iterator[Chunk]:
    """Sharpen the drawn faces."""
    for chunk in chunks:
        if enhancement is not None and chunk.parts:
            with timer("enhance"):
                for number in sorted({part.speaker for part in chunk.parts}):
                    _enhance_speaker(chunk, number, enhancement, cancel)
        yield chunk


def _enhance_speaker(chunk: Chunk, number: int, enhancement: FaceEnhancement, cancel: CancelToken) -> None:
    mine = [
        (part, mask) for part, mask in zip(chunk.parts, chunk.masks, strict=True) if part.speaker == number
    ]
    places = [part.place for part, _ in mine]
    before = [chunk.results[place].to_rgb() for place in places]
    enhanced = enhancement.apply(
        before,
        [part.box for part, _ in mine],
        np.stack([part.points for part, _ in mine]),
        [mask for _, mask in mine],
        cancel,
    )
    for place, old, new in zip(places, before, enhanced, strict=True):
        frame = chunk.results[place]
        chunk.results[place] = frame.with_region(PixelBox(0, 0, frame.width, frame.height), old, new)


def measure(
    chunks: Iterable[Chunk],
    speakers: Sequence[Speaker],
    of_result: SyncMeter | None,
    of_source: SyncMeter | None,
    fps: Fraction,
    timer: StageTimer,
) -> Iterator[Chunk]:
    """Show the meters who speaks: in the result, and in the source as far as it runs forward.

    Args:
        of_result: hears all speakers of the result.
        of_source: hears the sound of the source, from its first picture frame on.
    """
    if of_result is None and of_source is None:
        yield from chunks
        return
    newest, before = -1, -1
    cores = ThreadLimit()
    for chunk in chunks:
        # A small network on all cores would be in the generator's way.
        with timer("measure"), cores.limit(1):
            for place, (shown, frame, result) in enumerate(
                zip(chunk.shown, chunk.frames, chunk.results, strict=True)
            ):
                number = chunk.first + place
                now = _who_speaks(speakers, number, shown)
                if of_result is not None:
                    # One frame is left out where another person goes on: no window may hold both.
                    same = now if now == before else -1
                    of_result.update(float(number / fps), result, _judged(speakers, same, shown))
                if of_source is not None and shown > newest:
                    of_source.update(float(shown / fps), frame, _judged(speakers, now, shown))
                    newest = shown
                before = now
        yield chunk


def _who_speaks(speakers: Sequence[Speaker], number: int, shown: int) -> int:
    """Place of the one whose mouth is to be looked at in frame `number`; -1 where there is none.

    Who speaks alone is looked at in pauses too: lips that move there are a fault.
    """
    for place, speaker in enumerate(speakers):
        looked_at = len(speakers) == 1 or speaker.weights[number] > 0
        if looked_at and not np.isnan(speaker.track.boxes[shown, 0]):
            return place
    return -1


def _judged(speakers: Sequence[Speaker], who: int, shown: int) -> FloatArray | None:
    return None if who < 0 else speakers[who].judged[shown]


def results(
    chunks: Iterable[Chunk], begin: int, upscaler: Upscaler | None, cancel: CancelToken, timer: StageTimer
) -> Iterator[YuvFrame]:
    """The finished frames from number `begin` on, one by one, enlarged where that is asked for."""
    for chunk in chunks:
        if chunk.first < begin:
            continue
        for frame in chunk.results:
            if upscaler is None:
                yield frame
                continue
            with timer("upscale"):
                larger = YuvFrame.from_rgb(upscaler.upscale(frame.to_rgb(), cancel), frame.color_space)
            yield larger


def reduced(frame: YuvFrame, longest: int = 640) -> Frame:
    """A picture to look at, RGB, its longer side at most `longest` pixels."""
    return frame.resized(*reduced_size(frame.width, frame.height, longest)).to_rgb()
