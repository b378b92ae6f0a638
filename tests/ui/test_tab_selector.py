"""What events may and may not do to a page that its visitor uses meanwhile."""

from __future__ import annotations

import inspect
from pathlib import Path

import gradio as gr
import pytest

from lipsync.ui import build_page
from lipsync.ui.components.status import applied_once
from lipsync.ui.components.tab_selector import TabSelector


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gr.Blocks:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return build_page()


def test_no_event_selects_a_tab_by_a_property_that_stays(page: gr.Blocks) -> None:
    outputs = [one for event in page.fns.values() for one in event.outputs]
    assert len(outputs) > 100
    assert not [one for one in outputs if isinstance(one, gr.Tabs)]


def test_last_updates_are_applied_once(page: gr.Blocks) -> None:
    generators = [one for one in page.fns.values() if inspect.isgeneratorfunction(one.fn)]
    on_the_page = [one for one in generators if one.api_visibility == "private"]
    assert len(on_the_page) >= 7
    twice = [one.fn.__qualname__ for one in on_the_page if not hasattr(one.fn, "__wrapped__")]
    # What is said of a file or a link undoes nothing of the visitor's when it comes twice.
    assert set(twice) == {"InspectEvents.run", "LinkEvents.check"}
    assert list(applied_once(lambda: iter([{"a": 1}, {"b": 2}]))()) == [{"a": 1}, {"b": 2}, gr.skip()]


def test_a_tab_is_asked_for_anew_each_time() -> None:
    with gr.Blocks():
        with gr.Tabs(elem_id="places") as tabs:
            gr.Tab("Here", id="here")
            gr.Tab("There", id="there")
        selector = TabSelector(tabs)
    [target] = selector.outputs("there")
    assert selector.show("there")[target] != selector.show("there")[target]
    assert '"There"' in selector.script("there")
    assert "#places" in selector.script("there")
