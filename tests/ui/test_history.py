"""The list of a visit's results: what each was made with, and two of them as one comparison."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from lipsync.options import SyncOptions
from lipsync.types import SyncResult
from lipsync.ui.handlers import RunOutputs
from lipsync.ui.history import departures, history_choices, joined
from lipsync.ui.request import SyncRequest
from lipsync.ui.sessions import MAX_HISTORY, Session


def outputs(folder: Path, options: SyncOptions) -> RunOutputs:
    folder.mkdir(parents=True)
    path = folder / "talk_synced.mp4"
    result = SyncResult(path, 25, 25, Fraction(25), 64, 64, "builtin", {"total": 1.0}, ())
    return RunOutputs((result,), None, folder / "settings.json", None, SyncRequest("a", "b", options))


def test_results_are_listed_with_what_they_were_made_with(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.remember(outputs(tmp_path / "run-1", SyncOptions()))
    session.remember(outputs(tmp_path / "run-2", SyncOptions.from_flat(pad_bottom=12, mask="box")))
    assert history_choices(session) == [
        ("2. talk_synced.mp4 · built-in: small and fast · Pad bottom 12, Mask the whole box", "run-2"),
        ("1. talk_synced.mp4 · built-in: small and fast · default settings", "run-1"),
    ]
    pair = joined(session.history)
    assert len(pair.results) == 2 and joined(session.history[:1]) is session.history[0]


def test_of_many_departures_the_first_are_named() -> None:
    many = SyncOptions.from_flat(pad_bottom=12, pad_top=3, pad_left=1, feather=20, mask_size=1.5)
    assert departures(many).endswith(", +2") and departures(many).count(",") == 3


def test_the_oldest_results_make_room(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for number in range(MAX_HISTORY + 2):
        session.remember(outputs(tmp_path / f"run-{number}", SyncOptions()))
    assert len(session.history) == MAX_HISTORY == len(list(tmp_path.glob("run-*")))
    assert not (tmp_path / "run-0").exists()
