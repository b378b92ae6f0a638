"""Score card of the page."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, cast

from lipsync.types import ScoreCard
from lipsync.types.score import TimeSpan
from lipsync.ui.components.score_card import score_html
from tests.types.test_score import GOOD


def test_weak_stretches_can_be_played_in_the_result_that_they_are_of() -> None:
    weak = dataclasses.replace(GOOD, weak=(TimeSpan(2.5, 5.0), TimeSpan(61, 64)))
    results = [_Result(None), _Result(ScoreCard(weak, None))]
    text = score_html(cast(Any, results))
    found = re.findall(r'data-seek="([^"]*)" data-player="([^"]*)">▶ ([^<]*)<', text)
    assert found == [
        ("2.50", "#other-result video", str(weak.weak[0])),
        ("61.00", "#other-result video", str(weak.weak[1])),
    ]
    assert "data-seek" not in score_html(cast(Any, [_Result(ScoreCard(GOOD, None))]))


@dataclasses.dataclass(frozen=True)
class _Result:
    score: ScoreCard | None
    variant: str = "builtin"
