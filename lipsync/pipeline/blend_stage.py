"""Frame stage that blends the mouths into the frames, several frames at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lipsync.blending import Blender, BlendTurn
from lipsync.context import RunContext
from lipsync.devices import frames_at_a_time
from lipsync.media import YuvFrame
from lipsync.options import BlendOptions
from lipsync.pipeline.stages import Chunk, DrawnFace, RenderPlan
from lipsync.types import FloatArray, Frame, Mask, PixelBox
from lipsync.utils.prefetch import ordered_map

MAX_STEP = 2
"""Largest step in video frames that a changed frame rate causes; a larger one is a jump."""


class BlendState:
    """Blenders of all speakers, and the last frame of each.

    Attributes:
        blenders: one for each speaker.
        previous: the last frame with the speaker's mouth, its numbers in result and video; None at a start.
    """

    def __init__(self, plan: RenderPlan, options: BlendOptions) -> None:
        self.blenders = [Blender(options, float(plan.video.fps)) for _ in plan.speakers]
        self.previous: list[tuple[int, int] | None] = [None] * len(plan.speakers)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that the next frames depend on, as arrays by name."""
        arrays = {"previous": np.array([one or (-1, -1) for one in self.previous], np.int64)}
        for number, blender in enumerate(self.blenders):
            arrays |= {f"{number}.{name}": array for name, array in blender.state.items()}
        return arrays

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on after the frame at which `to_arrays` was called.

        Raises:
            KeyError, ValueError: the arrays are those of another run.
        """
        rows = arrays["previous"].reshape(len(self.previous), 2).tolist()
        self.previous = [(first, second) if first >= 0 else None for first, second in rows]
        for number, blender in enumerate(self.blenders):
            start = f"{number}."
            own = {name[len(start) :]: arrays[name] for name in arrays if name.startswith(start)}
            blender.restore(own)


def blend(
    chunks: Iterable[Chunk],
    plan: RenderPlan,
    context: RunContext,
    state: BlendState | None = None,
    threads: int = 0,
) -> Iterator[Chunk]:
    """Blend the mouths into the frames; temporal smoothing is reset at jumps.

    Frames are blended several at a time and returned in order, the same to the bit as one by one: they wait
    for each other only where something is smoothed. That takes the memory of `threads` + 1 frames that are
    worked on, and of the chunks these belong to.

    Args:
        state: of the frames before, and afterwards of these; by default there are none before.
        threads: frames at a time; 0 is `devices.frames_at_a_time`. With 1, no thread is started.
    """
    antialiased = plan.generator.spec.antialias_crops
    state = state or BlendState(plan, context.options.blend)

    def work(frame: BlendFrame) -> BlendFrame:
        with context.timer("blend"):
            frame.blend(state.blenders, antialiased)
        return frame

    threads = threads or frames_at_a_time()
    frames = (frame for chunk in chunks for frame in _blend_frames(chunk, plan, state))
    for frame in ordered_map(work, frames, threads, "blend") if threads > 1 else map(work, frames):
        if frame.is_last:
            yield frame.chunk


@dataclass(frozen=True, eq=False)
class BlendFrame:
    """Frame of a chunk, with its faces still to be blended.

    Attributes:
        chunk: takes the result.
        faces: numbers of the frame's faces in the chunk, and their turns at the smoothers.
        is_last: whether no other frame of the chunk comes after it.
    """

    chunk: Chunk
    faces: list[tuple[int, BlendTurn]]
    is_last: bool

    def blend(self, blenders: Sequence[Blender], antialiased: bool) -> None:
        """Blend the faces, one upon the other, whatever becomes of earlier frames.

        Args:
            antialiased: whether the chunk's crops are reduced by area averaging.
        """
        chunk = self.chunk
        with ExitStack() as turns:
            for _, turn in self.faces:
                turns.enter_context(turn)
            for number, turn in self.faces:
                face = chunk.faces[number]
                drawn = chunk.mouths[number], chunk.crops[number] if antialiased else None
                chunk.results[face.index], chunk.masks[number] = _blend_face(
                    blenders[face.speaker], chunk.results[face.index], face, drawn, turn
                )


def _blend_frames(chunk: Chunk, plan: RenderPlan, state: BlendState) -> Iterator[BlendFrame]:
    """The frames of a chunk that have faces, at least one; turns are taken in order of time."""
    chunk.results, chunk.masks = list(chunk.frames), [None] * len(chunk.faces)
    of_frame: dict[int, list[int]] = {}
    for number, face in enumerate(chunk.faces):
        of_frame.setdefault(face.index, []).append(number)
    last = max(of_frame, default=-1)
    if not of_frame:
        yield BlendFrame(chunk, [], is_last=True)
    for index in sorted(of_frame):
        current = (chunk.first + index, chunk.shown[index])
        faces = []
        for number in of_frame[index]:
            speaker = chunk.faces[number].speaker
            follows = _follows(state.previous[speaker], current, plan.speakers[speaker].cuts)
            faces.append((number, state.blenders[speaker].turn(reset=not follows)))
            state.previous[speaker] = current
        yield BlendFrame(chunk, faces, is_last=index == last)


def _blend_face(
    blender: Blender,
    frame: YuvFrame,
    face: DrawnFace,
    drawn: tuple[FloatArray, Frame | None],
    turn: BlendTurn,
) -> tuple[YuvFrame, Mask | None]:
    """The frame with one mouth blended in, and its mask in the frame.

    `Blender.blend` gets the box with a margin of a few pixels, less at the frame's border: masks fade out
    towards the box's edges, but not where the frame ends.
    """
    mouth, crop = drawn
    window = frame.aligned_box(face.box)
    x, y = window[:2]
    x1, y1, x2, y2 = face.box
    before = frame.to_rgb(window)
    if face.view is not None:
        view, in_view = face.view.read(before, (x, y)), face.view.points(face.points)
        drawn_view, mask = blender.blend(
            view, mouth, face.view.box, in_view, weight=face.weight, crop=crop, turn=turn
        )
        if mask is None:
            return frame, None
        mask = face.view.mask_in_frame(mask)
        after = face.view.write(before, (x, y), view, drawn_view, mask)
        return frame.with_region(window, before, after), mask
    box = PixelBox(x1 - x, y1 - y, x2 - x, y2 - y)
    points = face.points - np.array([x, y], np.float32)
    after, mask = blender.blend(before, mouth, box, points, weight=face.weight, crop=crop, turn=turn)
    if mask is None:
        return frame, None
    return frame.with_region(window, before, after), replace(mask, x=mask.x + x, y=mask.y + y)


def _follows(previous: tuple[int, int] | None, current: tuple[int, int], cuts: Sequence[int]) -> bool:
    """Whether `current` is the next frame of the same shot; both are numbers in result and video."""
    if previous is None or current[0] != previous[0] + 1 or abs(current[1] - previous[1]) > MAX_STEP:
        return False
    return bisect_right(cuts, current[1]) == bisect_right(cuts, previous[1])
