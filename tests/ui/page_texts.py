"""All texts that a catalogue of the page must have, and what each one lacks.

`python -m tests.ui.page_texts` lists what is missing per language; `--write` removes from the catalogues what
is no longer used, and puts the rest in order.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lipsync.options import LENGTH_MODES, SILENCES, LinkOptions, declared_options
from lipsync.ui import languages, strings
from lipsync.ui.labels import label
from lipsync.ui.languages.choice import LANGUAGES
from lipsync.ui.languages.core_texts import CORE_TEXTS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(languages.__file__).parent
TRANSLATED = [code for code in LANGUAGES if code != "en"]
FIELD = re.compile(r"\{[^}]*\}")


def page_texts() -> list[str]:
    """The English texts in the order of their declaration, each once."""
    own = (value for name, value in vars(strings).items() if name.isupper())
    found = [*_within(list(own)), *_settings(), *CORE_TEXTS]
    return list(dict.fromkeys(text for text in found if has_words(text)))


def has_words(text: str) -> bool:
    """Whether there is anything to translate: words, or fields in an order and with punctuation."""
    return bool(re.search(r"[^\W\d_]", text))


def _within(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _within(one)


def _settings() -> Iterator[str]:
    """Labels of all settings, and what the page shows of their declarations."""
    link = [field for field in dataclasses.fields(LinkOptions) if field.name == "max_height"]
    for field in [*(field for _, field in declared_options()), *link]:
        yield label(field.name)
        if field.metadata["page"] or field in link:
            yield field.metadata["help"]
            yield field.metadata["unit"]
    yield from (*LENGTH_MODES.values(), *SILENCES.values())


def catalogue(code: str) -> dict[str, str]:
    path = FOLDER / f"{code}.json"
    texts: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return texts


def messages_of_core() -> set[str]:
    """The shapes of all texts in the program's source, as `shape` has them."""
    found = set()
    for path in (ROOT / "lipsync").rglob("*.py"):
        if path.name == "core_texts.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(shape(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = (one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)
                found.add(shape("".join(map(str, parts))))
    return found


def shape(text: str) -> str:
    return FIELD.sub("{}", text).rstrip(".").strip()


def report() -> Iterator[str]:
    """One line for each text that a catalogue lacks or no longer needs."""
    texts = page_texts()
    for code in TRANSLATED:
        given = catalogue(code)
        yield from (f"{code}: missing: {text!r}" for text in texts if text not in given)
        yield from (f"{code}: not used: {text!r}" for text in given if text not in texts)


def tidy() -> None:
    """Put the catalogues in order, without what is not used."""
    texts = page_texts()
    for code in TRANSLATED:
        given = catalogue(code)
        kept = {text: given[text] for text in texts if text in given}
        (FOLDER / f"{code}.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        tidy()
    print("\n".join(report()) or "Every catalogue has every text.")  # noqa: T201 - a program for developers
