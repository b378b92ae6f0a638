"""A batch of the page that is made elsewhere."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from lipsync.batch.items import BatchItem, BatchSettings, Outcome
from lipsync.batch.run import Cluster
from lipsync.batch.worker import UNEXPECTED
from lipsync.errors import Cancelled, InputError, ToolError
from lipsync.pipeline.model_provider import CachedModels
from lipsync.pipeline.overall import RunProgress
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.ui.background import Done
from lipsync.ui.formatting import progress_text
from lipsync.ui.handlers import BatchOutputs, run_batch
from tests.batch.results import QUICK, made


class Elsewhere:
    """A cluster: `answer` says what becomes of an item."""

    def __init__(self, answer: Callable[[int, BatchItem], Outcome]) -> None:
        self.answer = answer

    def make(
        self,
        items: Sequence[BatchItem],
        settings: BatchSettings,
        progress: ProgressCallback,
        cancel: CancelToken,
    ) -> Iterator[Outcome]:
        for number, item in reversed(list(enumerate(items))):  # in any order
            yield self.answer(number, item)
            done = len(items) - number
            progress(RunProgress("Making videos", done, len(items), None, unit="video", share=0.5))


def write(number: int, item: BatchItem) -> Outcome:
    item.output.write_bytes(item.video.name.encode())
    return Outcome(number, made(item.output))


def run(videos: list[str], folder: Path, answer: Callable[[int, BatchItem], Outcome]) -> list[Any]:
    elsewhere = cast(Cluster, Elsewhere(answer))
    return list(run_batch(videos, ["v.wav"], QUICK, folder, CancelToken(), CachedModels(), elsewhere))


def test_results_come_in_the_order_of_the_videos_and_errors_with_their_own(tmp_path: Path) -> None:
    def answer(number: int, item: BatchItem) -> Outcome:
        if number == 1:
            return Outcome(1, error=InputError("No face was found"))
        if number == 2:
            return Outcome(2, error=ToolError(UNEXPECTED, given="OSError: /srv/secret"))
        return write(number, item)

    *reports, done = run(["a/x.mp4", "y.mp4", "z.mp4", "b/x.mp4"], tmp_path, answer)
    outputs = done.value
    assert isinstance(outputs, BatchOutputs)
    assert [(one.video, one.made) for one in outputs.items] == [
        ("x.mp4", True),
        ("y.mp4", False),
        ("z.mp4", False),
        ("x.mp4", True),
    ]
    assert outputs.items[1].notes.startswith("No face was found")
    assert "secret" not in outputs.items[2].notes
    with zipfile.ZipFile(outputs.archive) as archive:
        assert [name for name in archive.namelist() if name.endswith(".mp4")] == [
            "x_synced.mp4",
            "x_synced_2.mp4",
        ]
    assert reports and progress_text(*reports[-1]) == "Making videos · 4 of 4 videos"


def test_a_cancel_keeps_what_was_made(tmp_path: Path) -> None:
    def answer(number: int, item: BatchItem) -> Outcome:
        if number == 0:
            raise Cancelled
        return write(number, item)

    [*_, done] = run(["x.mp4", "y.mp4"], tmp_path, answer)
    assert isinstance(done, Done)
    assert [(one.video, one.made) for one in done.value.items] == [("x.mp4", False), ("y.mp4", True)]


def test_a_batch_of_which_nothing_was_made_is_an_error(tmp_path: Path) -> None:
    def fails(number: int, item: BatchItem) -> Outcome:
        return Outcome(number, error=InputError("broken"))

    def cancelled(number: int, item: BatchItem) -> Outcome:
        raise Cancelled

    with pytest.raises(InputError, match="None of the videos"):
        run(["x.mp4"], tmp_path, fails)
    with pytest.raises(Cancelled):
        run(["x.mp4"], tmp_path, cancelled)
