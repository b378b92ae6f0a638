"""Training, finetuning and export of the built-in model's three networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.errors import WeightsError
from lipsync.generators.builtin.adapter import load_builtin
from lipsync.generators.builtin.network import NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.sync_score import CompactSyncNet, load_expert
from lipsync.training.data.dataset import TrainingSet, read_set
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, Report, Task, TrainingRun, never_stop
from lipsync.training.tasks.builtin_audio2shape import (
    Audio2ShapeOptions,
    Audio2ShapeTask,
    mouth_openings,
    opening_weights,
)
from lipsync.training.tasks.builtin_finetune import FinetuneModels, FinetuneOptions, FinetuneTask
from lipsync.training.tasks.builtin_locator import LocatorOptions, LocatorTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask
from lipsync.training.tasks.export import assemble, export_network
from lipsync.weights import load_into

_RENDERED_OPENING = 1.1
"""Factor of the shapes: the renderer shows about nine tenths of the opening it is given."""
_USUAL_GAIN = 1.5
"""Gain of the shapes where there is no validation split to measure it on."""
_OLD_FOLDERS = {"audio2shape": "voice", "locator": "place", "renderer": "painter"}
"""Folders of the runs in earlier releases."""

StageReport = Callable[[str, int, dict[str, float]], None]
"""Callback that gets the name of a stage, a step and its figures."""


@dataclass(frozen=True)
class BuiltinOptions(OptionGroup):
    """Training of the built-in model's three networks."""

    audio2shape_steps: int = option(700, "steps of Audio2Shape, audio to mouth shape", min=1)
    locator_steps: int = option(5500, "steps of the mouth locator, face to mouth outline", min=1)
    renderer_steps: int = option(3600, "steps of the renderer, outline to image", min=2)
    critic_share: float = option(
        0.0, "share of the renderer's steps, the last ones, with an adversarial loss", min=0.0, max=1.0
    )
    critic_weight: float = option(0.02, "weight of the adversarial loss", min=0.0)
    batch: int = option(16, "images in a step of the renderer", min=1, max=4096)
    max_minutes: float = option(
        0.0, "stop each network after this time; 0 has no limit", min=0.0, unit="minutes"
    )
    threads: int = option(2, "CPU threads", min=1, max=256)
    seed: int = option(1, "seed of all random choices", min=0)


@dataclass(frozen=True)
class _Stage:
    """One training run of `train_builtin`; its name's first word names its folder."""

    name: str
    make_task: Callable[[], Task]
    loop: LoopOptions


def train_builtin(
    folder: Path,
    runs: Path,
    options: BuiltinOptions,
    report: StageReport,
    stop: Callable[[], bool] = never_stop,
) -> dict[str, Outcome]:
    """Train Audio2Shape, mouth locator and renderer one after the other.

    Finished stages are skipped.

    Args:
        folder: a prepared set with landmarks.
        runs: gets a folder for each network, with checkpoints and log.
        report: gets the stage, the step and its figures.
        stop: polled between steps; True saves and returns.

    Returns:
        How each stage ended, by name.

    Raises:
        InputError: there is no set, it has no landmarks, or no clip to train on.
        WeightsError, OutputError: see `loop.train`.
    """
    training = read_set(folder)
    outcomes = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        for stage in _stages(training, options):
            run_folder = _run_folder(runs, stage.name.split(" ")[0])
            run = TrainingRun(run_folder, stage.loop, _report_stage(stage.name, report), stop)
            outcomes[stage.name] = train(stage.make_task(), run)
            if stop():
                break
    finally:
        torch.set_num_threads(threads)
    return outcomes


def _stages(training: TrainingSet, options: BuiltinOptions) -> list[_Stage]:
    config = NetworkConfig(shape_numbers=len(training.space.components))
    clips, components, seed = training.clips, training.space.components, options.seed

    def loop(steps: int, **more: Any) -> LoopOptions:
        return LoopOptions(steps=steps, max_minutes=options.max_minutes, seed=seed, **more)

    def renderer(critic_weight: float) -> Callable[[], Task]:
        chosen = RendererOptions(batch=options.batch, critic_weight=critic_weight, seed=seed)
        return lambda: RendererTask(clips, components, config, chosen)

    steps = options.renderer_steps
    without_critic = round(steps * (1 - options.critic_share))
    rate: dict[str, Any] = {"learning_rate": 1.2e-3, "evaluate_every": 400}
    stages = [
        _Stage(
            "audio2shape",
            lambda: Audio2ShapeTask(clips, components, config, Audio2ShapeOptions(seed=seed)),
            loop(options.audio2shape_steps, evaluate_every=100),
        ),
        _Stage(
            "locator",
            lambda: LocatorTask(clips, config, LocatorOptions(seed=seed)),
            loop(options.locator_steps, grad_clip=20.0, evaluate_every=200),
        ),
    ]
    if without_critic:
        stages.append(_Stage("renderer", renderer(0.0), loop(steps, until=without_critic, **rate)))
    if without_critic < steps:
        stages.append(_Stage("renderer with critic", renderer(options.critic_weight), loop(steps, **rate)))
    return stages


