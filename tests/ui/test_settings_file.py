"""Settings files on the page: every wrong value is told in the page's words and changes nothing."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from lipsync.options import Box
from lipsync.ui.components.range_table import MAX_ROWS, build_ranges
from lipsync.ui.components.settings import Settings, build_settings, load_file
from lipsync.ui.labels import label
from lipsync.ui.settings_file import _TYPES, FIELDS, PAGE_SETTINGS, RANGE_SETTINGS, read_value

WRONG: dict[Any, list[Any]] = {
    bool: ["true", 1, 0, None, [], {}, 0.5],
    int: ["12", True, None, [1], {}, 1.5, 10**30, -(10**30), float("nan"), float("inf")],
    float: ["12", False, None, [1.0], {}, 1e30, -1e30, float("inf"), float("nan"), 10**400],
    str: [1, True, None, [], {}, ["auto"], 0.5],
    Box: ["1 2 3", "a b c d", [1, 2], [1, 2, 3, 4.5], ["1", "2", "3", "4"], {}, True, 7, [1, 2, 3, True]],
    "ranges": [7, True, None, {}, "5-2", ["5-2"], [[1, 2]], "a-b", [1.5], ["0-1"] * (MAX_ROWS + 1)],
}
"""Values of the wrong type or out of range, by the type of a setting."""


def kind_of(name: str) -> Any:
    declared = _TYPES[name]
    known = [kind for kind in (declared, *typing.get_args(declared)) if kind in WRONG]
    return "ranges" if name in RANGE_SETTINGS else known[0]


CASES = [(name, wrong) for name in (*PAGE_SETTINGS, *RANGE_SETTINGS) for wrong in WRONG[kind_of(name)]]


class Loader:
    """The page's own function behind the button that loads a settings file, and what it tells."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        with gr.Blocks():
            self.tables = {name: build_ranges(name[:5], "video") for name in RANGE_SETTINGS}
            self.settings: Settings = build_settings(*self.tables.values())
        self.told: list[str] = []
        for kind in ("Warning", "Info"):
            patch.setattr(gr, kind, lambda text, **_: self.told.append(text))
        self._file = folder / "settings.json"

    def load(self, content: str) -> dict[str, Any]:
        self.told.clear()
        self._file.write_text(content, "utf-8")
        updates = load_file(str(self._file), self.settings.controls, self.tables)
        names = {control: name for name, control in self.settings.controls.items()}
        return {names.get(component, "table"): value for component, value in updates.items()}


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> typing.Iterator[Loader]:
    with pytest.MonkeyPatch.context() as patch:
        yield Loader(tmp_path_factory.mktemp("settings"), patch)


@pytest.mark.parametrize(("name", "wrong"), CASES)
def test_a_wrong_value_is_told_by_its_label_and_changes_nothing(
    name: str, wrong: Any, loader: Loader
) -> None:
    updates = loader.load(
        json.dumps({"mask_size": 1.5, name: wrong} if name != "mask_size" else {name: wrong})
    )
    [told] = loader.told
    assert updates == dict.fromkeys(loader.settings.controls, gr.skip()), told
    named = f"“{label(name)}” " in told or name in RANGE_SETTINGS
    assert named and f"'{name}'" not in told and "unexpected" not in told, told


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"pad_botom": 1}', "Did you mean “Pad bottom”?"),
        ('{"qqqq": 1}', "in the README"),
        ('{"mask": "muth"}', "Did you mean 'mouth'?"),
    ],
)
def test_what_is_no_settings_file_is_told(content: str, says: str, loader: Loader) -> None:
    updates = loader.load(content)
    [told] = loader.told
    assert says in told and len(told) < 400
    assert updates == dict.fromkeys(loader.settings.controls, gr.skip())


def test_what_a_file_does_not_name_stays(loader: Loader) -> None:
    updates = loader.load('{"pad_bottom": 12, "box": [1, 2, 3, 4], "video_ranges": ["0-1", "2-3"]}')
    assert {name: value for name, value in updates.items() if name != "table"} == {
        "pad_bottom": 12,
        "box": "1 2 3 4",
    }
    assert read_value("box", updates["box"]) == (1, 2, 3, 4)
    assert "table" in updates and FIELDS
