"""From one person's videos to the built-in model tuned to them, in one call.

videos -> clips of the face -> mouths located by the model -> tuning -> figures on the held-out part -> file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lipsync.devices import choose_device, choose_dtype
from lipsync.errors import InputError, OptionError, OutputError
from lipsync.generators.builtin.adapter import PERSON_NOTE, load_builtin
from lipsync.media import open_audio, open_video
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.training.data.located_clips import read_located_clips
from lipsync.training.data.prepare import MakeFaceTools, PrepareOptions, default_face_tools, prepare
from lipsync.training.data.sources import SourceVideo
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, Report, TrainingRun
from lipsync.training.tasks.builtin_person import PersonOptions, PersonTask
from lipsync.training.tasks.export import export_network
from lipsync.training.tasks.person_figures import (
    OtherVoiceFigures,
    PersonFigures,
    has_helped,
    measure_other_voice,
)
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights import load_into

_PREPARATION = PrepareOptions(crop_side=256, min_seconds=1.0, workers=1)
"""Crops are stored at 256 pixels; those of small faces are learned from at 128."""
_STATE = "person.json"
"""File in the run's folder: what is tuned, to whose videos."""
_PERSON = "person"
_MAX_MINUTES = 15
"""Longest videos in all: the decoded crops of a minute take up to half a gigabyte of the disk."""


@dataclass(frozen=True)
class PersonOutcome:
    """Outcome of tuning the model to a person.

    Attributes:
        outcome: of the training.
        before, after: figures on the held-out part, of the original and of the tuned model: with the real
            outlines of the lips, and with another voice.
        size: bytes of the file that was written; 0 where the tuning did not help, or was stopped.
        failures: why, by video that gave nothing to learn from.
    """

    outcome: Outcome
    before: tuple[PersonFigures, OtherVoiceFigures]
    after: tuple[PersonFigures, OtherVoiceFigures]
    size: int
    failures: dict[str, str]


def tune_person(
    videos: Sequence[Path],
    weights: Path,
    run: Path,
    output: Path,
    options: PersonOptions,
    report: Report,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
    *,
    tools: MakeFaceTools = default_face_tools,
) -> PersonOutcome:
    """Tune a built-in model to the person of some videos; resumes the run in its folder.

    The file is written only where the held-out part of the videos says that the tuning helped.

    Args:
        videos: of one person, at least half a minute in all.
        weights: the built-in model to start from.
        run: gets the set of clips, checkpoints and log.
        output: the weights file to write, `.safetensors`.
        report: gets a step and its figures.
        progress: of the preparation.
        tools: as of `prepare`.

    Raises:
        Cancelled: stopped during the preparation; what is done is kept.
        InputError: a video cannot be used, there is too little of one face or too much video, or the folder
            has another tuning.
        OptionError: the output has another ending.
        WeightsError: the model is missing, damaged or of another network.
        DiskFullError, OutputError: the folder or the file cannot be written.
    """
    cancel = cancel or CancelToken()
    network = load_builtin(weights).eval()
    _check(videos, output)
    _claim(run, videos, weights)
    sources = [SourceVideo(video, _PERSON) for video in videos]
    prepared = prepare(sources, run / "set", _PREPARATION, progress, cancel, tools=tools)
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        clips = read_located_clips(run / "set", network, options.held_out_share)
        task = PersonTask(clips, network, options)
        before = (task.before, measure_other_voice(network, clips))
        training = TrainingRun(run / "training", _loop(options), report, lambda: cancel.cancelled)
        outcome = train(task, training)
        best = _measure_best(task, training.folder)
        network.painter.load_state_dict(task.painter.state_dict())
        after = (best, measure_other_voice(network, clips))
    finally:
        torch.set_num_threads(threads)
    size = 0
    if has_helped(before, after) and not cancel.cancelled:
        size = export_network(network, output, {PERSON_NOTE: f"{outcome.step} steps"})
    return PersonOutcome(outcome, before, after, size, prepared.failures)


@torch.inference_mode()
def _measure_best(task: PersonTask, run: Path) -> PersonFigures:
    """Give the task's network the weights of the best evaluation, and measure them.

    Before the first evaluation they are the averaged ones so far.
    """
    best = run / "best.pt"
    if best.exists():
        state = read_checkpoint(best, "network")["network"]
    else:
        state = read_checkpoint(run / "last.pt", "ema")["ema"]
    load_into(task.network, state, what="the tuned renderer", path=best)
    return task.measure(task.network.eval())


def _check(videos: Sequence[Path], output: Path) -> None:
    """Raise before hours of work for what can be known at once."""
    if output.suffix != ".safetensors":
        hint = "Use a name that ends in .safetensors."
        raise OptionError("The model cannot be written into such a file", given=output, hint=hint)
    if not output.resolve().parent.is_dir():
        raise OutputError("The folder of the result does not exist", given=output, hint="Create it first.")
    seconds = 0.0
    for video in videos:
        reader = open_video(video)
        if reader.is_still:
            hint = "Give a video in which the person speaks."
            raise InputError("The person is to be learned from a photo", given=video, hint=hint)
        open_audio(video)
        seconds += reader.info.duration
    if seconds > 60 * _MAX_MINUTES:
        hint = f"Give {_MAX_MINUTES} minutes at most; two to five are enough."
        raise InputError("The videos are too long to learn from", given=f"{seconds / 60:.0f} min", hint=hint)


def _claim(run: Path, videos: Sequence[Path], weights: Path) -> None:
    """Record what the run's folder is for, or check that it is for the same."""
    state = {
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "videos": sorted(f"{video.resolve()} {video.stat().st_size}" for video in videos),
    }
    path = run / _STATE
    if path.exists() and json.loads(path.read_text("utf-8")) != state:
        raise InputError(
            "The folder holds the tuning of another model or to other videos",
            given=run,
            hint="Choose another folder, or delete it.",
        )
    run.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(json.dumps(state, indent=2), "utf-8")


def _loop(options: PersonOptions) -> LoopOptions:
    """A constant low rate and averaged weights: good at any step, also where the time is up early."""
    device = choose_device()
    on_cpu = {torch.float32: "fp32", torch.bfloat16: "bf16"}[choose_dtype("auto", device, ("fp32", "bf16"))]
    return LoopOptions(
        steps=options.person_steps,
        learning_rate=options.person_rate,
        schedule="constant",
        warmup_steps=20,
        weight_decay=0.0,
        ema_decay=0.98,
        evaluate_every=50,
        max_minutes=options.person_minutes,
        device=device.type,
        number_format=on_cpu if device.type == "cpu" else "auto",
        tensorboard=False,
        seed=options.seed,
    )
