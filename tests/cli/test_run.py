"""The command line as people type it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from lipsync.cli.main import main
from lipsync.media import probe_video
from lipsync.options import declared_options
from lipsync.training.data.dataset_format import read_manifest
from lipsync.training.data.face_clips import read_face_clips
from lipsync.weights import require
from tests.material import FACE, SAMPLES, make_head, make_voice, run_ffmpeg
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    command = [sys.executable, "-m", "lipsync", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environment
    )


def test_run_makes_a_video_and_says_so_as_json(
    voice: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    arguments = ["run", FACE, voice, "-o", output, "--variant", "wav2lip", "--weights", checkpoint, "--json"]
    settings = [
        "--pad-bottom",
        "-3",
        "--pads-px",
        "0",
        "10",
        "-2",
        "0",
        "--voice-ranges",
        "0-0.2",
        "--no-static",
    ]
    assert main([*map(str, arguments), *settings]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["frames"], printed["path"], printed["fps"]) == (5, str(output), "25")
    assert probe_video(output).frame_count == 5


def test_preview_writes_a_picture(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "preview.png"
    arguments = ["preview", FACE, voice, "-o", output, "--at", "0.2"]
    assert main([*map(str, arguments), "--variant", "wav2lip", "--weights", str(checkpoint)]) == 0
    with Image.open(output) as picture:
        sheet = np.asarray(picture.convert("RGB")).astype(int)
    assert sheet.shape[0] >= 512
    assert sheet.shape[1] >= 1024  # source with box and mask, and the result beside it
    left, right = sheet[:512, :512], sheet[:512, -512:]
    assert np.abs(left - right).max() > 50


def test_every_setting_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help-all"])
    text = capsys.readouterr().out
    for _, field in declared_options():
        assert "--" + field.name.replace("_", "-") in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pad-top", "900"], "--pad-top is out of range: 900.0. It goes from -50 to 100"),
        (["--video-ranges", "5-2"], "--video-ranges: A range is empty or runs backwards"),
        (["--box", "10", "5", "0", "20"], "box"),
        (["--fps", "nan"], "out of range"),
    ],
)
def test_bad_settings_are_explained(
    flags: list[str], says: str, voice: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(FACE), str(voice), "--weights", str(checkpoint), *flags]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_parts_of_an_earlier_result_are_asked_for_together(
    voice: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = make_head(tmp_path / "earlier.mp4", parts=(0.2,))
    command = ["run", str(FACE), str(voice), "-o", str(tmp_path / "out.mp4"), "--weights", str(checkpoint)]
    for part in (["--redraw", str(earlier)], ["--redraw-parts", "0-0.1"]):
        with pytest.raises(SystemExit):
            main([*command, *part])
        assert "given together" in capsys.readouterr().err
    assert main([*command, "--redraw", str(tmp_path / "gone.mp4"), "--redraw-parts", "0-0.1"]) == 1
    assert "gone.mp4" in capsys.readouterr().err
    assert main([*command, "--redraw", str(earlier), "--redraw-parts", "0-0.1"]) == 1
    assert "other frames" in capsys.readouterr().err  # which is found by comparing the two
    assert not (tmp_path / "out.mp4").exists()


NOT_UTF8 = pytest.param(
    "face\udcff\udcfe.mp4", marks=pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode here")
)


@pytest.mark.parametrize("more", [[], ["--resume"]], ids=["plain", "resume"])
@pytest.mark.parametrize("name", [NOT_UTF8, "n" * 246 + ".mp4"], ids=["not UTF-8", "246 letters"])
def test_names_that_break_programs(name: str, more: list[str], tmp_path: Path, voice: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=(0.2,)).rename(tmp_path / name)
    said = shutil.copy(voice, tmp_path / f"{name[:240]}.wav")
    command = [sys.executable, "-m", "lipsync", "run", "--variant", "builtin", "--no-score"]
    if more:
        command += ["--output", str(tmp_path / name.replace("e", "o").replace("n", "m"))]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([*command, *more, video, said], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    result = Path(os.fsdecode(done.stdout.splitlines()[0]))
    assert probe_video(result).frame_count == 10
    assert set(tmp_path.iterdir()) == {video, Path(said), result}


@pytest.mark.parametrize("name", ["-face.mp4", "my 'face' \"1\".mp4", "лицо%d.mp4", "a:b\nc.mp4"])
def test_names_that_break_scripts(name: str, voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    video = make_head(tmp_path / "head.mp4", parts=(0.2,)).rename(tmp_path / name)
    output = tmp_path / f"out {name}"
    command = [sys.executable, "-m", "lipsync", "run", "--variant", "wav2lip", "--weights", str(checkpoint)]
    command += [f"--output={output.name}", "--", video.name, str(voice)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert probe_video(output).frame_count == 10


def test_interrupting_stops_at_once_and_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    voice = make_voice(tmp_path / "long.wav", seconds=6)
    command = [sys.executable, "-m", "lipsync", "run", str(FACE), str(voice), "-o", str(tmp_path / "out.mp4")]
    process = subprocess.Popen(
        [*command, "--fps", "200", "--variant", "wav2lip", "--weights", str(checkpoint)],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) > 1, seconds=60)  # the writer's hidden file
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Cancelled" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_interrupting_the_check_of_the_output_leaves_nothing(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(FileLock):
        """A lock that is made just when Ctrl-C is pressed, after its folder."""

        def __init__(self, *arguments: object, **more: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().__init__(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("lipsync.utils.owned_folder.FileLock", Interrupted)
    assert main(["run", str(FACE), str(voice), "-o", str(tmp_path / "out.mp4")]) == 130
    assert "Cancelled" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people who speak for two seconds, and a file that is no video."""
    folder = tmp_path_factory.mktemp("talks")
    head = make_head(folder / "head.mp4", parts=[2.0], size=(640, 480))
    speech = make_voice(folder / "voice.wav", seconds=2)
    for person in ("ann", "bob"):
        (folder / "videos" / person).mkdir(parents=True)
        run_ffmpeg("-i", head, "-i", speech, "-c:v", "copy", folder / "videos" / person / "talk.mp4")
    (folder / "videos" / "bob" / "broken.mp4").write_bytes(b"not a video")
    return folder / "videos"


