"""A worker in this process: results, errors, and files that it does not see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.batch.items import BatchItem, BatchSettings, FileMark, plan_items
from lipsync.batch.ray_pool import Resources, _with_files, gpu_share
from lipsync.batch.worker import BatchWorker, Task
from lipsync.errors import Cancelled, InputError, MediaError
from lipsync.media import probe_video
from lipsync.options import SyncOptions
from tests.batch.results import QUICK
from tests.material import FACE, make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.2)


def task(video: Path, voice: Path, output: Path) -> Task:
    marks = tuple(FileMark.of(path) for path in (video, voice))
    return Task(7, BatchItem(video, voice, output), marks)


@pytest.fixture
def marker(tmp_path: Path) -> FileMark:
    path = tmp_path / "marker"
    path.write_bytes(b"here")
    return FileMark.of(path)


def test_a_worker_writes_where_it_sees_the_folder_and_overwrites_nothing(
    voice: Path, tmp_path: Path, marker: FileMark
) -> None:
    worker = BatchWorker(BatchSettings(QUICK), marker, 10**8)
    assert worker.ready().sees_outputs
    given = task(FACE, voice, tmp_path / "face_synced.mp4")
    first, second = worker.make(given).outcome, worker.make(given).outcome
    assert first and first.result and second and second.result
    assert [one.result.path.name for one in (first, second)] == ["face_synced.mp4", "face_synced_2.mp4"]
    assert (first.number, worker.standing().share) == (7, pytest.approx(0.99, abs=0.01))


def test_files_that_a_worker_does_not_see_are_asked_for_and_its_results_sent(
    voice: Path, tmp_path: Path, marker: FileMark
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = make_voice(elsewhere / "said.wav", seconds=0.2)
    given = task(FACE, there, tmp_path / "results" / "face_synced.mp4")
    content = there.read_bytes()
    there.write_bytes(b"another file of that name")
    marker.path.unlink()
    worker = BatchWorker(BatchSettings(QUICK), marker, 10**8)
    assert not worker.ready().sees_outputs
    reply = worker.make(given)
    assert reply.outcome is None and reply.missing == given.marks[1:]
    reply = worker.make(given, reply.missing, content)
    assert reply.outcome and reply.outcome.result and list(reply.files) == ["face_synced.mp4"]
    assert not reply.outcome.result.path.exists()
    kept = _with_files(reply.outcome, given.item, reply.files)
    assert kept.result and kept.result.path == given.item.output
    assert probe_video(given.item.output).frame_count == 5
    reply = BatchWorker(BatchSettings(QUICK), marker, 1000).make(given, given.marks[1:], content)
    assert reply.outcome and isinstance(reply.outcome.error, InputError) and not reply.files
    assert "too large to be sent" in reply.outcome.error.what and "'send_limit'" in reply.outcome.error.hint


def test_errors_and_cancels_come_back_as_they_are(voice: Path, tmp_path: Path, marker: FileMark) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    worker = BatchWorker(BatchSettings(QUICK), marker, 10**8)
    failed = worker.make(task(broken, voice, tmp_path / "out.mp4")).outcome
    assert failed and isinstance(failed.error, MediaError) and failed.error.given == str(broken)
    worker.cancel()
    ended = worker.make(task(FACE, voice, tmp_path / "out.mp4")).outcome
    assert ended and isinstance(ended.error, Cancelled)
    assert not (tmp_path / "out.mp4").exists()


def test_an_error_of_any_kind_is_that_of_its_item(
    voice: Path, tmp_path: Path, marker: FileMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("of torch")

    monkeypatch.setattr("lipsync.batch.worker.run", fails)
    outcome = BatchWorker(BatchSettings(QUICK), marker, 10**8).make(task(FACE, voice, tmp_path / "o.mp4"))
    assert outcome.outcome and "RuntimeError: of torch" in str(outcome.outcome.error)


def test_the_names_of_results_are_free_and_differ(tmp_path: Path) -> None:
    (tmp_path / "face_synced.mp4").touch()
    pairs = [(Path("a/face.jpg"), Path("v")), (Path("b/face.mp4"), Path("v")), (Path("c/x.mp4"), Path("v"))]
    items = plan_items(pairs, tmp_path, "h264")
    names = ["face_synced_2.mp4", "face_synced_3.mp4", "x_synced.mp4"]
    assert [item.output.name for item in items] == names
    assert all(path.is_absolute() for item in items for path in (item.video, item.voice, item.output))


def test_paths_among_the_settings_hold_in_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    given = BatchSettings(SyncOptions.from_flat(weights="model.pth", pad_top=3), Path("cert.pem"))
    sent = given.with_absolute_paths()
    assert sent.options.generator.weights == Path.cwd() / "model.pth"
    assert sent.sign_cert == Path.cwd() / "cert.pem" and sent.sign_key is None
    assert sent.options.faces == given.options.faces


def test_a_file_is_recognised_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(np.arange(200_000, dtype=np.uint8).tobytes())
    mark = FileMark.of(path)
    assert mark.is_here
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not mark.is_here
    path.unlink()
    assert not mark.is_here


@pytest.mark.parametrize(("memory", "workers"), [(2, 1), (4, 1), (12, 3), (24, 6), (80, 8)])
def test_a_gpu_serves_as_many_workers_as_its_memory_holds(memory: int, workers: int) -> None:
    assert gpu_share(memory << 30) == pytest.approx(1 / workers)
    machine = {"CPU": 64.0, "GPU": 2.0, "memory": 256e9}
    assert Resources(1, gpu_share(memory << 30)).fitting(machine) == 2 * workers


def test_the_scarcest_resource_says_how_many_workers_fit() -> None:
    machine = {"CPU": 8.0, "memory": 9e9}
    assert Resources(1, 0).fitting(machine) == 4
    assert Resources(4, 0).fitting(machine) == 2
    assert Resources(16, 0).fitting(machine) == 0
    assert Resources(1, 0.5).fitting(machine) == 0  # no GPU
