"""Slider of a time in the result, whose length changes while the visitor works."""

from __future__ import annotations

import gradio as gr

from lipsync.ui.components.upload_fields import WithoutStub


class TimeSlider(gr.Slider, metaclass=WithoutStub):
    """A slider that takes its nearest end for a value beyond.

    `gr.Slider` refuses the whole event with an error, such as the one that watches a run: a value that was
    sent while the result became shorter is beyond its new end.
    """

    is_template = True  # the browser shows a `gr.Slider`

    def preprocess(self, payload: float) -> float:
        """Return the value within the slider's bounds."""
        return float(super().preprocess(min(max(payload, self.minimum), self.maximum)))
