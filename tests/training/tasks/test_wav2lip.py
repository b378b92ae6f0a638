"""Training of the Wav2Lip generator, on faces drawn by hand and with very thin networks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import safe_open
from torch import Tensor, nn

import lipsync
from lipsync.errors import InputError, OptionError, WeightsError
from lipsync.generators.wav2lip.adapter import Wav2Lip
from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import SyncOptions
from lipsync.training.data.augment import augment_crop, augment_face, no_augmentation, sample_augmentation
from lipsync.training.data.dataset_format import (
    MARGIN,
    ClipContent,
    FaceAnnotations,
    ManifestRow,
    resize_images,
    write_clip,
    write_manifest,
)
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import train
from lipsync.training.engine.task import TrainingRun
from lipsync.training.tasks.discriminators import QualityDiscriminator, adversarial_losses
from lipsync.training.tasks.export import ABOUT, export_generator
from lipsync.training.tasks.losses import sync_loss
from lipsync.training.tasks.wav2lip import (
    GeneratorTask,
    generate,
    mask_lower_half,
    to_bgr,
    train_generator,
)
from lipsync.training.tasks.wav2lip_options import GeneratorTrainingOptions, original_loop
from lipsync.types import AudioClip
from tests.material import make_head, make_voice
from tests.training.synthetic import Drawn, drawn_clips

THIN = GeneratorTrainingOptions(size=(32, 64), width=0.125, batch=2, audio_variants=2, val_examples=4)
LOOP = original_loop(steps=6, learning_rate=1e-3, evaluate_every=2, device="cpu", tensorboard=False)


class TinyExpert(nn.Module):
    """A `SyncExpert` with random weights: it says nothing true, yet the same every time."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.see, self.hear = nn.Linear(3 * 5 * 16, 8), nn.Linear(80, 8)
        self.eval().requires_grad_(False)

    def embed_faces(self, windows: Tensor) -> Tensor:
        small = F.adaptive_avg_pool3d(windows, (5, 4, 4))
        return F.normalize(self.see(small.flatten(1)).relu() + 0.1)

    def embed_audio(self, mel: Tensor) -> Tensor:
        return F.normalize(self.hear(mel.mean(3).flatten(1)).relu() + 0.1)


def quiet(step: int, figures: dict[str, float]) -> None: ...


def with_expert(**changes: object) -> GeneratorTrainingOptions:
    return dataclasses.replace(THIN, expert=Path("tiny"), **changes)  # type: ignore[arg-type]


# --- examples ------------------------------------------------------------------------------------


def test_frames_and_their_sound_belong_together() -> None:
    """Every picture tells its own number, so that what was drawn at random can be read off."""
    numbers = np.arange(40, dtype=np.uint8)[:, None, None, None]
    crops = np.broadcast_to(numbers, (40, 96, 96, 3)).copy()
    samples = np.random.default_rng(0).normal(0, 0.1, 40 * 640).astype(np.float32)
    clip = Drawn("a", "a", "train", crops, samples, audio_delay=0.08)
    options = dataclasses.replace(THIN, batch=30, augment=False, audio_variants=1)
    batch = GeneratorTask([clip], options).batch(0)
    mel = np.pad(mel_spectrogram(AudioClip(samples)), ((0, 0), (0, 40)), constant_values=-4)
    targets, references = (batch[name][:, :, 0, 0, 0].long().numpy() for name in ("target", "reference"))
    for target, reference, heard, window in zip(
        targets, references, batch["indiv_mels"].numpy(), batch["mel"].numpy(), strict=True
    ):
        assert target[0] >= 1 and (np.diff(target) == 1).all() and (np.diff(reference) == 1).all()
        assert target[0] != reference[0]
        for frame, sound in zip(target, heard, strict=True):  # heard from one frame earlier on
            start = int(80 * (frame - 1) / 25 + 6.4 + 1e-6)
            np.testing.assert_array_equal(sound[0], mel[:, start : start + 16])
        start = int(80 * target[0] / 25 + 6.4 + 1e-6)
        np.testing.assert_array_equal(window[0], mel[:, start : start + 16])
    assert len({tuple(row) for row in targets}) > 10


