from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.generators.builtin.adapter import Builtin
from lipsync.generators.builtin.mouth_locator import MouthLocator
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.training.data.augment import (
    augment_audio,
    no_augmentation,
    sample_augmentation,
    transform_points,
)
from lipsync.training.data.dataset import Clip, PersonBalancedSampler, TrainingSet
from lipsync.training.data.dataset_format import SIDE
from lipsync.training.data.mouth_shapes import MIRRORED, ShapeSpace
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, Task, TrainingRun
from lipsync.training.tasks.builtin import measure_gain
from lipsync.training.tasks.builtin_audio2shape import Audio2ShapeOptions, Audio2ShapeTask
from lipsync.training.tasks.builtin_locator import LocatorOptions, LocatorTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask, render
from lipsync.training.tasks.export import assemble, export_network
from lipsync.training.tasks.shape_figures import correlation_by_offset
from tests.training.synthetic import COMPONENTS, make_clip, make_clips

CONFIG = NetworkConfig(shape_numbers=2, voice_width=16, widths=(8, 8, 8, 8), mouth_widths=(4, 4, 4))


@pytest.fixture(autouse=True)
def a_fixed_start() -> None:
    torch.manual_seed(0)


def run(task: Task, folder: Path, steps: int, **options: float) -> tuple[Outcome, list[float]]:
    losses: list[float] = []

    def note(step: int, figures: dict[str, float]) -> None:
        if "loss" in figures:
            losses.append(figures["loss"])

    settings = {
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "evaluate_every": steps,
        "grad_clip": 10.0,
        **options,
    }
    return train(task, TrainingRun(folder, LoopOptions(steps=steps, **settings), note)), losses  # type: ignore[arg-type]


def test_all_three_learn_and_ship_as_one_model(tmp_path: Path) -> None:
    clips = make_clips()
    voice = Audio2ShapeTask(clips, COMPONENTS, CONFIG, Audio2ShapeOptions(batch=4, scenes=8, seconds=3))
    place = LocatorTask(clips, CONFIG, LocatorOptions(batch=8))
    painter = RendererTask(clips, COMPONENTS, CONFIG, RendererOptions(batch=4))
    untrained = [val_score(task) for task in (voice, place, painter)]
    for task, name, steps in ((voice, "voice", 60), (place, "place", 40), (painter, "painter", 40)):
        outcome, losses = run(task, tmp_path / name, steps)
        assert outcome.finished and losses[-1] < losses[0]
    trained = [val_score(task) for task in (voice, place, painter)]
    assert trained[0] < -0.5  # the hum opens the mouth
    assert trained[1] < untrained[1] and trained[2] < untrained[2]

    averages = [read_checkpoint(tmp_path / name / "last.pt")["ema"] for name in ("voice", "place", "painter")]
    network = assemble(CONFIG, COMPONENTS, np.ones(2, np.float32), *averages)
    assert export_network(network, tmp_path / "model.safetensors") < 25_000_000
    generator = Builtin(tmp_path / "model.safetensors", device="cpu")
    [mouth] = generator.generate(np.zeros((1, 160, 160, 3), np.uint8), np.zeros((1, 2), np.float32))
    assert mouth.shape == (3, 160, 160)


def val_score(task: Task) -> float:
    with torch.inference_mode():
        return task.evaluate(task.network.eval())["score"]


def test_the_critic_trains_with_the_renderer(tmp_path: Path) -> None:
    task = RendererTask(make_clips(), COMPONENTS, CONFIG, RendererOptions(batch=2, critic_weight=0.01))
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    run(task, tmp_path, 2)
    changed = {
        name.split(".")[0]
        for name, value in task.network.state_dict().items()
        if not value.equal(before[name])
    }
    assert changed == {"painter", "critic"}


