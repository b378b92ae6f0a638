"""Training, finetuning and export of the built-in model's networks."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipsync.devices import choose_dtype
from lipsync.errors import WeightsError
from lipsync.generators.builtin.adapter import load_builtin
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.network import (
    BuiltinNetwork,
    NetworkConfig,
    encoder_config,
    make_audio2shape,
    speech_features,
)
from lipsync.generators.builtin.speech_encoder import SpeechEncoder
from lipsync.options import OptionGroup, option
from lipsync.sync_score import CompactSyncNet, load_expert
from lipsync.training.data.dataset import TrainingSet, enlarge_crops, read_set
from lipsync.training.engine.checkpoint import read_checkpoint, write_checkpoint
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, Report, Task, TrainingRun, never_stop
from lipsync.training.tasks.builtin_audio2shape import (
    Audio2ShapeOptions,
    Audio2ShapeTask,
    EncoderTask,
)
from lipsync.training.tasks.builtin_finetune import FinetuneModels, FinetuneOptions, FinetuneTask
from lipsync.training.tasks.builtin_locator import LocatorOptions, LocatorTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask
from lipsync.training.tasks.export import assemble, export_network
from lipsync.training.tasks.shape_figures import opening_weights, predict_clip_shapes
from lipsync.training.tasks.whisper_encoder import read_whisper_encoder
from lipsync.types import FloatArray
from lipsync.weights import load_into

_RENDERED_OPENING = 1.1
"""Factor of the shapes: the renderer shows about nine tenths of the opening it is given."""
_USUAL_GAIN = 1.5
"""Gain of the shapes where there is no validation split to measure it on."""
_ENCODER = "speech_encoder.pt"
"""File in the runs' folder: the speech encoder as it was given."""
_MOUTH_WIDTHS = (32, 48, 64)
"""Channels of the painter of the mouth's interior."""
_OLD_FOLDERS = {"audio2shape": "voice", "locator": "place", "renderer": "painter"}
"""Folders of the runs in earlier releases."""

StageReport = Callable[[str, int, dict[str, float]], None]
"""Callback that gets the name of a stage, a step and its figures."""


@dataclass(frozen=True)
class BuiltinOptions(OptionGroup):
    """Training of the built-in model's networks."""

    speech_encoder: Path | None = option(  # noqa: RUF009 - a declaration
        None,
        "Whisper model in CTranslate2's format (model.bin), whose first layers Audio2Shape listens through; "
        "kept in the run's folder. Without one it gets a log-mel spectrogram",
    )
    encoder_layers: int = option(3, "layers of the speech encoder", min=1, max=32)
    encoder_steps: int = option(
        0, "steps in which the speech encoder is finetuned together with Audio2Shape", min=0
    )
    audio2shape_steps: int = option(2000, "steps of Audio2Shape, audio to mouth shape", min=1)
    locator_steps: int = option(5500, "steps of the mouth locator, face to mouth outline", min=1)
    renderer_steps: int = option(3600, "steps of the renderer, outline to image", min=2)
    critic_share: float = option(
        0.7, "share of the renderer's steps, the last ones, with an adversarial loss", min=0.0, max=1.0
    )
    critic_weight: float = option(0.07, "weight of the adversarial loss", min=0.0)
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
    encoder = _keep_encoder(runs, options)
    outcomes = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        for stage in _stages(folder, runs, options, encoder):
            run_folder = _run_folder(runs, stage.name.split(" ")[0])
            run = TrainingRun(run_folder, stage.loop, _report_stage(stage.name, report), stop)
            outcomes[stage.name] = train(stage.make_task(), run)
            if stop():
                break
    finally:
        torch.set_num_threads(threads)
    return outcomes


