"""Tuning the built-in model to one person: a thin network, a real video, a mouth that is always found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lipsync.cli.train_person
import lipsync.training.tasks.builtin_person
import lipsync.training.tasks.person_tuning
from lipsync.cli.main import main
from lipsync.errors import InputError, LipsyncError, OptionError, OutputError
from lipsync.generators.builtin.adapter import Builtin, load_builtin
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.training import Outcome, PersonOptions, PersonOutcome, tune_person
from lipsync.training.data.dataset_format import SIDE, read_crops, with_margin
from lipsync.training.data.located_clips import read_located_clips
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.tasks.export import export_network
from lipsync.training.tasks.losses import sharpness_loss, texture_loss
from lipsync.training.tasks.person_figures import OtherVoiceFigures, PersonFigures, has_helped, score
from tests.material import FACE, make_head, make_voice, run_ffmpeg
from tests.training.fakes import no_landmarks
from tests.training.synthetic import COMPONENTS, resting_mouth

OPTIONS = PersonOptions(person_steps=4, person_rate=3e-3, person_batch=2, threads=1)


def quiet(step: int, figures: dict[str, float]) -> None: ...


@pytest.fixture(scope="module", autouse=True)
def few_examples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lipsync.training.tasks.builtin_person, "_VAL_EXAMPLES", 4)
        yield


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("person")
    head, voice = make_head(folder / "head.mp4", parts=[8.0]), make_voice(folder / "v.wav", seconds=8.0)
    run_ffmpeg("-stream_loop", "3", "-i", voice, "-i", head, "-c:v", "copy", "-shortest", folder / "ann.mp4")
    return folder / "ann.mp4"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = BuiltinNetwork(
        NetworkConfig(shape_numbers=2, voice_width=16, widths=(8, 8, 8, 8), mouth_widths=(8, 8, 8))
    )
    network.components.copy_(torch.from_numpy(COMPONENTS))
    last, resting = network.place.head[-1], torch.from_numpy(resting_mouth()).flatten() / SIDE
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.cat([resting, resting, 0.4 * torch.eye(2, 3).flatten()]))
    path = tmp_path_factory.mktemp("weights") / "thin.safetensors"
    export_network(network.eval(), path)
    return path


Tune = Callable[..., PersonOutcome]


@pytest.fixture(scope="module")
def tuned(video: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PersonOutcome]:
    """A whole run that counts as a help, and its outcome."""
    folder = tmp_path_factory.mktemp("tuned")
    output = folder / "ann.safetensors"
    with pytest.MonkeyPatch.context() as patch:  # four steps of a thin network help nobody
        patch.setattr(lipsync.training.tasks.person_tuning, "has_helped", lambda before, after: True)
        done = tune_person([video], weights, folder / "ann", output, OPTIONS, quiet, tools=no_landmarks)
    return folder, done


@pytest.fixture
def again(tuned: tuple[Path, PersonOutcome], video: Path, weights: Path, tmp_path: Path) -> Tune:
    """Another run in `tmp_path`, with the clips of the first."""
    for name in ("person.json", "set"):
        source = tuned[0] / "ann" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)

    def tune(options: PersonOptions = OPTIONS, **more: Any) -> PersonOutcome:
        given = {"videos": [video], "weights": weights, "output": tmp_path / "out.safetensors", **more}
        return tune_person(run=tmp_path, options=options, report=quiet, tools=no_landmarks, **given)

    return tune


def test_one_call_makes_a_model_of_the_person_from_a_video(
    tuned: tuple[Path, PersonOutcome], weights: Path
) -> None:
    folder, done = tuned
    assert done.outcome == Outcome(4, True, done.outcome.best) and done.size > 0
    assert done.after != done.before and not done.failures
    before, after = (load_builtin(path).state_dict() for path in (weights, folder / "ann.safetensors"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"painter"} and "painter.usual_tone" in changed
    assert not any("running_" in name for name in changed)
    assert Builtin(folder / "ann.safetensors", device="cpu").spec.name == "builtin"


def test_a_tuning_that_does_not_help_writes_nothing(again: Tune, tmp_path: Path) -> None:
    done = again(replace(OPTIONS, person_rate=0.0))
    assert done.size == 0 and done.after[0].l1 == pytest.approx(done.before[0].l1, rel=0.1)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_tuning_resumes_exactly(again: Tune, tuned: tuple[Path, PersonOutcome], tmp_path: Path) -> None:
    stopped = again(replace(OPTIONS, person_minutes=1e-9))  # the time is up after the first step or none
    assert not stopped.outcome.finished and stopped.outcome.step < 4
    assert again().outcome.finished
    whole, parts = (
        read_checkpoint(folder / "training" / "last.pt")["network"] for folder in (tuned[0] / "ann", tmp_path)
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_folder_of_another_tuning_is_refused(
    again: Tune, video: Path, weights: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    network = load_builtin(weights)
    network.gain.mul_(2)
    export_network(network, other)
    for given in ({"weights": other}, {"videos": [video, shutil.copy(video, tmp_path / "second.mp4")]}):
        with pytest.raises(InputError, match="another model or to other videos"):
            again(**given)


def test_too_much_video_is_refused_first(again: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lipsync.training.tasks.person_tuning, "_MAX_MINUTES", 0.1)
    with pytest.raises(InputError, match="too long to learn from"):
        again()


def test_what_cannot_be_learned_from_is_refused_first(again: Tune, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    voice, head = make_voice(tmp_path / "v.wav", seconds=2.0), make_head(tmp_path / "h.mp4", parts=[2.0])
    run_ffmpeg("-i", voice, "-i", head, "-c:v", "copy", short)
    (tmp_path / "person.json").unlink()
    errors: list[tuple[type[LipsyncError], str, dict[str, object]]] = [
        (InputError, "too little of this person", {"videos": [short]}),
        (InputError, "from a photo", {"videos": [FACE]}),
        (LipsyncError, "no audio", {"videos": [tmp_path / "h.mp4"]}),
        (OptionError, "safetensors", {"output": tmp_path / "out.pth"}),
        (OutputError, "does not exist", {"output": tmp_path / "no" / "out.safetensors"}),
    ]
    for kind, words, given in errors:
        with pytest.raises(kind, match=words):
            again(**given)


def test_clips_are_split_by_time_and_located_by_the_model(
    tuned: tuple[Path, PersonOutcome], weights: Path
) -> None:
    folder = tuned[0] / "ann" / "set"
    train, val = read_located_clips(folder, load_builtin(weights).eval(), 0.25)
    assert (train.split, val.split) == ("train", "val") and train.crops is not None and val.crops is not None
    whole = read_crops(folder, "ann_00", with_margin(SIDE))
    assert len(val) == len(whole) - round(0.75 * len(whole)) and len(train) == round(0.75 * len(whole)) - 12
    assert np.array_equal(train.crops, whole[: len(train)]) and np.array_equal(val.crops, whole[-len(val) :])
    np.testing.assert_allclose(train.mouth[5], resting_mouth(), atol=0.2)
    np.testing.assert_allclose(train.shapes, 0, atol=1e-3)
    assert len(val.audio) == 640 * len(val)


def test_texture_is_what_blur_loses() -> None:
    rng = torch.Generator().manual_seed(0)
    sharp = torch.rand(1, 3, 32, 32, generator=rng)
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    weight = torch.ones(1, 1, 32, 32)
    moved = sharp.roll(1, 3)
    assert texture_loss(sharp, sharp, weight) == 0
    assert texture_loss(blurred, sharp, weight) > 5 * texture_loss(moved, sharp, weight)
    assert sharpness_loss(sharp, sharp, weight) == 0
    assert sharpness_loss(blurred, sharp, weight) > 5 * sharpness_loss(moved, sharp, weight)
    assert torch.isclose(sharpness_loss(0.5 * sharp, sharp, weight), torch.tensor(4.0).log(), atol=1e-3)


def test_blur_is_no_help() -> None:
    used = OtherVoiceFigures(1.2, 0.95)
    before = PersonFigures(l1=0.030, ssim=0.80, sharpness=0.8)
    assert score(before, before) == 1

    def helped(*figures: float, use: OtherVoiceFigures = used) -> bool:
        return has_helped((before, used), (PersonFigures(*figures), use))

    assert helped(0.027, 0.82, 0.8) and helped(0.027, 0.82, 0.9)
    assert not helped(0.027, 0.82, 0.5)
    assert not helped(0.0299, 0.82, 0.8)
    assert not helped(0.027, 0.79, 0.8)


def test_grey_teeth_and_soft_lips_with_another_voice_are_no_help() -> None:
    before, after = PersonFigures(0.030, 0.80, 0.8), PersonFigures(0.027, 0.82, 0.8)
    used = OtherVoiceFigures(1.2, 0.95)
    for use, helped in (
        ((0.92, 0.9), True),
        ((0.85, 0.9), False),
        ((1.0, 0.7), False),
        ((1.0, float("nan")), True),
    ):
        assert has_helped((before, used), (after, OtherVoiceFigures(*use))) is helped


@pytest.mark.parametrize("size", [0, 1000])
def test_the_command_says_whether_it_helped(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def fake(*arguments: object) -> PersonOutcome:
        calls.append(arguments)
        before = PersonFigures(0.030, 0.80, 0.8), OtherVoiceFigures(1.1, 0.9)
        after = PersonFigures(0.020, 0.85, 0.9), OtherVoiceFigures(1.0, 0.95)
        return PersonOutcome(Outcome(9, True, 0.7), before, after, size, {"b.mp4": "no face"})

    monkeypatch.setattr(lipsync.cli.train_person, "tune_person", fake)
    output = tmp_path / "ann.safetensors"
    status = main(["train", "builtin", "--from", "builtin", "--person", "a.mp4", "b.mp4", "-o", str(output)])
    printed = capsys.readouterr()
    videos, base, run, written = calls[0][:4]
    assert videos == [Path("a.mp4"), Path("b.mp4")] and Path(str(base)).name == "builtin.safetensors"
    assert (run, written) == (tmp_path / "ann", output)
    assert "nothing to learn from in b.mp4: no face" in printed.err and "0.850" in printed.out
    assert (status, "It helped" in printed.out) == ((0, True) if size else (1, False))
    assert ("was not written" in printed.out) == (not size)


def test_set_and_run_are_needed_without_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "builtin"])
    assert "SET, RUN" in capsys.readouterr().err
    assert main(["train", "builtin", "a", "b", "--from", "builtin"]) != 0
    assert main(["train", "builtin", "--person", "a.mp4"]) != 0
    assert main(["train", "builtin", "a", "b", "--person", "a.mp4", "-o", "x.safetensors"]) != 0
