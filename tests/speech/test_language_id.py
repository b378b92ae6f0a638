from __future__ import annotations

import sys

import pytest

from lipsync.errors import ToolError
from lipsync.speech import identify_language

pytest.importorskip("py3langid", reason="py3langid is not installed")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The weather is fine today, so we are going for a walk in the park."),
        ("de", "Das Wetter ist heute schön, also gehen wir im Park spazieren."),
        ("pl", "Dzisiaj jest ładna pogoda, więc idziemy na spacer do parku."),
        ("ru", "Сегодня хорошая погода, поэтому мы идём гулять в парк."),
        ("zh", "今天天气很好，所以我们去公园散步。"),
    ],
)
def test_a_sentence_is_identified(language: str, text: str) -> None:
    found = identify_language(text)
    assert found is not None
    assert found[0] == language and 0.5 < found[1] <= 1


@pytest.mark.parametrize("text", ["", " ", "No", "12345 67", "!?"])
def test_too_little_text_is_not_identified(text: str) -> None:
    assert identify_language(text) is None


def test_without_the_package_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(ToolError, match="pip install py3langid"):
        identify_language("Any text.")
