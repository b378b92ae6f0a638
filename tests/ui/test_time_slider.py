"""The slider of the previewed moment."""

from __future__ import annotations

import pytest

from lipsync.ui.components.time_slider import TimeSlider


@pytest.mark.parametrize(("sent", "taken"), [(5.79, 2.16), (1.5, 1.5), (-0.2, 0.0)])
def test_a_value_sent_while_the_result_became_shorter_is_taken_within_it(sent: float, taken: float) -> None:
    assert TimeSlider(0, 2.16, step=0.01).preprocess(sent) == taken