def _run_folder(runs: Path, network: str) -> Path:
    """The folder of a network's run; one that an earlier release made is continued."""
    old = runs / _OLD_FOLDERS[network]
    return old if old.is_dir() else runs / network


def _report_stage(stage: str, report: StageReport) -> Report:
    return lambda step, figures: report(stage, step, figures)


def export_builtin(folder: Path, runs: Path, path: Path, notes: dict[str, str] | None = None) -> int:
    """Assemble the trained networks into one weights file; returns its size in bytes.

    Audio2Shape is exported as of its best validation score, the others as of their last step.

    Args:
        folder: the set that was trained on.
        runs: the folder that `train_builtin` wrote.
        notes: further entries of the file's header.

    Raises:
        WeightsError: a run has no checkpoint.
        OutputError: the file cannot be written.
    """
    training = read_set(folder, with_crops=False)
    config = NetworkConfig(shape_numbers=len(training.space.components))
    audio2shape = read_checkpoint(_run_folder(runs, "audio2shape") / "best.pt", "network")["network"]
    locator, renderer = (
        read_checkpoint(_run_folder(runs, network) / "last.pt", "ema")["ema"]
        for network in ("locator", "renderer")
    )
    ones = np.ones(config.shape_numbers, np.float32)
    network = assemble(config, training.space.components, ones, audio2shape, locator, renderer)
    network.gain.fill_(_RENDERED_OPENING * measure_gain(network.voice, training, config))
    return export_network(network, path, notes)


def finetune_builtin(
    folder: Path, models: FinetuneModels, options: FinetuneOptions, run: TrainingRun
) -> Outcome:
    """Finetune a built-in model end to end; resumes the run in its folder.

    Args:
        folder: a prepared set with landmarks.

    Raises:
        InputError: there is no set, it has no landmarks, or no clip to train on.
        WeightsError: a file is missing, damaged, or of another network.
        OutputError: the run's folder cannot be written.
    """
    expert = load_expert(models.expert)
    if not isinstance(expert, CompactSyncNet):
        raise WeightsError(
            "The built-in model is finetuned with a compact sync expert only",
            given=models.expert,
            hint="Train one with `lipsync train expert`, or use weights/expert.safetensors.",
        )
    return train(FinetuneTask(read_set(folder), load_builtin(models.base), expert, options), run)


def export_finetuned(run: Path, weights: Path, path: Path, notes: dict[str, str] | None = None) -> int:
    """Write a finetuned model's weights file; returns its size in bytes.

    The weights are those of the best validation score.

    Args:
        run: folder of the finetuning.
        weights: the model that the finetuning started from.
        notes: further entries of the file's header.

    Raises:
        WeightsError: the run has no checkpoint, or it is of another network.
        OutputError: the file cannot be written.
    """
    best = read_checkpoint(run / "best.pt", "network", "step")
    network = load_builtin(weights)
    state = {name.removeprefix("built."): value for name, value in best["network"].items()}
    load_into(network, state, what="the built-in model", path=run / "best.pt")
    return export_network(network, path, {"tuned steps": str(best["step"]), **(notes or {})})


def measure_gain(network: torch.nn.Module, training: TrainingSet, config: NetworkConfig) -> float:
    """Gain that makes predicted openings vary as much as true ones, 1 to 2.5.

    A network that minimises its error predicts too little where it is unsure, and the mouth would
    move too little. The gain is that of the median validation person.

    Args:
        network: Audio2Shape.
    """
    weights = opening_weights(training.space.components)
    ratios: dict[str, list[float]] = {}
    with torch.inference_mode():
        for clip in training.clips:
            if clip.split == "val":
                predicted, true = mouth_openings(network.eval(), clip, config.mels, weights)
                ratios.setdefault(clip.person, []).append(float(true.std() / max(predicted.std(), 1e-6)))
    if not ratios:
        return _USUAL_GAIN
    return float(np.clip(np.median([np.mean(values) for values in ratios.values()]), 1.0, 2.5))
