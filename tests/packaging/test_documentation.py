"""README, CONTRIBUTING and docs: commands parse, files and names exist, public names are described."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import textwrap
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import parser_for
from lipsync.registries import METRICS
from tests.contracts import test_metrics as contract

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "weights" / "README.md"])
PROMISES = [
    promise
    for name, promise in vars(contract).items()
    if name.startswith("test_") and list(inspect.signature(promise).parameters) == ["make"]
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}


def commands() -> list[tuple[str, str]]:
    """Every call of the program in a block of shell commands, or within a line."""
    found = []
    for page, text in TEXTS.items():
        for block in re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ")
            calls = re.findall(r"^(?:python -m )?lipsync (.+)$", lines, re.MULTILINE)
            found += [(page, call) for call in calls]
        inline = re.findall(r"`(?:python -m )?lipsync ([a-z][^`]* [^`]+)`", text)
        found += [(page, call) for call in inline]
    return found


def test_there_are_commands_in_the_documentation() -> None:
    assert {page for page, _ in commands()} >= {"README.md", "docs/training.md", "docs/evaluation.md"}


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_in_the_documentation_parses(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line, comments=True)
    try:
        parser_for(words).parse_args(words)
    except SystemExit as end:
        assert end.code == 0, f"{page}: lipsync {line}"  # --help and --version end the process too
    assert capsys.readouterr().err == ""  # no flag or command of an earlier release


@pytest.mark.parametrize("page", TEXTS)
def test_files_and_names_that_are_mentioned_exist(page: str) -> None:
    missing = []
    for word in re.findall(r"`([^`\s]+)`", TEXTS[page]):
        if re.fullmatch(r"(lipsync|tests|benchmarks|docs|notebooks|weights|\.github)/[\w./-]*", word):
            missing += [] if (ROOT / word).exists() else [word]
        elif re.fullmatch(r"lipsync(\.\w+)+", word) and not resolves(word):
            missing.append(word)
    assert missing == []


def resolves(dotted: str) -> bool:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for name in parts[count:]:
            if not hasattr(value, name):
                return False
            value = getattr(value, name)
        return True
    return False


def test_every_public_name_is_in_the_api_reference() -> None:
    pages = "".join(text for name, text in TEXTS.items() if name.startswith("docs/api/"))
    described = set(re.findall(r"^::: lipsync\.(\w+)$", pages, re.MULTILINE))
    assert set(lipsync.__all__) - {"__version__"} <= described


def test_the_metric_that_is_added_step_by_step_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code in CONTRIBUTING, registered as it says there."""
    block = re.search(r"```python\n(.*?)    ```", TEXTS["CONTRIBUTING.md"], re.DOTALL)
    assert block
    (tmp_path / "l1.py").write_text(textwrap.dedent(block[1]), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    METRICS.add("l1", "l1:L1")
    try:
        for promise in PROMISES:
            promise(lambda: METRICS.create("l1"))
        metric = METRICS.create("l1")
    finally:
        METRICS.remove("l1")
    black = np.zeros((10, 10, 3), np.uint8)
    other = black.copy()
    other[3, 4] = 10, 0, 20
    metric.update(other, black)
    assert metric.compute() == pytest.approx(30 / 300)