class LocatorByBrightness(MouthLocator):
    """Places the mouth of a clip, the lower the brighter the window is."""

    def __init__(self, clip: Clip) -> None:
        super().__init__(CONFIG.height, CONFIG.width)
        places = clip.mouth[0] / SIDE, clip.closed_mouth[0] / SIDE, clip.projection[0]
        self.places = [torch.from_numpy(place).float() for place in places]

    def forward(self, window: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mouth, closed, projection = (place.expand(len(window), -1, -1) for place in self.places)
        return mouth + window.mean((1, 2, 3)).view(-1, 1, 1), closed, projection


def test_exchanged_mouths_teach_the_renderer_to_show_the_outline_asked_for() -> None:
    clips = make_clips()
    options = RendererOptions(batch=1, exchanged=4, outline_weight=1e4)
    locator = LocatorByBrightness(clips[0])
    task = RendererTask(clips, COMPONENTS, CONFIG, options, locator=locator)
    batch, network = task.batch(0), task.network.eval()
    loss, figures = task.loss(batch, 0)
    loss.backward()
    moved = [weight for weight in network.parameters() if weight.grad is not None]
    length = torch.stack([weight.grad.norm() for weight in moved if weight.grad is not None]).norm()
    distances = []
    for step in (0.2, -0.4):  # down along the gradient, then up from there
        for weight in moved:
            assert weight.grad is not None
            weight.data -= step * weight.grad / length
        distances.append(task.loss(batch, 0)[1]["outline_px"])
    assert distances[0] < figures["outline_px"] - 1e-3 < distances[1] - 2e-3
    assert all(weight.grad is None for weight in locator.parameters())


def test_flat_interiors_cost_more_than_their_pixels() -> None:
    task = RendererTask(make_clips(), COMPONENTS, CONFIG, RendererOptions(batch=2))
    batch = task.batch(0)
    rendered = render(task.network.painter, batch, CONFIG)  # type: ignore[arg-type]
    exact = dataclasses.replace(rendered, image=batch["target"])
    inside = rendered.enlarge(rendered.maps.inside)
    mean = (batch["target"] * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True)
    flat = dataclasses.replace(exact, image=batch["target"] + (mean - batch["target"]) * inside)
    figures = [task.reconstruction_loss(one, batch)[1]["contrast"] for one in (exact, flat)]
    assert figures[0] == 0 and figures[1] > 0.01


@pytest.mark.parametrize("kind", ["voice", "painter"])
def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path, kind: str) -> None:
    def make() -> Task:
        torch.manual_seed(0)
        if kind == "voice":
            options = Audio2ShapeOptions(batch=2, scenes=4, seconds=2)
            return Audio2ShapeTask(make_clips(), COMPONENTS, CONFIG, options)
        return RendererTask(make_clips(), COMPONENTS, CONFIG, RendererOptions(batch=2, critic_weight=0.01))

    options = LoopOptions(steps=6, evaluate_every=100)
    train(make(), TrainingRun(tmp_path / "whole", options, lambda *_: None))
    steps = iter(range(100))
    train(make(), TrainingRun(tmp_path / "parts", options, lambda *_: None, stop=lambda: next(steps) >= 3))
    train(make(), TrainingRun(tmp_path / "parts", options, lambda *_: None))
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 6
    assert all(torch.equal(whole["network"][name], parts["network"][name]) for name in whole["network"])


def test_larger_crops_show_the_same_at_more_detail() -> None:
    clips = make_clips()
    larger = [
        replace(clip, crops=np.asarray(clip.crops).repeat(2, axis=1).repeat(2, axis=2)) for clip in clips
    ]
    tasks = [RendererTask(each, COMPONENTS, CONFIG, RendererOptions(batch=4)) for each in (clips, larger)]
    small, large = (task.val_batches(per_person=2)[0] for task in tasks)
    for name in ("target_outline", "closed_outline", "reference_outline"):
        torch.testing.assert_close(small[name], large[name])
    assert large["target"].shape[2:] == (2 * CONFIG.height, 2 * CONFIG.width)
    halved = torch.nn.functional.avg_pool2d(large["target"], 2)
    assert (halved - small["target"]).abs().mean() < 0.01
    assert tasks[0].batch(3)["sharp"].shape == (4,)


def test_people_come_up_alike_whatever_their_minutes() -> None:
    clips = [make_clip("much", "train", seed) for seed in range(16)] + [make_clip("little", "train", 99)]
    sampler, rng = PersonBalancedSampler(clips), np.random.default_rng(0)
    drawn = [sampler.sample(rng).person for _ in range(600)]
    assert 0.25 < drawn.count("little") / 600 < 0.42  # sixteen times the minutes, twice the weight


def test_points_move_with_the_image() -> None:
    clip = make_clip("p", "train", 0)
    mouth = clip.mouth[7]
    np.testing.assert_allclose(transform_points(mouth, no_augmentation(), MIRRORED), mouth, atol=1e-4)
    rng = np.random.default_rng(3)
    for _ in range(8):
        moved = transform_points(mouth, sample_augmentation(rng), MIRRORED)
        assert moved[20, 0] < moved[30, 0]  # mirrored or not, the first corner is on the left
        assert moved[40:, 1].mean() > moved[:20, 1].mean()


def test_augmented_audio_keeps_its_length_and_its_time() -> None:
    sound = make_clip("p", "train", 1).audio
    for seed in range(4):
        changed = augment_audio(sound, np.random.default_rng(seed))
        assert changed.shape == sound.shape and np.isfinite(changed).all()
        slow = [np.convolve(x**2, np.ones(1600), "same") for x in (sound, changed)]
        assert np.corrcoef(*slow)[0, 1] > 0.8


def test_the_offset_of_a_late_video_is_found() -> None:
    heard = np.random.default_rng(0).normal(size=80).astype(np.float32)
    seen = np.concatenate([np.zeros(3, np.float32), heard[:-3]])
    assert correlation_by_offset(heard, seen, 6).argmax() - 6 == 3


def test_each_coefficient_has_its_gain_and_none_above_the_opening_s() -> None:
    clips = make_clips()
    network = BuiltinNetwork(CONFIG)

    class Shy(torch.nn.Module):
        """Half of the opening, and a fifth of the other coefficient."""

        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            at = np.arange(features.shape[2] // 2) / 2
            true = np.stack([np.interp(at, np.arange(len(shapes)), column) for column in shapes.T])
            return torch.from_numpy(true * [[0.5], [0.2]]).float()[None]

    shapes = clips[-1].shapes + np.random.default_rng(0).normal(0, 0.01, clips[-1].shapes.shape) * [0, 1]
    training = TrainingSet([dataclasses.replace(clips[-1], shapes=shapes)], ShapeSpace(COMPONENTS, 0.1))
    network.add_module("voice", Shy())
    np.testing.assert_allclose(measure_gain(network, training), [2, 2], rtol=0.05)
    no_val = TrainingSet(clips[:1], training.space)
    np.testing.assert_array_equal(measure_gain(network, no_val), np.float32([1.5, 1.5]))
