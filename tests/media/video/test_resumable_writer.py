"""Resumable writer: finished parts survive, and the file is the same as without interruption."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.errors import Cancelled, OutputError
from lipsync.media import OutputSpec, ResumableWriter, open_audio, open_video, probe_audio, probe_video
from lipsync.progress import CancelToken
from lipsync.types import Frame, VideoInfo
from tests.make_media import make_sound, number_frame, read_number

PLAIN = VideoInfo(Path("no such file"), 160, 120, Fraction(30000, 1001), 1.0, 25)
COUNT, PART = 23, 5


def writer(path: Path, key: str = "a", **settings: Any) -> ResumableWriter:
    known: dict[str, Any] = {"fps": Fraction(30000, 1001), "source": PLAIN, "frames": COUNT, "audio": None}
    cancel = settings.pop("cancel", None)
    spec = OutputSpec(160, 120, **known | settings)
    return ResumableWriter(path, spec, key=key, part_frames=PART, cancel=cancel)


def frames_of(path: Path) -> list[Frame]:
    picture = open_video(path)
    return list(picture.read(np.arange(picture.frame_count)))


def write_until(path: Path, stop: int, **settings: Any) -> None:
    with pytest.raises(RuntimeError, match="power"), writer(path, **settings) as result:
        for number in range(result.finished, stop):
            result.write(number_frame(number))
        raise RuntimeError("power failure")


def finish(path: Path, **settings: Any) -> int:
    with writer(path, **settings) as result:
        begun = result.finished
        for number in range(begun, COUNT):
            result.write(number_frame(number))
    return begun


def test_it_goes_on_after_the_last_whole_part_and_ends_in_the_same_file(tmp_path: Path) -> None:
    voice = open_audio(make_sound(tmp_path / "v.wav", 0.5, 44_100, 2))
    once, twice = tmp_path / "once.mp4", tmp_path / "a strange 'name' %d.mp4"
    assert finish(once, audio=voice) == 0

    write_until(twice, 13, audio=voice)
    assert not twice.exists()
    assert finish(twice, audio=voice) == 10  # two whole parts of five
    assert twice.read_bytes() == once.read_bytes()

    info = probe_video(twice)
    assert (info.frame_count, info.fps) == (COUNT, Fraction(30000, 1001))
    assert [read_number(frame) for frame in frames_of(twice)] == list(range(COUNT))
    assert probe_audio(twice).duration == pytest.approx(COUNT * 1001 / 30000, abs=0.03)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([once.name, twice.name, "v.wav"])


def test_a_run_that_had_to_go_back_keeps_its_own_states(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power"), writer(tmp_path / "a.mp4") as result:
        for frame in (10, 15, 20, 5, 10):
            result.save_state(frame, {"number": np.array(frame)})
        kept = [frame for frame in (5, 10, 15, 20) if result.read_state(frame) is not None]
        assert kept == [5, 10]
        raise RuntimeError("power failure")


def test_the_frames_of_earlier_tries_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_until(path, 12)
    with pytest.raises(Cancelled), writer(path) as result:
        assert [read_number(frame.to_rgb()) for frame in result.earlier_frames()] == list(range(10))
        raise Cancelled("stopped")
    with writer(path) as result:  # a cancel keeps them too
        assert result.finished == 10
        for number in range(10, COUNT):
            result.write(number_frame(number))


def test_parts_of_another_job_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_until(path, 12, key="other settings")
    assert finish(path, key="these settings") == 0
    assert [read_number(frame) for frame in frames_of(path)] == list(range(COUNT))


def test_without_overwriting_only_a_begun_job_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write_until(path, 12, overwrite=False)
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match="already"):
        finish(path, key="b", overwrite=False)  # nothing of it is begun
    with writer(path, overwrite=False) as result:
        assert result.finished == 10
        for number in range(10, COUNT):
            result.write(number_frame(number))
    assert path.read_bytes() == b"old" and result.path.name == "out_2.mp4"
    assert len(frames_of(result.path)) == COUNT
    with pytest.raises(OutputError, match="already"):
        finish(path, overwrite=False)
    assert finish(path) == 0 and len(frames_of(path)) == COUNT


def test_a_damaged_part_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_until(path, 20)
    parts = sorted((tmp_path / ".a.mp4.parts").glob("part*.mp4"))
    assert len(parts) == 4
    parts[1].write_bytes(parts[1].read_bytes()[:200])
    assert finish(path) == 5
    assert [read_number(frame) for frame in frames_of(path)] == list(range(COUNT))


def test_all_parts_whole_and_only_the_joining_missing(tmp_path: Path) -> None:
    path, token = tmp_path / "a.mp4", CancelToken()
    with pytest.raises(Cancelled), writer(path, cancel=token) as result:
        for number in range(COUNT):
            result.write(number_frame(number))
        token.cancel()
    assert finish(path) == COUNT
    assert probe_video(path).frame_count == COUNT


def test_the_same_job_twice_at_once_is_refused_and_does_the_first_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with writer(path) as result:
        with pytest.raises(OutputError, match="running already"), writer(path):
            pass
        for number in range(COUNT):
            result.write(number_frame(number))
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_says_what_is_kept_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.mp4"
    for stop, kept in ((3, ""), (12, "0.3 s of the result are kept; the same command continues from there.")):
        with pytest.raises(Cancelled) as cancelled, writer(path) as result:
            for number in range(stop):
                result.write(number_frame(number))
            raise Cancelled
        assert cancelled.value.kept == kept
        assert (tmp_path / "new").exists() == bool(kept)
    assert finish(path) == 10
    assert list(path.parent.iterdir()) == [path]


def test_a_result_that_is_not_complete_is_not_put_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(OutputError, match="not complete"), writer(path) as result:
        result.write(number_frame(0))
    assert not path.exists()


@pytest.mark.parametrize("codec", ["h264", "ffv1", "prores"])
def test_parts_keep_the_tags_of_colours(codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{'.mkv' if codec == 'ffv1' else '.mov'}"
    source = replace(PLAIN, color_space="bt470bg", color_range="tv" if codec == "prores" else "pc")
    write_until(path, 12, codec=codec, source=source)
    assert finish(path, codec=codec, source=source) == 10
    info = probe_video(path)
    assert info.frame_count == COUNT
    assert (info.color_range, codec == "prores" or info.color_space == "bt470bg") == (
        source.color_range,
        True,
    )
