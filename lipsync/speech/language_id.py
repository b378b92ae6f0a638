"""Language identification from text, a check of the detected language."""

from __future__ import annotations

from lipsync.errors import ToolError

_MIN_PROBABILITY = 0.5
_LANGUAGES = (
    "af am ar as az ba be bg bn br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha he hi hr ht hu hy "
    "id is it ja ka kk km kn ko la lb ln lo lt lv mg mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru "
    "sa si sk sl sn so sq sr sv sw ta te tg th tk tl tr tt uk ur uz vi yo yue zh"
)
"""Languages that Whisper transcribes; a transcript cannot be in any other."""


def identify_language(text: str) -> tuple[str, float] | None:
    """Identify the language of `text` from its letters, with py3langid.

    Returns:
        ISO 639 code and probability; None if no language is more likely than all others together, as for a
        word or two, numbers, or noise.

    Raises:
        ToolError: the package py3langid is missing.
    """
    if not any(map(str.isalpha, text)):
        return None
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        hint = "Install it with: pip install py3langid"
        raise ToolError("The package py3langid, which identifies languages, is missing", hint=hint) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES.split())
    language, probability = identifier.classify(text)
    return (str(language), float(probability)) if probability > _MIN_PROBABILITY else None
