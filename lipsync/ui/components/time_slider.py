"""Slider of a time in the result, whose length changes while the visitor works."""

from __future__ import annotations

import gradio as gr

from lipsync.ui.components.upload_fields import WithoutStub


class TimeSlider(gr.Slider, metaclass=WithoutStub):
    """A slider whose upper end only the browser checks.

    `gr.Slider` refuses the whole event, such as the one that watches a run, for a value beyond the end that
    the server knows. The browser may know another: it drops answers that newer ones have overtaken, and its
    value may have been sent before the result became shorter. What uses its time takes the last frame beyond.
    """

    is_template = True  # the browser shows a `gr.Slider`

    def preprocess(self, payload: float) -> float:
        """Return the value, at least the lower end."""
        return max(float(payload), self.minimum)
