"""Many pairs through several variants: made, judged, kept, and gone on with after a stop.

folder/VARIANT/NAME.mp4     the result
folder/VARIANT/NAME.json    its figures, and what they belong to
folder/VARIANT/NAME.fid/    vectors of its frames and its source's
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lipsync.errors import Cancelled, LipsyncError
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.evaluator import Evaluator
from lipsync.evaluation.table import ClipResult
from lipsync.metrics.fid import add_saved
from lipsync.metrics.frechet import Moments, frechet_distance
from lipsync.utils.atomic_write import write_text

Maker = Callable[[Pair, Path], Path]
"""Makes the result of a pair, to be written to the path given, and says where it is: there, or where
it was already."""
_log = logging.getLogger(__name__)
_FORMAT = 2


def evaluate_all(
    pairs: Sequence[Pair], makers: Mapping[str, Maker], folder: Path, judge: Evaluator, made_with: str = ""
) -> Iterator[ClipResult]:
    """Judge every pair in every variant, and give each judgement as soon as it is there.

    What is in `folder` already and still holds (inputs, settings and measures are the same) is not
    done again. A pair that fails is told as such, and the rest goes on.

    Args:
        makers: by the variant's name.
        folder: where results and figures are kept; made if missing.
        made_with: the settings, as text: with others, results are made anew.

    Raises:
        Cancelled: the user stopped it; what is done is kept.
        OutputError: the folder cannot be written to.
    """
    for pair in pairs:
        for variant, make in makers.items():
            judge.cancel.check()
            try:
                yield _judge_one(pair, variant, make, folder, judge, made_with)
            except Cancelled:
                raise
            except LipsyncError as error:
                yield ClipResult(pair, variant, failure=str(error))
            except (OSError, RuntimeError, ValueError, ArithmeticError, LookupError) as error:
                # One odd file among thousands must not cost the rest; but this is a fault of ours.
                _log.exception("%s, %s", variant, pair.name)
                yield ClipResult(pair, variant, failure=f"{type(error).__name__}: {error}")


def _judge_one(
    pair: Pair, variant: str, make: Maker, folder: Path, judge: Evaluator, made_with: str
) -> ClipResult:
    place = folder / variant
    target, notes = place / f"{pair.name}.mp4", place / f"{pair.name}.json"
    place.mkdir(parents=True, exist_ok=True)
    inputs = _key(made_with, variant, _stamp(pair.video), _stamp(pair.voice))
    known = _read(notes)
    result = target
    if known.get("inputs") != inputs or not target.exists():
        started = time.perf_counter()
        result = make(pair, target)
        known = {"format": _FORMAT, "inputs": inputs, "seconds": None}
        if result == target:  # else it was there before
            known["seconds"] = time.perf_counter() - started
        write_text(notes, json.dumps(known, indent=1))
    judged = _key(inputs, _stamp(result), *judge.measures)
    if known.get("judged") == judged:
        return _from_notes(pair, variant, result, known)
    vectors = place / f"{pair.name}.fid"
    if "fid" in judge.measures:
        vectors.mkdir(exist_ok=True)
    found = judge.judge(pair, variant, result, features=vectors)
    if known.get("seconds"):
        found = replace(found, figures={**found.figures, "seconds": known["seconds"]})
    write_text(notes, json.dumps({**known, "judged": judged, **found.as_dict()}, indent=1))
    return found


def fid_of_rows(judged: Sequence[ClipResult], folder: Path) -> dict[tuple[str, str, str], dict[str, float]]:
    """FID of every row of the table: of all frames of its results against all of their sources."""
    rows: dict[tuple[str, str, str], tuple[Moments, Moments]] = {}
    for clip in judged:
        vectors = folder / clip.variant / f"{clip.pair.name}.fid"
        results, sources = vectors / "results.npy", vectors / "sources.npy"
        if not clip.failure and results.exists() and sources.exists():
            key = (clip.pair.group, clip.pair.language, clip.variant)
            ours, theirs = rows.setdefault(key, (Moments(), Moments()))
            add_saved(results, ours)
            add_saved(sources, theirs)
    return {key: {"fid": frechet_distance(*pair)} for key, pair in rows.items()}


def _stamp(path: Path) -> str:
    """What changes when a file does: name, size and time; "absent" where there is none."""
    try:
        state = path.stat()
    except OSError:
        return f"{path} absent"
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(notes: Path) -> dict[str, Any]:
    try:
        values = json.loads(notes.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) and values.get("format") == _FORMAT else {}


def _from_notes(pair: Pair, variant: str, result: Path, known: Mapping[str, Any]) -> ClipResult:
    def number(value: float | str | None) -> float:
        return math.nan if value is None else float(value)

    return ClipResult(
        pair,
        variant,
        result,
        {key: number(value) for key, value in known["figures"].items()},
        tuple(known["notes"]),
        curve=tuple((float(time), number(value)) for time, value in known["curve"]),
        tracks=tuple(known["tracks"]),
    )
