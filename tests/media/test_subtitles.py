from __future__ import annotations

import hashlib
from pathlib import Path

import av
import pytest

from lipsync.errors import Cancelled, MediaError, OutputError
from lipsync.media import probe_audio, probe_video
from lipsync.media.metadata import read_metadata
from lipsync.media.subtitle_formats import Cue, read_subtitles
from lipsync.media.subtitles import add_subtitles
from lipsync.progress import CancelToken
from tests.make_media import make_sound, make_video, run_ffmpeg
from tests.material import FACE

SRT = """1
00:00:00,500 --> 00:00:01,250
Good morning,
everybody.

2
00:00:01,500 --> 00:01:00,000
Grüße, 早安 <3
"""
SOUND = ("-f", "lavfi", "-i", "sine=d=2")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("subtitles") / "talk.mp4"
    marked = ("-metadata", "comment=Made by hand")
    return make_video(path, frames=50, sound=SOUND, output=("-c:a", "aac", *marked))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.srt"
    path.write_text(SRT, "utf-8")
    return path


def packets(path: Path, kind: str) -> list[tuple[int, bytes]]:
    """Time and content of every packet of the first stream of that kind."""
    with av.open(str(path)) as container:
        found = container.demux(next(s for s in container.streams if s.type == kind))
        return [(p.pts, hashlib.md5(bytes(p)).digest()) for p in found if p.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_track_is_added_and_the_rest_is_the_same(
    video: Path, words: Path, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"out{suffix}"
    assert add_subtitles(video, words, "de", target=target) == target
    back = tmp_path / "back.srt"
    run_ffmpeg("-i", target, "-map", "0:s:0", back)
    assert read_subtitles(back) == (
        Cue(0.5, 1.25, "Good morning,\neverybody."),
        Cue(1.5, 2.0, "Grüße, 早安 <3"),  # cut where the picture ends
    )
    with av.open(str(target)) as container:
        [track] = container.streams.subtitles
        assert track.metadata["language"] in ("deu", "ger")
        assert container.metadata.get("comment", container.metadata.get("COMMENT")) == "Made by hand"
    for kind in ("video", "audio"):
        assert [content for _, content in packets(target, kind)] == [c for _, c in packets(video, kind)]
    before, after = probe_video(video), probe_video(target)
    assert (after.frame_count, after.duration) == pytest.approx(
        (before.frame_count, before.duration), abs=0.01
    )
    assert probe_audio(target).duration == pytest.approx(probe_audio(video).duration, abs=0.03)


def test_in_place_and_again(video: Path, words: Path, tmp_path: Path) -> None:
    """The second time it takes the place of the first."""
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())
    for _ in range(2):
        assert add_subtitles(copy, words, "eng", default=True) == copy
    assert read_metadata(copy).subtitles == 1
    with av.open(str(copy)) as container:
        assert container.streams.subtitles[0].metadata["language"] == "eng"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.mp4", "words.srt"]


def test_after_an_error_the_video_is_as_before(video: Path, words: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())
    empty = tmp_path / "empty.srt"
    empty.write_text("no times in here\n")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(MediaError, match="no subtitles in the file"):
        add_subtitles(copy, empty)
    with pytest.raises(Cancelled):
        add_subtitles(copy, words, cancel=cancel)
    assert copy.read_bytes() == video.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.mp4", "empty.srt", "words.srt"]


def test_kinds_that_cannot_carry_them(video: Path, words: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.avi.*\.mp4, \.mov, \.mkv"):
        add_subtitles(video, words, target=tmp_path / "out.avi")


def test_vtt_with_settings_hours_left_out_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "words.vtt"
    path.write_bytes(
        b"\xef\xbb\xbfWEBVTT\r\n\r\nintro\r\n00:01.000 --> 00:02.500 align:start\r\nYou &amp; I\r\n\r\n"
    )
    assert read_subtitles(path) == (Cue(1.0, 2.5, "You & I"),)


def test_another_encoding_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "words.srt"
    path.write_bytes(SRT.encode("utf-8").replace("ü".encode(), b"\xfc"))
    with pytest.raises(MediaError, match="not in UTF-8"):
        read_subtitles(path)


def test_details_of_files(video: Path, tmp_path: Path) -> None:
    found = read_metadata(video)
    assert found.container == "MP4 or QuickTime"
    assert (found.video_codec, found.pixel_format, found.audio_codec) == ("h264", "yuv420p", "aac")
    assert (found.audio_layout, found.comment, found.subtitles) == ("mono", "Made by hand", 0)
    assert found.bytes == video.stat().st_size
    assert found.video_bit_rate > 0
    sound = read_metadata(make_sound(tmp_path / "tone.wav"))
    assert (sound.video_codec, sound.audio_codec) == ("", "pcm_s16le")
    assert read_metadata(FACE).container == "photo (jpg)"
