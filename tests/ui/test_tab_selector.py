"""What events may and may not do to a page that its visitor uses meanwhile."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lipsync.ui import build_page
from lipsync.ui.components.tab_selector import TabSelector


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> gr.Blocks:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return build_page()


def test_no_event_selects_a_tab_by_a_property_that_stays(page: gr.Blocks) -> None:
    outputs = [one for event in page.fns.values() for one in event.outputs]
    assert len(outputs) > 100
    assert not [one for one in outputs if isinstance(one, gr.Tabs)]


def test_updates_of_a_generator_are_sent_whole_and_once(page: gr.Blocks) -> None:
    """A browser that applies changes in place, to what it has not shown yet, loses nothing."""
    generators = [one for one in page.fns.values() if inspect.isgeneratorfunction(one.fn)]
    on_the_page = [one for one in generators if one.api_visibility == "private"]
    assert len(on_the_page) >= 7
    event, steps = on_the_page[0], [gr.update(visible=True), gr.skip(), gr.update(visible=False)]
    width = len(event.outputs)

    def send(step: Any, final: bool = False) -> list[Any]:
        return page.handle_streaming_diffs(event, [step] * width, "visitor", "run", final)

    assert send(steps[0]) == [steps[0]] * width
    for step in steps[1:]:
        assert send(step) == [[["replace", [], step]]] * width
    assert send(steps[-1], final=True) == [gr.skip()] * width
    assert "visitor" not in page.pending_diff_streams
    assert send(steps[0]) == [steps[0]] * width  # a next run


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
