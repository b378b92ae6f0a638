"""The command line of training: python -m lipsync train COMMAND ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from lipsync.cli.flags import add_options, read_options
from lipsync.cli.terminal import EXIT_CANCELLED, ProgressBar, cancel_on_interrupt
from lipsync.errors import Cancelled, InputError
from lipsync.progress import CancelToken, Progress
from lipsync.training import (
    AvOffsetOptions,
    BuiltinOptions,
    ExpertOptions,
    FinetuneOptions,
    GeneratorTraining,
    LoopOptions,
    Outcome,
    Prepared,
    PrepareOptions,
    correct_lags,
    export_builtin,
    export_expert,
    export_finetuned,
    export_generator,
    find_sources,
    finetune_builtin,
    train_builtin,
    train_expert,
    train_generator,
    write_lrs_layout,
)
from lipsync.training.data.prepare import prepare
from lipsync.training.tasks.sync_expert_export import is_expert
from lipsync.training.tasks.wav2lip import original_loop
from lipsync.weights import require

_TUNING = LoopOptions(
    steps=400, learning_rate=3e-4, warm_up=20, evaluate_every=50, weight_decay=0.0, average=0.98
)
"""What is learned already is tuned gently, and not for long."""


def add_train_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands of training, each with its flags."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="make a training set of a folder of videos")
    prepare.add_argument("videos", type=Path, metavar="VIDEOS", help="folder of videos of people who speak")
    _add_set(prepare, "folder for the set; what is done already is not done again")
    add_options(prepare, PrepareOptions())
    prepare.set_defaults(command=_prepare)

    lags = commands.add_parser("lags", help="measure how late each person's sound is, and note it in a set")
    _add_set(lags, "a prepared set")
    add_options(lags, AvOffsetOptions())
    lags.set_defaults(command=_lags)

    expert = commands.add_parser("expert", help="train a sync expert, which the generator learns from")
    _add_set(expert)
    _add_run(expert)
    add_options(expert, ExpertOptions(), LoopOptions())
    expert.set_defaults(command=_expert)

    generator = commands.add_parser("generator", help="train a lip generator of Wav2Lip's kind")
    _add_set(generator)
    _add_run(generator)
    add_options(generator, GeneratorTraining(), original_loop())
    generator.set_defaults(command=_generator)

    builtin = commands.add_parser("builtin", help="train the model that ships with the program")
    _add_set(builtin, "a prepared set with landmarks")
    _add_run(builtin)
    builtin.add_argument("-o", "--output", type=Path, help="weights file to write, .safetensors")
    add_options(builtin, BuiltinOptions())
    builtin.set_defaults(command=_builtin)

    tune = commands.add_parser("tune", help="train a built-in model on, end to end, with a sync expert")
    _add_set(tune, "a prepared set with landmarks")
    _add_run(tune)
    tune.add_argument("--expert", type=Path, required=True, help="exported sync expert of our own")
    tune.add_argument("--weights", type=Path, help="model to go on from (default: the one that ships)")
    tune.add_argument("-o", "--output", type=Path, help="weights file to write, .safetensors")
    add_options(tune, FinetuneOptions(), _TUNING)
    tune.set_defaults(command=_tune)

    export = commands.add_parser("export", help="write a trained expert or generator as one file")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of its training")
    export.add_argument(
        "file", type=Path, metavar="FILE", help=".safetensors, or .pth for one of Wav2Lip's form"
    )
    export.set_defaults(command=_export)

    lrs = commands.add_parser("export-lrs", help="write a set as Wav2Lip's own training reads it")
    _add_set(lrs, "a prepared set")
    lrs.add_argument("root", type=Path, metavar="ROOT", help="folder to write")
    lrs.set_defaults(command=_export_lrs)


def _add_set(parser: argparse.ArgumentParser, what: str = "a prepared set, or one like LRS2's") -> None:
    parser.add_argument("set", type=Path, metavar="SET", help=what)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder for checkpoints; goes on with what it has"
    )


# --- sets ----------------------------------------------------------------------------------------


def _prepare(chosen: argparse.Namespace) -> int:
    options = read_options(chosen, PrepareOptions())
    try:
        with cancel_on_interrupt() as cancel, ProgressBar("file") as bar:
            prepared = prepare(find_sources(chosen.videos), chosen.set, options, bar.update, cancel)
    except Cancelled:
        return _say_how_to_go_on()
    for file, why in prepared.failures.items():
        print(f"Note: no clip of {file}: {why}", file=sys.stderr)
    if not prepared.rows:
        hint = f"Why is in {chosen.set / 'failures.tsv'}."
        raise InputError("None of the videos gave a clip", given=chosen.videos, hint=hint)
    print(f"{chosen.set}\n{_in_words(prepared)}")
    return 0


def _in_words(prepared: Prepared) -> str:
    rows = prepared.rows
    people, held = ({row.person for row in part} for part in (rows, [r for r in rows if r.split == "held"]))
    minutes = sum(row.frames for row in rows) / 25 / 60
    return (
        f"{len(rows)} clips of {len(people)} people, {minutes:.1f} minutes; {len(held)} people held out; "
        f"{len(prepared.failures)} files gave no clip"
    )


def _export_lrs(chosen: argparse.Namespace) -> int:
    try:
        with cancel_on_interrupt() as cancel, ProgressBar("clip") as bar:
            count = write_lrs_layout(chosen.set, chosen.root, bar.update, cancel)
    except Cancelled:
        return _say_how_to_go_on()
    print(f"{chosen.root}\n{count} clips")
    return 0


def _lags(chosen: argparse.Namespace) -> int:
    options = read_options(chosen, AvOffsetOptions())
    with _Figures({}) as figures, TemporaryDirectory() as runs:
        changed = correct_lags(chosen.set, Path(runs), options, figures.of("lags"))
    print(f"{chosen.set}\n{changed} clips changed")
    return 0


# --- trainings -----------------------------------------------------------------------------------


def _expert(chosen: argparse.Namespace) -> int:
    options, loop = read_options(chosen, ExpertOptions()), read_options(chosen, LoopOptions())
    with _Figures({"expert": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        outcome = train_expert(chosen.set, chosen.run, options, loop, figures.of("expert"), _asked(cancel))
    return _conclude(chosen.run, {"expert": outcome}, cancel)


def _generator(chosen: argparse.Namespace) -> int:
    options = read_options(chosen, GeneratorTraining())
    loop = read_options(chosen, original_loop(options.discriminator))
    with _Figures({"generator": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        report = figures.of("generator")
        outcome = train_generator(chosen.set, chosen.run, options, loop, report, _asked(cancel))
    return _conclude(chosen.run, {"generator": outcome}, cancel)


def _builtin(chosen: argparse.Namespace) -> int:
    options = read_options(chosen, BuiltinOptions())
    steps = {"voice": options.voice_steps, "place": options.place_steps, "painter": options.painter_steps}
    with _Figures(steps) as figures, cancel_on_interrupt() as cancel:
        outcomes = train_builtin(chosen.set, chosen.run, options, figures.report, _asked(cancel))
    status = _conclude(chosen.run, outcomes, cancel)
    if not status and chosen.output:
        _say_written(chosen.output, export_builtin(chosen.set, chosen.run, chosen.output))
    return status


def _tune(chosen: argparse.Namespace) -> int:
    options, loop = read_options(chosen, FinetuneOptions()), read_options(chosen, _TUNING)
    weights = chosen.weights or require("builtin")
    with _Figures({"tune": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        report = figures.of("tune")
        outcome = finetune_builtin(
            chosen.set, chosen.run, weights, chosen.expert, options, loop, report, _asked(cancel)
        )
    status = _conclude(chosen.run, {"tune": outcome}, cancel)
    if not status and chosen.output:
        _say_written(chosen.output, export_finetuned(chosen.run, weights, chosen.output))
    return status


def _export(chosen: argparse.Namespace) -> int:
    export = export_expert if is_expert(chosen.run) else export_generator
    _say_written(chosen.file, export(chosen.run, chosen.file))
    return 0


def _say_written(path: Path, size: int) -> None:
    print(f"{path}\n{size / 1e6:.1f} MB")


def _asked(cancel: CancelToken) -> Callable[[], bool]:
    return lambda: cancel.cancelled


def _conclude(run: Path, outcomes: Mapping[str, Outcome], cancel: CancelToken) -> int:
    for part, outcome in outcomes.items():
        state = "all steps done" if outcome.finished else "can go on"
        print(f"{run}: {part}, {outcome.step} steps, {state}, best score {outcome.best:.4g}")
    return _say_how_to_go_on() if cancel.cancelled else 0


def _say_how_to_go_on() -> int:
    print("Stopped; what is done is kept. The same command goes on from there.", file=sys.stderr)
    return EXIT_CANCELLED


class _Figures:
    """The figures of a training as they come, a line each, above a bar of its steps.

    Args:
        steps: of each part, by the first word of its name.
    """

    def __init__(self, steps: Mapping[str, int]) -> None:
        self._steps, self._bar = steps, ProgressBar("step")

    def __enter__(self) -> _Figures:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def report(self, part: str, step: int, figures: Mapping[str, float]) -> None:
        """Figures of one step of a part."""
        told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        tqdm.write(f"{part}, step {step}: {told}", file=sys.stderr)
        self._bar.update(Progress(part, step, self._steps.get(part.split(" ")[0], 0)))

    def of(self, part: str) -> Callable[[int, dict[str, float]], None]:
        """The same for one part."""
        return lambda step, figures: self.report(part, step, figures)
