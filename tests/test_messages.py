"""Settings in messages: written so that the command line and the page can put them into their words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import lipsync
from lipsync.options import declared_options

PACKAGE = Path(lipsync.__file__).parent
NAMES = sorted((field.name for _, field in declared_options()), key=len, reverse=True)
DISTINCT = "|".join(name for name in NAMES if "_" in name)
FLAGS = "|".join(name.replace("_", "-") for name in NAMES)
LOOSE = re.compile(rf"(?<![\w.'])({DISTINCT})(?![\w'=])|--({FLAGS})\b|\b({DISTINCT}) to '")
OWN_WORDS = ("cli", "ui", "training", "evaluation")
"""Folders whose settings have one way to be written only, and `options.py`, which documents."""


def texts(path: Path) -> list[str]:
    """The strings of several words in a module, docstrings and notes left out."""
    tree = ast.parse(path.read_text("utf-8"))
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in notes)
    return [node.value for node in constants if isinstance(node.value, str) and " " in node.value]


def test_messages_write_settings_in_quotes_or_with_a_value() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE)
        loose = [text for text in texts(path) if LOOSE.search(text)]
        if loose and name.parts[0] not in OWN_WORDS and name.name != "options.py":
            found[str(name)] = loose
    assert found == {}