def _keep_encoder(runs: Path, options: BuiltinOptions) -> SpeechEncoder | None:
    """The speech encoder of a run, copied into its folder when the run begins."""
    if options.speech_encoder is not None and not (runs / _ENCODER).exists():
        encoder = read_whisper_encoder(options.speech_encoder, options.encoder_layers)
        runs.mkdir(parents=True, exist_ok=True)
        form = {"layers": len(encoder.layers), "heads": encoder.heads}
        write_checkpoint(runs / _ENCODER, {**form, "network": encoder.state_dict()})
    return _read_encoder(runs)


def _read_encoder(runs: Path) -> SpeechEncoder | None:
    if not (runs / _ENCODER).exists():
        return None
    kept = read_checkpoint(runs / _ENCODER, "layers", "heads", "network")
    width, mels, _ = kept["network"]["conv1.weight"].shape
    encoder = SpeechEncoder(kept["layers"], width, kept["heads"], mels)
    load_into(encoder, kept["network"], what="the speech encoder", path=runs / _ENCODER)
    return encoder.eval().requires_grad_(False)


def _fast(encoder: SpeechEncoder | None) -> SpeechEncoder | None:
    """A copy of a frozen encoder in the number format that the adapter takes on this CPU."""
    dtype = choose_dtype("auto", torch.device("cpu"), ("fp32", "bf16"))
    return None if encoder is None else copy.deepcopy(encoder).to(dtype)


def _config(training: TrainingSet, runs: Path, encoder: SpeechEncoder | None) -> NetworkConfig:
    """Architecture for a set and a speech encoder; runs of the first generation keep theirs."""
    renderer = _run_folder(runs, "renderer") / "last.pt"
    has_painter = not renderer.exists() or any(
        name.startswith("painter.mouth.") for name in read_checkpoint(renderer, "ema")["ema"]
    )
    return dataclasses.replace(
        encoder_config(encoder),
        shape_numbers=len(training.space.components),
        mouth_widths=_MOUTH_WIDTHS if has_painter else None,
    )


def _stages(folder: Path, runs: Path, options: BuiltinOptions, encoder: SpeechEncoder | None) -> list[_Stage]:
    training = read_set(folder)
    config = _config(training, runs, encoder)
    clips, components, seed = training.clips, training.space.components, options.seed

    def loop(steps: int, **more: Any) -> LoopOptions:
        return LoopOptions(steps=steps, max_minutes=options.max_minutes, seed=seed, **more)

    def renderer(critic_weight: float) -> Callable[[], Task]:
        chosen = RendererOptions(batch=options.batch, critic_weight=critic_weight, seed=seed)
        return lambda: RendererTask(
            enlarge_crops(folder, clips), components, config, chosen, locator=_trained_locator(runs, config)
        )

    def finetune_encoder() -> Task:
        assert encoder is not None
        voice = make_audio2shape(config, dropout=0.2)
        best = read_checkpoint(_run_folder(runs, "audio2shape") / "best.pt", "network")["network"]
        load_into(voice, best, what="Audio2Shape")
        few = dataclasses.replace(audio2shape, batch=4)
        return EncoderTask(clips, components, config, few, voice, encoder=encoder, cache=runs / "scenes")

    audio2shape = Audio2ShapeOptions(seed=seed)
    steps = options.renderer_steps
    without_critic = round(steps * (1 - options.critic_share))
    rate: dict[str, Any] = {"learning_rate": 1.2e-3, "evaluate_every": 400}
    stages = [
        _Stage(
            "audio2shape",
            lambda: Audio2ShapeTask(
                clips, components, config, audio2shape, encoder=_fast(encoder), cache=runs / "scenes"
            ),
            loop(options.audio2shape_steps, evaluate_every=100),
        ),
        _Stage(
            "locator",
            lambda: LocatorTask(clips, config, LocatorOptions(seed=seed)),
            loop(options.locator_steps, grad_clip=20.0, evaluate_every=200),
        ),
    ]
    if encoder is not None and options.encoder_steps:
        finetuning = loop(options.encoder_steps, learning_rate=5e-5, evaluate_every=50)
        stages.insert(1, _Stage("encoder", finetune_encoder, finetuning))
    if without_critic:
        stages.append(_Stage("renderer", renderer(0.0), loop(steps, until=without_critic, **rate)))
    if without_critic < steps:
        stages.append(_Stage("renderer with critic", renderer(options.critic_weight), loop(steps, **rate)))
    return stages


