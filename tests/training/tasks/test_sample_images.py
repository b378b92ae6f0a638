from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lipsync.generators.builtin.network import NetworkConfig
from lipsync.training.engine.loop import train
from lipsync.training.engine.task import LoopOptions, Task, TrainingRun
from lipsync.training.tasks.builtin_audio2shape import Audio2ShapeOptions, Audio2ShapeTask
from lipsync.training.tasks.builtin_locator import LocatorOptions, LocatorTask
from lipsync.training.tasks.builtin_renderer import RendererOptions, RendererTask
from tests.training.synthetic import COMPONENTS, make_clip, make_clips

CONFIG = NetworkConfig(shape_numbers=2, voice_width=16, widths=(8, 8, 8, 8))
CLIPS = make_clips()
PEOPLE = len({clip.person for clip in CLIPS if clip.split == "val"})

KINDS: dict[str, tuple[Callable[[], Task], int]] = {
    "audio2shape": (
        lambda: Audio2ShapeTask(CLIPS, COMPONENTS, CONFIG, Audio2ShapeOptions(batch=2, scenes=2, seconds=2)),
        0,
    ),
    "locator": (lambda: LocatorTask(CLIPS, CONFIG, LocatorOptions(batch=2)), PEOPLE),
    "renderer": (lambda: RendererTask(CLIPS, COMPONENTS, CONFIG, RendererOptions(batch=2)), 2 * PEOPLE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_show_three_windows_in_a_row(kind: str) -> None:
    make, rows = KINDS[kind]
    task = make()
    with torch.inference_mode():
        pictures = task.sample_images(task.network.eval())
    assert len(pictures) == (rows > 0)
    for picture in pictures.values():
        assert picture.shape == (rows, 3, CONFIG.height, 3 * CONFIG.width)
        assert 0 <= picture.min() < picture.max() <= 1


def test_without_validation_people_there_are_no_images() -> None:
    task = LocatorTask([make_clip("p", "train", 0)], CONFIG, LocatorOptions(batch=2))
    assert task.sample_images(task.network.eval()) == {}


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_the_builtin_parts_train_on_a_gpu(kind: str, tmp_path: Path) -> None:
    options = LoopOptions(steps=2, evaluate_every=1, device="cuda")
    assert train(KINDS[kind][0](), TrainingRun(tmp_path, options, lambda *_: None)).finished
