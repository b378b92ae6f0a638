"""Change events that come once, and only when values have changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from lipsync.ui.components.status import QUIET

_DIGEST = "(...values) => JSON.stringify(values, (_, one) => one?.path ?? one)"


def new_values(fields: Iterable[Any], triggers: Iterable[Any] = ()) -> Any:
    """Event of new values in any of the fields, to be called with a handler.

    Gradio dispatches `change` once for each field that is set, and again whenever anything else about it is
    set, so that answers led to further questions for seconds. Here the browser compares the values, and asks
    the server only when they are new.

    Args:
        triggers: the events after which to compare; by default the `change` of every field.
    """
    return watched(fields, triggers).change


def watched(fields: Iterable[Any], triggers: Iterable[Any] = ()) -> gr.Textbox:
    """Hidden text that changes when, and only when, values of the fields do; as `new_values`.

    For each event Gradio's front end looks for every field, and everything that triggers it, in the whole
    page. Who needs an event of many fields several times therefore takes it from one such text: handlers of
    the same event would wait for each other.
    """
    fields = list(fields)
    seen = gr.Textbox(visible=False)
    gr.on(list(triggers) or [one.change for one in fields], None, fields, seen, js=_DIGEST, **QUIET)
    return seen
