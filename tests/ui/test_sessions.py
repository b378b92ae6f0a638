"""Visitors share nothing, and their files are removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from lipsync.ui import build_page
from lipsync.ui.gradio_state import GradioState
from lipsync.ui.sessions import STALE_SECONDS, Sessions
from lipsync.utils.deadlines import Deadlines
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
    token, preview = session.start("run"), session.start("preview")
    sessions.end("one")
    assert preview.cancelled
    wait_until(lambda: token.cancelled)  # with the files: a reload finds a run again
    wait_until(lambda: not session.folder.exists() and not mine.exists())
    assert shared.exists()  # the other visitor brought the same file
    assert sample.exists()  # the page's own


def test_a_file_that_somebody_else_has_just_uploaded_again_stays(tmp_path: Path) -> None:
    later = ByHand()
    sessions, same = Sessions(tmp_path, grace=120, deadlines=later), upload(tmp_path, "same")
    sessions.get("one", str(same))
    sessions.end("one")
    written = same.stat().st_mtime_ns
    os.utime(same, ns=(written, written + 1_000_000))  # by another visitor, whose event has not arrived
    later.calls[-1][2]()
    assert same.exists()
    sessions.get("two", str(same))
    sessions.end("two")
    later.calls[-1][2]()
    assert not same.exists()


def test_only_who_knows_the_secret_finds_a_visit_again(tmp_path: Path) -> None:
    later = ByHand()
    sessions = Sessions(tmp_path, grace=120, deadlines=later)
    session, mine = sessions.get("one", str(upload(tmp_path, "mine"))), tmp_path / "mine" / "file"
    run = session.start("run")
    for wrong in ("", "nonsense", "é", session.visit[:-1], session.folder.name):
        assert sessions.join(wrong, "two") is None
    sessions.end("one")
    assert not run.cancelled
    sessions.get("two", str(upload(tmp_path, "early")))  # an event of the new page that came first
    assert sessions.join(session.visit, "two") is session is sessions.get("two")
    later.calls[0][2]()  # the time of the page before is over
    sessions.end("one")  # the notice that it has gone may come late
    later.calls[-1][2]()
    assert not run.cancelled and len(session.uploads) == 2 and mine.name
    assert sessions.get("one") is not session
    sessions.end("two")
    later.calls[-1][2]()
    assert run.cancelled and not any(path.exists() for path in session.uploads)


class ByHand(Deadlines):
    """Calls nothing by itself; `calls` are all that were scheduled, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, float, Callable[[], None]]] = []

    def schedule(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Measures no time."""
        self.calls.append((key, seconds, call))


def test_a_connection_that_was_lost_for_a_moment_loses_nothing(tmp_path: Path) -> None:
    later = ByHand()
    sessions = Sessions(tmp_path, grace=120, deadlines=later)
    session = sessions.get("one")
    kept = session.job_folder("run").path
    sessions.end("one")
    assert sessions.get("one") is session
    (_, short, too_late), (_, long, _) = later.calls
    assert (short, long) == (120, 3600)
    too_late()  # though it be too late to call it off
    assert kept.exists()
    sessions.end("one")
    later.calls[-1][2]()
    assert not kept.exists()


def test_a_late_event_of_a_visitor_who_has_gone_keeps_nothing_for_good(tmp_path: Path) -> None:
    later = ByHand()
    sessions = Sessions(tmp_path, deadlines=later)
    sessions.end("one")
    left = sessions.get("one").job_folder("preview").path
    later.calls[-1][2]()
    assert not left.exists()


class Kept:
    """Stands for what Gradio keeps."""

    def __init__(self, *uploads: Path) -> None:
        self.uploads = set(map(str, uploads))
        self.forgotten: list[str] = []

    def forget(self, visitor: str) -> None:
        self.forgotten.append(visitor)


def test_gradio_forgets_every_visitor_too(tmp_path: Path) -> None:
    gradio, later = Kept(), ByHand()
    sessions = Sessions(tmp_path, gradio=cast(GradioState, gradio), deadlines=later)
    sessions.get("one")
    sessions.end("one")
    sessions.end("who only looked")
    sessions.end(None)
    for _, _, call in later.calls:
        call()
    assert gradio.forgotten == ["one", "who only looked"]


def test_a_request_without_a_session_is_forgotten_soon_and_its_result_kept_an_hour(tmp_path: Path) -> None:
    gradio, later = Kept(), ByHand()
    sessions = Sessions(tmp_path, gradio=cast(GradioState, gradio), deadlines=later)
    with sessions.one_off("event") as session:
        kept = session.job_folder("api").path
    (_, long, remove), (_, short, forget) = later.calls
    assert (long, short) == (3600, 120)
    forget()
    assert (gradio.forgotten, kept.exists()) == (["event"], True)
    remove()
    assert not kept.exists()


def test_uploads_that_no_event_has_named_are_removed_after_an_hour(tmp_path: Path) -> None:
    old, young, claimed, sample = (upload(tmp_path, name) for name in ("old", "young", "claimed", "sample"))
    for path in (old, claimed, sample):
        then = time.time() - 3700
        os.utime(path, (then, then))
    gradio, later = Kept(old, young, claimed, sample, tmp_path / "gone"), ByHand()
    sessions = Sessions(tmp_path, [str(sample)], gradio=cast(GradioState, gradio), deadlines=later)
    sessions.claim("one", [str(claimed)])
    sessions.end("other")
    later.calls[-1][2]()
    assert [path.exists() for path in (old, young, claimed, sample)] == [False, True, True, True]
    assert str(tmp_path / "gone") not in gradio.uploads


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


@pytest.mark.parametrize("name", ["../../etc", "a/b", ""])
def test_a_visitors_name_is_no_path(tmp_path: Path, name: str) -> None:
    assert Sessions(tmp_path).get(name).folder.is_relative_to(tmp_path)


def test_samples_outlive_every_visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_page()
    kept = {path for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}
    samples = [path for path in tmp_path.glob("*/[!.]*") if path.is_file()]
    assert {path.name for path in samples} == {"face.jpg", "talk.mp4", "voice.mp3"}
    assert set(map(str, samples)) <= kept
