"""Frames blended in several threads: the same to the bit as one by one, in order, also where one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.blending import Blender, BlendTurn
from lipsync.context import RunContext
from lipsync.devices import frames_at_a_time
from lipsync.errors import Cancelled
from lipsync.media import YuvFrame
from lipsync.media.video.yuv import YuvColorSpace
from lipsync.options import BlendOptions, SyncOptions
from lipsync.pipeline.blend_stage import BlendState, blend
from lipsync.pipeline.model_provider import FreshModels
from lipsync.pipeline.stages import Chunk, DrawnFace, RenderPlan
from lipsync.progress import CancelToken
from lipsync.types import PixelBox
from lipsync.utils.prefetch import Prefetcher
from tests.waiting import wait_until

WIDTH, HEIGHT, CHUNK = 128, 96, 5
COLORS = YuvColorSpace(0.299, 0.114)
CUT = 12


def frame(number: int) -> YuvFrame:
    """A picture in which everything moves a little, and something darkens the mouth for some frames."""
    x, y = np.arange(WIDTH) + number, np.arange(HEIGHT)[:, None]
    rgb = np.stack([120 + 60 * np.sin(x / 9 + y / 7), 90 + 0.5 * y + 0 * x, 60 + 0.4 * (x % 97) + 0 * y], -1)
    if 16 <= number < 20:
        rgb[50:] = 10
    noise = np.random.default_rng(number).normal(0, 3, rgb.shape)
    return YuvFrame.from_rgb(np.clip(rgb + noise, 0, 255).astype(np.uint8), COLORS)


def face(index: int, speaker: int, x: int) -> DrawnFace:
    points = np.array([[18, 20], [42, 20], [30, 32], [22, 44], [38, 44]], np.float32) + np.float32([x, 10])
    return DrawnFace(index, speaker, PixelBox(x, 10, x + 60, 84), points, 1.0 if index else 0.5)


def chunks(count: int) -> Iterator[Chunk]:
    """Two people whose boxes overlap; the second one is absent from some frames, and nobody is in others."""
    random = np.random.default_rng(1)
    for first in range(0, count, CHUNK):
        numbers = list(range(first, min(first + CHUNK, count)))
        faces = [face(n - first, 0, 20 + n % 3) for n in numbers if n % 11 != 7]
        faces += [face(n - first, 1, 50 - n % 2) for n in numbers if n % 11 != 7 and n % 7 != 3]
        mouths = random.uniform(0, 1, (len(faces), 3, 24, 24)).astype(np.float32)
        crops = (255 * mouths.transpose(0, 2, 3, 1) * 0.9).astype(np.uint8)
        yield Chunk(first, numbers, [frame(n) for n in numbers], faces, crops, mouths)


def plan() -> RenderPlan:
    speakers = (SimpleNamespace(cuts=(CUT,)), SimpleNamespace(cuts=(CUT,)))
    generator = SimpleNamespace(spec=SimpleNamespace(antialias_crops=True))
    return cast(
        RenderPlan,
        SimpleNamespace(speakers=speakers, generator=generator, video=SimpleNamespace(fps=Fraction(25))),
    )


def blended(
    threads: int, options: BlendOptions, count: int = 32
) -> tuple[list[Chunk], dict[str, npt.NDArray[Any]]]:
    context, inputs = RunContext(FreshModels(), SyncOptions(blend=options)), plan()
    state = BlendState(inputs, options)
    return list(blend(chunks(count), inputs, context, state, threads)), state.to_arrays()


@pytest.mark.parametrize("mask", ["mouth", "box"])
@pytest.mark.parametrize("kind", ["feather", "multiband"])
def test_several_threads_give_what_one_gives(mask: str, kind: str) -> None:
    options = BlendOptions(mask=mask, blend=kind, occlusion=True, keep_detail=1.0)
    expected, state = blended(1, options)
    changed = [a is not b for chunk in expected for a, b in zip(chunk.frames, chunk.results, strict=True)]
    assert sum(changed) > 15
    for threads in (2, 4):
        found, other = blended(threads, options)
        assert [chunk.first for chunk in found] == [chunk.first for chunk in expected]
        for one, two in zip(expected, found, strict=True):
            for a, b in zip(one.results, two.results, strict=True):
                assert all(np.array_equal(getattr(a, plane), getattr(b, plane)) for plane in "yuv")
            for before, after in zip(one.masks, two.masks, strict=True):
                assert (before is None) == (after is None)
                assert before is None or after is None or np.array_equal(before.alpha, after.alpha)
        assert state.keys() == other.keys()
        assert all(np.array_equal(state[name], other[name]) for name in state)


def test_later_frames_wait_where_colours_are_smoothed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second frame comes to the smoother after the next one."""
    taken: list[int] = []
    came: list[int] = []
    take = Blender.turn

    def counted(self: Blender, reset: bool = False) -> BlendTurn:
        turn, number = take(self, reset), len(taken)
        taken.append(number)
        enter = turn.at

        def at(name: str) -> AbstractContextManager[None]:
            if number % 4 == 0 and number < 24:  # two faces a frame, and each frame has a thread
                wait_until(lambda: any(other >= number + 2 for other in came))
            came.append(number)
            return enter(name)

        monkeypatch.setattr(turn, "at", at)
        return turn

    options = BlendOptions(occlusion=False, keep_detail=0.0)
    expected, _ = blended(1, options)
    monkeypatch.setattr(Blender, "turn", counted)
    found, _ = blended(3, options)
    assert came != sorted(came)
    for one, two in zip(expected, found, strict=True):
        assert all(np.array_equal(a.y, b.y) for a, b in zip(one.results, two.results, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_fault_in_one_frame_reaches_the_reader_after_the_frames_before(threads: int) -> None:
    def faulty() -> Iterator[Chunk]:
        for chunk in chunks(40):
            if chunk.first == 20:
                chunk.mouths = list(chunk.mouths)
                chunk.mouths[1] = np.zeros((1, 24, 24), np.float32)  # no colour
            yield chunk

    seen = []
    with pytest.raises(ValueError, match="non-broadcastable"):
        for chunk in blend(faulty(), plan(), RunContext(FreshModels()), None, threads):
            seen.append(chunk.first)
    assert seen == [0, 5, 10, 15]
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync blend")]


def test_few_frames_are_worked_on_ahead_of_the_reader() -> None:
    read: list[int] = []

    def counted() -> Iterator[Chunk]:
        for chunk in chunks(200):
            read.append(chunk.first)
            yield chunk

    stage = blend(counted(), plan(), RunContext(FreshModels()), None, 4)
    assert next(stage).first == 0
    assert len(read) == 2  # the fifth frame is read when four others are under way
    stage.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync blend")]


def test_cancelling_ends_all_threads() -> None:
    cancel = CancelToken()
    context = RunContext(FreshModels(), cancel=cancel)
    with (
        pytest.raises(Cancelled),
        Prefetcher(blend(chunks(400), plan(), context, None, 3), 1, cancel, "blend") as stage,
    ):
        for chunk in stage:
            if chunk.first == 10:
                cancel.cancel()
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync blend")]


def test_one_thread_for_every_two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {1: 1, 2: 1, 4: 2, 6: 3, 16: 8, 64: 8}
    for cores, threads in wanted.items():
        monkeypatch.setattr("torch.get_num_threads", lambda cores=cores: cores)
        assert frames_at_a_time() == threads
