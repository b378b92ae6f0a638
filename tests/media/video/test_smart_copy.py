"""Smart copy: what has not changed is copied to the bit, what has changed is encoded anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lipsync.errors import Cancelled, MediaError, OutputError
from lipsync.media import FrameWriter, OutputSpec, open_audio, open_video, probe_audio, probe_video
from lipsync.media.container import open_container
from lipsync.media.ffmpeg import ffmpeg_path
from lipsync.media.programs import run_program
from lipsync.media.video.smart_copy import (
    Copied,
    NotCopyableError,
    ParameterSets,
    PictureGroups,
    read_groups,
    splice,
)
from lipsync.media.video.smart_copy_writer import SmartCopyWriter
from lipsync.progress import CancelToken
from lipsync.types import Frame
from tests.make_media import run_ffmpeg

FRAMES, SIZE = 175, (96, 64)


def picture(number: int, shift: int = 0) -> Frame:
    ramp = np.add.outer(3 * np.arange(SIZE[1]), 2 * np.arange(SIZE[0])) + 5 * number + shift
    return np.stack([ramp, ramp // 2, 255 - ramp], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    run_ffmpeg("-f", "lavfi", "-i", "sine=440:d=7", path)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, voice: Path) -> Path:
    """7 s of moving pictures as the program writes them, a key frame every 2 s."""
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    with FrameWriter(path, spec(voice)) as writer:
        for number in range(FRAMES):
            writer.write(picture(number))
    return path


def spec(voice: Path | None, **changed: object) -> OutputSpec:
    info = replace(probe_video(Path(__file__).parents[3] / "lipsync/samples/talk.mp4"), color_space="bt709")
    audio = None if voice is None else open_audio(voice)
    made = OutputSpec(*SIZE, Fraction(25), FRAMES, audio, info)
    return replace(made, **changed)  # type: ignore[arg-type]


def hashes(path: Path) -> list[str]:
    """The decoder's MD5 of each frame; any error ends it."""
    command = [ffmpeg_path(), "-v", "error", "-xerror", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    lines = run_program(command, seconds=60, cancel=CancelToken(), stage="Reading").splitlines()
    return [line.rpartition(",")[2].strip() for line in lines if line and not line.startswith("#")]


def redraw(source: Path, target: Path, given: OutputSpec, *changed: range) -> list[range]:
    with SmartCopyWriter(target, given, source, changed) as writer:
        for part in writer.remaining:
            for number in part:
                writer.write(picture(number, 90))
        return writer.remaining


@pytest.mark.parametrize("changes", [{}, {"quality": 30}], ids=["same settings", "other settings"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_copied_frames_are_equal_to_the_bit(
    source: Path, voice: Path, tmp_path: Path, suffix: str, changes: dict[str, int]
) -> None:
    target = tmp_path / f"result{suffix}"
    parts = redraw(source, target, spec(voice, **changes), range(60, 70))
    assert parts == [range(50, 100)]
    before, after = hashes(source), hashes(target)
    assert after[:50] == before[:50]
    assert after[100:] == before[100:]
    assert not set(after[50:100]) & set(before[50:100])
    drawn = list(open_video(target).read([49, 50, 99, 100]))
    for frame, (number, shift) in zip(drawn, [(49, 0), (50, 90), (99, 90), (100, 0)], strict=True):
        assert np.abs(frame.astype(int) - picture(number, shift)).mean() < 12
    info = probe_video(target)
    assert (info.frame_count, info.fps, info.variable_frame_rate) == (FRAMES, 25, False)
    assert probe_audio(target).duration == pytest.approx(7, abs=0.05)


SOURCES = {
    "H.264 with B-frames": ("libx264", "yuv420p", "keyint=50:min-keyint=50:bframes=3:ref=4", ".mp4"),
    "H.264 without B-frames": ("libx264", "yuv420p", "keyint=30:bframes=0:ref=1", ".mkv"),
    "H.264 with sets in the stream": ("libx264", "yuv420p", "keyint=40:repeat-headers=1", ".mp4"),
    "H.265 with open groups": ("libx265", "yuv420p", "keyint=40:log-level=none", ".mp4"),
    "H.265 with closed groups": ("libx265", "yuv420p", "keyint=40:open-gop=0:log-level=none", ".mkv"),
    "H.265 with 10 bits": ("libx265", "yuv420p10le", "keyint=40:bframes=4:log-level=none", ".mp4"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_other_encoders_are_copied(source: Path, tmp_path: Path, name: str) -> None:
    encoder, pixels, settings, suffix = SOURCES[name]
    path, target = tmp_path / f"source{suffix}", tmp_path / "result.mp4"
    given = ("-pix_fmt", pixels, f"-{encoder[3:]}-params", settings)
    run_ffmpeg("-i", source, "-an", "-c:v", encoder, *given, path)
    groups = read_groups(path)
    assert len(groups.points) >= 4
    assert groups.pixels == pixels
    changed = {"codec": "h265"} if encoder == "libx265" else {}
    info = replace(probe_video(path), color_space="bt709")
    whole = spec(None, **changed, deep=pixels != "yuv420p", source=info)
    with SmartCopyWriter(target, whole, path, [range(60, 70), range(140, 142)]) as writer:
        for part in writer.remaining:
            for frame in open_video(path).read_deep(part, "420") if whole.deep else map(picture, part):
                writer.write(frame)
    drawn = {number for part in writer.remaining for number in part}
    assert {*range(60, 70), 140, 141} <= drawn
    assert len(drawn) < 125
    before, after = hashes(path), hashes(target)
    assert [number for number in range(FRAMES) if before[number] != after[number]] == sorted(drawn)
    shown = [open_video(one).read(range(FRAMES)) for one in (path, target)]
    assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(*shown, strict=True)) < 8
    info = probe_video(target)
    assert (info.frame_count, info.fps, info.variable_frame_rate) == (FRAMES, 25, False)


def test_lines_can_be_drawn_again_any_number_of_times(source: Path, tmp_path: Path) -> None:
    """With other settings each time: equal parameter sets are used again, others get an identifier."""
    before, first = hashes(source), source
    for number, quality in enumerate((30, 17, 30, 40)):
        target = tmp_path / f"result{number}.mp4"
        redraw(first, target, spec(None, quality=quality), range(0, 1), range(170, 175))
        first = target
    after = hashes(first)
    assert after[50:150] == before[50:150]
    assert after[0] != before[0]
    assert len(read_groups(first).sets.identifiers) == 3, "of 17, 30 and 40"


def test_all_and_nothing_can_change(source: Path, voice: Path, tmp_path: Path) -> None:
    assert redraw(source, tmp_path / "none.mp4", spec(voice)) == []
    assert hashes(tmp_path / "none.mp4") == hashes(source)
    assert redraw(source, tmp_path / "all.mp4", spec(voice), range(FRAMES)) == [range(FRAMES)]


def test_times_of_the_packets_are_in_order(source: Path, tmp_path: Path) -> None:
    redraw(source, tmp_path / "result.mp4", spec(None), range(60, 61))
    with av.open(str(tmp_path / "result.mp4")) as container:
        packets = [one for one in container.demux(video=0) if one.size]
    decoded = [one.dts for one in packets if one.dts is not None]
    assert len(decoded) == FRAMES
    assert (np.diff(decoded) > 0).all()
    assert all(one.pts is not None and one.dts is not None and one.pts >= one.dts for one in packets)
    assert min(one.pts for one in packets if one.pts is not None) == 0


def test_what_cannot_be_copied_is_refused_before_the_work(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    run_ffmpeg("-i", source, "-c:v", "mpeg4", other)
    with pytest.raises(NotCopyableError, match=r"H\.264"):
        SmartCopyWriter(tmp_path / "out.mp4", spec(None), other, [range(1)])
    with pytest.raises(NotCopyableError, match="other frames"):
        SmartCopyWriter(tmp_path / "out.mp4", spec(None, frames=100), source, [range(1)])
    run_ffmpeg("-i", source, "-c", "copy", tmp_path / "stream.ts")
    with pytest.raises(NotCopyableError, match="parameter sets"):
        read_groups(tmp_path / "stream.ts")


def test_open_groups_are_not_cut(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "open.mp4"
    run_ffmpeg(
        "-i", source, "-an", "-c:v", "libx264", "-g", "25", "-x264-params", "open-gop=1:scenecut=0", path
    )
    with av.open(str(path)) as container:
        keys = sum(one.is_keyframe for one in container.demux(video=0) if one.size)
    assert keys > len(read_groups(path).starts)


def test_missing_frames_leave_no_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(OutputError), SmartCopyWriter(target, spec(None), source, [range(3)]) as writer:
        writer.write(picture(0))
    assert list(tmp_path.iterdir()) == []


def test_parameter_sets_survive_being_written(source: Path) -> None:
    sets = read_groups(source).sets
    assert ParameterSets.parse(sets.to_bytes()) == sets
    assert sets.identifiers == (0,)


def test_levels_and_profiles_cover_all_sets(source: Path, tmp_path: Path) -> None:
    baseline, target = tmp_path / "baseline.mp4", tmp_path / "result.mp4"
    given = ("-c:v", "libx264", "-profile:v", "baseline", "-level", "1.3", "-g", "50")
    run_ffmpeg("-i", source, "-an", *given, baseline)
    before = read_groups(baseline).sets
    assert (before.head[1], before.head[3], before.tail) == (66, 13, b"")
    redraw(baseline, target, spec(None), range(60, 70))
    sets = read_groups(target).sets
    own = [unit[1:4] for kind, unit in sets.units if kind == 7]
    assert {one[0] for one in own} == {66, 100}
    assert sets.head[1] == 100
    assert sets.head[2] == own[0][1] & own[1][1]
    assert sets.head[3] == max(one[2] for one in own)
    assert sets.tail == read_groups(source).sets.tail != b""
    assert len(hashes(target)) == FRAMES


def test_levels_and_profiles_of_h265_cover_all_sets() -> None:
    def sets(tier_and_profile: int, compatible: int, level: int) -> ParameterSets:
        flags = compatible.to_bytes(4, "big") + b"\x90" + bytes(5)
        head = bytes([1, tier_and_profile]) + flags + bytes([level]) + bytes(8) + b"\x0f"
        return ParameterSets(head, (), b"", "hevc")

    main, main_10 = sets(1, 0x60000000, 93), sets(0x22, 0x20000000, 60)
    for one, other in [(main, main_10), (main_10, main)]:
        joined = one.joined(other)
        assert joined == sets(0x22, 0x20000000, 93)
    assert sets(1, 0x60000000, 93).joined(sets(4, 0x08000000, 90)) == sets(4, 0x08000000, 93)


def test_a_title_in_another_encoding_is_no_obstacle(source: Path, tmp_path: Path) -> None:
    titled = tmp_path / "titled.mp4"
    run_ffmpeg("-i", source, "-c", "copy", "-metadata", "title=CafXYZ", titled)
    titled.write_bytes(titled.read_bytes().replace(b"CafXYZ", b"Caf\xe9 1"))
    assert redraw(titled, tmp_path / "result.mp4", spec(None), range(60, 70)) == [range(50, 100)]


def test_damaged_sources_are_not_copied(source: Path, tmp_path: Path) -> None:
    """A parameter set in the stream without an end of its identifier, and a header that ends early."""
    repeated, damaged = tmp_path / "repeated.mp4", tmp_path / "damaged.mp4"
    run_ffmpeg("-i", source, "-an", "-c:v", "libx264", "-x264-params", "repeat-headers=1:keyint=40", repeated)
    data = repeated.read_bytes()
    [unit] = [one for kind, one in read_groups(repeated).sets.units if kind == 8]
    at = data.rindex(unit) + 1
    for broken in (data[:at] + bytes(len(unit) - 1) + data[at + len(unit) - 1 :], data[:100]):
        damaged.write_bytes(broken)
        with pytest.raises(NotCopyableError, match="cannot be read"):
            read_groups(damaged)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (["-display_vflip"], [], "turns or flips"),
        (["-display_hflip"], [], "turns or flips"),
        (["-display_rotation", "180"], [], "turns or flips"),
        ([], ["-aspect", "9:4"], "stretches"),
    ],
)
def test_what_only_the_container_says_of_the_pictures(
    source: Path, tmp_path: Path, before: list[str], after: list[str], reason: str
) -> None:
    """Encoded pictures would have it in themselves, copied ones not."""
    run_ffmpeg(*before, "-i", source, "-c", "copy", *after, tmp_path / "changed.mp4")
    with pytest.raises(NotCopyableError, match=reason):
        read_groups(tmp_path / "changed.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_aspect_ratios_of_the_pictures_are_kept(source: Path, tmp_path: Path, suffix: str) -> None:
    wide, target = tmp_path / f"wide{suffix}", tmp_path / "result.mp4"
    run_ffmpeg("-i", source, "-an", "-vf", "setsar=40/33", "-c:v", "libx264", "-g", "50", wide)
    redraw(wide, target, spec(None, source=probe_video(wide)), range(60, 70))
    assert float(probe_video(target).sample_aspect_ratio) == pytest.approx(40 / 33, abs=0.005)


class Stopping(CancelToken):
    """Token that is cancelled when it is asked for the nth time."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def check(self, stage: str = "") -> None:
        self._left -= 1
        if self._left <= 0:
            self.cancel()
        super().check(stage)


def copy_end(groups: PictureGroups, target: Path, cancel: CancelToken | None = None) -> None:
    """Write the last 25 frames."""
    piece = [Copied(range(25), 150)]
    splice(groups, piece, [], target, fps=Fraction(25), cancel=cancel or CancelToken())


def test_reading_and_skipping_packets_can_be_cancelled(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        read_groups(source, cancel=Stopping(20))
    groups = read_groups(source)
    with pytest.raises(Cancelled):
        copy_end(groups, tmp_path / "out.mp4", Stopping(100))
    copy_end(groups, tmp_path / "out.mp4")
    assert hashes(tmp_path / "out.mp4") == hashes(source)[150:]


def test_a_cancelled_joint_leaves_no_file_open(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    @contextmanager
    def noted(path: Path) -> Iterator[Any]:
        opened.append(path)
        try:
            with open_container(path) as container:
                yield container
        finally:
            opened.remove(path)

    groups = read_groups(source)
    monkeypatch.setattr("lipsync.media.video.smart_copy.open_container", noted)
    with pytest.raises(Cancelled) as kept:
        copy_end(groups, tmp_path / "out.mp4", Stopping(160))
    assert kept.traceback
    assert opened == []


def test_a_source_that_changes_during_the_run_is_told(source: Path, tmp_path: Path) -> None:
    changing, shorter = tmp_path / "changing.mp4", tmp_path / "shorter.mp4"
    changing.write_bytes(source.read_bytes())
    groups = read_groups(changing)
    os.utime(changing, ns=(1, 1))  # as big as before, and written later
    with pytest.raises(MediaError, match="changed during the run"):
        copy_end(groups, tmp_path / "out.mp4")
    changing.unlink()
    with pytest.raises(MediaError, match="changed during the run"):
        copy_end(groups, tmp_path / "out.mp4")
    run_ffmpeg("-i", source, "-c", "copy", "-frames:v", "160", shorter)
    while_read = replace(groups, path=shorter, state=read_groups(shorter).state)
    with pytest.raises(MediaError, match="changed during the run"):
        copy_end(while_read, tmp_path / "out.mp4")
