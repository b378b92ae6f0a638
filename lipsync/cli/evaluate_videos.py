"""The work of `lipsync evaluate`; importing it takes seconds."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import lipsync
from lipsync.cli.outputs import print_json
from lipsync.cli.process import EXIT_CANCELLED
from lipsync.cli.terminal import EXIT_ERROR, ProgressBar, cancel_on_interrupt
from lipsync.errors import Cancelled, InputError, OptionError, WeightsError
from lipsync.evaluation.dataset import (
    LIST_SUFFIXES,
    TABLE_SUFFIXES,
    Pair,
    find_result,
    read_pairs,
    with_other_voices,
)
from lipsync.evaluation.evaluator import Evaluator, EvaluatorOptions
from lipsync.evaluation.runner import Maker, evaluate_all, fid_of_rows
from lipsync.evaluation.table import ClipResult, ResultTable, make_table
from lipsync.evaluation.table_formats import to_csv, to_json, to_markdown
from lipsync.evaluation.table_report import EvaluationPage
from lipsync.generators import choose_variant
from lipsync.metrics.fid import measure_fid
from lipsync.options import ReportOptions, SyncOptions
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.utils.atomic_write import write_text
from lipsync.utils.owned_folder import temporary_folder

_UNCHANGED = "as given"
"""Name of the row for videos that are measured as they are."""


def evaluate_videos(arguments: argparse.Namespace, options: EvaluatorOptions, run: SyncOptions) -> int:
    """Measure what was given, write and print the values; returns the exit status."""
    with ExitStack() as cleanup:
        cancel, bar = cleanup.enter_context(cancel_on_interrupt()), cleanup.enter_context(ProgressBar())
        folder = arguments.out or cleanup.enter_context(temporary_folder())
        progress = _ClipCounter(bar.update)
        evaluator = Evaluator(options, run, progress=progress, cancel=cancel)
        if _is_single(arguments.input):
            table, results = _evaluate_single(arguments, evaluator)
            _report(arguments, table, results, evaluator)
            return 0
        if arguments.reference:
            raise InputError("--reference is for a single video", given=arguments.input)
        pairs = _read_pairs(arguments)
        makers = _makers(arguments, pairs, run, progress, cancel)
        results = []
        progress.total = len(pairs) * len(makers)
        try:
            for result in evaluate_all(pairs, makers, folder, evaluator, made_with=repr(run)):
                results.append(result)
                progress.number = len(results)
                if result.failure:
                    print(f"Failed: {result.variant}, {result.pair.name}: {result.failure}", file=sys.stderr)
        except Cancelled:
            if not arguments.out:
                raise
            print("Stopped. Run the same command again to continue.", file=sys.stderr)
            return EXIT_CANCELLED
        _report(arguments, make_table(results, fid_of_rows(results, folder)), results, evaluator)
    return EXIT_ERROR if all(result.failure for result in results) else 0


class _ClipCounter:
    """A progress callback that prefixes the stage with the number of the clip."""

    def __init__(self, callback: ProgressCallback) -> None:
        self._callback = callback
        self.number, self.total = 0, 0

    def __call__(self, progress: Progress) -> None:
        if self.total > 1:
            stage = f"[{self.number + 1}/{self.total}] {progress.stage}"
            progress = dataclasses.replace(progress, stage=stage)
        self._callback(progress)


# --- input -----------------------------------------------------------------------------------------


def _is_single(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() not in (*TABLE_SUFFIXES, *LIST_SUFFIXES)


def _read_pairs(arguments: argparse.Namespace) -> Sequence[Pair]:
    """The pairs to measure; models get other people's voices unless the list or `--own-voice` says so."""
    pairs = read_pairs(arguments.input, arguments.root)[: arguments.limit]
    listed = not arguments.input.is_dir() or any(not pair.own_voice for pair in pairs)
    return pairs if listed or arguments.own_voice or not arguments.variants else with_other_voices(pairs)