@pytest.fixture(scope="module")
def prepared(videos: Path) -> Path:
    """A set made of them by the command line, with the real detector and two processes."""
    folder = videos.parent / "set"
    done = run("train", "prepare", videos, folder, "--val-people", "bob", "--workers", "2")
    assert done.returncode == 0, done.stderr
    told = "2 clips of 2 people, 0.1 minutes; validation: 1 people; files without a clip: 1"
    assert done.stdout == f"{folder}\n{told}\n"
    assert "Note: no clip of" in done.stderr and "broken.mp4" in done.stderr
    return folder


def test_videos_become_a_set(prepared: Path) -> None:
    rows = sorted(read_manifest(prepared), key=lambda row: row.person)
    assert [(row.person, row.split, row.frames) for row in rows] == [
        ("ann", "train", 50),
        ("bob", "val", 50),
    ]
    assert "broken.mp4" in (prepared / "failures.tsv").read_text("utf-8")


def test_an_expert_and_a_generator_are_trained_and_exported(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = ["--steps", "2", "--evaluate-every", "2", "--device", "cpu", "--no-tensorboard"]
    expert = ["train", "expert", prepared, tmp_path / "expert", "--clips", "2", "--frames", "20"]
    assert main([*map(str, expert), "--audio-variants", "1", *loop]) == 0
    told = capsys.readouterr()
    assert "expert, 2 steps, all steps done" in told.out and "expert, step 2: " in told.err

    exported = tmp_path / "expert.safetensors"
    assert main(["train", "export", str(tmp_path / "expert"), str(exported)]) == 0
    generator = ["train", "generator", prepared, tmp_path / "generator", "--expert", exported]
    small = [
        "--width",
        "0.0625",
        "--batch",
        "1",
        "--val-examples",
        "1",
        "--audio-variants",
        "1",
        "--size",
        "96",
        "96",
    ]
    assert main([*map(str, generator), *small, *loop]) == 0
    assert "generator, 2 steps, all steps done" in capsys.readouterr().out

    weights = tmp_path / "mine.pth"
    assert main(["train", "export", str(tmp_path / "generator"), str(weights)]) == 0
    assert f"{weights}\n" in capsys.readouterr().out
    sheet = ["preview", FACE, SAMPLES / "voice.mp3", "-o", tmp_path / "sheet.png", "--weights", weights]
    assert main([*map(str, sheet), "--variant", "wav2lip"]) == 0  # it draws


def test_av_offsets_are_corrected_in_a_set(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(prepared, tmp_path / "set")
    command = ["train", "av-offset", copy, "--expert", require("expert"), "--zero", "0.04", "--drop"]
    assert main([str(word) for word in command]) == 0
    assert "2 clips changed" in capsys.readouterr().out
    rows = read_manifest(copy)
    # A head that does not speak goes with no sound: dropped.
    assert [row.split for row in rows] == ["dropped", "dropped"] and all(
        row.audio_delay == 0.04 for row in rows
    )


def test_a_set_is_exported_as_the_original_s_layout(prepared: Path, tmp_path: Path) -> None:
    assert main(["train", "export-lrs", str(prepared), str(tmp_path / "lrs")]) == 0
    assert [len(clip) for clip in read_face_clips(tmp_path / "lrs")] == [50, 50]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prepare", "{videos}", "{new}", "--val-people", "bop"], "No video shows a person of that name"),
        (["prepare", "{new}", "{new}"], "There are no videos"),
        (["prepare", "{videos}", "{set}", "--crop-side", "192"], "128x128 pixels, not 192x192"),
        (["builtin", "{set}", "{new}"], "no landmarks"),
        (["finetune", "{set}", "{new}", "--expert", "{expert}"], "no landmarks"),
        (["finetune", "{set}", "{new}", "--expert", "{set}/manifest.tsv"], "weights file"),
        (["av-offset", "{set}"], "no landmarks"),
        (["expert", "{new}", "{new}"], "There is no training set here"),
        (["generator", "{new}", "{new}"], "There is no training set here"),
        (["export", "{new}", "{new}/a.pth"], "checkpoint"),
    ],
)
def test_what_training_lacks_is_explained(
    words: list[str],
    says: str,
    videos: Path,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"videos": videos, "set": prepared, "new": tmp_path / "new", "expert": require("expert")}
    assert main(["train", *(word.format(**places) for word in words)]) == 1
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_interrupting_a_training_saves_it_and_says_how_to_go_on(prepared: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lipsync", "train", "expert", str(prepared), str(tmp_path / "run")]
    flags = ["--clips", "2", "--frames", "20", "--audio-variants", "1", "--device", "cpu", "--no-tensorboard"]
    process = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if line.startswith("expert, step"):
            break
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "The same command resumes from there" in errors and "can be resumed" in out
    assert (tmp_path / "run" / "last.pt").exists()


def test_flags_show_the_defaults_that_hold(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "generator", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "default 300000" in text and "default 96 96" in text
    assert text.count("--seed INT seed of all") == 1  # one flag for both groups that have it


def test_help_does_not_wait_for_the_libraries_of_training() -> None:
    code = (
        "import sys\nfrom lipsync.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'cv2', 'mediapipe'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "train" in done.stdout and done.stderr.strip() == "[]"


def test_the_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    for name in ("ffmpeg", "device", "number formats", "model wav2lip", "JavaScript runtime"):
        assert name in report


def test_the_doctor_works_where_opencv_does_not(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    done = run("doctor", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "MISSING OpenCV: libGL.so.1" in done.stdout
    assert "apt-get install libgl1" in done.stdout
    assert "note    ffmpeg: not checked: libGL.so.1" in done.stdout  # nothing else is said to be missing
    assert done.stdout.count("MISSING") == 1


def test_weights_are_listed_with_their_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    report = capsys.readouterr().out
    assert "wav2lip_gan" in report
    assert "non-commercial" in report
    assert main(["weights", "nonsense"]) == 1


def test_a_batch_makes_what_can_be_made_and_overwrites_nothing(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other face.jpg"
    shutil.copy(FACE, other)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    made = tmp_path / "made"
    command = [
        "batch",
        "--videos",
        FACE,
        broken,
        other,
        "--voices",
        voice,
        "-o",
        made,
        "--variant",
        "builtin",
    ]
    assert main([*map(str, command)]) == 1
    told = capsys.readouterr()
    assert "2 of 3 made" in told.out
    assert "broken.mp4" in told.err
    assert main([*map(str, command)]) == 1
    names = ["face_synced.mp4", "face_synced_2.mp4", "other face_synced.mp4", "other face_synced_2.mp4"]
    assert sorted(path.name for path in made.iterdir()) == names
    assert all(probe_video(path).frame_count == 10 for path in made.iterdir())


def test_segments_come_as_text_or_file_and_the_score_as_a_picture(voice: Path, tmp_path: Path) -> None:
    listed = tmp_path / "segments.txt"
    listed.write_text("0.12-0.32 face=0 voice=0-0.2\n", "utf-8")
    plot = tmp_path / "score.svg"
    for number, text in enumerate(["0.12-0.32 face=0 voice=0-0.2", str(listed)]):
        output = tmp_path / f"{number}.mp4"
        command = ["run", FACE, voice, "-o", output, "--variant", "builtin", "--segments", text]
        assert main([*map(str, command), "--score-plot", str(plot)]) == 0
        assert probe_video(output).frame_count == 8
        assert plot.read_text("utf-8").startswith("<svg")
        plot.unlink()


def test_verify_says_whether_a_result_is_whole(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python has no wheel for this machine")
    output = tmp_path / "out.mp4"
    words = ["run", str(FACE), str(voice), "-o", str(output), "--variant", "builtin", "--no-score"]
    assert main(words) == 0
    assert "which viewers show as not trusted" in capsys.readouterr().out
    assert main(["verify", str(output)]) == 0
    told = capsys.readouterr().out
    assert "whole: nothing was changed" in told and "made on this installation" in told
    changed = bytearray(output.read_bytes())
    changed[changed.rindex(b"mdat") + 50] ^= 1
    output.write_bytes(changed)
    assert main(["verify", str(output), str(FACE), "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["state"], second["state"]) == ("tampered", "none")
    assert first["problems"] == ["assertion.bmffHash.mismatch"]
    assert main([*words, "--overwrite", "--sign-cert", str(FACE)]) == 1
    assert "(--sign-cert, --sign-key)" in capsys.readouterr().err
    assert main(["verify", str(FACE), "--trust", str(FACE)]) == 1
    assert "no certificates" in capsys.readouterr().err
