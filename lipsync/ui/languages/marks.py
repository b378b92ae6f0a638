"""Marks in place of texts while a page is built, once for all languages."""

from __future__ import annotations

import re
from typing import Any

from lipsync.ui.languages.texts import Texts

_MARK = re.compile(r"__i18n_(\d+)__")


class Marks:
    """Source of marks while the page is built; `fill` puts the texts in their places.

    A mark survives being joined to other text, escaped, and written into HTML or JavaScript. The texts
    themselves are filled in as they are, so they have no characters that would need escaping there.
    """

    def __init__(self) -> None:
        self._texts: list[tuple[str, dict[str, Any] | None]] = []
        self._numbers: dict[str, int] = {}

    def text(self, key: str) -> str:
        """A mark for an English text."""
        return key if _MARK.search(key) or not key else _Mark(self, key)

    def add(self, key: str, values: dict[str, Any] | None = None) -> str:
        """A mark for a text, or for a text with values to fill in."""
        entry = f"{key} {values}"
        if entry not in self._numbers:
            self._numbers[entry] = len(self._texts)
            self._texts.append((key, values))
        return f"__i18n_{self._numbers[entry]}__"

    def fill(self, value: Any, texts: Texts) -> Any:
        """Return `value`, such as a part of Gradio's configuration, with texts for the marks.

        Parts without marks are not copied.
        """
        if isinstance(value, str):
            return self._fill_text(value, texts) if "__i18n_" in value else value
        if isinstance(value, dict):
            filled = {key: self.fill(one, texts) for key, one in value.items()}
            return filled if any(filled[key] is not one for key, one in value.items()) else value
        if isinstance(value, list | tuple):
            parts = [self.fill(one, texts) for one in value]
            same = all(part is one for part, one in zip(parts, value, strict=True))
            return value if same else type(value)(parts)
        return value

    def _fill_text(self, text: str, texts: Texts) -> str:
        def text_of(match: re.Match[str]) -> str:
            key, values = self._texts[int(match[1])]
            filled = texts.text(key)
            return self._fill_text(filled if values is None else filled.format(**values), texts)

        return _MARK.sub(text_of, text)


class _Mark(str):
    """A mark that remembers its text, so that values can be given to it."""

    _marks: Marks
    _key: str

    def __new__(cls, marks: Marks, key: str) -> _Mark:
        mark = super().__new__(cls, marks.add(key))
        mark._marks, mark._key = marks, key
        return mark

    def format(self, *_: object, **values: object) -> str:
        """A mark for the text with these values."""
        return self._marks.add(self._key, values)
