"""Finetuning the built-in model with an expert, and its evaluation, on faces drawn by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.generators.builtin.adapter import Builtin, load_builtin
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.progress import CancelToken
from lipsync.sync_score import CompactSyncNet, CompactSyncNetConfig, load_expert
from lipsync.training import (
    FinetuneOptions,
    LoopOptions,
    TrainingRun,
    TrainingSet,
    export_finetuned,
    train,
)
from lipsync.training.data.dataset_format import SIDE
from lipsync.training.data.landmarks import LANDMARKS
from lipsync.training.data.mouth_shapes import ShapeSpace
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.tasks.builtin_finetune import FinetuneTask, predict_shapes
from lipsync.training.tasks.evaluate_builtin import evaluate_clip, mean_figures
from lipsync.training.tasks.export import export_network
from lipsync.training.tasks.losses import feature_distance
from lipsync.types import Crops, FloatArray, Frame
from lipsync.weights import require
from tests.training.synthetic import COMPONENTS, make_clip, make_clips, resting_mouth

OPTIONS = FinetuneOptions(sequences=1, frames=10, batch=2)
LOOP = LoopOptions(
    steps=4,
    learning_rate=1e-3,
    warmup_steps=1,
    evaluate_every=2,
    ema_decay=0.5,
    device="cpu",
    tensorboard=False,
)


def quiet(step: int, figures: dict[str, float]) -> None: ...


def made_up_network() -> BuiltinNetwork:
    torch.manual_seed(0)
    network = BuiltinNetwork(NetworkConfig(shape_numbers=2, voice_width=16, widths=(8, 8, 8, 8)))
    network.components.copy_(torch.from_numpy(COMPONENTS))
    # It finds the mouth where it is drawn, closed and seen from the front, in every picture.
    last, resting = network.place.head[-1], torch.from_numpy(resting_mouth()).flatten() / SIDE
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.cat([resting, resting, 0.4 * torch.eye(2, 3).flatten()]))
    return network.eval()


def made_up_expert() -> CompactSyncNet:
    torch.manual_seed(1)
    return CompactSyncNet(CompactSyncNetConfig(width=8, seen=16, size=16)).eval().requires_grad_(False)


def a_set() -> TrainingSet:
    return TrainingSet(make_clips(), ShapeSpace(COMPONENTS, 0.1))


def make_task(options: FinetuneOptions = OPTIONS) -> FinetuneTask:
    return FinetuneTask(a_set(), made_up_network(), made_up_expert(), options)


def test_the_expert_s_loss_falls() -> None:
    """With what ships, on one stretch over and over, so that few steps are enough to see it."""
    expert = load_expert(require("expert"))
    assert isinstance(expert, CompactSyncNet)
    options = dataclasses.replace(OPTIONS, sync_weight=1.0, audio2shape_weight=0.0)
    task = FinetuneTask(a_set(), load_builtin(require("builtin")), expert, options)
    batch = task.batch(0)
    optimizer = torch.optim.Adam(task.network.parameters(), 1e-3)
    losses = []
    for step in range(6):
        loss, figures = task.loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(figures["sync"])
    assert losses[-1] < losses[0] - 0.1, losses


def test_a_resumed_run_equals_the_whole(tmp_path: Path) -> None:
    train(make_task(), TrainingRun(tmp_path / "whole", LOOP, quiet))
    steps = iter(range(9))
    train(make_task(), TrainingRun(tmp_path / "parts", LOOP, quiet, stop=lambda: next(steps) >= 3))
    train(make_task(), TrainingRun(tmp_path / "parts", LOOP, quiet))
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt")["network"] for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_what_finds_the_place_and_the_batch_norms_stay_as_they_are(tmp_path: Path) -> None:
    export_network(made_up_network(), tmp_path / "before.safetensors")
    train(make_task(), TrainingRun(tmp_path / "run", LOOP, quiet))
    export_finetuned(tmp_path / "run", tmp_path / "before.safetensors", tmp_path / "after.safetensors")
    before, after = (
        load_builtin(tmp_path / f"{name}.safetensors").state_dict() for name in ("before", "after")
    )
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"voice", "painter"}
    running = [name for name in before if "running_" in name]
    assert running and all(torch.equal(before[name], after[name]) for name in running)


def test_shapes_are_those_that_the_finished_model_draws() -> None:
    """Training must hear a voice as `encode_audio` does, frame by frame."""
    network = made_up_network()
    task = make_task(dataclasses.replace(OPTIONS, frames=50))
    clip = task._clips[a_set().clips[0].name]
    features = torch.from_numpy(task._sequence(clip, clip, None)["features"])[None]  # type: ignore[arg-type]
    with torch.inference_mode():
        shapes = predict_shapes(network, features, 50)[0].numpy()
    generator = Builtin(made_up_network(), device="cpu", number_format="fp32")
    drawn = generator._predict_shapes(clip.audio, CancelToken())
    smooth = (drawn[:-2] + 2 * drawn[1:-1] + drawn[2:]) / 4
    # Within 0.65 s of an end they differ: there the one hears silence, the other nothing.
    np.testing.assert_allclose(shapes[17:-17], smooth[33 : 33 + 2 * 16 : 2], atol=1e-4)


def test_shapes_of_another_set_are_mapped_to_the_model_s_space() -> None:
    flipped = dataclasses.replace(a_set().space, components=-COMPONENTS[::-1].copy())
    clips = [dataclasses.replace(clip, shapes=-clip.shapes[:, ::-1]) for clip in a_set().clips]
    task = FinetuneTask(TrainingSet(clips, flipped), made_up_network(), made_up_expert(), OPTIONS)
    ours = task._clips[clips[0].name].shapes
    np.testing.assert_allclose(ours, a_set().clips[0].shapes, atol=1e-4)


def test_the_feature_distance_of_equal_images_is_zero() -> None:
    a, b = torch.rand(2, 3, 80, 112), torch.rand(2, 3, 80, 112)
    expert = made_up_expert()
    assert feature_distance(expert, a, a) == 0 < feature_distance(expert, a, b)


class DarknessReader:
    """A landmarker that takes the height of what is dark in a frame for the opening of the mouth."""

    def __call__(self, frames: Iterable[Frame]) -> npt.NDArray[np.float32]:
        rows = []
        for frame in frames:
            points = np.zeros((LANDMARKS, 3), np.float32)
            points[263] = (100, 0, 0)
            points[14, 1] = (frame[64:-64].max(axis=2) < 60).sum() / 100
            rows.append(points)
        return np.asarray(rows)


def test_a_model_that_gives_back_its_source_is_found_out() -> None:
    """Its mouth moves with the source's own voice, whatever audio it is given."""

    class GivesBack(Builtin):
        def _forward(self, crops: Crops, audio_rows: FloatArray) -> list[FloatArray]:
            return [crop.transpose(2, 0, 1).astype(np.float32) / 255 for crop in crops]

    generator = GivesBack(made_up_network(), device="cpu", number_format="fp32")
    clip, other = make_clip("a", "val", 1), make_clip("b", "val", 2)
    figures = evaluate_clip(generator, clip, other.audio, DarknessReader(), made_up_expert(), frames=50)
    assert figures.own_l1 < 0.003 and figures.own_ssim > 0.99 and figures.own_distance < 0.01
    assert figures.own_real > 0.99 and figures.other_real > 0.99
    assert figures.silent_moves == pytest.approx(figures.real_moves)
    assert figures.own_margin == pytest.approx(figures.real_margin, abs=0.01)
    assert mean_figures([figures, figures]).own_ssim == pytest.approx(figures.own_ssim)
