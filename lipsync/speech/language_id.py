"""Which language a text is in; a second opinion on what the transcript's network heard."""

from __future__ import annotations

from lipsync.errors import ToolError

_SURE = 0.5
_LANGUAGES = (
    "af am ar as az ba be bg bn br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha he hi hr ht hu hy "
    "id is it ja ka kk km kn ko la lb ln lo lt lv mg mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru "
    "sa si sk sl sn so sq sr sv sw ta te tg th tk tl tr tt uk ur uz vi yo yue zh"
)
"""Languages that Whisper can hear; a text in any other could not have come out of it."""


def language_of(text: str) -> tuple[str, float] | None:
    """The language of `text` by py3langid, which knows it from the letters alone.

    Returns:
        Its ISO 639 code and a probability; None where no language is more likely than all others
        together, as for a word or two, numbers, or noise.

    Raises:
        ToolError: the package py3langid is missing.
    """
    if not any(map(str.isalpha, text)):
        return None
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        hint = "Install it with: pip install py3langid"
        raise ToolError(
            "The package py3langid, which tells languages apart, is missing", hint=hint
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES.split())
    language, probability = identifier.classify(text)
    return (str(language), float(probability)) if probability > _SURE else None
