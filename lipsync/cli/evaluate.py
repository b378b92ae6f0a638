"""The command line of evaluating: python -m lipsync evaluate INPUT ..."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import lipsync
from lipsync.cli.terminal import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    ProgressBar,
    add_options,
    cancel_on_interrupt,
    chosen_options,
    read_options,
)
from lipsync.errors import Cancelled, InputError, OptionError, WeightsError
from lipsync.evaluation.dataset import LIST_SUFFIXES, TABLE_SUFFIXES, Pair, find_result, read_pairs
from lipsync.evaluation.evaluator import Evaluator, EvaluatorOptions
from lipsync.evaluation.runner import Maker, evaluate_all, fid_of_rows
from lipsync.evaluation.table import ClipResult, Table, as_csv, as_json, as_markdown, make_table
from lipsync.evaluation.table_report import table_page
from lipsync.generators import GENERATORS, choose_variant
from lipsync.metrics.fid import measure_fid
from lipsync.options import ReportOptions, SyncOptions
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.utils.atomic_write import write_text

_GROUPS = tuple(getattr(SyncOptions(), field.name) for field in dataclasses.fields(SyncOptions))
_AS_GIVEN = "as given"


def add_evaluate_command(parser: argparse.ArgumentParser) -> None:
    """Add what `evaluate` takes."""
    parser.add_argument(
        "input",
        type=Path,
        metavar="INPUT",
        help="a video; a table (.csv) with the columns video, voice, language, set; a list as Wav2Lip's "
        "authors give them for LRS2, LRS3, LRW and ReSyncED (.txt); or a folder of videos",
    )
    parser.add_argument("--reference", type=Path, metavar="VIDEO", help="compare the one video with this one")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where the files of a list are")
    parser.add_argument(
        "--variants", type=_names, metavar="NAME,…", help="models to make results with, side by side"
    )
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="results that were made already; may be given several times",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take only the first N pairs")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="keep results and figures, and go on with what is there"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures of every clip")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures and curves")
    add_options(
        parser, EvaluatorOptions(), *(group for group in _GROUPS if not isinstance(group, ReportOptions))
    )
    parser.set_defaults(command=_evaluate)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _evaluate(chosen: argparse.Namespace) -> int:
    run = SyncOptions.from_flat(**chosen_options(chosen, *_GROUPS))
    options = read_options(chosen, EvaluatorOptions())
    with ExitStack() as cleanup:
        cancel, bar = cleanup.enter_context(cancel_on_interrupt()), cleanup.enter_context(ProgressBar())
        folder = chosen.out or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lipsync-")))
        progress = _Numbered(bar.update)
        judge = Evaluator(options, run, progress=progress, cancel=cancel)
        if _is_one(chosen.input):
            table, judged = _judge_one(chosen, judge)
            _tell(chosen, table, judged, judge)
            return 0
        if chosen.reference:
            raise InputError("--reference is for a single video", given=chosen.input)
        pairs = read_pairs(chosen.input, chosen.root)[: chosen.limit]
        makers = _makers(chosen, pairs, run, progress, cancel)
        judged = []
        progress.total = len(pairs) * len(makers)
        try:
            for one in evaluate_all(pairs, makers, folder, judge, made_with=repr(run)):
                judged.append(one)
                progress.number = len(judged)
                if one.failure:
                    print(f"Failed: {one.variant}, {one.pair.name}: {one.failure}", file=sys.stderr)
        except Cancelled:
            if not chosen.out:
                raise
            print("Stopped; the same command goes on from here.", file=sys.stderr)
            return EXIT_CANCELLED
        _tell(chosen, make_table(judged, fid_of_rows(judged, folder)), judged, judge)
    return EXIT_ERROR if all(one.failure for one in judged) else 0


class _Numbered:
    """The progress callback; says which of the clips it is about."""

    def __init__(self, callback: ProgressCallback) -> None:
        self._callback = callback
        self.number, self.total = 0, 0

    def __call__(self, progress: Progress) -> None:
        if self.total > 1:
            stage = f"[{self.number + 1}/{self.total}] {progress.stage}"
            progress = dataclasses.replace(progress, stage=stage)
        self._callback(progress)


# --- what is judged ------------------------------------------------------------------------------


def _is_one(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() not in (*TABLE_SUFFIXES, *LIST_SUFFIXES)


def _judge_one(chosen: argparse.Namespace, judge: Evaluator) -> tuple[Table, list[ClipResult]]:
    """A single video, beside a reference if there is one."""
    if chosen.variants or chosen.results:
        hint = "Give a table of videos and voices (.csv)."
        raise OptionError("--variants and --results are for lists", given=chosen.input, hint=hint)
    pair = Pair(chosen.input.stem, 0, chosen.input, chosen.input)
    one = judge.judge(pair, _AS_GIVEN, chosen.input, reference=chosen.reference)
    whole: dict[str, float] = {}
    if chosen.reference and "fid" in judge.measures:
        network = judge.network()
        whole["fid"] = measure_fid(chosen.input, chosen.reference, network, judge.progress, judge.cancel).fid
    return make_table([one], {("", "", _AS_GIVEN): whole}), [one]


def _makers(
    chosen: argparse.Namespace,
    pairs: Sequence[Pair],
    run: SyncOptions,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Mapping[str, Maker]:
    makers: dict[str, Maker] = {}
    for given in chosen.results:
        name, equals, folder = given.partition("=")
        if not equals or not Path(folder).is_dir():
            hint = "Write a name and a folder, for example --results theirs=results/."
            raise OptionError("--results cannot be understood", given=given, hint=hint)
        makers[name] = _Found(Path(folder))
    variants = chosen.variants or ()
    if not variants and not makers:
        if all(pair.own_voice for pair in pairs):
            return {_AS_GIVEN: lambda pair, _: pair.video}
        variants = (choose_variant(run.generator.variant),)
    for name in variants:
        if name not in GENERATORS:
            hint = f"Known: {', '.join(GENERATORS)}."
            raise OptionError("There is no such generator", given=repr(name), hint=hint)
        makers[name] = _Run(name, run, progress, cancel)
    return makers


class _Found:
    """Takes a result that is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, pair: Pair, _: Path) -> Path:
        found = find_result(self._folder, pair)
        if found is None:
            names = dict.fromkeys((pair.name, pair.video.stem, str(pair.number)))
            hint = f"Name it {' or '.join(f'{name}.mp4' for name in names)}."
            raise InputError("There is no result of this pair", given=self._folder, hint=hint)
        return found


