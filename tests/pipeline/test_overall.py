"""One share and one time left for a whole run."""

from __future__ import annotations

import pytest

from lipsync.options import SyncOptions
from lipsync.pipeline.overall import Overall, RunProgress, stage_weights
from lipsync.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def simulated(
    stages: dict[str, float], *, count: int = 1, expected: float | None = None
) -> list[RunProgress]:
    """The reports of a run whose stages take these seconds, ten a stage."""
    clock = Clock()
    overall = Overall({"Finding faces": 25.0, "Drawing lips": 70.0}, count, expected, clock)
    reports = []
    for _ in range(count):
        for stage, seconds in stages.items():
            for done in range(11):
                left = None if done < 2 else seconds * (10 - done) / 10
                reports.append(overall.update(Progress(stage, done, 10, left)))
                clock.now += seconds / 10 if done < 10 else 0
        overall.finish()
    return reports


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("expected", [None, 20.0, 5.0])
def test_the_share_only_rises_and_is_nearly_whole_at_the_end(count: int, expected: float | None) -> None:
    reports = simulated({"Finding faces": 4.0, "Drawing lips": 16.0}, count=count, expected=expected)
    shares = [one.share for one in reports]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 / count + 0.01
    assert shares[-1] == 0.99


def test_the_time_left_is_that_of_the_run() -> None:
    """Of both stages, and of the results that follow."""
    reports = simulated({"Finding faces": 5.0, "Drawing lips": 14.0}, count=2)  # as the weights say
    assert [reports[at].seconds_left for at in (0, 1)] == [None, None]  # nothing is known yet
    assert reports[5].seconds_left == pytest.approx(2.5 + 14 + 19)
    assert reports[16].seconds_left == pytest.approx(7 + 19)
    assert reports[27].seconds_left == pytest.approx(2.5 + 14)
    assert reports[5].share == pytest.approx(2.5 / 38)


def test_past_runs_tell_before_the_first_stage_can() -> None:
    reports = simulated({"Finding faces": 5.0, "Drawing lips": 14.0}, expected=19.0)
    assert reports[0].seconds_left == pytest.approx(19)
    assert reports[1].seconds_left == pytest.approx(18.5)


def test_a_wrong_estimate_gives_way_to_what_is_seen() -> None:
    reports = simulated({"Finding faces": 5.0, "Drawing lips": 14.0}, expected=190.0)
    assert reports[16].seconds_left == pytest.approx(7)


def test_stages_that_are_not_listed_come_before_or_after() -> None:
    overall = Overall({"Finding faces": 25.0, "Drawing lips": 70.0}, 1, 19.0, Clock())
    download = overall.update(Progress("Downloading", 5, 10, 3.0))
    assert download.seconds_left == pytest.approx(22)
    overall.finish()
    assert overall.update(Progress("Side by side", 5, 10, 2.0)).seconds_left == pytest.approx(2)


def test_the_stages_are_those_that_the_settings_ask_for() -> None:
    assert list(stage_weights(SyncOptions())) == ["Finding faces", "Drawing lips"]
    asked = SyncOptions.from_flat(subtitles="file", separate_voice=True)
    assert list(stage_weights(asked)) == [
        "Separating the voice",
        "Finding faces",
        "Drawing lips",
        "Transcribing speech",
    ]
