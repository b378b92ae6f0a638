from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.table import ClipResult, columns, make_table
from lipsync.evaluation.table_formats import to_csv, to_json, to_markdown
from lipsync.evaluation.table_report import EvaluationPage
from lipsync.options import SyncOptions


def make_pair(name: str, language: str = "", group: str = "") -> Pair:
    return Pair(name, 0, Path(f"{name}.mp4"), Path("voice.wav"), language, group)


def clip(name: str, variant: str, language: str = "", failure: str = "", **values: float) -> ClipResult:
    return ClipResult(make_pair(name, language), variant, Path("x.mp4"), values, failure=failure)


def test_a_row_for_each_language_and_variant() -> None:
    clips = [
        clip("a", "one", "en", lse_d=7.0, lse_offset=1),
        clip("a", "two", "en", lse_d=6.0),
        clip("b", "one", "en", lse_d=8.0, lse_offset=3),
        clip("b", "two", "en", failure="It broke."),
        clip("c", "one", "de", lse_d=5.0, lse_offset=-2),
        clip("d", "one", "en", lse_d=math.nan, lse_offset=9),
    ]
    table = make_table(clips, {("", "en", "one"): {"fid": 12.5}})
    assert [row.key for row in table.rows] == [("", "en", "one"), ("", "en", "two"), ("", "de", "one")]
    first, second, third = table.rows
    assert first.values == {"lse_d": 7.5, "lse_offset": 3.0, "fid": 12.5}  # a mean, a median, one of all
    assert (first.clips, second.clips, second.failed) == (3, 1, 1)
    assert third.values["lse_d"] == 5.0
    assert table.header() == ["Language", "Variant", "Clips", "LSE-D ↓", "LSE offset (frames)", "FID ↓"]
    assert table.cells()[0] == ["en", "one", "3", "7.500", "3", "12.50"]
    assert table.cells()[1] == ["en", "two", "1, 1 failed", "6.000", "–", "–"]


def test_markdown_is_padded() -> None:
    clips = [clip("a", "one", psnr_outside=math.inf, offset_ms=-39.6), clip("b", "two", failure="No\nface.")]
    text = to_markdown(make_table(clips, {}), clips)
    lines = text.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[0].startswith("| Variant |")
    assert "−40" in lines[2]
    assert "∞" in lines[2]
    assert "- two, b: No face." in lines


def test_csv_has_a_line_for_every_clip() -> None:
    clips = [clip("a, b", "one", lse_d=7.123456789), clip("c", "one", failure="It, too, broke.")]
    one, other = csv.DictReader(io.StringIO(to_csv(clips)))
    assert (one["name"], one["lse_d"], one["voice"]) == ("a, b", "7.123457", "voice.wav")
    assert (other["lse_d"], other["failure"]) == ("", "It, too, broke.")


def test_json_has_no_nan_or_infinity() -> None:
    clips = [clip("a", "one", psnr=math.inf, ssim=math.nan)]
    values = json.loads(json.dumps(to_json(make_table(clips, {}), clips), allow_nan=False))
    assert values["clips"][0]["figures"] == {"psnr": "inf", "ssim": None}
    assert values["rows"][0]["figures"] == {"psnr": "inf"}
    assert values["columns"]["psnr"]["better"] == "higher"


def test_every_column_is_explained() -> None:
    assert len({column.key for column in columns()}) == len(columns())
    assert all(column.title and column.what for column in columns())


def test_the_page_marks_the_best_and_escapes() -> None:
    clips = [
        clip("a", "<one>", lse_d=7.0, ssim=0.5),
        clip("a", "two", lse_d=6.0, ssim=0.50000001),
        clip("b", "two", failure="<b>broke</b>"),
    ]
    page = EvaluationPage(SyncOptions(), ["a & b"]).render(make_table(clips, {}), clips)
    assert '<td class="number best">6.000</td>' in page
    assert page.count("best") == 2  # in the style too; what looks equal is not marked
    assert "<b>broke" not in page
    assert "&lt;one&gt;" in page
    assert "a &amp; b" in page


@pytest.mark.parametrize("count", [0, 70])
def test_pages_of_many_clips(count: int) -> None:
    clips = [clip(f"clip{n}", "one", failure="gone") for n in range(count)]
    page = EvaluationPage(SyncOptions()).render(make_table(clips, {}), clips)
    assert ("10 more clips" in page) == (count == 70)


def test_face_tracks_if_there_are_several() -> None:
    track = {"start": 0.0, "end": 5.04, "lse_d": 7.0, "lse_c": 6.5, "lse_offset": -2.0}
    one = ClipResult(
        make_pair("a"), "one", values={"lse_d": 7.5}, tracks=(track, track | {"start": 6.0, "end": 12.0})
    )
    lines = to_markdown(make_table([one], {}), [one]).split("Face tracks:")[1].splitlines()
    header = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert header == ["Variant", "Clip", "Seconds", "LSE-D ↓", "LSE-C ↑", "LSE offset (frames)"]
    assert lines[4].split("|")[3].strip() == "0.0–5.0"
    assert "−2" in lines[5]
    assert one.as_dict()["tracks"][1]["end"] == 12.0
