"""Sets, runs, checkpoints and flags of earlier releases, whose names were others."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lipsync.cli.main import main
from lipsync.cli.train import add_train_commands
from lipsync.training import BuiltinOptions, export_builtin, train_builtin
from lipsync.training.data.clip_extraction import FaceTools
from lipsync.training.data.dataset_format import ManifestRow, read_manifest, write_manifest
from lipsync.training.data.face_clips import read_face_clips
from lipsync.training.data.prepare import PrepareOptions, prepare
from lipsync.training.data.sources import SourceVideo, find_sources
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.loop import train
from lipsync.training.engine.run_log import read_run_log
from lipsync.training.engine.task import TrainingRun
from lipsync.training.tasks.export import ABOUT, export_generator
from lipsync.training.tasks.wav2lip import GeneratorTask
from lipsync.training.tasks.wav2lip_options import GeneratorTrainingOptions, original_loop
from tests.material import make_head, make_voice, run_ffmpeg
from tests.training.engine.test_loop import OPTIONS, Line, quiet
from tests.training.fakes import fake_tools
from tests.training.synthetic import drawn_clips

OLD_MANIFEST = (
    "name\tperson\tsplit\tframes\tlag\tsource\tlicence\tnote\n"
    "a_00\tann\ttrain\t50\t0.08\tsomewhere\tCC BY 4.0\t\n"
    "b_00\tbob\theld\t50\t0.0\t\t\t\n"
    "c_00\tcarl\tcheck\t50\t-0.04\t\t\t\n"
)
OLD_KEYS = {"ema": "average", "bad_evaluations": "worse"}
OLD_KINDS = {"train": "training", "val": "held_out"}
OLD_SPLITS = {"val": "held", "test": "check"}


def make_old_manifest(folder: Path) -> None:
    """Rewrite the manifest of a set as earlier releases did."""
    lines = [
        [row.name, row.person, OLD_SPLITS.get(row.split, row.split), row.frames, row.audio_delay, "", "", ""]
        for row in read_manifest(folder)
    ]
    table = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    (folder / "manifest.tsv").write_text(OLD_MANIFEST.splitlines(keepends=True)[0] + table)


def make_old_run(folder: Path) -> None:
    """Rewrite the checkpoint and logs of a run as earlier releases did."""
    state = {OLD_KEYS.get(key, key): value for key, value in read_checkpoint(folder / "last.pt").items()}
    assert set(OLD_KEYS.values()) <= state.keys()
    torch.save(state, folder / "last.pt")
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    old = [{OLD_KINDS.get(key, key): value for key, value in line.items()} for line in lines]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in old))
    if (folder / "tensorboard").exists():
        (folder / "tensorboard").rename(folder / "board")


def test_an_old_manifest_is_read_and_written_anew(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text(OLD_MANIFEST)
    rows = read_manifest(tmp_path)
    assert rows == [
        ManifestRow("a_00", "ann", "train", 50, 0.08, "somewhere", "CC BY 4.0"),
        ManifestRow("b_00", "bob", "val", 50),
        ManifestRow("c_00", "carl", "test", 50, -0.04),
    ]
    assert [(clip.split, clip.audio_delay) for clip in read_face_clips(tmp_path)] == [
        ("train", 0.08),
        ("val", 0.0),
        ("test", -0.04),
    ]
    write_manifest(tmp_path, rows)
    text = (tmp_path / "manifest.tsv").read_text()
    assert text.startswith("name\tperson\tsplit\tframes\taudio_delay\t") and read_manifest(tmp_path) == rows
    assert not {"held", "check", "lag"} & set(text.split())


def test_a_list_of_videos_may_say_check(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text("file\tuse\tperson\na.mp4\tcheck\tann\n")
    assert find_sources(tmp_path) == [SourceVideo(tmp_path / "a.mp4", "ann", "test")]
    assert SourceVideo(tmp_path, "ann", "check").use == "test"


@pytest.fixture(scope="module")
def old_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SourceVideo], Path]:
    """Two videos, and the set of them with an old manifest."""
    folder = tmp_path_factory.mktemp("old")
    head = make_head(folder / "head.mp4", parts=[2.0])
    voice = make_voice(folder / "voice.wav", seconds=2.0)
    sources = []
    for person in ("ann", "bob"):
        video = folder / f"{person}.mp4"
        run_ffmpeg("-i", head, "-i", voice, "-c:v", "copy", "-r", "25", video)
        sources.append(SourceVideo(video, person))
    prepare(sources, folder / "set", PrepareOptions(val_people=("bob",), workers=1), tools=fake_tools)
    make_old_manifest(folder / "set")
    return sources, folder / "set"


def test_an_old_set_is_extended_without_being_made_anew(old_set: tuple[list[SourceVideo], Path]) -> None:
    def refuse(_: PrepareOptions) -> FaceTools:
        raise AssertionError("what is done must not be done again")

    sources, folder = old_set
    rows = [replace(row, audio_delay=0.08) for row in read_manifest(folder)]
    write_manifest(folder, rows)
    make_old_manifest(folder)
    options = PrepareOptions(val_people=("bob",), workers=1)
    assert prepare(sources, folder, options, tools=refuse).rows == tuple(rows)


def test_an_old_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(Line(), TrainingRun(whole, OPTIONS, quiet))
    train(Line(), TrainingRun(parts, replace(OPTIONS, until=40), quiet))
    make_old_run(parts)
    outcome = train(Line(), TrainingRun(parts, OPTIONS, quiet))
    a, b = read_checkpoint(whole / "last.pt"), read_checkpoint(parts / "last.pt")
    assert outcome.step == 60 and a["best"] == b["best"] and a["bad_evaluations"] == b["bad_evaluations"]
    for state in ("network", "ema"):
        assert all(torch.equal(a[state][name], b[state][name]) for name in a[state])
    assert read_run_log(parts) == read_run_log(whole)
    assert (parts / "board").is_dir() and not (parts / "tensorboard").exists()


def test_an_old_generator_is_exported_with_its_card(tmp_path: Path) -> None:
    options = GeneratorTrainingOptions(size=(32, 64), width=0.125, batch=1, audio_variants=1, val_examples=1)
    loop = original_loop(steps=1, device="cpu", tensorboard=False)
    train(GeneratorTask(drawn_clips(), options), TrainingRun(tmp_path / "run", loop, quiet))
    make_old_run(tmp_path / "run")
    about = {"set": "mine", "held-out clips": 7, "options": {"looks": True}}
    (tmp_path / "run" / ABOUT).write_text(json.dumps(about))
    export_generator(tmp_path / "run", tmp_path / "g.pth")
    card = (tmp_path / "g.md").read_text()
    for line in ("| validation: l1 |", "| validation clips | 7 |", "| option: looks | True |"):
        assert line in card


def test_the_old_folders_of_the_built_in_model_s_runs_are_continued(
    old_set: tuple[list[SourceVideo], Path], tmp_path: Path
) -> None:
    _, folder = old_set
    options = BuiltinOptions(
        audio2shape_steps=2, locator_steps=2, renderer_steps=2, critic_share=0.0, batch=2, threads=1
    )
    train_builtin(folder, tmp_path / "runs", options, lambda *_: None)
    for new, old in (("audio2shape", "voice"), ("locator", "place"), ("renderer", "painter")):
        (tmp_path / "runs" / new).rename(tmp_path / "runs" / old)
        make_old_run(tmp_path / "runs" / old)
    steps: list[int] = []
    longer = replace(options, renderer_steps=3)
    outcomes = train_builtin(folder, tmp_path / "runs", longer, lambda _, step, __: steps.append(step))
    assert [outcome.step for outcome in outcomes.values()] == [2, 2, 3] and steps == [3]
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert folders == ["painter", "place", "scenes", "voice"]
    assert export_builtin(folder, tmp_path / "runs", tmp_path / "model.safetensors") > 1_000_000


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["prepare", "v", "s", "--held-out", "ann,bob"], "val_people", ("ann", "bob")),
        (["prepare", "v", "s", "--held-share", "0.25"], "val_share", 0.25),
        (["expert", "s", "r", "--average", "0.5"], "ema_decay", 0.5),
        (["expert", "s", "r", "--clip", "2"], "grad_clip", 2.0),
        (["expert", "s", "r", "--ahead", "7"], "prefetch", 7),
        (["expert", "s", "r", "--warm-up", "9"], "warmup_steps", 9),
        (["expert", "s", "r", "--precision", "bf16"], "number_format", "bf16"),
        (["expert", "s", "r", "--no-board"], "tensorboard", False),
        (["expert", "s", "r", "--board"], "tensorboard", True),
        (["expert", "s", "r", "--every", "2"], "window_stride", 2),
        (["expert", "s", "r", "--variants", "3"], "audio_variants", 3),
        (["expert", "s", "r", "--shapes", "0.1"], "shape_weight", 0.1),
        (["expert", "s", "r", "--people", "0.7"], "people_share", 0.7),
        (["generator", "s", "r", "--no-looks"], "augment", False),
        (["generator", "s", "r", "--voices", "2"], "audio_variants", 2),
        (["generator", "s", "r", "--held", "3"], "val_examples", 3),
        (["generator", "s", "r", "--edges", "0.5"], "edge_weight", 0.5),
        (["builtin", "s", "r", "--voice-steps", "4"], "audio2shape_steps", 4),
        (["builtin", "s", "r", "--place-steps", "5"], "locator_steps", 5),
        (["builtin", "s", "r", "--painter-steps", "6"], "renderer_steps", 6),
        (["builtin", "s", "r", "--critic", "0.1"], "critic_weight", 0.1),
        (["tune", "s", "r", "--expert", "e", "--stretches", "3"], "sequences", 3),
        (["tune", "s", "r", "--expert", "e", "--sync", "0.1"], "sync_weight", 0.1),
        (["tune", "s", "r", "--expert", "e", "--voice", "0.2"], "audio2shape_weight", 0.2),
        (["tune", "s", "r", "--expert", "e", "--similarity", "0.3"], "feature_weight", 0.3),
        (["tune", "s", "r", "--expert", "e", "--own", "0.4"], "own_audio_share", 0.4),
        (["tune", "s", "r", "--expert", "e", "--sharpness", "9"], "logit_scale", 9.0),
        (["lags", "s", "--zero", "0.04"], "zero", 0.04),
    ],
)
def test_old_flags_set_what_replaced_them(words: list[str], name: str, value: object) -> None:
    parser = argparse.ArgumentParser()
    add_train_commands(parser)
    chosen = getattr(parser.parse_args(words), name)
    assert chosen == value and type(chosen) is type(value)


def test_an_old_flag_says_what_it_is_called_now_and_is_not_in_the_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--no-board", "--architecture", "lean", "--average", "0.5"]
    assert main(["train", "expert", str(tmp_path), str(tmp_path), *flags]) == 1  # there is no set
    error = capsys.readouterr().err
    assert "--no-board is now --no-tensorboard" in error and "--average is now --ema-decay" in error
    assert "There is no training set here" in error
    for words in (["expert", "--help"], ["--help"]):
        with pytest.raises(SystemExit):
            main(["train", *words])
        shown = capsys.readouterr().out
        assert not {"--board", "--average", "--precision", "lags", "tune"} & set(shown.split())
