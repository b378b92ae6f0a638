"""Wrong values of settings, by the thousand: each is accepted as it is, or refused in a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import typing
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lipsync
from lipsync.cli.main import main
from lipsync.errors import LipsyncError, MediaError, OptionError, RangeError
from lipsync.options import Box, SyncOptions, declared_options
from lipsync.pipeline.model_provider import CachedModels
from lipsync.segments import FacePoint, Segment, parse_segments
from lipsync.types import TimeRange
from lipsync.ui import strings
from lipsync.ui.api import Api
from lipsync.ui.jobs import Lane
from lipsync.ui.sessions import Sessions
from lipsync.ui.settings_file import load_settings

NAMES = [field.name for _, field in declared_options()]
KINDS = {
    name: kind
    for group in dataclasses.fields(SyncOptions)
    for name, kind in typing.get_type_hints(type(getattr(SyncOptions(), group.name))).items()
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
ANYTHING = (
    JSON
    | st.binary(max_size=4)
    | st.complex_numbers()
    | st.fractions()
    | st.tuples(st.floats(), st.floats(), st.floats(), st.floats())
    | st.tuples(st.integers(), st.integers(), st.integers(), st.integers())
    | st.sampled_from(["5", "0 1 2 3", "nan", "auto", "mouth", "²", "-0", "1e9", Path("x"), TimeRange(1)])
    | st.sampled_from([np.int64(2), np.float32(2.5), np.array([1, 2]), object(), int, Fraction(1, 3), 1e-9])
)
VISITOR: Any = SimpleNamespace(session_hash="a")
SHOWN = {bool: bool, int: int, float: (int, float), str: str, Path: Path, Box: Box}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(Sessions(tmp_path_factory.mktemp("visits")), CachedModels(), Lane())


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of the declared type."""
    arguments = typing.get_args(kind)
    if type(None) in arguments:
        return value is None or fits(value, next(one for one in arguments if one is not type(None)))
    if arguments:
        return isinstance(value, tuple) and all(isinstance(item, arguments[0]) for item in value)
    return isinstance(value, SHOWN[kind]) and (kind is bool or not isinstance(value, bool))


@settings(max_examples=1000, deadline=None, database=None, derandomize=True)
@given(name=st.sampled_from(NAMES), value=ANYTHING)
def test_a_value_is_of_its_kind_or_refused_by_name(name: str, value: Any) -> None:
    try:
        options = SyncOptions.from_flat(**{name: value})
    except OptionError as error:
        assert f"'{name}'" in error.what and error.given and error.hint
    else:
        assert fits(options.flat()[name], KINDS[name])
        hash(options)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(values=st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=4))
def test_settings_files(values: dict[str, Any]) -> None:
    try:
        loaded = load_settings(json.dumps(values))
        SyncOptions.from_flat(**loaded)
    except LipsyncError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("resize_factor", "5", "a whole number"),
        ("resize_factor", 1.5, "a whole number"),
        ("pad_top", None, "a number"),
        ("pad_top", True, "a number"),
        ("crop", [1, 2], "four whole numbers"),
        ("crop", (0.5, 100.5, 0, 10), "four whole numbers"),
        ("box", "0 1 2 3", "four whole numbers"),
        ("fps", "abc", "a number"),
        ("voice_shift", [1], "a number"),
        ("static", 1, "on or off"),
        ("weights", "a\0b", "a path"),
        ("video_ranges", "1-2", "time ranges"),
    ],
)
def test_what_is_allowed_is_said(name: str, value: object, kind: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}' is of the wrong kind.*{kind}"):
        SyncOptions.from_flat(**{name: value})


def test_the_frame_rate_is_0_or_one_that_a_video_can_have() -> None:
    for rate in (0, 1, 12.5, 240):
        assert SyncOptions.from_flat(fps=rate).media.fps == rate
    for rate in (1e-9, 0.5, 241, -1, float("nan")):
        with pytest.raises(OptionError, match="1 to 240 frames/s, or is 0"):
            SyncOptions.from_flat(fps=rate)


