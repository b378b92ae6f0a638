"""The languages of the page: which one is chosen, that every text is there, and where texts are filled in."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lipsync.errors import Cancelled, InputError, LipsyncError, NoFaceError
from lipsync.options import MediaOptions, SyncOptions
from lipsync.progress import Progress
from lipsync.ui.components.status import error_line
from lipsync.ui.formatting import error_text, progress_text
from lipsync.ui.labels import in_labels
from lipsync.ui.languages import strings, translated, translated_html
from lipsync.ui.languages.choice import LANGUAGES, choose_language
from lipsync.ui.languages.core_texts import CORE_TEXTS
from lipsync.ui.languages.marks import Marks
from lipsync.ui.languages.texts import CATALOGUE_OF, texts_from
from lipsync.ui.languages.visit import PageInLanguages, speaking, visitors_language
from lipsync.ui.page import build_page
from tests.ui.page_texts import (
    FIELD,
    ROOT,
    TRANSLATED,
    catalogue,
    messages_of_core,
    page_texts,
    report,
    shape,
)

GERMAN = LANGUAGES["de"]


@pytest.mark.parametrize(
    ("accepted", "chosen", "code"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "", "en"),
        ("it-IT,it;q=0.9,fr;q=0.5,en;q=0.2", "", "fr"),  # the first that the page has
        ("en;q=0.2, ja", "", "ja"),
        ("pt-PT", "", "pt"),
        ("zh-TW", "", "zh"),
        ("de;q=0, es;q=0.1", "", "es"),
        ("de", "ar", "ar"),  # chosen on the page
        ("ko", "", "en"),
        ("", "", "en"),
        ("*;q=x,;", "", "en"),
        ("de", "it", "de"),
    ],
)
def test_the_language_is_the_first_that_the_browser_asks_for(accepted: str, chosen: str, code: str) -> None:
    assert choose_language(accepted, chosen).code == code


def test_a_cookie_holds_what_was_chosen_on_the_page() -> None:
    headers = {"accept-language": "de", "cookie": "a=b; lipsync-language=pt-BR"}
    assert visitors_language(headers).tag == "pt-BR"
    assert visitors_language({"accept-language": "de", "cookie": "]=;\x00"}) is GERMAN


def test_every_catalogue_has_every_text_and_no_other() -> None:
    """`python -m tests.ui.page_texts` says the same."""
    assert list(report()) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_keep_fields_names_and_what_stands_in_markup(code: str) -> None:
    for text, translation in catalogue(code).items():
        assert sorted(FIELD.findall(translation)) == sorted(FIELD.findall(text)), text
        assert not re.search(r'["<>&\\]', translation), text  # filled in where nothing is escaped
        names = re.findall(r"'(?:\w+_\w+|\{\w+\})'|\b\w+_\w+=\w+|--\w+", text) if text in CORE_TEXTS else []
        assert all(name in translation for name in names), text
        if text.startswith("#"):
            assert translation.startswith(text.split(" ", 1)[0] + " "), text


def test_the_messages_of_the_core_are_those_of_its_source() -> None:
    """A message that was changed would no longer be found; it may be joined from pieces."""
    found = messages_of_core()
    corpus = "\n".join(found)

    def is_there(piece: str, joins: int = 2) -> bool:
        piece = piece.strip(" .")
        if piece in corpus or not joins:
            return piece in corpus
        ends = [at for at in range(1, len(piece)) if piece[:at] in corpus]
        return any(is_there(piece[at:], joins - 1) for at in ends[-3:])

    lost = [one for one in CORE_TEXTS if shape(one) not in found]
    assert [one for one in lost if not all(map(is_there, FIELD.split(one)))] == []


def test_texts_of_the_page_are_taken_from_where_they_are_translated() -> None:
    takers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "lipsync").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "lipsync.ui"
        if "strings" in {one.name for one in node.names}
    ]
    assert set(takers) == {"lipsync/ui/languages/texts.py"}


class Shown:
    """Texts in brackets, so that what stands outside of them is seen to be in no catalogue."""

    def text(self, key: str) -> str:
        return f"⟦{key}⟧"


@pytest.fixture(scope="module")
def page() -> Iterator[PageInLanguages]:
    page = build_page()
    assert isinstance(page, PageInLanguages)
    yield page


def test_no_text_of_the_page_is_outside_the_catalogues(page: PageInLanguages) -> None:
    config = page._marks.fill(page._built, Shown())
    public = {
        number
        for event in config["dependencies"]
        if event["api_visibility"] == "public"
        for number in (*event["inputs"], *event["outputs"], *(target for target, _ in event["targets"]))
    }
    plain = []
    for component in config["components"]:
        if component["id"] not in public:
            plain += [text for text in _shown(component["props"]) if _has_words(text)]
    assert plain == []


def _shown(props: dict[str, Any]) -> Iterator[str]:
    """What a component shows: texts, and the labels of choices."""
    for name in ("label", "info", "placeholder", "html_template", "sample_labels"):
        value = props.get(name) or ()
        yield from [value] if isinstance(value, str) else value
    yield from (str(one[0]) for one in props.get("choices") or () if one[0] != one[1])
    value = props.get("value")
    if isinstance(value, str) and value not in {one[1] for one in props.get("choices") or ()}:
        yield value


def _has_words(text: str) -> bool:
    marked = re.compile(r"⟦[^⟦⟧]*⟧")
    while marked.search(text):
        text = marked.sub("", text)
    text = re.sub(r'<[^>"]*("[^"]*"[^>"]*)*>|data-words="[^"]*"|\$\{value\}', "", text)
    text = re.sub(r"^(auto|white|(tiny|base|small|medium|turbo)\b.*)$", "", text)  # values, and what they are
    return bool(re.search(r"[^\W\d_]", text))


def test_the_page_is_filled_in_for_each_language(page: PageInLanguages) -> None:
    english = json.dumps(page.config["components"], default=str)
    assert "__i18n_" not in english
    assert "Smooth over (frames)" in english
    assert "Start of part 3" in english
    with speaking(GERMAN):
        german = json.dumps(page.config["components"], default=str, ensure_ascii=False)
        scripts = json.dumps(page.config["dependencies"], default=str, ensure_ascii=False)
    assert "Glätten über (Bilder)" in german
    assert "Anfang von Abschnitt 3" in german
    assert "Position in der Spur „Video“" in german
    assert "__i18n_" not in german + scripts
    values = [one["props"].get("value") for one in page.config["components"] if "choices" in one["props"]]
    assert "pingpong" in values  # values are not translated


def test_marks_can_be_filled_in_with_marks() -> None:
    marks = Marks()
    outer, inner = marks.text("{count} of {what}"), marks.text("parts")
    text = f"<b>{outer.format(count=2, what=inner)}</b>"
    assert marks.fill({"a": [text], "b": 1}, Shown()) == {"a": ["<b>⟦2 of ⟦parts⟧⟧</b>"], "b": 1}
    same = {"a": ["x"]}
    assert marks.fill(same, Shown()) is same
    assert marks.text(outer) == outer  # once


def test_texts_are_english_without_a_visit_and_in_the_visitors_language_with_one() -> None:
    assert strings.CANCEL == "Cancel"
    with speaking(GERMAN):
        assert strings.CANCEL == "Abbrechen"
        assert strings.CHOICES["mask"]["box"] == "der ganze Rahmen"
        assert translated(("Face", {"a": ["Video"]}, 3)) == ("Gesicht", {"a": ["Video"]}, 3)
        assert translated("not in any catalogue") == "not in any catalogue"
    assert strings.CANCEL == "Cancel"


def test_errors_of_the_core_are_told_in_the_visitors_language() -> None:
    faceless = NoFaceError("No face was found", hint="Choose another time.")
    with speaking(GERMAN):
        assert error_text(faceless) == "Es wurde kein Gesicht gefunden. Wählen Sie einen anderen Zeitpunkt."
        assert "Angehalten" in error_line(Cancelled())
        try:
            SyncOptions(media=MediaOptions(quality=99))
        except LipsyncError as error:
            told = error_text(error)
        assert told == (
            "„Kompression (CRF)“ liegt außerhalb des erlaubten Bereichs: 99. Möglich ist 0 bis 51."
        )
        other = InputError("A message that no catalogue has", given="x", hint="Do this. Try again later.")
        assert (
            error_text(other)
            == "A message that no catalogue has: x. Do this. Versuchen Sie es später noch einmal."
        )
    assert error_text(faceless, str) == "No face was found. Choose another time."
    assert error_text(RuntimeError()).startswith("An unexpected error occurred. Try again")


def test_messages_with_values_are_known_by_their_shape() -> None:
    with speaking(GERMAN):
        text = "the sound comes 3 frames (120 ms) early"
        assert translated(text) == "der Ton kommt 3 Bilder (120 ms) zu früh"
        assert translated(f"Lips and voice belong together, but {text}.").endswith(
            ", aber der Ton kommt 3 Bilder (120 ms) zu früh."
        )
        assert progress_text("", Progress("Finding faces", 5, 75)) == (
            "Gesichter werden gesucht · 5 von 75 Bildern"
        )
        assert in_labels("No face was found ('box')") == "No face was found („Fester Gesichtsrahmen“)"
        html = "<h2>What to expect</h2><dd>3 &lt; 4</dd><li><strong>Note:</strong> 1 cut</li>"
        expected = "<h2>Was zu erwarten ist</h2><dd>3 &lt; 4</dd><li><strong>Hinweis:</strong> 1 cut</li>"
        assert translated_html(html) == expected


def test_every_language_can_fill_in_every_text() -> None:
    values = {name: 1 for text in page_texts() for name in re.findall(r"\{(\w+)", text)}
    for code in TRANSLATED:
        with texts_from(CATALOGUE_OF(code)):
            for text in page_texts():
                translated(text).format(**values)
