from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from lipsync.errors import OutputError
from lipsync.sync_score.plot import plot_score, score_svg
from lipsync.types import ScoreCard, SyncScore, TimeSpan, Verdict

SVG = "{http://www.w3.org/2000/svg}"
SCORE = SyncScore(
    Verdict.GOOD,
    windows=500,
    distance=0.6,
    confidence=0.25,
    certainty=3.0,
    offset=1,
    offset_ms=36.0,
    by_offset=tuple(0.4 if n == 16 else 0.1 for n in range(31)),
    times=tuple(0.5 + 0.4 * n for n in range(50)),
    curve=tuple(math.nan if 20 <= n < 25 else 0.25 for n in range(50)),
    weak=(TimeSpan(3, 5), TimeSpan(12, 15)),
)


def drawn(card: ScoreCard, *, standalone: bool = False) -> ET.Element:
    return ET.fromstring(score_svg(card, standalone=standalone))


def texts(svg: ET.Element) -> str:
    return " ".join("".join(element.itertext()) for element in svg.iter(f"{SVG}text"))


def numbers(svg: ET.Element) -> list[float]:
    paths = " ".join(path.get("d", "") for path in svg.iter(f"{SVG}path"))
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", paths)]


def test_the_curve_its_gaps_the_weak_segments_and_the_offset_are_there() -> None:
    svg = drawn(ScoreCard(SCORE, replace(SCORE, confidence=0.3)))
    lines = [path.get("d", "") for path in svg.iter(f"{SVG}path") if path.get("stroke") == "#3b82f6"]
    assert len(lines) == 2
    assert lines[0].count("M") == 2 and lines[0].count("L") == 43  # 45 known points in two pieces
    weak = [r for r in svg.iter(f"{SVG}rect") if r.get("fill") == "#f59e0b"]
    assert [rect[0].text for rect in weak] == ["weak in 0:03-0:05", "weak in 0:12-0:15"]
    assert len(list(svg.iter(f"{SVG}circle"))) == 1
    assert "good, sync confidence 0.25" in texts(svg)
    assert "source" in texts(svg) and "0:21" in texts(svg)


def test_screen_readers_get_the_text() -> None:
    card = ScoreCard(SCORE, None, "a photo has no sound & <no> length")
    svg = drawn(card)
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}desc") == " ".join(card.words)


def test_everything_stays_within_the_view_box() -> None:
    wild = replace(SCORE, curve=(-0.9, *[0.1] * 48, 1.4), by_offset=(math.nan, *[-0.5] * 29, 1.0), offset=15)
    for card in (ScoreCard(SCORE), ScoreCard(wild, wild)):
        assert all(0 <= number <= 760 for number in numbers(drawn(card)))


def test_hours_take_no_more_points_than_minutes() -> None:
    long = replace(SCORE, times=tuple(0.4 * n for n in range(9000)), curve=(0.2,) * 9000)
    assert len(score_svg(ScoreCard(long))) < 12_000
    assert "1:00:00" in texts(drawn(ScoreCard(long)))


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_can_be_drawn(verdict: Verdict) -> None:
    score = SyncScore(verdict, 10) if verdict is Verdict.TOO_SHORT else replace(SCORE, verdict=verdict)
    assert verdict.value in texts(drawn(ScoreCard(score, score)))


def test_a_file_has_a_background_and_a_page_keeps_its_own(tmp_path: Path) -> None:
    card = ScoreCard(SCORE)
    plot_score(card, tmp_path / "card.svg")
    text = (tmp_path / "card.svg").read_text("utf-8")
    assert "prefers-color-scheme:dark" in text
    assert "prefers-color-scheme" not in score_svg(card)
    with pytest.raises(OutputError):
        plot_score(card, tmp_path / "card.svg" / "card.svg")  # a file, not a folder
