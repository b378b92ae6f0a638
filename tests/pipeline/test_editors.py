"""Results for editors: more bits and HDR through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.media import open_video
from lipsync.media.ffmpeg import has_part
from lipsync.media.metadata import read_metadata
from lipsync.media.provenance import read_provenance
from lipsync.media.subtitle_formats import Cue
from lipsync.options import MediaOptions, SyncOptions
from tests.make_media import run_ffmpeg
from tests.material import make_head, make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.4 s of a face in 10 bits and HLG; 320x240."""
    if not has_part("filter", "zscale"):
        pytest.skip("this ffmpeg has no zscale")
    folder = tmp_path_factory.mktemp("head")
    plain = make_head(folder / "head.mp4", parts=[0.4])
    deepened = (
        "format=gbrpf32le,zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:"
        "t=arib-std-b67:p=bt2020:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    )
    run_ffmpeg("-i", plain, "-vf", deepened, "-c:v", "ffv1", folder / "deep.mkv")
    return folder / "deep.mkv"


@pytest.mark.parametrize("resume", [False, True])
def test_hdr_stays_hdr_and_changes_around_the_mouth_alone(
    head: Path, voice: Path, tmp_path: Path, resume: bool
) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="ffv1")
    result = lipsync.sync(head, voice, options, output=tmp_path / "out.mkv", resume=resume)
    assert result.warnings == ()
    assert result.frames_synced == result.frames == 10
    before, after = (open_video(path, MediaOptions(codec="ffv1")) for path in (head, result.path))
    assert after.original is not None
    assert (after.original.bit_depth, after.original.color_transfer) == (10, "arib-std-b67")
    moved = np.zeros((240, 320))
    for old, new in zip(before.read_deep(range(10), "420"), after.read_deep(range(10), "420"), strict=True):
        moved += old.y != new.y
        assert np.array_equal(old.u[:40], new.u[:40])
    rows, columns = np.nonzero(moved)
    assert rows.min() > 60 and np.ptp(columns) < 160  # mouth and chin
    assert (moved > 0).mean() < 0.2
    assert read_provenance(result.path).state == "whole"


def test_what_h264_loses_is_said(head: Path, voice: Path, tmp_path: Path) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False)
    result = lipsync.sync(head, voice, options, output=tmp_path / "out.mp4")
    assert "converted to standard range" in result.warnings[0] and "'codec'" in result.warnings[0]


def test_kept_tracks_go_through_a_run_or_it_is_said(voice: Path, tmp_path: Path) -> None:
    head, film = make_head(tmp_path / "head.mp4", parts=[0.4]), tmp_path / "film.mkv"
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    maps = ("-map", "0:v", "-map", "1:a", "-map", 2, "-c:v", "copy", "-c:a", "aac", "-c:s", "subrip")
    run_ffmpeg("-i", head, "-i", voice, "-i", tmp_path / "a.srt", *maps, film)
    made = {}
    for name, settings in (
        ("all", {"length_mode": "picture"}),
        ("own", {"length_mode": "picture", "subtitles": "track"}),
        ("part", {"fps": 12.5}),
    ):
        options = SyncOptions.from_flat(variant="builtin", score=False, keep_tracks=True, **settings)
        made[name] = lipsync.sync(
            film, voice, options, output=tmp_path / f"{name}.mp4", cues=[Cue(0.0, 0.2, "Said")]
        )
    kinds = {name: read_metadata(result.path) for name, result in made.items()}
    assert {name: (len(about.audio_tracks), about.subtitles) for name, about in kinds.items()} == {
        "all": (2, 1), "own": (2, 1), "part": (0, 0),
    }  # fmt: skip
    assert made["all"].warnings == ()
    assert "own subtitles are not kept" in made["own"].warnings[0]
    assert "not show all of it" in made["part"].warnings[0]
    assert all(read_provenance(result.path).state == "whole" for result in made.values())
