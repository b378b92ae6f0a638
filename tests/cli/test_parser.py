"""Usage, help and errors of the command line: short, and in the words that are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lipsync.cli.main import COMMANDS, main
from lipsync.cli.parser import CommandParser, in_flags
from lipsync.cli.terminal import ProgressBar
from lipsync.options import declared_options
from lipsync.progress import Progress

RUN = ("run", "a.mp4", "a.wav")
LIGHT = tuple(command.name for command in COMMANDS if command.name != "train")
HEAVY = ("torch", "gradio", "cv2", "av", "librosa", "onnxruntime", "scipy", "yt_dlp")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rum"], "Did you mean 'run'?"),
        ([*RUN, "--pad-botom", "3"], "--pad-botom. Did you mean '--pad-bottom'?"),
        ([*RUN, "--pad_bottom=3"], "--pad_bottom. Did you mean '--pad-bottom'?"),
        (["run", "--video_range", "0-1"], "Did you mean '--video-ranges'?"),  # before what is missing too
        ([*RUN, "--mask", "muth"], "Did you mean 'mouth'?"),
        ([*RUN, "--variant", "WAV2LIP"], "Did you mean 'wav2lip'?"),
        ([*RUN, "--rotate", "45"], "invalid choice: 45"),
        (["run", "a.mp4"], "required: VOICE"),
        ([*RUN, "more"], "unrecognized arguments: more"),
        ([*RUN, "--fps", "fast"], "argument --fps: invalid float value: 'fast'"),
        (["batch", "--video", "a"], "--video could match --videos, --video-ranges"),
        (["train", "bultin"], "Did you mean 'builtin'?"),
        (["app", "--prot", "1"], "Did you mean '--port'?"),
    ],
)
def test_what_is_mistyped_gets_a_short_usage_and_a_suggestion(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    told = capsys.readouterr()
    assert stopped.value.code == 2 and told.out == ""
    usage, *rest = told.err.splitlines()
    assert usage.startswith("usage: lipsync") and len(told.err.splitlines()) == 3
    assert says in " ".join(rest) and "--help` says more" in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*RUN, "--quality", "99"], "--quality is out of range: 99."),
        ([*RUN, "--video-ranges", "5-2"], "--video-ranges: A range is empty"),
        (["evaluate", "{file}", "--metrics", "psnt"], "Did you mean 'psnr'?"),
        (["evaluate", "{file}", "--variants", "builtim"], "Did you mean 'builtin'?"),
        (["evaluate"], "INPUT"),
        (["evaluate", "{none}"], "does not exist"),
        (["inspect", "{none}"], "does not exist"),
        (["weights", "wav2lop"], "Did you mean 'wav2lip'?"),
        (["run", "{none}", "{file}"], "does not exist"),
        (["run", "{file}", "{none}"], "does not exist"),
        (["run", "{file}", "{file}", "--more-voice", "{none}"], "does not exist"),
        (["run", "{file}", "{file}", "--segments", "nonsense"], "segment"),
        (["run", "{file}", "{file}", "-o", "{file}"], "(--overwrite)"),
        (["run", "{file}", "{file}", "--score-plot", "{file}"], "(--overwrite)"),
        (["preview", "{file}", "{file}", "-o", "{file}"], "(--overwrite)"),
        (["inspect", "{file}", "--html", "{file}"], "(--overwrite)"),
        (["evaluate", "{file}", "--csv", "{file}"], "(--overwrite)"),
        (["evaluate", "{file}", "--json-file", "{file}"], "(--overwrite)"),
        (["batch", "--videos", "a", "b", "--voices", "c", "d", "e", "-o", "x"], "do not match"),
        (["app", "--port", "99999"], "Choose another with --port"),
    ],
)
def test_simple_errors_import_nothing_heavy_and_name_flags(
    words: list[str], says: str, tmp_path: Path
) -> None:
    file = tmp_path / "file.mp4"
    file.write_bytes(b"whatever")
    typed = [word.format(file=file, none=tmp_path / "none.mp4") for word in words]
    code = (
        "import json, sys\nfrom lipsync.cli.main import main\n"
        "status = main(json.loads(sys.argv[1]))\n"
        "print(json.dumps([status, sorted(set(json.loads(sys.argv[2])) & set(sys.modules))]))"
    )
    command = [sys.executable, "-c", code, json.dumps(typed), json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, []]
    assert says in done.stderr and done.stderr.startswith("Error: ")
    assert file.read_bytes() == b"whatever" and list(tmp_path.iterdir()) == [file]


def test_help_shows_what_is_common_and_the_rest_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as stopped:
            main(["run", flag])
        assert stopped.value.code == 0
        texts.append(capsys.readouterr().out)
    short, full = texts
    for _, declared in declared_options():
        flag = f"--{declared.name.replace('_', '-')}"
        assert f"{flag} " in full or f"{flag}," in full
        assert (f"{flag} " in short or f"{flag}," in short) == declared.metadata["common"], flag
    assert len(short.splitlines()) < 0.5 * len(full.splitlines())
    assert short.splitlines()[0] == "usage: lipsync run [options] VIDEO [VOICE]"
    assert "--help-all" in short and "--overwrite" in short


@pytest.mark.parametrize("command", LIGHT)
def test_json_is_a_switch_wherever_it_is(command: str) -> None:
    parser = CommandParser()
    next(one for one in COMMANDS if one.name == command).load()(parser)
    flags = {flag: action for action in parser._actions for flag in action.option_strings}
    assert ("--json" in flags) == (command != "app")
    if command not in ("app", "evaluate"):  # evaluate still reads a file's name there
        assert flags["--json"].nargs == 0


def test_settings_in_messages_become_flags() -> None:
    flags = {
        "pad_top": "--pad-top",
        "which_face": "--which-face",
        "occlusion": "--occlusion",
        "video": "VIDEO",
    }
    text = "'pad_top' and which_face=reference, or occlusion=False; 'video' 'other' my-pad_top=1 pad_top"
    wanted = "--pad-top and --which-face reference, or --no-occlusion; VIDEO 'other' my-pad_top=1 pad_top"
    assert in_flags(text, flags) == wanted


def test_without_a_terminal_there_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with ProgressBar(clock=lambda: now[0]) as bar:
        for second in range(13):
            now[0] = float(second)
            bar.update(Progress("Drawing lips", second * 10, 120, seconds_left=12.0 - second))
        now[0] = 20.0
        bar.update(Progress("Downloading", 3_000_000, 4_500_000))
        now[0] = 21.0
        bar.update(Progress("Downloading", 4_500_000, 4_500_000))
    assert capsys.readouterr().err.splitlines() == [
        "Drawing lips · 50 of 120 frames · about 7.0 s left",
        "Drawing lips · 100 of 120 frames · about 2.0 s left",
        "Downloading · 3.0 of 4.5 MB",
    ]
