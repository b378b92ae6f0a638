"""Choice of a visitor's language."""

from __future__ import annotations

from dataclasses import dataclass

COOKIE = "lipsync-language"
"""Cookie with the language that a visitor chose on the page; page.js sets it."""


@dataclass(frozen=True)
class Language:
    """A language of the page.

    Attributes:
        code: names the catalogue.
        tag: BCP 47 tag of the page, by which Gradio chooses the language of its own texts.
        direction: of writing, "ltr" or "rtl".
    """

    code: str
    tag: str
    direction: str = "ltr"


ENGLISH = Language("en", "en")
LANGUAGES = {
    language.code: language
    for language in (
        ENGLISH,
        Language("de", "de"),
        Language("es", "es"),
        Language("fr", "fr"),
        Language("pt", "pt-BR"),
        Language("zh", "zh-CN"),
        Language("ja", "ja"),
        Language("hi", "hi"),
        Language("ar", "ar", "rtl"),
    )
}
"""The languages of the page, by code."""


def choose_language(accepted: str, chosen: str = "") -> Language:
    """Return the language that suits a visitor best; English where none does.

    Args:
        accepted: the browser's header Accept-Language (RFC 9110), such as "pt-BR,pt;q=0.9,en;q=0.8".
        chosen: tag of the language that the visitor chose on the page; "" for none.
    """
    for tag in (chosen, *_by_weight(accepted)):
        code = tag.strip().lower().split("-")[0]
        if code in LANGUAGES:
            return LANGUAGES[code]
    return ENGLISH


def _by_weight(accepted: str) -> list[str]:
    """The tags of the header, the most welcome one first, without those that are refused."""
    weighted = []
    for entry in accepted.split(","):
        tag, _, weight = entry.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        if quality > 0:
            weighted.append((quality, tag))
    return [tag for _, tag in sorted(weighted, key=lambda one: -one[0])]
