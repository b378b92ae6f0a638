"""Links on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lipsync.cli import run as run_command
from lipsync.cli.main import main
from lipsync.media import probe_video
from lipsync.sources import LinkSource, LocalFile, Source, is_link
from tests.make_media import run_ffmpeg
from tests.material import make_head, make_voice
from tests.sources import serving
from tests.sources.serving import HERE


def test_a_private_address_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    assert main(["run", "http://169.254.169.254/clip.mp4", str(voice)]) == 1
    assert "never opened" in capsys.readouterr().err


def test_a_part_of_a_link_is_synced_and_the_result_lands_here(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The head is seen only in the marked part, so frames are synced only if the right part is used."""
    head = make_head(tmp_path / "head.mp4", parts=[-4, 1, -3])
    served = tmp_path / "served"
    served.mkdir()
    run_ffmpeg(
        "-i",
        head,
        "-c:v",
        "libx264",
        "-g",
        "25",
        "-hls_time",
        "1",
        "-hls_list_size",
        "0",
        served / "talk.m3u8",
    )
    voice = make_voice(tmp_path / "voice.wav", seconds=0.8)

    def allowing(given: str, options: object, *, audio_only: bool = False) -> Source:
        if is_link(given):
            return LinkSource(given, options, audio_only=audio_only, allow=HERE)  # type: ignore[arg-type]
        return LocalFile(given)

    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(run_command, "open_source", allowing)
    with serving.serve() as site:
        site.add_folder(served)
        arguments = [
            "run",
            site.url("/talk.m3u8"),
            str(voice),
            "--video-ranges",
            "4.1-4.9",
            "--max-height",
            "360",
        ]
        assert main([*arguments, "--variant", "wav2lip", "--weights", str(checkpoint), "--json"]) == 0
        assert "/talk0.ts" not in site.hits
    printed = json.loads(capsys.readouterr().out)
    assert Path(printed["path"]) == here / "talk_synced.mp4"
    assert (printed["frames"], printed["frames_synced"]) == (20, 20)
    assert probe_video(here / "talk_synced.mp4").frame_count == 20
    assert [path.name for path in here.iterdir()] == ["talk_synced.mp4"]
