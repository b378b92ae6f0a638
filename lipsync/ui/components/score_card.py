"""Score card: verdict, values of result and source, and the score curve, as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from pathlib import Path

from lipsync.sync_score.plot import score_svg
from lipsync.types import ScoreCard, SyncResult, SyncScore, Verdict
from lipsync.ui.formatting import strip_folders
from lipsync.ui.labels import in_labels
from lipsync.ui.languages import strings, translated, translated_html
from lipsync.utils.atomic_write import write_text

_PLAYERS = ("#result video", "#other-result video")
"""CSS selectors of the players of the results."""
_STATUS_KINDS = {Verdict.GOOD: "done", Verdict.POOR: "bad", Verdict.OFF: "bad"}


def score_html(results: Iterable[SyncResult]) -> str:
    """Render the score cards of all results that have one; "" where none has."""
    cards = [
        (result.score, result.variant, player)
        for result, player in zip(results, _PLAYERS, strict=False)
        if result.score
    ]
    show_variant = len(cards) > 1
    return "".join(_card(card, variant if show_variant else "", player) for card, variant, player in cards)


def write_scores(results: Iterable[SyncResult], path: Path) -> Path | None:
    """Write the score cards as JSON; returns None where there are none."""
    cards = [{"variant": result.variant, **result.score.as_dict()} for result in results if result.score]
    if not cards:
        return None
    write_text(path, json.dumps(cards, indent=2))
    return path


def _card(card: ScoreCard, variant: str, player: str) -> str:
    first, *others = (in_labels(strip_folders(sentence)) for sentence in card.words)
    kind = _STATUS_KINDS.get(card.result.verdict, "info")
    headline = " · ".join(filter(None, [strings.SCORE, variant, strings.VERDICTS[card.result.verdict.value]]))
    notes = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in others)
    curve = ""
    if card.result.verdict is not Verdict.TOO_SHORT:
        plot = translated_html(score_svg(card))
        curve = f"<details><summary>{strings.SCORE_CURVE}</summary><div>{plot}</div></details>"
    return (
        f'<section class="score"><div class="status {kind}"><b>{html.escape(headline)}</b><br>'
        f"{html.escape(first)}</div><ul>{notes}</ul>{_weak_spans(card, player)}{_table(card)}{curve}"
        "</section>"
    )


def _weak_spans(card: ScoreCard, player: str) -> str:
    """Buttons that play the stretches in which the lips do not follow the voice; "" where there are none."""
    buttons = "".join(
        f'<button type="button" data-seek="{span.start:.2f}" data-player="{player}">▶ {span}</button>'
        for span in card.result.weak
    )
    return f"<p>{strings.SCORE_WEAK} {buttons}</p>" if buttons else ""


def _table(card: ScoreCard) -> str:
    """The values of the result, and of the source where it was measured."""
    if card.result.confidence is None:
        return ""
    columns = [card.result, *([card.source] if card.source else [])]
    heads = (strings.SCORE_RESULT, strings.SCORE_SOURCE)[: len(columns)]
    rows = zip(strings.SCORE_ROWS, zip(*map(_cells, columns), strict=True), strict=True)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{html.escape(value)}</td>" for value in values)}</tr>'
        for name, values in rows
    )
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return f"<table><thead><tr><td></td>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cells(score: SyncScore) -> tuple[str, str, str]:
    """Confidence, distance and offset, in the order of `strings.SCORE_ROWS`."""
    if score.confidence is None or score.distance is None:
        return (strings.VERDICTS[score.verdict.value], "–", "–")
    return f"{score.confidence:.2f}", f"{score.distance:.2f}", translated(score.offset_words)