def _trained_locator(runs: Path, config: NetworkConfig) -> MouthLocator:
    locator = MouthLocator(config.height, config.width)
    path = _run_folder(runs, "locator") / "last.pt"
    load_into(locator, read_checkpoint(path, "ema")["ema"], what="the mouth locator", path=path)
    return locator


def _run_folder(runs: Path, network: str) -> Path:
    """The folder of a network's run; one that an earlier release made is continued."""
    old = runs / _OLD_FOLDERS.get(network, network)
    return old if old.is_dir() else runs / network


def _report_stage(stage: str, report: StageReport) -> Report:
    return lambda step, figures: report(stage, step, figures)


def export_builtin(folder: Path, runs: Path, path: Path, notes: dict[str, str] | None = None) -> int:
    """Assemble the trained networks into one weights file; returns its size in bytes.

    Audio2Shape and speech encoder are exported as of their best validation score, the others as of their
    last step.

    Args:
        folder: the set that was trained on.
        runs: the folder that `train_builtin` wrote.
        notes: further entries of the file's header.

    Raises:
        WeightsError: a run has no checkpoint.
        OutputError: the file cannot be written.
    """
    training = read_set(folder, with_crops=False)
    encoder = _read_encoder(runs)
    config = _config(training, runs, encoder)
    audio2shape, encoder_state = _best_voice(runs, encoder)
    locator, renderer = (
        read_checkpoint(_run_folder(runs, network) / "last.pt", "ema")["ema"]
        for network in ("locator", "renderer")
    )
    ones = np.ones(config.shape_numbers, np.float32)
    network = assemble(config, training.space.components, ones, audio2shape, locator, renderer, encoder_state)
    network.gain.copy_(torch.from_numpy(_RENDERED_OPENING * measure_gain(network, training)))
    return export_network(network, path, notes)


def _best_voice(
    runs: Path, encoder: SpeechEncoder | None
) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Weights of Audio2Shape and of the speech encoder, finetuned if they were."""
    finetuned = runs / "encoder" / "best.pt"
    if encoder is not None and finetuned.exists():
        both = read_checkpoint(finetuned, "network")["network"]
        parts = ("voice.", "encoder.")
        voice, state = ({n.removeprefix(p): v for n, v in both.items() if n.startswith(p)} for p in parts)
        return voice, state
    voice = read_checkpoint(_run_folder(runs, "audio2shape") / "best.pt", "network")["network"]
    return voice, None if encoder is None else encoder.state_dict()


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


def measure_gain(network: BuiltinNetwork, training: TrainingSet) -> FloatArray:
    """Gains that make predicted shapes vary as much as true ones, float32 (coefficients,), 1 to 2.5.

    A network that minimises its error predicts too little where it is unsure, and the mouth would
    move too little. The gains are those of the median validation person, none above that of the opening:
    a coefficient that the audio hardly tells would only jitter.
    """
    weights = opening_weights(training.space.components)
    ratios: dict[str, list[FloatArray]] = {}
    for clip in training.clips:
        if clip.split == "val":
            features = speech_features(clip.audio, network.config, network.encoder)
            predicted = predict_clip_shapes(network.voice.eval(), features, clip)
            true, found = (
                np.append(shapes.std(0), (shapes @ weights).std()) for shapes in (clip.shapes, predicted)
            )
            ratios.setdefault(clip.person, []).append(true / np.maximum(found, 1e-6))
    if not ratios:
        return np.full(len(weights), _USUAL_GAIN, np.float32)
    gains = np.clip(np.median([np.mean(values, axis=0) for values in ratios.values()], axis=0), 1.0, 2.5)
    return np.asarray(np.minimum(gains[:-1], gains[-1]), np.float32)
