"""The built-in model from a prepared set to the file that ships, one stage after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.errors import WeightsError
from lipsync.generators.builtin.adapter import load
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.sync_score import CompactSyncNet, load_expert
from lipsync.training.data.dataset import TrainingSet, read_set
from lipsync.training.engine.loop import LoopOptions, Outcome, Report, Task, read_checkpoint, train
from lipsync.training.tasks.builtin_audio2shape import (
    Audio2ShapeOptions,
    Audio2ShapeTask,
    opening_of,
    openings,
)
from lipsync.training.tasks.builtin_finetune import FinetuneOptions, FinetuneTask
from lipsync.training.tasks.builtin_locator import LocatorOptions, LocatorTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask
from lipsync.training.tasks.export import assemble, export
from lipsync.types import FloatArray

_SHOWN = 1.1
"""Openings are asked for this much wider than they shall look: the picture shows about nine tenths."""

StageReport = Callable[[str, int, dict[str, float]], None]


@dataclass(frozen=True)
class BuiltinOptions(OptionGroup):
    """How long each part of the built-in model is trained."""

    voice_steps: int = option(700, "steps of voice to mouth shape", min=1)
    place_steps: int = option(5500, "steps of finding and placing the mouth", min=1)
    painter_steps: int = option(3600, "steps of outline to picture", min=2)
    critic_share: float = option(
        0.0, "share of the painter's steps, the last ones, with a critic", min=0.0, max=1.0
    )
    critic: float = option(0.02, "weight of the critic's judgement", min=0.0)
    batch: int = option(16, "pictures of a step of the painter", min=1, max=4096)
    max_minutes: float = option(0.0, "stop each part after this long; 0 does not", min=0.0, unit="minutes")
    threads: int = option(2, "CPU threads", min=1, max=256)
    seed: int = option(1, "of every random choice", min=0)


def train_builtin(
    folder: Path,
    runs: Path,
    options: BuiltinOptions,
    report: StageReport,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Outcome]:
    """Train voice, place and painter one after the other; what is finished is passed over.

    Args:
        folder: a prepared set.
        runs: gets a folder for each part, with its checkpoints and its log.
        report: gets the part, the step and its figures.
        stop: asked between steps; True saves and returns.
    """
    training = read_set(folder)
    outcomes = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        for part, (task, loop) in _parts(training, options).items():
            outcomes[part] = train(task(), loop, runs / part.split(" ")[0], _named(part, report), stop)
            if stop():
                break
    finally:
        torch.set_num_threads(threads)
    return outcomes


def _parts(
    training: TrainingSet, options: BuiltinOptions
) -> dict[str, tuple[Callable[[], Task], LoopOptions]]:
    config = NetworkConfig(shape_numbers=len(training.space.components))
    clips, components, seed = training.clips, training.space.components, options.seed

    def loop(steps: int, **more: Any) -> LoopOptions:
        return LoopOptions(steps=steps, max_minutes=options.max_minutes, seed=seed, **more)

    def painter(critic: float) -> Callable[[], Task]:
        chosen = RendererOptions(batch=options.batch, critic=critic, seed=seed)
        return lambda: RendererTask(clips, components, config, chosen)

    steps = options.painter_steps
    alone = round(steps * (1 - options.critic_share))
    rate: dict[str, Any] = {"learning_rate": 1.2e-3, "evaluate_every": 400}
    parts: dict[str, tuple[Callable[[], Task], LoopOptions]] = {
        "voice": (
            lambda: Audio2ShapeTask(clips, components, config, Audio2ShapeOptions(seed=seed)),
            loop(options.voice_steps, evaluate_every=100),
        ),
        "place": (
            lambda: LocatorTask(clips, config, LocatorOptions(seed=seed)),
            loop(options.place_steps, clip=20.0, evaluate_every=200),
        ),
    }
    if alone:
        parts["painter"] = (painter(0.0), loop(steps, until=alone, **rate))
    if alone < steps:
        parts["painter with critic"] = (painter(options.critic), loop(steps, **rate))
    return parts


def export_builtin(folder: Path, runs: Path, path: Path, notes: dict[str, str] | None = None) -> int:
    """Put the trained parts into one file; gives its size in bytes.

    The voice is exported as of its best held-out score, the others as of their last step.
    """
    training = read_set(folder, pictures=False)
    config = NetworkConfig(shape_numbers=len(training.space.components))
    voice = read_checkpoint(runs / "voice" / "best.pt")["network"]
    place, painter = (read_checkpoint(runs / part / "last.pt")["average"] for part in ("place", "painter"))
    ones = np.ones(config.shape_numbers, np.float32)
    network = assemble(config, training.space.components, ones, voice, place, painter)
    network.gain.fill_(_SHOWN * liveliness(network.voice, training, config))
    return export(network, path, notes)


def finetune_builtin(
    folder: Path,
    run: Path,
    weights: Path,
    expert: Path,
    options: FinetuneOptions,
    loop: LoopOptions,
    report: Report,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a whole built-in model on by what a sync expert sees; resumes what `run` holds.

    Args:
        folder: a prepared set with landmarks.
        weights: the model to go on from.
        expert: one of our own, see `ExpertOptions`.
        report, stop: as for `loop.train`.

    Raises:
        WeightsError: a file is missing, damaged, or of another network.
    """
    judge = load_expert(expert)
    if not isinstance(judge, CompactSyncNet):
        raise WeightsError("The built-in model is tuned with an expert of our own only", given=expert)
    task = FinetuneTask(read_set(folder), load(weights), judge, options)
    return train(task, loop, run, report, stop)


def export_finetuned(run: Path, weights: Path, path: Path, notes: dict[str, str] | None = None) -> int:
    """Put a tuned model into one file, as of its best held-out score; gives its size in bytes.

    Args:
        weights: the model that was gone on from.
    """
    best = read_checkpoint(run / "best.pt")
    network = load(weights)
    network.load_state_dict({name.removeprefix("built."): value for name, value in best["network"].items()})
    return export(network, path, {"tuned steps": str(best["step"]), **(notes or {})})


def liveliness(voice: torch.nn.Module, training: TrainingSet, config: NetworkConfig) -> float:
    """What makes the heard opening vary as much as the true one, on the median held-out person.

    A network that cannot know all hedges, and its mouths would mumble.
    """
    weights: FloatArray = opening_of(training.space.components)
    ratios: dict[str, list[float]] = {}
    with torch.inference_mode():
        for clip in training.clips:
            if clip.split == "held":
                heard, seen = openings(voice.eval(), clip, config.mels, weights)
                ratios.setdefault(clip.person, []).append(float(seen.std() / max(heard.std(), 1e-6)))
    if not ratios:
        return 1.5
    return float(np.clip(np.median([np.mean(values) for values in ratios.values()]), 1.0, 2.5))


def _named(part: str, report: StageReport) -> Report:
    return lambda step, figures: report(part, step, figures)
