"""Sound, subtitles and chapters of a source in its result, at their times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.media import FrameWriter, OutputSpec, ResumableWriter, open_audio, open_video
from lipsync.media.kept_tracks import find_kept_tracks
from lipsync.media.provenance import read_provenance
from lipsync.media.subtitles import read_subtitles
from tests.make_media import make_flash_and_beep, make_sound, make_video, number_frame, run_ffmpeg

FRAMES = 50


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds with an AAC track that beeps at 1.2 s, a PCM track, subtitles at 0.5 s and chapters."""
    beep = make_flash_and_beep(tmp_path / "beep.mp4", at=1.2, seconds=2.0)
    sound = make_sound(tmp_path / "a.wav", 2.0)
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,500 --> 00:00:01,000\nHello\n\n2\n00:00:01,500 --> 00:00:09,000\nEnd\n"
    )
    (tmp_path / "a.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=10\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/10\nSTART=10\nEND=20\ntitle=Two\n"
    )
    path = tmp_path / "film.mkv"
    inputs = ("-i", beep, "-i", sound, "-i", tmp_path / "a.srt", "-i", tmp_path / "a.txt")
    maps = ("-map", "0:v", "-map", "0:a", "-map", 1, "-map", 2, "-map_chapters", 3)
    codecs = ("-c:v", "copy", "-c:a:0", "aac", "-c:a:1", "pcm_s16le", "-c:s", "subrip")
    run_ffmpeg(
        *inputs, *maps, *codecs, "-metadata:s:a:0", "language=fra", "-metadata:s:s:0", "language=ita", path
    )
    return path


def write(film: Path, target: Path, resumable: bool) -> tuple[str, ...]:
    reader, voice = open_video(film), open_audio(film.with_name("a.wav"))
    kept = find_kept_tracks(film, target, reader.start)
    spec = OutputSpec(reader.width, reader.height, Fraction(25), FRAMES, voice, reader.info, kept=kept)
    writer = (
        ResumableWriter(target, spec, key="k", part_frames=20) if resumable else FrameWriter(target, spec)
    )
    with writer:
        for frame in reader.read_yuv(range(FRAMES)):
            writer.write(frame)
    return kept.warnings


@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize(("suffix", "sounds"), [(".mkv", 3), (".mov", 3), (".mp4", 2)])
def test_tracks_and_chapters_are_kept(
    film: Path, tmp_path: Path, suffix: str, sounds: int, resumable: bool
) -> None:
    target = tmp_path / f"out{suffix}"
    warnings = write(film, target, resumable)
    assert len(warnings) == 3 - sounds
    assert all("pcm_s16le" in text and ".mkv holds more" in text for text in warnings)
    with av.open(str(target)) as container:
        kinds = [stream.type for stream in container.streams if stream.type != "data"]
        assert kinds == ["video", *["audio"] * sounds, "subtitle"]
        assert container.streams.audio[1].metadata["language"] in ("fra", "fre")
        assert container.streams.subtitles[0].metadata["language"] == "ita"
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One", "Two"]
        assert container.duration / av.time_base == pytest.approx(2, abs=0.06)
        defaults = [bool(int(stream.disposition) & 1) for stream in container.streams.audio]
        assert not any(defaults[1:])
    beep = open_audio(target, track=1).read()
    begins = np.flatnonzero(np.abs(beep.samples) > 0.05)[0] / beep.sample_rate
    assert begins == pytest.approx(1.2, abs=0.03)
    text = tmp_path / "text.srt"
    run_ffmpeg("-i", target, "-map", "0:s:0", text)
    first, second = read_subtitles(text)
    assert (first.text, first.start) == ("Hello", pytest.approx(0.5, abs=0.02))
    assert second.text == "End"
    assert read_provenance(target).made_by_ai
    assert not list(tmp_path.glob(".*"))


def test_a_source_whose_clock_does_not_start_at_zero(film: Path, tmp_path: Path) -> None:
    later = tmp_path / "later.mkv"
    run_ffmpeg("-i", film, "-map", "0", "-c", "copy", "-output_ts_offset", "5", later)
    write(later.rename(film), tmp_path / "out.mkv", False)
    beep = open_audio(tmp_path / "out.mkv", track=1).read()
    assert np.flatnonzero(np.abs(beep.samples) > 0.05)[0] / beep.sample_rate == pytest.approx(1.2, abs=0.03)


def test_chapters_alone_and_nothing(tmp_path: Path, film: Path) -> None:
    alone, plain = tmp_path / "alone.mkv", make_video(tmp_path / "plain.mp4", frames=[number_frame(1)] * 5)
    run_ffmpeg("-i", film, "-map", "0:v", "-c", "copy", alone)
    write(alone.rename(film), tmp_path / "out.mp4", False)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.chapters()) == 2
    kept = find_kept_tracks(plain, tmp_path / "x.mp4", 0.0)
    assert (kept.streams, kept.chapters, kept.warnings) == ((), False, ())