def _evaluate_single(
    arguments: argparse.Namespace, evaluator: Evaluator
) -> tuple[ResultTable, list[ClipResult]]:
    """Measure one video, against a reference where there is one."""
    if arguments.variants or arguments.results:
        hint = "Give a table of videos and voices (.csv)."
        raise OptionError("--variants and --results are for lists", given=arguments.input, hint=hint)
    pair = Pair(arguments.input.stem, 0, arguments.input, arguments.input)
    result = evaluator.evaluate(pair, _UNCHANGED, arguments.input, reference=arguments.reference)
    fid: dict[str, float] = {}
    if arguments.reference and "fid" in evaluator.measures:
        network = evaluator.feature_extractor()
        fid["fid"] = measure_fid(
            arguments.input, arguments.reference, network, evaluator.progress, evaluator.cancel
        ).fid
    return make_table([result], {("", "", _UNCHANGED): fid}), [result]


def _makers(
    arguments: argparse.Namespace,
    pairs: Sequence[Pair],
    run: SyncOptions,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Mapping[str, Maker]:
    """Providers of the results to measure, by the name of their row."""
    makers: dict[str, Maker] = {}
    for given in arguments.results:
        name, equals, folder = given.partition("=")
        if not equals or not Path(folder).is_dir():
            hint = "Write a name and a folder, for example --results theirs=results/."
            raise OptionError("--results cannot be read", given=given, hint=hint)
        makers[name] = _ExistingResults(Path(folder))
    variants = arguments.variants or ()
    if not variants and not makers:
        if all(pair.own_voice for pair in pairs):
            return {_UNCHANGED: lambda pair, _: pair.video}
        variants = (choose_variant(run.generator.variant),)
    for name in variants:
        makers[name] = _SyncRun(name, run, progress, cancel)
    return makers


class _ExistingResults:
    """Provides results from a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, pair: Pair, _: Path) -> Path:
        found = find_result(self._folder, pair)
        if found is None:
            names = dict.fromkeys((pair.name, pair.video.stem, str(pair.number)))
            hint = f"Name it {' or '.join(f'{name}.mp4' for name in names)}."
            raise InputError("There is no result of this pair", given=self._folder, hint=hint)
        return found


class _SyncRun:
    """Makes results with one model; missing weights are looked up once only."""

    def __init__(
        self, variant: str, run: SyncOptions, progress: ProgressCallback, cancel: CancelToken
    ) -> None:
        generator = dataclasses.replace(run.generator, variant=variant)
        self._options = dataclasses.replace(run, generator=generator, report=ReportOptions(score=False))
        self._progress, self._cancel = progress, cancel
        self._weights_error: WeightsError | None = None

    def __call__(self, pair: Pair, target: Path) -> Path:
        if self._weights_error:
            raise self._weights_error
        try:
            lipsync.sync(pair.video, pair.voice, self._options, self._progress, self._cancel, output=target)
        except WeightsError as error:
            self._weights_error = error
            raise
        return target


# --- output ----------------------------------------------------------------------------------------


def _report(
    arguments: argparse.Namespace, table: ResultTable, results: Sequence[ClipResult], evaluator: Evaluator
) -> None:
    """Write the files, then print; in this order, so that nothing is lost if the terminal has closed."""
    if arguments.csv:
        write_text(arguments.csv, to_csv(results))
    values = to_json(table, results) | {"notes": evaluator.notes}
    if arguments.json_file:
        write_text(arguments.json_file, json.dumps(values, indent=2, ensure_ascii=False))
    if arguments.html:
        title = f"Evaluation of {arguments.input.name}"
        page = EvaluationPage(evaluator.run, evaluator.notes, arguments.reference, evaluator.cancel)
        write_text(arguments.html, page.render(table, results, title))
    if arguments.json:
        print_json(values)
    else:
        print(to_markdown(table, results))
    for note in evaluator.notes:
        print(f"Note: {note}", file=sys.stderr)
