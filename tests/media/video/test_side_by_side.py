"""Side-by-side video: each video in its place, in sync, with audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import Cancelled
from lipsync.media import open_audio, open_video, probe_video, write_side_by_side
from lipsync.progress import CancelToken, Progress
from tests.make_media import make_video, read_number
from tests.material import make_voice


def test_videos_are_in_sync_and_in_a_row(tmp_path: Path) -> None:
    left, right = make_video(tmp_path / "a.mp4"), make_video(tmp_path / "b.mp4", size=(320, 240))
    voice = open_audio(make_voice(tmp_path / "voice.wav", seconds=0.4))
    numbers = np.array([0, 1, 2, 1, 0, 1, 2, 3, 4, 5])
    seen: list[Progress] = []
    shown = [(open_video(left), numbers), (open_video(right), np.arange(10, 20))]
    target = write_side_by_side(shown, voice, tmp_path / "both.mp4", seen.append)
    info = probe_video(target)
    assert (info.width, info.height, info.frame_count, info.has_audio) == (320, 120, 10, True)
    frames = list(open_video(target).read(range(10)))
    assert [read_number(frame[:, :160]) for frame in frames] == numbers.tolist()
    assert [read_number(frame[:, 160:]) for frame in frames] == list(range(10, 20))
    assert (seen[-1].done, seen[-1].total) == (10, 10)


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    picture = open_video(make_video(tmp_path / "a.mp4"))
    voice = open_audio(make_voice(tmp_path / "voice.wav", seconds=1))
    token = CancelToken()
    out = tmp_path / "out"
    with pytest.raises(Cancelled):
        write_side_by_side([(picture, np.arange(25))], voice, out / "x.mp4", lambda _: token.cancel(), token)
    assert not out.exists() or not list(out.iterdir())
