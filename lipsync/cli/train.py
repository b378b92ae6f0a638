"""Training commands: lipsync train COMMAND ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lipsync.cli.deprecated import add_deprecated_flags
from lipsync.cli.flags import add_options, read_options
from lipsync.cli.outputs import add_overwrite, check_outputs
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import ProgressBar, cancel_on_interrupt
from lipsync.cli.train_person import add_person_arguments, tune_to_person
from lipsync.cli.train_report import (
    FigureReport,
    print_how_to_resume,
    print_outcomes,
    print_size,
    stop_when,
)
from lipsync.errors import Cancelled, InputError, OptionError
from lipsync.training import (
    AvOffsetOptions,
    BuiltinOptions,
    ExpertOptions,
    FinetuneModels,
    FinetuneOptions,
    GeneratorTrainingOptions,
    LoopOptions,
    PersonOptions,
    PreparedSet,
    PrepareOptions,
    TrainingRun,
    correct_av_offsets,
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
from lipsync.training.data.dataset_format import FPS
from lipsync.training.data.prepare import prepare
from lipsync.training.tasks.export import is_expert_run
from lipsync.training.tasks.wav2lip_options import original_loop
from lipsync.weights import require

_FINETUNE_LOOP = LoopOptions(
    steps=400, learning_rate=3e-4, warmup_steps=20, evaluate_every=50, weight_decay=0.0, ema_decay=0.98
)
"""A low learning rate and few steps for a model that is trained already."""
_OLD_LOOP_FLAGS = {
    "average": "ema_decay",
    "clip": "grad_clip",
    "ahead": "prefetch",
    "warm_up": "warmup_steps",
    "precision": "number_format",
    "board": "tensorboard",
}
_OLD_PREPARE_FLAGS = {"held_out": "val_people", "held_share": "val_share"}
_OLD_EXPERT_FLAGS = {
    "every": "window_stride",
    "variants": "audio_variants",
    "shapes": "shape_weight",
    "people": "people_share",
}
_OLD_GENERATOR_FLAGS = {
    "looks": "augment",
    "voices": "audio_variants",
    "held": "val_examples",
    "edges": "edge_weight",
}
_OLD_BUILTIN_FLAGS = {
    "voice_steps": "audio2shape_steps",
    "place_steps": "locator_steps",
    "painter_steps": "renderer_steps",
    "critic": "critic_weight",
}
_OLD_FINETUNE_FLAGS = {
    "stretches": "sequences",
    "sync": "sync_weight",
    "voice": "audio2shape_weight",
    "similarity": "feature_weight",
    "own": "own_audio_share",
    "sharpness": "logit_scale",
}


def add_train_commands(parser: CommandParser) -> None:
    """Add the training commands, each with its flags."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="make a training set from a folder of videos")
    prepare.add_argument("videos", type=Path, metavar="VIDEOS", help="folder of videos of talking people")
    _add_set(prepare, "folder for the set; what is done already is not done again")
    add_options(prepare, PrepareOptions())
    add_deprecated_flags(prepare, PrepareOptions(), _OLD_PREPARE_FLAGS)
    prepare.set_defaults(command=_prepare)

    av_offset = commands.add_parser(
        "av-offset", help="measure the audio-video offset of each person, and correct a set by it"
    )
    for command in (av_offset, commands.add_parser("lags")):  # the old name, without help: hidden
        _add_set(command, "a prepared set")
        add_options(command, AvOffsetOptions())
        command.set_defaults(command=_av_offset)

    expert = commands.add_parser("expert", help="train a sync expert, which generators are trained with")
    _add_set(expert)
    _add_run(expert)
    add_options(expert, ExpertOptions(), LoopOptions())
    add_deprecated_flags(expert, ExpertOptions(), _OLD_EXPERT_FLAGS)
    add_deprecated_flags(expert, LoopOptions(), _OLD_LOOP_FLAGS)
    expert.set_defaults(command=_expert)

    generator = commands.add_parser("generator", help="train a Wav2Lip generator")
    _add_set(generator)
    _add_run(generator)
    add_options(generator, GeneratorTrainingOptions(), original_loop())
    add_deprecated_flags(generator, GeneratorTrainingOptions(), _OLD_GENERATOR_FLAGS)
    add_deprecated_flags(generator, LoopOptions(), _OLD_LOOP_FLAGS)
    generator.set_defaults(command=_generator)

    builtin = commands.add_parser(
        "builtin", help="train the model that ships with the program, or fit it to one person"
    )
    folders = _add_set(builtin, "a prepared set with landmarks"), _add_run(builtin)
    builtin.add_argument("-o", "--output", type=Path, help="weights file to write, .safetensors")
    add_overwrite(builtin)
    add_person_arguments(builtin, folders)
    add_options(builtin, BuiltinOptions(), PersonOptions())
    add_deprecated_flags(builtin, BuiltinOptions(), _OLD_BUILTIN_FLAGS)
    builtin.set_defaults(command=_builtin)

    finetune = commands.add_parser("finetune", help="finetune a built-in model end to end with a sync expert")
    for command in (finetune, commands.add_parser("tune")):  # the old name, without help: hidden
        _add_finetune_arguments(command)

    export = commands.add_parser("export", help="write a trained expert or generator as one file")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of its training")
    export.add_argument("file", type=Path, metavar="FILE", help=".safetensors, or .pth for Wav2Lip's format")
    add_overwrite(export)
    export.set_defaults(command=_export)

    lrs = commands.add_parser("export-lrs", help="write a set in the layout of Wav2Lip's training programs")
    _add_set(lrs, "a prepared set")
    lrs.add_argument("root", type=Path, metavar="ROOT", help="folder to write")
    lrs.set_defaults(command=_export_lrs)