def test_like_kinds_are_converted() -> None:
    options = SyncOptions.from_flat(
        weights="w.pth",
        crop=[1, 2, 3, 4],
        quality=np.int64(20),
        feather=np.float32(2.5),
        video_ranges=[TimeRange(1)],
    )
    assert options.generator.weights == Path("w.pth")
    assert options.media.crop == Box(1, 2, 3, 4)
    assert type(options.media.quality) is int and type(options.blend.feather) is float
    assert options.media.video_ranges == (TimeRange(1),)


SEGMENTS = (
    st.builds(dict, time=ANYTHING, face=ANYTHING, voice=ANYTHING, voice_file=ANYTHING)
    | st.fixed_dictionaries({"time": st.just(TimeRange(0, 1))}, optional={"face": ANYTHING})
    | st.fixed_dictionaries({"time": st.just(TimeRange(0, 1))}, optional={"voice_file": ANYTHING})
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(values=SEGMENTS, start=ANYTHING, end=ANYTHING, x=ANYTHING, y=ANYTHING)
def test_segments_ranges_and_points(values: dict[str, Any], start: Any, end: Any, x: Any, y: Any) -> None:
    for make in (lambda: Segment(**values), lambda: TimeRange(start, end), lambda: FacePoint(x, y)):
        try:
            made = make()
        except (OptionError, RangeError) as error:
            assert error.what and error.given and error.hint
        else:
            assert str(made) and hash(made) is not None
            if isinstance(made, Segment):
                assert parse_segments(str(made)) == (made,)


ARGUMENTS = {
    lipsync.sync: ("video", "voice", "options", "segments", "more_voices", "output", "resume", "cache"),
    lipsync.preview: ("at", "video", "voice", "options", "segments", "more_voices", "cache"),
    lipsync.plan: ("video", "voice", "options", "segments", "more_voices"),
}
CALLBACKS = ("progress", "cancel", "models")


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(data=st.data(), function=st.sampled_from(list(ARGUMENTS)), value=ANYTHING)
def test_keyword_arguments(data: st.DataObject, function: Any, value: Any) -> None:
    names = ARGUMENTS[function] + (CALLBACKS if function is not lipsync.plan else ())
    name = data.draw(st.sampled_from(names))
    known = {"video": "none.mp4", "voice": "none.wav"}
    try:
        function(**{**known, name: value})
    except OptionError as error:
        assert f"'{name}'" in error.what and error.given and error.hint
    except MediaError as error:  # all arguments are right, so that the files are opened
        assert "does not exist" in str(error) or name == "video", str(error)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(at=JSON, ranges=st.text(max_size=6), given=JSON | st.dictionaries(st.sampled_from(NAMES), JSON))
def test_the_api(api: Api, at: Any, ranges: str, given: Any) -> None:
    with pytest.raises(gr.Error) as refused:
        api.preview(VISITOR, __file__, __file__, at, ranges, settings=given)
    assert strings.UNEXPECTED not in refused.value.message
    with pytest.raises(gr.Error) as refused:
        api.plan(VISITOR, __file__, __file__, ranges, ranges, given)
    assert strings.UNEXPECTED not in refused.value.message


@pytest.mark.parametrize("agreed", ["false", "", 0, 1, None, [], False])
def test_consent_is_true_and_nothing_else(api: Api, agreed: Any) -> None:
    with pytest.raises(gr.Error, match=r"agreed"):
        next(api.sync(VISITOR, __file__, __file__, agreed))


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(name=st.sampled_from(NAMES), text=st.text(max_size=8) | st.integers().map(str) | st.floats().map(str))
def test_the_command_line(name: str, text: str) -> None:
    words = ["run", "none.mp4", "none.wav", f"--{name.replace('_', '-')}={text}", "--segments", text]
    with contextlib.redirect_stderr(io.StringIO()) as told:
        try:
            assert main(words) == 1
        except SystemExit as refused:  # by argparse
            assert refused.code == 2
    assert told.getvalue() and "Traceback" not in told.getvalue()


def test_segments_in_a_file_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "segments.txt").write_bytes(b"0-1 \xff")
    for text in (str(tmp_path / "segments.txt"), "0-1; " * 2001):
        assert main(["run", __file__, __file__, "--segments", text]) == 1
    told = capsys.readouterr().err
    assert "The segments cannot be read" in told and "too many segments" in told


def test_the_command_line_refuses_before_anything_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "none.mp4", "none.wav", "--fps", "0.001"]) == 1
    assert "--fps is out of range" in capsys.readouterr().err
