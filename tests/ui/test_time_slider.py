"""The slider of the previewed moment."""

from __future__ import annotations

import pytest

from lipsync.ui.components.time_slider import TimeSlider


@pytest.mark.parametrize(("sent", "taken"), [(5.79, 5.79), (1, 1.0), (-0.2, 0.0)])
def test_a_value_beyond_the_end_that_the_server_knows_is_taken(sent: float, taken: float) -> None:
    assert TimeSlider(0, 2.16, step=0.01).preprocess(sent) == taken
