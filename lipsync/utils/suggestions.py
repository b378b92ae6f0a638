"""Suggestions for mistyped words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """The question "Did you mean 'X'?" with the most similar known word; "" where none is similar."""
    by_lower = {str(one).lower(): str(one) for one in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""


def known_hint(given: Iterable[object], known: Iterable[object], intro: str = "Known") -> str:
    """Hint of an error about unknown names: what may have been meant, and all known ones."""
    names = [str(one) for one in known]
    meant = filter(None, (did_you_mean(one, names) for one in given))
    return " ".join([*meant, f"{intro}: {', '.join(names)}."])
