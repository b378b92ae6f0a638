"""Remuxing of separate streams into one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.errors import Cancelled, MediaError
from lipsync.media import open_video, probe_audio, probe_video
from lipsync.media.remux import remux
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken
from tests.make_media import make_sound, make_video, read_number


def test_video_and_audio_become_one_file(tmp_path: Path) -> None:
    picture = make_video(tmp_path / "picture.mp4", frames=30, fps=25)
    sound = make_sound(tmp_path / "sound.m4a", seconds=1.2)
    whole = remux([picture, sound], tmp_path / "whole", CancelToken())
    assert whole == tmp_path / "whole.mp4"
    frames = open_video(whole, MediaOptions()).read(range(30))
    assert [read_number(frame) for frame in frames] == list(range(30))
    assert probe_video(whole).has_audio
    assert probe_audio(whole).duration == pytest.approx(1.2, abs=0.05)


def test_timestamps_stay_in_relation_to_each_other(tmp_path: Path) -> None:
    late = {"filters": "setpts=PTS+7.5/TB", "output": ("-f", "mpegts")}
    picture = make_video(tmp_path / "picture.ts", frames=25, fps=25, **late)  # type: ignore[arg-type]
    sound = make_sound(tmp_path / "sound.ts", 2.0, output=("-af", "asetpts=PTS+7/TB", "-f", "mpegts"))
    whole = remux([picture, sound], tmp_path / "whole", CancelToken())
    info = probe_video(whole)
    assert info.duration == pytest.approx(0.5 + 1, abs=0.05)  # the picture starts half a second later
    first = next(iter(open_video(whole, MediaOptions()).read([13])))
    assert read_number(first) in (0, 1)


def test_codecs_that_mp4_does_not_hold_go_into_matroska(tmp_path: Path) -> None:
    picture = make_video(tmp_path / "a.mkv", frames=5, encode=("-c:v", "ffv1"))
    assert remux([picture], tmp_path / "whole", CancelToken()).suffix == ".mkv"
    sound = make_sound(tmp_path / "a.wav")
    assert remux([sound], tmp_path / "whole", CancelToken()).suffix == ".mka"


def test_what_is_no_media_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no media" * 100)
    with pytest.raises(MediaError):
        remux([tmp_path / "a.mp4"], tmp_path / "whole", CancelToken())
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    make_video(tmp_path / "secret.ts", frames=5, output=("-f", "mpegts"))
    pieces = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "a.mp4").write_text(pieces)
    with pytest.raises(MediaError):
        remux([tmp_path / "a.mp4"], tmp_path / "whole", CancelToken())


def test_a_cancel_leaves_nothing(tmp_path: Path) -> None:
    picture = make_video(tmp_path / "a.mp4", frames=250)
    cancel = CancelToken()
    cancel.cancel()
    # A join this small may be done before the cancel is looked at; then the file is whole.
    try:
        remux([picture], tmp_path / "whole", cancel)
    except Cancelled:
        assert not (tmp_path / "whole.mp4").exists()
