"""Results of a visit, as they are listed and compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lipsync.options import SyncOptions
from lipsync.ui.handlers import RunOutputs
from lipsync.ui.labels import choice_label, label
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Session

_MOST_SETTINGS = 3
"""Settings of a result that are listed."""


def joined(chosen: Sequence[RunOutputs]) -> RunOutputs:
    """Results of one run, or the first of two as if they were of one."""
    if len(chosen) == 1:
        return chosen[0]
    first, second = chosen
    results = (first.results[0], second.results[0])
    return dataclasses.replace(first, results=results, side_by_side=None, failed="")


def history_choices(session: Session) -> list[tuple[str, str]]:
    """The results of a visit with model, settings and score, the newest first, by folder."""
    choices = []
    for number, made in enumerate(session.history, 1):
        first = made.results[0]
        text = strings.HISTORY_ITEM.format(
            number=number,
            name=first.path.name,
            variant=choice_label("variant", first.variant),
            settings=departures(made.request.options),
        )
        if first.score and first.score.result.confidence is not None:
            score = first.score.result
            verdict = strings.VERDICTS[score.verdict.value]
            words = strings.HISTORY_SCORE.format(verdict=verdict, confidence=score.confidence)
            text += f" · {words}"
        choices.append((text, made.settings.parent.name))
    return choices[::-1]


def departures(options: SyncOptions) -> str:
    """The settings that differ from their defaults, in short."""
    defaults = SyncOptions().flat()
    changed = [
        f"{label(name)} {choice_label(name, value) if isinstance(value, str) else value}"
        for name, value in options.flat().items()
        if value != defaults[name] and name not in ("variant", "face_reference")
    ]
    shown = [_plain(one) for one in changed[:_MOST_SETTINGS]]
    more = [f"+{len(changed) - _MOST_SETTINGS}"] if len(changed) > _MOST_SETTINGS else []
    return ", ".join([*shown, *more]) or strings.HISTORY_DEFAULTS


def _plain(value: Any) -> str:
    return " ".join(str(value).split())
