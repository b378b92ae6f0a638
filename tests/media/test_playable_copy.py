"""Small copies of files that a browser cannot play."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lipsync.errors import Cancelled, MediaError
from lipsync.media import playable_copy, probe_audio, probe_video
from lipsync.media.playable_copy import write_playable_copy
from lipsync.progress import CancelToken
from tests.make_media import run_ffmpeg


def make(path: Path, *codecs: str, seconds: float = 2, size: str = "1280x720") -> Path:
    """A test pattern with a tone; `codecs` are ffmpeg's output options."""
    pattern = f"testsrc2=size={size}:rate=25:duration={seconds}"
    run_ffmpeg("-f", "lavfi", "-i", pattern, "-f", "lavfi", "-i", f"sine=duration={seconds}", *codecs, path)
    return path


def make_long(folder: Path) -> Path:
    """A minute of the pattern."""
    piece = make(folder / "piece.mpg", "-c:v", "mpeg2video", "-c:a", "mp2", seconds=2)
    run_ffmpeg("-stream_loop", "29", "-i", piece, "-c", "copy", folder / "a.mpg")
    piece.unlink()
    return folder / "a.mpg"


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mp4", ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0", "-c:a", "aac"]),
        ("a.mov", ["-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le"]),
        ("a.mpg", ["-c:v", "mpeg2video", "-c:a", "mp2"]),
    ],
)
def test_a_copy_is_small_and_plays_everywhere(tmp_path: Path, name: str, codecs: list[str]) -> None:
    source, copy = make(tmp_path / name, *codecs, seconds=0.6), tmp_path / "copies" / "copy.mp4"
    assert write_playable_copy(source, copy, CancelToken()) < 0.1
    info = probe_video(copy)
    assert (info.width, info.height, info.frame_count) == (640, 360, 15)
    assert probe_audio(copy).duration == pytest.approx(0.6, abs=0.06)


def test_sideways_videos_stand_up_and_pixels_are_square(tmp_path: Path) -> None:
    upright = make(tmp_path / "a.mp4", "-c:v", "libx264", "-vf", "setsar=2", size="320x180", seconds=0.4)
    run_ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", tmp_path / "turned.mp4")
    write_playable_copy(tmp_path / "turned.mp4", tmp_path / "copy.mp4", CancelToken())
    info = probe_video(tmp_path / "copy.mp4")
    assert (info.width, info.height, info.rotation, info.sample_aspect_ratio) == (90, 320, 0, 1)


def test_audio_alone_is_copied_too(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "wmav2", tmp_path / "a.wma")
    assert write_playable_copy(tmp_path / "a.wma", tmp_path / "copy.mp4", CancelToken()) < 0.2
    assert probe_audio(tmp_path / "copy.mp4").duration == pytest.approx(2, abs=0.2)


def test_of_a_long_video_the_key_frames_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playable_copy, "_SAMPLES_OF_ALL_FRAMES", 1e6)
    source = make(tmp_path / "a.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", seconds=4)
    assert write_playable_copy(source, tmp_path / "copy.mp4", CancelToken()) < 0.5
    info = probe_video(tmp_path / "copy.mp4")
    assert 8 <= info.frame_count <= 12 and probe_audio(tmp_path / "copy.mp4").duration > 3.9


def test_what_is_made_in_time_is_the_copy(tmp_path: Path) -> None:
    source = make_long(tmp_path)
    lacking = write_playable_copy(source, tmp_path / "copy.mp4", CancelToken(), max_seconds=0.3)
    made = probe_video(tmp_path / "copy.mp4").duration
    assert lacking > 1 and made + lacking == pytest.approx(60, abs=3)


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    source, cancel = make_long(tmp_path), CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        write_playable_copy(source, tmp_path / "copy.mp4", cancel)
    assert time.monotonic() - started < 20
    assert [path.name for path in tmp_path.iterdir()] == ["a.mpg"]


def test_what_is_no_media_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        write_playable_copy(tmp_path / "a.mp4", tmp_path / "copy.mp4", CancelToken())
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