def _add_set(parser: CommandParser, help_text: str = "a prepared set, or one like LRS2's") -> argparse.Action:
    return parser.add_argument("set", type=Path, metavar="SET", help=help_text)


def _add_run(parser: CommandParser) -> argparse.Action:
    return parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder for checkpoints and logs; resumes what it holds"
    )


def _add_finetune_arguments(parser: CommandParser) -> None:
    _add_set(parser, "a prepared set with landmarks")
    _add_run(parser)
    parser.add_argument("--expert", type=Path, required=True, help="exported compact sync expert")
    parser.add_argument("--weights", type=Path, help="model to start from (default: the one that ships)")
    parser.add_argument("-o", "--output", type=Path, help="weights file to write, .safetensors")
    add_overwrite(parser)
    add_options(parser, FinetuneOptions(), _FINETUNE_LOOP)
    add_deprecated_flags(parser, FinetuneOptions(), _OLD_FINETUNE_FLAGS)
    add_deprecated_flags(parser, LoopOptions(), _OLD_LOOP_FLAGS)
    parser.set_defaults(command=_finetune)


# --- training sets -------------------------------------------------------------------------------


def _prepare(arguments: argparse.Namespace) -> int:
    options = read_options(arguments, PrepareOptions())
    try:
        with cancel_on_interrupt() as cancel, ProgressBar() as bar:
            prepared = prepare(find_sources(arguments.videos), arguments.set, options, bar.update, cancel)
    except Cancelled:
        return print_how_to_resume()
    for file, why in prepared.failures.items():
        print(f"Note: no clip of {file}: {why}", file=sys.stderr)
    if not prepared.rows:
        hint = f"Why is in {arguments.set / 'failures.tsv'}."
        raise InputError("None of the videos gave a clip", given=arguments.videos, hint=hint)
    print(f"{arguments.set}\n{_summary(prepared)}")
    return 0


def _summary(prepared: PreparedSet) -> str:
    rows = prepared.rows
    people, val_people = (
        {row.person for row in part} for part in (rows, [row for row in rows if row.split == "val"])
    )
    minutes = sum(row.frames for row in rows) / FPS / 60
    return (
        f"{len(rows)} clips of {len(people)} people, {minutes:.1f} minutes; "
        f"validation: {len(val_people)} people; files without a clip: {len(prepared.failures)}"
    )


def _export_lrs(arguments: argparse.Namespace) -> int:
    try:
        with cancel_on_interrupt() as cancel, ProgressBar() as bar:
            count = write_lrs_layout(arguments.set, arguments.root, bar.update, cancel)
    except Cancelled:
        return print_how_to_resume()
    print(f"{arguments.root}\n{count} clips")
    return 0


def _av_offset(arguments: argparse.Namespace) -> int:
    options = read_options(arguments, AvOffsetOptions())
    with FigureReport({}) as figures:
        changed = correct_av_offsets(arguments.set, options, figures.of("av-offset"))
    print(f"{arguments.set}\n{changed} clips changed")
    return 0


# --- training runs -------------------------------------------------------------------------------


def _expert(arguments: argparse.Namespace) -> int:
    options, loop = read_options(arguments, ExpertOptions()), read_options(arguments, LoopOptions())
    with FigureReport({"expert": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        run = TrainingRun(arguments.run, loop, figures.of("expert"), stop_when(cancel))
        outcome = train_expert(arguments.set, options, run)
    return print_outcomes(arguments.run, {"expert": outcome}, cancel)


def _generator(arguments: argparse.Namespace) -> int:
    options = read_options(arguments, GeneratorTrainingOptions())
    loop = read_options(arguments, original_loop(options.discriminator))
    with FigureReport({"generator": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        run = TrainingRun(arguments.run, loop, figures.of("generator"), stop_when(cancel))
        outcome = train_generator(arguments.set, options, run)
    return print_outcomes(arguments.run, {"generator": outcome}, cancel)


def _builtin(arguments: argparse.Namespace) -> int:
    check_outputs(arguments, arguments.output)
    if arguments.person:
        return tune_to_person(arguments)
    if arguments.base is not None:
        raise OptionError("--from goes with --person only", given=arguments.base)
    options = read_options(arguments, BuiltinOptions())
    steps = {
        "audio2shape": options.audio2shape_steps,
        "encoder": options.encoder_steps,
        "locator": options.locator_steps,
        "renderer": options.renderer_steps,
    }
    with FigureReport(steps) as figures, cancel_on_interrupt() as cancel:
        outcomes = train_builtin(arguments.set, arguments.run, options, figures.report, stop_when(cancel))
    status = print_outcomes(arguments.run, outcomes, cancel)
    if not status and arguments.output:
        print_size(arguments.output, export_builtin(arguments.set, arguments.run, arguments.output))
    return status


def _finetune(arguments: argparse.Namespace) -> int:
    check_outputs(arguments, arguments.output)
    options, loop = read_options(arguments, FinetuneOptions()), read_options(arguments, _FINETUNE_LOOP)
    models = FinetuneModels(arguments.weights or require("builtin"), arguments.expert)
    with FigureReport({"finetune": loop.steps}) as figures, cancel_on_interrupt() as cancel:
        run = TrainingRun(arguments.run, loop, figures.of("finetune"), stop_when(cancel))
        outcome = finetune_builtin(arguments.set, models, options, run)
    status = print_outcomes(arguments.run, {"finetune": outcome}, cancel)
    if not status and arguments.output:
        print_size(arguments.output, export_finetuned(arguments.run, models.base, arguments.output))
    return status


def _export(arguments: argparse.Namespace) -> int:
    check_outputs(arguments, arguments.file)
    export = export_expert if is_expert_run(arguments.run) else export_generator
    print_size(arguments.file, export(arguments.run, arguments.file))
    return 0
