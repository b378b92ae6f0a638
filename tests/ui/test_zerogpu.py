"""Models in a GPU worker give the same results as local ones, report errors, and end."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.errors import Cancelled, ToolError, WeightsError
from lipsync.generators.batched import BatchedGenerator
from lipsync.media import open_video
from lipsync.options import GeneratorOptions, SyncOptions
from lipsync.pipeline.model_provider import CachedModels, FreshModels
from lipsync.pipeline.sync import sync
from lipsync.progress import CancelToken, Progress
from lipsync.types import AudioClip
from lipsync.ui.background import Done
from lipsync.ui.request import SyncRequest
from lipsync.ui.zerogpu import dispatch
from lipsync.ui.zerogpu.gpu_worker import serve_models
from lipsync.ui.zerogpu.remote_models import RemoteModels
from lipsync.ui.zerogpu.transport import receive, send
from lipsync.weights import require
from tests.material import FACE, make_voice
from tests.ui.fake_spaces import FakeSpaces
from tests.waiting import wait_until

PLAIN = GeneratorOptions(variant="builtin", device="cpu", number_format="fp32", batch_size=4)
OPTIONS = SyncOptions.from_flat(variant="builtin", number_format="fp32", batch_size=4, score=False)
CROPS = np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3), np.uint8)
SILENCE = AudioClip(np.zeros(8000, np.float32))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="ZeroGPU is on Linux only")


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpaces]:
    """ZeroGPU on this machine, with the CPU as its device."""
    fake = FakeSpaces()
    monkeypatch.setitem(sys.modules, "spaces", fake)
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    found = dispatch.find_zero_gpu()
    assert found
    monkeypatch.setattr(dispatch, "ZERO_GPU", replace(found, device="cpu"))
    yield fake
    wait_until(lambda: not any(process.is_alive() for process in fake.started))  # none outlives its job


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


def remote(spaces: FakeSpaces, cancel: CancelToken | None = None) -> RemoteModels:
    decorated = spaces.GPU(duration=lambda address, seconds: seconds)(serve_models)
    return RemoteModels(CachedModels(), decorated, 20, cancel or CancelToken(), device="cpu")


def request(voice: Path) -> SyncRequest:
    return SyncRequest(str(FACE), str(voice), OPTIONS)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 6)).astype(np.float32)


def test_a_run_in_a_gpu_worker_gives_the_same_video(tmp_path: Path, voice: Path, spaces: FakeSpaces) -> None:
    ordinary = sync(FACE, voice, OPTIONS, output=tmp_path / "a.mp4")
    threads = threading.active_count()
    *stages, done = dispatch.run_job(request(voice), tmp_path / "b.mp4", CancelToken(), CachedModels())
    assert isinstance(done, Done)
    assert {news.stage for news in stages if isinstance(news, Progress)} >= {"Finding faces", "Drawing lips"}
    frames = [list(open_video(made.path).read(range(10))) for made in (ordinary, done.value)]
    assert np.array_equal(*frames)
    assert (len(spaces.started), spaces.seconds) == (1, [15])
    wait_until(lambda: threading.active_count() <= threads)


def test_no_worker_starts_before_there_is_something_to_draw(spaces: FakeSpaces) -> None:
    with remote(spaces) as models:
        generator = models.generator("builtin", require("builtin"), PLAIN)
        own = FreshModels().generator("builtin", require("builtin"), PLAIN)
        assert generator.spec == own.spec
        assert not spaces.seconds
        numbers = own.encode_audio(SILENCE, 25, 3)
        np.testing.assert_array_equal(generator.generate(CROPS, numbers), own.generate(CROPS, numbers))
        assert len(generator.generate(CROPS[:0], numbers[:0])) == 0
        assert len(spaces.started) == 1
        assert spaces.started[0].is_alive()
    wait_until(lambda: not spaces.started[0].is_alive())
    assert spaces.started[0].exitcode == 0


def test_a_worker_gets_full_batches() -> None:
    with RemoteModels(CachedModels(), _never, 20, CancelToken()) as models:
        generator = models.generator("builtin", require("builtin"), GeneratorOptions())
        assert generator.batch_size == BatchedGenerator.default_batch_size(torch.device("cuda"))


def _never(_: str, __: int) -> None:
    raise AssertionError("nothing was to be drawn")


def test_bad_weights_are_reported(
    tmp_path: Path, spaces: FakeSpaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(require("builtin").read_bytes())
    with remote(spaces) as models:
        generator = models.generator("builtin", weights, PLAIN)
        weights.write_bytes(b"broken")
        with pytest.raises(WeightsError, match="is cut off, damaged") as error:
            generator.generate(CROPS, rows(3))
    assert error.value.given.startswith(str(weights))


def test_an_unexpected_error_does_not_end_the_worker(spaces: FakeSpaces) -> None:
    with remote(spaces) as models:
        generator = models.generator("builtin", require("builtin"), PLAIN)
        with pytest.raises(RuntimeError, match="do not fit"):
            generator.generate(CROPS[:2], rows(3))
        numbers = generator.encode_audio(SILENCE, 25, 3)[:]
        assert [mouth.shape for mouth in generator.generate(CROPS, numbers)] == [(3, 128, 128)] * 3


def test_a_refused_gpu_is_reported_without_markup(tmp_path: Path, voice: Path, spaces: FakeSpaces) -> None:
    spaces.refuse = "You have exceeded your <a href='x'>GPU quota</a> &amp; must wait"
    with pytest.raises(ToolError, match="exceeded your GPU quota & must wait"):
        list(dispatch.run_job(request(voice), tmp_path / "a.mp4", CancelToken(), CachedModels()))
    assert not list(tmp_path.iterdir())


def test_a_lost_gpu_is_reported(spaces: FakeSpaces) -> None:
    with remote(spaces) as models:
        generator = models.generator("builtin", require("builtin"), PLAIN)
        numbers = generator.encode_audio(SILENCE, 25, 3)[:]
        generator.generate(CROPS, numbers)
        spaces.started[0].kill()
        with pytest.raises(ToolError, match="GPU task aborted"):
            generator.generate(CROPS, numbers)


def test_a_cancel_ends_the_worker(tmp_path: Path, spaces: FakeSpaces) -> None:
    voice, cancel = make_voice(tmp_path / "voice.wav", seconds=4), CancelToken()
    with pytest.raises(Cancelled):
        for news in dispatch.run_job(request(voice), tmp_path / "a.mp4", cancel, CachedModels()):
            if isinstance(news, Progress) and news.stage == "Drawing lips" and news.done:
                cancel.cancel()
    assert [path.name for path in tmp_path.iterdir()] == ["voice.wav"]
    assert len(spaces.started) == 1


def test_a_visitor_who_waits_for_a_gpu_can_cancel() -> None:
    cancel, released = CancelToken(), threading.Event()
    models = RemoteModels(
        CachedModels(), lambda address, _: released.wait(30) and serve_models(address, 0), 20, cancel
    )
    with models, pytest.raises(Cancelled):
        generator = models.generator("builtin", require("builtin"), PLAIN)
        threading.Timer(0.3, cancel.cancel).start()
        generator.generate(CROPS, rows(3))
    released.set()  # the GPU comes too late, and nobody is there


def test_only_arrays_and_json_are_transported() -> None:
    here, there = Pipe()
    send(here, {"kind": "x"}, CROPS, rows(2)[:, ::2], np.empty((0, 4), np.float32))
    header, [crops, numbers, empty] = receive(there)
    assert header == {"kind": "x"}
    np.testing.assert_array_equal(crops, CROPS)
    np.testing.assert_array_equal(numbers, rows(2)[:, ::2])
    assert empty.shape == (0, 4)
    for message in (
        b'{"header": {}, "arrays": [["object", 1]]}',
        b'{"header": {}, "arrays": [["uint8", 99999999999]]}',
        b"\x80\x04.",
    ):
        here.send_bytes(message)
        with pytest.raises(ValueError):
            receive(there)
