"""What happens between stages: several batches are drawn at once, and come out in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.context import RunContext
from lipsync.devices import ThreadLimit
from lipsync.generators import GeneratorSpec
from lipsync.pipeline.audio_conditioning import SpeakerAudio
from lipsync.pipeline.model_provider import FreshModels
from lipsync.pipeline.stages import Chunk, DrawnFace, RenderPlan, Speaker, draw
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FaceTrack, FloatArray, PixelBox

PATIENCE = 20.0


class Numbers:
    """Draws in every mouth the number of the sound; the first batches wait for each other."""

    spec = GeneratorSpec("numbers", (2, 2), 25, ("fp32",), "", "")
    batch_size = 1

    def __init__(self, concurrent_batches: int, *, fails_at: int = -1) -> None:
        self.concurrent_batches, self._fails_at = concurrent_batches, fails_at
        self._together = threading.Barrier(concurrent_batches)
        self._first_done = threading.Event()
        self.drawn: list[int] = []

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> FloatArray:
        return np.arange(frames, dtype=np.float32)[:, None]

    def generate(self, crops: npt.NDArray[np.uint8], audio_rows: FloatArray) -> FloatArray:
        number = int(audio_rows[0, 0])
        self.drawn.append(number)
        if number == self._fails_at:
            raise RuntimeError("the network broke")
        if number < self.concurrent_batches:
            self._together.wait(PATIENCE)
        if number == 0:  # the others are ready before it
            self._first_done.wait(0.2)
        return np.full((len(crops), 3, 2, 2), number, np.float32)


def speaker(generator: Numbers, frames: int) -> Speaker:
    boxes = np.zeros((frames, 4), np.float32)
    track = FaceTrack(boxes, np.zeros((frames, 5, 2), np.float32), np.ones(frames, np.float32))
    rows = generator.encode_audio(AudioClip(np.zeros(1, np.float32)), 25, frames)
    return Speaker(track, (), SpeakerAudio(rows, np.ones(frames, np.float32)), boxes)


def plan(generator: Numbers, frames: int) -> RenderPlan:
    timeline = np.arange(frames)
    return RenderPlan(None, timeline, (speaker(generator, frames),), generator)  # type: ignore[arg-type]


def chunks(count: int, *, faceless: tuple[int, ...] = ()) -> Iterator[Chunk]:
    for number in range(count):
        faces = [DrawnFace(0, 0, PixelBox(0, 0, 2, 2), np.zeros((5, 2), np.float32), 1.0)]
        shown = [] if number in faceless else faces
        crops = np.zeros((len(shown), 2, 2, 3), np.uint8)
        yield Chunk(number, [number], [], shown, crops, np.empty((0, 3, 2, 2), np.float32))


@pytest.mark.parametrize("concurrent_batches", [1, 3])
def test_batches_are_drawn_at_once_and_come_in_order(concurrent_batches: int) -> None:
    generator = Numbers(concurrent_batches)
    drawn = list(draw(chunks(10, faceless=(5,)), plan(generator, 10), RunContext(FreshModels())))
    assert [chunk.first for chunk in drawn] == list(range(10))
    assert [float(chunk.mouths.max()) for chunk in drawn if chunk.faces] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert not len(drawn[5].mouths)


def test_an_error_in_one_batch_ends_the_stage() -> None:
    generator = Numbers(2, fails_at=4)
    stage = draw(chunks(50), plan(generator, 50), RunContext(FreshModels()))
    seen = []
    with pytest.raises(RuntimeError, match="broke"):
        seen += [chunk.first for chunk in stage]
    assert max(generator.drawn) < 10


def test_what_nobody_waits_for_is_not_drawn() -> None:
    generator = Numbers(2)
    stage = draw(chunks(50), plan(generator, 50), RunContext(FreshModels()))
    assert next(iter(stage)).first == 0
    stage.close()  # type: ignore[attr-defined]
    assert max(generator.drawn) < 6
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync draw")]


def test_cores_are_taken_in_one_thread_only() -> None:
    seen: list[int] = []
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait(PATIENCE)
        seen.append(torch.get_num_threads())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    before = torch.get_num_threads()
    with ThreadLimit(shared_by=before).share():
        seen.append(torch.get_num_threads())
        inside.set()
        done.wait(PATIENCE)
    thread.join()
    assert seen == [1, before]
    assert torch.get_num_threads() == before
