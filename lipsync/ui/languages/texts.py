"""Texts of the page in the language of the event that asks for them.

The English text is the key, as with gettext. Where a text is missing in a catalogue, it stays English.
"""

from __future__ import annotations

import contextlib
import functools
import html
import json
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lipsync.ui import strings as english
from lipsync.ui.languages.choice import ENGLISH
from lipsync.ui.languages.core_texts import CORE_TEXTS

T = TypeVar("T")
_FIELD = re.compile(r"\{(\w+)[^}]*\}")
_SENTENCE_END = re.compile(r"(?<=[.?!]) ")
_BETWEEN_TAGS = re.compile(r"(?<=>)[^<>]+(?=<)")


class Texts(Protocol):
    """What `translated` asks."""

    def text(self, key: str) -> str:
        """The text for an English one."""
        ...


class Catalogue:
    """The texts of a language, read when the first one is asked for.

    Args:
        code: of `choice.LANGUAGES`.
    """

    def __init__(self, code: str) -> None:
        self._code = code

    def text(self, key: str) -> str:
        """The text for an English one; a message is known by its shape, or sentence by sentence."""
        if self._code == ENGLISH.code or not key:
            return key
        return self._texts.get(key) or self._message(key)

    @functools.cached_property
    def _texts(self) -> Mapping[str, str]:
        path = Path(__file__).with_name(f"{self._code}.json")
        texts: dict[str, str] = json.loads(path.read_text("utf-8"))
        return texts

    @functools.lru_cache(maxsize=2000)  # noqa: B019 - there are as many catalogues as languages
    def _message(self, message: str) -> str:
        for shape, key in _shapes():
            if (match := shape.fullmatch(message)) and key in self._texts:
                values = [self.text(value) for value in match.groups()]
                return self._texts[key].format(**dict(zip(_FIELD.findall(key), values, strict=True)))
        sentences = _SENTENCE_END.split(message)
        return message if len(sentences) == 1 else " ".join(map(self.text, sentences))


@functools.cache
def _shapes() -> list[tuple[re.Pattern[str], str]]:
    """The core's messages with values, as patterns."""
    shapes = []
    for key in filter(_FIELD.search, CORE_TEXTS):
        literal = [re.escape(part) for part in re.split(r"\{[^}]*\}", key)]
        shapes.append((re.compile("(.+?)".join(literal), re.DOTALL), key))
    return shapes


CATALOGUE_OF = functools.cache(Catalogue)
"""The catalogue of a language, by code."""
_TEXTS: ContextVar[Texts | None] = ContextVar("texts", default=None)


@contextlib.contextmanager
def texts_from(texts: Texts) -> Iterator[None]:
    """Have `translated` ask `texts` in the block, and in the threads and tasks that it starts."""
    before = _TEXTS.set(texts)
    try:
        yield
    finally:
        _TEXTS.reset(before)


def translated(value: T) -> T:
    """Return a text in the language of the event; of dictionaries and sequences every text within."""
    if isinstance(value, str):
        texts = _TEXTS.get()
        return value if texts is None else texts.text(value)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {key: translated(one) for key, one in value.items()}  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return type(value)(map(translated, value))
    return value


def translated_html(fragment: str) -> str:
    """Return HTML of the core with its texts translated; those that are not known stay."""

    def text(match: re.Match[str]) -> str:
        return html.escape(translated(html.unescape(match[0])))

    return _BETWEEN_TAGS.sub(text, fragment)


class _Strings:
    """The texts of `lipsync.ui.strings`, translated as they are asked for."""

    def __getattr__(self, name: str) -> Any:
        return translated(getattr(english, name))


if TYPE_CHECKING:
    from lipsync.ui import strings as strings
else:
    strings = _Strings()
