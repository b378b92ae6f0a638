"""Training of sync experts, on faces drawn by hand whose mouths open with the loudness of a hum."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from lipsync.errors import InputError
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.sync_score import SyncNetColor, load_expert
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import train
from lipsync.training.engine.task import LoopOptions, TrainingRun
from lipsync.training.tasks import sync_expert as module
from lipsync.training.tasks.av_offset import measure_with_expert
from lipsync.training.tasks.export import export_expert
from lipsync.training.tasks.losses import contrastive_loss, offset_table_loss, pair_loss
from lipsync.training.tasks.sync_expert import (
    ExpertOptions,
    ExpertTask,
    clip_similarity,
)
from lipsync.types import AudioClip
from tests.training.synthetic import Drawn, drawn_clips

OPTIONS = ExpertOptions(clips=2, frames=24, audio_variants=2)
LOOP = LoopOptions(steps=6, warmup_steps=1, evaluate_every=3, device="cpu", tensorboard=False)


def quiet(step: int, figures: dict[str, float]) -> None: ...


def shapes_of(clips: list[Drawn]) -> dict[str, np.ndarray]:
    return {clip.name: np.random.default_rng(0).normal(size=(len(clip), 3)).astype("f4") for clip in clips}


def test_frames_and_audio_of_a_batch_belong_together() -> None:
    numbers = np.arange(60, dtype=np.uint8)[:, None, None, None] * 4
    samples = np.random.default_rng(0).normal(0, 0.1, 60 * 640).astype(np.float32)
    clip = Drawn(
        "a", "a", "train", np.broadcast_to(numbers, (60, 96, 96, 3)).copy(), samples, audio_delay=0.08
    )
    task = ExpertTask([clip], dataclasses.replace(OPTIONS, clips=8, audio_variants=1))
    batch = task.batch(0)
    assert batch["faces"].shape == (8, 24, 48, 96, 3) and batch["mel"].shape == (8, 20, 80, 16)
    mel = np.pad(mel_spectrogram(AudioClip(samples)), ((0, 0), (0, 40)), constant_values=-4)
    starts = [int(np.floor(80 * (frame / 25 + 0.08) + 1e-6)) for frame in range(60)]
    for faces, heard in zip(batch["faces"].numpy(), batch["mel"].numpy(), strict=True):
        light = faces.reshape(24, -1).mean(1)
        assert (np.diff(light) >= 0).all()  # one augmentation for all frames keeps their order
        matches = [f for f, s in enumerate(starts) if np.array_equal(mel[:, s : s + 16], heard[0])]
        assert len(matches) == 1
        for step, window in enumerate(heard):
            start = starts[matches[0] + step]
            np.testing.assert_array_equal(window, mel[:, start : start + 16])


@pytest.mark.parametrize("recipe", ["contrast", "wav2lip"])
def test_the_loss_falls_and_a_resumed_run_equals_the_whole(recipe: str, tmp_path: Path) -> None:
    clips = drawn_clips(frames=60)
    options = dataclasses.replace(OPTIONS, recipe=recipe)
    loop = dataclasses.replace(LOOP, steps=14, evaluate_every=7, learning_rate=2e-3)
    losses: list[float] = []

    def task() -> ExpertTask:
        made = ExpertTask(clips, options, shapes_of(clips) if recipe == "contrast" else None)
        original = made.loss

        def loss(batch: dict[str, torch.Tensor], step: int) -> tuple[torch.Tensor, dict[str, float]]:
            value, figures = original(batch, step)
            losses.append(figures["info_nce" if recipe == "contrast" else "bce"])
            return value, figures

        made.loss = loss  # type: ignore[method-assign]
        return made

    train(task(), TrainingRun(tmp_path / "whole", loop, quiet))
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    steps = iter(range(100))
    train(task(), TrainingRun(tmp_path / "parts", loop, quiet, stop=lambda: next(steps) >= 9))
    train(task(), TrainingRun(tmp_path / "parts", loop, quiet))
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert all(torch.equal(whole["network"][name], parts["network"][name]) for name in whole["network"])


def test_validation_figures_tell_a_true_clip_from_a_shifted_one() -> None:
    clips = drawn_clips(frames=60)
    task = ExpertTask(clips, OPTIONS)
    figures = task.evaluate(task.network.eval())
    assert set(figures) == {"score", "second", "clip", "confidence", "loss"}
    late = dataclasses.replace(clips[-1], audio_delay=0.2)
    corrected, as_it_is = (clip_similarity(task.network.expert, late, correct_delay=c) for c in (True, False))
    # Removing a delay of five frames moves every column by five offsets.
    np.testing.assert_allclose(corrected[20:30, 15], as_it_is[20:30, 10], atol=1e-5)


def test_losses_know_right_from_wrong() -> None:
    faces = torch.nn.functional.normalize(torch.randn(2, 12, 8), dim=2)
    right, figures = contrastive_loss(faces, faces, torch.tensor(20.0), 1)
    wrong, _ = contrastive_loss(faces, faces.roll(5, dims=1), torch.tensor(20.0), 1)
    assert right < wrong and figures["accuracy"] == 1
    assert pair_loss(faces, faces, 0, 1)[0] < pair_loss(faces, -faces, 0, 1)[0]
    table = np.zeros((4, 31), np.float32)
    assert offset_table_loss(table, 10.0) == pytest.approx(np.log(31), abs=1e-5)
    table[:, 15] = 1
    assert offset_table_loss(table, 10.0) < 0.01 and offset_table_loss(table, None) < 0.01


def test_an_official_expert_is_exported_in_the_official_form(tmp_path: Path) -> None:
    clips = drawn_clips(frames=30)
    options = dataclasses.replace(
        OPTIONS, architecture="wav2lip", recipe="wav2lip", clips=1, frames=12, window_stride=4
    )
    train(
        ExpertTask(clips, options), TrainingRun(tmp_path / "run", dataclasses.replace(LOOP, steps=1), quiet)
    )
    export_expert(tmp_path / "run", tmp_path / "lipsync_expert.pth")
    state = torch.load(tmp_path / "lipsync_expert.pth", weights_only=True)
    assert {"state_dict", "optimizer", "global_step", "global_epoch"} <= set(state)
    assert isinstance(load_expert(tmp_path / "lipsync_expert.pth"), SyncNetColor)


def test_people_are_drawn_by_share_and_seed() -> None:
    clips = drawn_clips(frames=30, people=7)
    chosen = []
    for seed in (1, 1, 2):
        task = ExpertTask(clips, dataclasses.replace(OPTIONS, people_share=0.5, seed=seed))
        chosen.append({clip.person for clip in task._sampler})
    assert chosen[0] == chosen[1] != chosen[2] and len(chosen[0]) == 3
    assert "p6" not in chosen[0] | chosen[2]  # validation


def test_too_short_clips_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="nothing to train an expert on"):
        ExpertTask(drawn_clips(frames=20), OPTIONS)


class ShiftedTwin(nn.Module):
    """Knows pictures and sounds whose first numbers tell their time: alike `early` frames apart."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))

    def embed_faces(self, windows: torch.Tensor) -> torch.Tensor:
        return self._at(windows[:, 0, 0, 0, 0] * 255)

    def embed_audio(self, mel: torch.Tensor) -> torch.Tensor:
        return self._at((mel[:, 0, 0, 0] + 4) / 8 * 1000)

    def _at(self, time: torch.Tensor) -> torch.Tensor:
        angles = time[:, None] * torch.tensor([0.11, 0.23, 0.37])
        return F.normalize(torch.cat([angles.sin(), angles.cos()], dim=1))


def test_offsets_are_measured_by_an_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound of frame f tells time f + 3: it comes three frames early, so the delay is -0.12 s."""

    def mel_of(_: AudioClip) -> np.ndarray:
        time = np.arange(400) / 3.2 + 3
        return np.repeat((time / 1000 * 8 - 4)[None].astype(np.float32), 80, axis=0)

    monkeypatch.setattr(module, "mel_spectrogram", mel_of)
    pictures = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 96, 96, 3)).copy()
    clips = [Drawn(f"{n}", "ann", "train", pictures, np.zeros(38_400, np.float32)) for n in range(2)]
    offsets = measure_with_expert(
        [*clips, dataclasses.replace(clips[0], split="test", person="bob")], ShiftedTwin()
    )
    assert set(offsets) == {"ann"}
    assert offsets["ann"].is_reliable and offsets["ann"].audio_delay == pytest.approx(-0.12, abs=0.02)
    known = [dataclasses.replace(clip, audio_delay=offsets["ann"].audio_delay) for clip in clips]
    assert abs(measure_with_expert(known, ShiftedTwin())["ann"].audio_delay) < 0.02
