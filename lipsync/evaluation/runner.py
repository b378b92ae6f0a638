"""Evaluation of many pairs with several variants, resumable.

folder/VARIANT/NAME.mp4     the result
folder/VARIANT/NAME.json    its values, and hashes of their inputs
folder/VARIANT/NAME.fid/    feature vectors of its frames and its source's
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
"""Makes the result of a pair at the given path, or finds an existing one; returns its path."""
_log = logging.getLogger(__name__)
_FORMAT = 2


def evaluate_all(
    pairs: Sequence[Pair],
    makers: Mapping[str, Maker],
    folder: Path,
    evaluator: Evaluator,
    made_with: str = "",
) -> Iterator[ClipResult]:
    """Evaluate every pair with every variant; yields each clip when it is done.

    Values in `folder` are reused if inputs, settings and metrics are the same. A pair that fails is
    yielded with the reason, and the others continue.

    Args:
        makers: by the variant's name.
        folder: for results and values; created if missing.
        made_with: the settings of the results, as text; a change makes them again.

    Raises:
        Cancelled: the token was cancelled; finished clips are kept.
        OutputError: the folder cannot be written to.
    """
    for pair in pairs:
        for variant, make in makers.items():
            evaluator.cancel.check()
            try:
                yield _evaluate_clip(pair, variant, make, folder, evaluator, made_with)
            except Cancelled:
                raise
            except LipsyncError as error:
                yield ClipResult(pair, variant, failure=str(error))
            except (OSError, RuntimeError, ValueError, ArithmeticError, LookupError) as error:
                # One bad file must not end a run over thousands; the log has the traceback.
                _log.exception("%s, %s", variant, pair.name)
                yield ClipResult(pair, variant, failure=f"{type(error).__name__}: {error}")


def _evaluate_clip(
    pair: Pair, variant: str, make: Maker, folder: Path, evaluator: Evaluator, made_with: str
) -> ClipResult:
    base = folder / variant
    target, record = base / f"{pair.name}.mp4", base / f"{pair.name}.json"
    base.mkdir(parents=True, exist_ok=True)
    inputs_key = _key(made_with, variant, _file_state(pair.video), _file_state(pair.voice))
    stored = _read_record(record)
    result = target
    if stored.get("inputs") != inputs_key or not target.exists():
        started = time.perf_counter()
        result = make(pair, target)
        stored = {"format": _FORMAT, "inputs": inputs_key, "seconds": None}
        if result == target:  # else it existed before
            stored["seconds"] = time.perf_counter() - started
        write_text(record, json.dumps(stored, indent=1))
    values_key = _key(inputs_key, _file_state(result), *evaluator.measures)
    if stored.get("judged") == values_key:
        return _from_record(pair, variant, result, stored)
    features = base / f"{pair.name}.fid"
    if "fid" in evaluator.measures:
        features.mkdir(exist_ok=True)
    clip = evaluator.evaluate(pair, variant, result, features=features)
    if stored.get("seconds"):
        clip = replace(clip, values={**clip.values, "seconds": stored["seconds"]})
    write_text(record, json.dumps({**stored, "judged": values_key, **clip.as_dict()}, indent=1))
    return clip


def fid_of_rows(clips: Sequence[ClipResult], folder: Path) -> dict[tuple[str, str, str], dict[str, float]]:
    """FID of every row of the table: all frames of its results against all frames of their sources."""
    rows: dict[tuple[str, str, str], tuple[Moments, Moments]] = {}
    for clip in clips:
        features = folder / clip.variant / f"{clip.pair.name}.fid"
        results, sources = features / "results.npy", features / "sources.npy"
        if not clip.failure and results.exists() and sources.exists():
            key = (clip.pair.group, clip.pair.language, clip.variant)
            result_moments, source_moments = rows.setdefault(key, (Moments(), Moments()))
            add_saved(results, result_moments)
            add_saved(sources, source_moments)
    return {key: {"fid": frechet_distance(*moments)} for key, moments in rows.items()}


def _file_state(path: Path) -> str:
    """Name, size and modification time; "absent" for a missing file."""
    try:
        state = path.stat()
    except OSError:
        return f"{path} absent"
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _read_record(record: Path) -> dict[str, Any]:
    """The JSON of a clip; empty if it is missing, damaged or of another format."""
    try:
        values = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) and values.get("format") == _FORMAT else {}


def _from_record(pair: Pair, variant: str, result: Path, stored: Mapping[str, Any]) -> ClipResult:
    def number(value: float | str | None) -> float:
        return math.nan if value is None else float(value)

    return ClipResult(
        pair,
        variant,
        result,
        {key: number(value) for key, value in stored["figures"].items()},
        tuple(stored["notes"]),
        curve=tuple((float(time), number(value)) for time, value in stored["curve"]),
        tracks=tuple(stored["tracks"]),
    )