class _Run:
    """Makes a result with one variant. Weights that cannot be had are asked for once only."""

    def __init__(
        self, variant: str, run: SyncOptions, progress: ProgressCallback, cancel: CancelToken
    ) -> None:
        generator = dataclasses.replace(run.generator, variant=variant)
        self._options = dataclasses.replace(run, generator=generator, report=ReportOptions(score=False))
        self._progress, self._cancel = progress, cancel
        self._lacking: WeightsError | None = None

    def __call__(self, pair: Pair, target: Path) -> Path:
        if self._lacking:
            raise self._lacking
        try:
            lipsync.sync(pair.video, pair.voice, self._options, self._progress, self._cancel, output=target)
        except WeightsError as error:
            self._lacking = error
            raise
        return target


# --- what is told --------------------------------------------------------------------------------


def _tell(chosen: argparse.Namespace, table: Table, judged: Sequence[ClipResult], judge: Evaluator) -> None:
    """Write the files first, so that nothing is lost if the terminal has gone."""
    if chosen.csv:
        write_text(chosen.csv, as_csv(judged))
    if chosen.json:
        values = as_json(table, judged) | {"notes": judge.notes}
        write_text(chosen.json, json.dumps(values, indent=2, ensure_ascii=False))
    if chosen.html:
        title = f"Evaluation of {chosen.input.name}"
        page = table_page(table, judged, judge.run, judge.notes, title, chosen.reference, judge.cancel)
        write_text(chosen.html, page)
    print(as_markdown(table, judged))
    for note in judge.notes:
        print(f"Note: {note}", file=sys.stderr)
