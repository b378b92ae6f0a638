"""A long result whose parts are drawn by several."""

from __future__ import annotations

import pickle
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.context import RunContext
from lipsync.media import probe_audio
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import SyncArguments
from lipsync.pipeline.model_provider import CachedModels
from lipsync.pipeline.shared_parts import PartBoard, part_starts
from lipsync.pipeline.sync import draw_part, run, sync
from lipsync.progress import CancelToken
from tests.batch.results import assert_alike
from tests.material import make_head, make_voice

OPTIONS = SyncOptions.from_flat(
    variant="builtin", device="cpu", codec="ffv1", provenance="none", number_format="fp32"
)


class Helper(threading.Thread):
    """Draws every part that is offered, until it is told to stop.

    What it gets has been through pickle, as on the way to another process.
    """

    def __init__(
        self, board: PartBoard, models: CachedModels, options: SyncOptions, fail: bool = False
    ) -> None:
        super().__init__()
        self.board, self.context, self.fail = board, RunContext(models, options), fail
        self.drawn: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.01):
            number += 1
            task = self.board.claim(str(number))
            if task is None:
                continue
            if not self.fail:
                draw_part(pickle.loads(pickle.dumps(task)), self.context)
                self.drawn.append(task.number)
            self.board.finish(str(number), made=not self.fail)
            if self.fail:
                return


def shared_run(
    head: Path, voice: Path, output: Path, options: SyncOptions, seconds: float, **more: Any
) -> Any:
    board, models = PartBoard(seconds), CachedModels()
    helper = Helper(board, models, options, **more)
    helper.start()
    try:
        given = SyncArguments(video=head, voice=voice, options=options, output=output, overwrite=False)
        return run(given, RunContext(models, options), board), helper.drawn
    finally:
        helper.over.set()
        helper.join()


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A head in two shots with something else in between, and a voice."""
    folder = tmp_path_factory.mktemp("material")
    head = make_head(folder / "head.mp4", parts=(0.9, -0.3, 0.8), size=(160, 120))
    return head, make_voice(folder / "voice.wav", seconds=2)


@pytest.fixture(scope="module")
def plain(material: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sync(*material, OPTIONS, output=tmp_path_factory.mktemp("plain") / "plain.mkv")


def test_parts_of_several_make_the_same_frames_sound_and_score(
    material: tuple[Path, Path], plain: Any, tmp_path: Path
) -> None:
    result, drawn = shared_run(*material, tmp_path / "shared.mkv", OPTIONS, 0.5)
    assert drawn  # at least one by the other
    assert_alike(result.path, plain.path)
    assert probe_audio(result.path).duration == pytest.approx(probe_audio(plain.path).duration, abs=0.001)
    assert (result.frames_synced, result.warnings) == (plain.frames_synced, plain.warnings)
    assert result.score.result.confidence == pytest.approx(
        plain.score.result.confidence, abs=0.1, nan_ok=True
    )
    assert list(tmp_path.iterdir()) == [result.path]


@pytest.mark.slow
def test_a_part_that_another_has_lost_is_drawn_by_the_run(
    material: tuple[Path, Path], plain: Any, tmp_path: Path
) -> None:
    result, drawn = shared_run(*material, tmp_path / "shared.mkv", OPTIONS, 0.5, fail=True)
    assert not drawn
    assert_alike(result.path, plain.path)


@pytest.mark.slow
def test_a_run_that_was_ended_in_the_middle_goes_on_with_the_parts_that_are_there(
    material: tuple[Path, Path], plain: Any, tmp_path: Path
) -> None:
    from lipsync.errors import Cancelled

    output, cancel = tmp_path / "shared.mkv", CancelToken()
    given = SyncArguments(
        video=material[0], voice=material[1], options=OPTIONS, output=output, overwrite=False
    )
    writing = RunContext(
        CachedModels(),
        OPTIONS,
        lambda report: cancel.cancel() if report.stage == "Drawing lips" and report.done > 30 else None,
        cancel,
    )
    with pytest.raises(Cancelled):
        run(given, writing, PartBoard(0.5))
    [folder] = tmp_path.iterdir()
    first = folder / "part00000.mkv"
    before = first.stat().st_mtime_ns
    times = []

    class Watched(PartBoard):
        def open(self, *given: Any) -> None:
            times.append(first.stat().st_mtime_ns)
            super().open(*given)

    result = run(given, RunContext(CachedModels(), OPTIONS), Watched(0.5))
    assert times == [before]
    assert_alike(result.path, plain.path)


@pytest.mark.slow
def test_within_a_shot_there_is_no_seam(tmp_path: Path) -> None:
    head = make_head(tmp_path / "head.mp4", parts=(9,), size=(160, 120))
    voice = make_voice(tmp_path / "voice.wav", seconds=9)
    whole = sync(head, voice, OPTIONS, output=tmp_path / "plain.mkv")
    result, _ = shared_run(head, voice, tmp_path / "shared.mkv", OPTIONS, 2)
    assert_alike(result.path, whole.path)


@pytest.mark.parametrize(
    ("frames_", "shots", "starts"),
    [
        (100, [], [0]),
        (150, [], [0]),
        (151, [], [0, 100]),
        (400, [], [0, 100, 200, 300]),
        (400, [120, 180, 330], [0, 120, 180, 330]),
        (400, [20, 90, 115], [0, 90, 190, 290]),
        (400, [99, 101, 360], [0, 99, 199, 299]),  # 360 would leave less than half a part
    ],
)
def test_parts_begin_with_shots_where_there_are_some(
    frames_: int, shots: list[int], starts: list[int]
) -> None:
    assert part_starts(frames_, np.array(shots, np.int64), 100) == starts


def test_short_results_are_not_cut() -> None:
    board = PartBoard(60)
    assert not board.divides(2999, Fraction(25)) and board.divides(3000, Fraction(25))
