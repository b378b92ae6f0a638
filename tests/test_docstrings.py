"""Docstrings of modules and classes begin with a noun phrase that fits on a short line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lipsync"
LONGEST = 80


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_first_lines_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    named = [
        ("module", tree),
        *((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)),
    ]
    lines = {name: (ast.get_docstring(node) or "").partition("\n")[0] for name, node in named}
    assert {name: line for name, line in lines.items() if len(line) > LONGEST} == {}