def test_a_batch_is_of_its_step_and_seed_alone() -> None:
    one, other = (GeneratorTask(drawn_clips(), THIN) for _ in range(2))
    one.batch(1)
    first, again = one.batch(5), other.batch(5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["target"], one.batch(6)["target"])
    reseeded = GeneratorTask(drawn_clips(), dataclasses.replace(THIN, seed=2)).batch(5)
    assert not torch.equal(first["target"], reseeded["target"])
    assert first["target"].shape == (2, 5, 32, 64, 3) and first["target"].dtype == torch.uint8
    assert first["indiv_mels"].shape == (2, 5, 1, 80, 16) and first["mel"].shape == (2, 1, 80, 16)


def test_what_the_generator_is_shown() -> None:
    class Recorder(nn.Module):
        def forward(self, mel: Tensor, face: Tensor) -> Tensor:
            self.face = face
            return face[:, :3]

    recorder, batch = Recorder(), GeneratorTask(drawn_clips(), THIN).batch(0)
    generate(recorder, batch)
    target = batch["target"].permute(0, 4, 1, 2, 3).flip(1) / 255
    torch.testing.assert_close(recorder.face[:, :3, :, :16], target[:, :, :, :16])
    assert not recorder.face[:, :3, :, 16:].any()
    torch.testing.assert_close(recorder.face[:, 3:], to_bgr(batch["reference"]))


@pytest.mark.parametrize("size", [(128, 128), (96, 96), (192, 288)])
def test_an_augmentation_is_the_same_at_any_size(size: tuple[int, int]) -> None:
    [clip, *_] = drawn_clips()
    face, rng = clip.faces(np.array([7]), size)[0], np.random.default_rng(0)
    np.testing.assert_array_equal(augment_face(face, no_augmentation(), rng), face)
    stored = cv2_border(clip.crops[7])
    for seed in range(4):
        augmentation = dataclasses.replace(
            sample_augmentation(np.random.default_rng(seed)), blur=0.0, noise=0.0, jpeg_quality=100
        )
        wanted = resize_images(augment_crop(stored, augmentation, rng)[None], size)[0]
        changed = augment_face(face, augmentation, rng)
        assert changed.shape == (*size, 3)
        assert np.abs(changed.astype(int) - wanted).mean() < 1.5


def cv2_border(face: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.pad(face, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")


# --- losses --------------------------------------------------------------------------------------


class Told:
    """An expert that says what it was told, and remembers what it saw."""

    def __init__(self, similarity: Tensor) -> None:
        self.similarity = similarity

    def embed_faces(self, windows: Tensor) -> Tensor:
        self.seen = windows
        return torch.stack([self.similarity, (1 - self.similarity**2).sqrt()], dim=1)

    def embed_audio(self, mel: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0]]).expand(len(mel), 2)


def test_the_sync_loss_is_the_originals_and_leads_out_of_the_negative() -> None:
    drawn, mel = torch.rand(4, 3, 5, 8, 6), torch.zeros(4, 1, 80, 16)
    sure = Told(torch.tensor([0.06, 0.3, 0.9, 1.0]))
    expected = F.binary_cross_entropy(sure.similarity, torch.ones(4))
    torch.testing.assert_close(sync_loss(sure, drawn, mel), expected)
    torch.testing.assert_close(sure.seen, drawn[:, :, :, 4:].flip(1))  # lower half, RGB

    far = torch.tensor([-0.5, 0.0, 0.02, 0.2], requires_grad=True)
    losses = torch.stack([sync_loss(Told(far[n : n + 1]), drawn[:1], mel[:1]) for n in range(4)])
    assert (losses[:-1] > losses[1:]).all()
    losses.sum().backward()
    assert far.grad is not None and (far.grad < 0).all()


