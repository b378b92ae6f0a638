"""Visitors share nothing, and their files are removed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lipsync.ui import build_page
from lipsync.ui.sessions import STALE_SECONDS, Sessions
from tests.waiting import wait_until


def upload(root: Path, name: str) -> Path:
    path = root / name / "clip.mp4"
    path.parent.mkdir()
    path.write_text(name)
    return path


def test_each_visitor_has_a_folder_and_tokens_of_their_own(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    one, other = sessions.get("one"), sessions.get("other")
    assert sessions.get("one") is one
    assert not one.job_folder("run").path.is_relative_to(other.folder)
    mine, theirs = one.start("run"), other.start("run")
    one.cancel("run")
    assert (mine.cancelled, theirs.cancelled) == (True, False)


def test_new_work_ends_the_old_of_its_kind_only(tmp_path: Path) -> None:
    session = Sessions(tmp_path).get("one")
    run, preview = session.start("run"), session.start("preview")
    session.start("preview")
    assert (run.cancelled, preview.cancelled) == (False, True)


def test_a_visitor_who_leaves_is_forgotten(tmp_path: Path) -> None:
    mine, shared, sample = (upload(tmp_path, name) for name in ("mine", "shared", "sample"))
    sessions = Sessions(tmp_path, protected=[str(sample)], grace=0)
    session = sessions.get("one", str(mine), str(shared), str(sample), None)
    sessions.get("other", str(shared))
    (session.job_folder("run").path / "result.mp4").write_text("made")
    token = session.start("run")
    sessions.end("one")
    assert token.cancelled
    wait_until(lambda: not session.folder.exists() and not mine.exists())
    assert shared.exists()  # the other visitor brought the same file
    assert sample.exists()  # the page's own


class ByHand(threading.Timer):
    """Waits until its function is called."""

    def start(self) -> None:
        """Measures no time."""


def test_a_connection_that_was_lost_for_a_moment_loses_nothing(tmp_path: Path) -> None:
    waiting: list[ByHand] = []

    def timer(*args: Any) -> ByHand:
        waiting.append(ByHand(*args))
        return waiting[-1]

    sessions = Sessions(tmp_path, timer=timer)
    session = sessions.get("one")
    kept = session.job_folder("run").path
    sessions.end("one")
    assert sessions.get("one") is session
    (left,) = waiting
    assert left.finished.is_set()
    left.function(*left.args)  # though it be too late to call it off
    assert kept.exists()
    sessions.end("one")
    waiting[1].function(*waiting[1].args)
    assert not kept.exists()


def test_an_inactive_visitor_is_removed_after_a_day(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, grace=0)
    session = sessions.get("one")
    session.job_folder("run")
    session.last_active -= STALE_SECONDS + 1
    sessions.get("other")
    wait_until(lambda: not session.folder.exists())


def test_clients_without_a_session_hash_share_nothing(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    token = sessions.get(None).start("api")
    sessions.get(None).start("api")
    assert not token.cancelled


def test_files_outside_are_never_removed(tmp_path: Path) -> None:
    outside = upload(tmp_path, "outside")
    root = tmp_path / "root"
    sessions = Sessions(root, grace=0)
    session = sessions.get("one", str(outside))
    session.job_folder("run")
    sessions.end("one")
    wait_until(lambda: not session.folder.exists())
    assert outside.exists()


def test_leftovers_of_a_killed_server_are_removed_by_age(tmp_path: Path) -> None:
    old, young = tmp_path / "visits-old", tmp_path / "visits-young"
    for folder in (old, young):
        folder.mkdir()
    then = time.time() - STALE_SECONDS - 60
    os.utime(old, (then, then))
    Sessions(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("name", ["../../etc", "a/b", ""])
def test_a_visitors_name_is_no_path(tmp_path: Path, name: str) -> None:
    assert Sessions(tmp_path).get(name).folder.is_relative_to(tmp_path)


def test_samples_outlive_every_visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_page()
    kept = {path for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}
    samples = [path for path in tmp_path.glob("*/*") if path.is_file()]
    assert {path.name for path in samples} == {"face.jpg", "talk.mp4", "voice.mp3"}
    assert set(map(str, samples)) <= kept