def test_generator_and_discriminator_learn_from_their_own_losses_alone() -> None:
    discriminator = QualityDiscriminator((64, 96), 0.125)
    real = torch.rand(2, 3, 5, 64, 96)
    drawn = torch.rand(2, 3, 5, 64, 96, requires_grad=True)
    assert discriminator(real).shape == (10, 1)
    training, fooled = adversarial_losses(discriminator, real, drawn)
    fooled.backward(retain_graph=True)
    assert drawn.grad is not None and drawn.grad[..., 32:, :].any() and not drawn.grad[..., :32, :].any()
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    before = drawn.grad.clone()
    training.backward()
    assert torch.equal(drawn.grad, before)
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    told = discriminator(drawn).sigmoid()
    torch.testing.assert_close(fooled, F.binary_cross_entropy(told, torch.ones_like(told)))


# --- training ------------------------------------------------------------------------------------


class Watched(GeneratorTask):
    """Notes the picture's error of every step."""

    errors: tuple[float, ...] = ()

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss(batch, step)
        self.errors += (figures["l1"],)
        return loss, figures


def test_it_learns(tmp_path: Path) -> None:
    task = Watched(drawn_clips(), dataclasses.replace(THIN, edge_weight=0.5))
    scores: list[float] = []
    loop = dataclasses.replace(LOOP, steps=60, learning_rate=3e-3, evaluate_every=20)
    outcome = train(
        task,
        TrainingRun(
            tmp_path, loop, lambda _, figures: scores.append(figures["score"]) if "score" in figures else None
        ),
    )
    assert outcome.finished and outcome.best == min(scores) and len(scores) == 3
    # Between 0.56 and 0.84 with other seeds; one that does not learn stays at 1.
    assert np.mean(task.errors[-15:]) < 0.92 * np.mean(task.errors[:5])


@pytest.mark.parametrize("discriminator", [False, True])
@pytest.mark.parametrize("stopped_after", [2, 3])  # right after a measurement, and between two
def test_a_resumed_run_equals_one_that_was_not_stopped(
    tmp_path: Path, discriminator: bool, stopped_after: int
) -> None:
    options = with_expert(discriminator=discriminator, sync_from=50.0)  # counts from the first measurement

    def task() -> GeneratorTask:
        return GeneratorTask(drawn_clips(), options, TinyExpert())

    train(task(), TrainingRun(tmp_path / "whole", LOOP, quiet))
    asked = iter(range(100))
    train(task(), TrainingRun(tmp_path / "parts", LOOP, quiet, stop=lambda: next(asked) >= stopped_after))
    assert read_checkpoint(tmp_path / "parts" / "last.pt")["step"] == stopped_after
    train(task(), TrainingRun(tmp_path / "parts", LOOP, quiet))
    whole, parts = (read_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 6
    for state in ("network", "ema"):
        assert all(torch.equal(whole[state][name], parts[state][name]) for name in whole[state])
    assert whole["network"]["sync_counts"] == 1
    assert any(name.startswith("discriminator.") for name in whole["network"]) == discriminator


def test_it_trains_in_16_bits(tmp_path: Path) -> None:
    options = with_expert(discriminator=True, sync_from=50.0, edge_weight=1.0)
    task = GeneratorTask(drawn_clips(), options, TinyExpert())
    losses: list[float] = []
    loop = dataclasses.replace(LOOP, steps=20, number_format="bf16", evaluate_every=1)
    train(task, TrainingRun(tmp_path, loop, lambda _, figures: losses.append(figures.get("loss", 0.0))))
    assert np.isfinite(losses).all()
    state = read_checkpoint(tmp_path / "last.pt")["network"]
    assert all(value.dtype in (torch.float32, torch.int64) for value in state.values())


def test_the_expert_counts_once_the_lips_are_good_enough(tmp_path: Path) -> None:
    def weights_of(options: GeneratorTrainingOptions, folder: Path) -> list[bool]:
        task, counted = GeneratorTask(drawn_clips(), options, TinyExpert()), []
        inner = task.loss

        def loss(batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
            total, figures = inner(batch, step)
            counted.append("sync" in figures)
            if "sync" in figures:
                wanted = 0.97 * figures["l1"] + 0.03 * figures["sync"]
                assert total.item() == pytest.approx(wanted, rel=1e-4)
            else:
                assert total.item() == pytest.approx(figures["l1"], rel=1e-4)
            return total, figures

        task.loss = loss  # type: ignore[method-assign]
        train(task, TrainingRun(folder, LOOP, quiet))
        return counted

    assert (
        weights_of(with_expert(sync_weight=0.03, sync_from=50.0), tmp_path / "a") == [False] * 2 + [True] * 4
    )
    assert weights_of(with_expert(sync_weight=0.03, sync_from=0.0), tmp_path / "b") == [False] * 6


def test_the_weights_of_the_original() -> None:
    assert THIN.weights == (0.0, 0.0)
    assert with_expert().weights == (0.01, 0.0)
    assert with_expert(discriminator=True).weights == (0.03, 0.07)
    assert with_expert(discriminator=True, sync_weight=0.5, disc_weight=0.25).weights == (0.5, 0.25)
    task = GeneratorTask(drawn_clips(), with_expert(discriminator=True), TinyExpert())
    task._network.sync_counts.fill_(1)
    loss, figures = task.loss(task.batch(0), 0)
    wanted = (
        0.9 * figures["l1"]
        + 0.03 * figures["sync"]
        + 0.07 * figures["adversarial"]
        + figures["discriminator"]
    )
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_validation_figures_and_images() -> None:
    task = GeneratorTask(drawn_clips(), with_expert(discriminator=True), TinyExpert())
    network = task.network.eval()
    with torch.inference_mode():
        figures, shown = (
            task.evaluate(network),
            task.sample_images(network)["reference, masked, generated, real"],
        )
    assert figures == {**task.evaluate(network)}
    assert set(figures) == {"score", "l1", "sync", "p_real", "p_generated"}
    assert figures["score"] == pytest.approx(0.97 * figures["l1"] + 0.03 * figures["sync"])
    assert shown.shape == (2, 3, 32, 4 * 64) and shown.min() >= 0 and shown.max() <= 1
    covered, drawn, real = (shown[..., n * 64 : (n + 1) * 64] for n in (1, 2, 3))
    torch.testing.assert_close(covered, mask_lower_half(real))
    assert not torch.equal(drawn, real)
    batch = next(task.val_batches())
    torch.testing.assert_close(real, to_bgr(batch["target"]).flip(1)[:, :, 2])


def test_it_goes_on_from_an_official_checkpoint(checkpoint: Path) -> None:
    options = GeneratorTrainingOptions(width=1 / 16, batch=1, start_from=checkpoint)
    task = GeneratorTask(drawn_clips(), options)
    given = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name, value in task._network.generator.state_dict().items():
        assert torch.equal(value, given[f"module.{name}"])
    with pytest.raises(WeightsError, match="another shape"):
        GeneratorTask(drawn_clips(), dataclasses.replace(THIN, start_from=checkpoint))


def test_what_cannot_be_trained_is_refused_in_words() -> None:
    with pytest.raises(OptionError, match="multiples of 32, got 100x96"):
        GeneratorTrainingOptions(size=(100, 96))
    with pytest.raises(OptionError, match="1/16"):
        GeneratorTrainingOptions(width=0.3)
    with pytest.raises(OptionError, match="nothing for the pixels"):
        with_expert(sync_weight=0.6, disc_weight=0.6, discriminator=True)
    short = [dataclasses.replace(clip, crops=clip.crops[:15]) for clip in drawn_clips()]
    with pytest.raises(InputError, match="at least 16 frames"):
        GeneratorTask(short, THIN)


# --- from a set to a video -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def head_and_voice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("media")
    return make_head(folder / "head.mp4", parts=[0.8]), make_voice(folder / "voice.wav", seconds=0.8)


@pytest.fixture(scope="module")
def prepared(head_and_voice: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of one clip, 20 frames."""
    from lipsync.media import open_audio, probe_video

    folder = tmp_path_factory.mktemp("set")
    head, voice = head_and_voice
    crops = np.random.default_rng(0).integers(0, 256, (20, 160, 160, 3), dtype=np.uint8)
    boxes = np.zeros((20, 4), np.float32)
    content = ClipContent(probe_video(head), open_audio(voice, ()), crops, FaceAnnotations(boxes))
    write_clip(folder / "clips", "a", content)
    write_manifest(folder, [ManifestRow("a", "ann", "train", 20, licence="CC BY 4.0")])
    return folder


@pytest.mark.parametrize("size", [(192, 288), (288, 192)])
def test_a_large_face_is_trained_exported_and_used(
    prepared: Path, head_and_voice: tuple[Path, Path], tmp_path: Path, size: tuple[int, int]
) -> None:
    options = dataclasses.replace(THIN, size=size, batch=1, val_examples=1, discriminator=True)
    loop = dataclasses.replace(LOOP, steps=1)
    run = tmp_path / "run"
    assert train_generator(prepared, options, TrainingRun(run, loop, quiet)).finished

    official, own = tmp_path / "face.pth", tmp_path / "face.safetensors"
    assert export_generator(run, official) > export_generator(run, own, {"licence": "for tests only"})
    crops = np.random.default_rng(5).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    rows = np.zeros((2, 1, 80, 16), np.float32)
    generators = [Wav2Lip(path, device="cpu", number_format="fp32") for path in (official, own)]
    one, other = (generator.generate(crops, rows) for generator in generators)
    assert one.shape == (2, 3, *size)
    np.testing.assert_allclose(one, other, atol=0.01)  # half precision
    assert [generator.spec.crop_size for generator in generators] == [size, size]
    assert generators[1].spec.licence == "for tests only" and generators[1].spec.antialias_crops

    head, voice = head_and_voice
    chosen = SyncOptions.from_flat(variant="wav2lip", weights=official, device="cpu", mask="box")
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    assert result.frames == result.frames_synced == 20


def test_what_is_exported(prepared: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_generator(prepared, THIN, TrainingRun(run, dataclasses.replace(LOOP, steps=2), quiet))
    export_generator(run, tmp_path / "mine.pth", {"licence": "CC BY 4.0"})
    loaded = torch.load(tmp_path / "mine.pth", weights_only=True)
    assert list(loaded) == ["state_dict", "optimizer", "global_step", "global_epoch"]
    assert (loaded["optimizer"], loaded["global_step"]) == (None, 2)
    # As the official code loads it, into a network of its own order of names.
    assert all(name.startswith("module.") for name in loaded["state_dict"])
    state = {name.replace("module.", ""): value for name, value in loaded["state_dict"].items()}
    assert list(state) == list(Wav2LipNetwork().state_dict())
    averaged = read_checkpoint(run / "last.pt")["ema"]
    assert all(torch.equal(value, averaged[f"generator.{name}"]) for name, value in state.items())

    card = (tmp_path / "mine.md").read_text()
    for told in (
        "32x64",
        "CC BY 4.0",
        "| step | 2 |",
        "| option: seed | 1 |",
        "| validation: l1 |",
        "| people | 1 |",
    ):
        assert told in card, told
    assert json.loads((run / ABOUT).read_text())["set"] == prepared.name
    assert str(prepared.parent) not in card + (run / ABOUT).read_text()

    export_generator(run, tmp_path / "last.safetensors", averaged=False)
    with safe_open(tmp_path / "last.safetensors", framework="pt") as file:
        assert file.metadata()["weights"] == "of the last step" and "not stated" in file.metadata()["licence"]
    assert sorted(path.suffix for path in tmp_path.glob("*.*")) == [".md", ".md", ".pth", ".safetensors"]


def test_an_export_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.safetensors"):
        export_generator(tmp_path, tmp_path / "mine.onnx")
    with pytest.raises(WeightsError, match="cannot be read"):
        export_generator(tmp_path, tmp_path / "mine.pth")
    assert not list(tmp_path.iterdir())
