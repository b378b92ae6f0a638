"""Codecs of results: every one in every container of the table, decoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.errors import OutputError
from lipsync.media import FrameWriter, OutputSpec, ResumableWriter, open_video
from lipsync.media.output_formats import OUTPUT_FORMATS, VIDEO_CODECS
from lipsync.media.provenance import read_provenance
from lipsync.options import CODECS, SEQUENCES
from tests.make_media import make_video, number_frame, read_number

FRAMES = 6
FILES = {name: row for name, row in VIDEO_CODECS.items() if not row.is_sequence}
PLACES = [(name, suffix) for name, row in FILES.items() for suffix in row.suffixes]


def test_the_setting_names_every_codec() -> None:
    assert set(CODECS) == set(VIDEO_CODECS)
    assert tuple(name for name, row in VIDEO_CODECS.items() if row.is_sequence) == SEQUENCES
    assert {suffix for _, suffix in PLACES} == set(OUTPUT_FORMATS)


@pytest.mark.parametrize(("codec", "suffix"), PLACES)
@pytest.mark.parametrize("resumable", [False, True])
def test_every_codec_is_written_and_read(tmp_path: Path, codec: str, suffix: str, resumable: bool) -> None:
    source = make_video(tmp_path / "source.mp4", frames=[number_frame(n, 256, 120) for n in range(FRAMES)])
    spec = OutputSpec(256, 120, Fraction(25), FRAMES, None, open_video(source).info, quality=12, codec=codec)
    target = tmp_path / f"out{suffix}"
    writer = ResumableWriter(target, spec, key="k", part_frames=4) if resumable else FrameWriter(target, spec)
    with writer:
        for frame in open_video(source).read_yuv(range(FRAMES)):
            writer.write(frame)
    made = open_video(target)
    assert (made.frame_count, made.fps, made.info.width) == (FRAMES, 25, 256)
    assert [read_number(frame) for frame in made.read(range(FRAMES))] == list(range(FRAMES))
    names = {"h264": "h264", "h265": "hevc", "dnxhr": "dnxhd"}
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert context.codec.canonical_name == names.get(codec, codec)
        assert context.pix_fmt == VIDEO_CODECS[codec].pixels
        if codec == "h265" and suffix != ".mkv":
            assert context.codec_tag == "hvc1"
    assert read_provenance(target).made_by_ai
    [before], [after] = (open_video(path).read_yuv([3]) for path in (source, target))
    assert np.abs(before.y.astype(int) - after.y).mean() < (0.01 if codec == "ffv1" else 2)
    if codec == "ffv1":
        assert all(np.array_equal(getattr(before, plane), getattr(after, plane)) for plane in "yuv")


@pytest.mark.parametrize(("codec", "name"), [("prores", "a.mp4"), ("ffv1", "a.mp4"), ("av1", "a.mov")])
def test_containers_that_do_not_hold_a_codec_are_refused(tmp_path: Path, codec: str, name: str) -> None:
    source = open_video(make_video(tmp_path / "source.mp4", frames=2)).info
    with pytest.raises(OutputError, match="not written into this kind of file"):
        FrameWriter(tmp_path / name, OutputSpec(160, 120, Fraction(25), 2, None, source, codec=codec))


def test_frames_that_are_too_small_are_refused(tmp_path: Path) -> None:
    source = open_video(make_video(tmp_path / "source.mp4", frames=2)).info
    with pytest.raises(OutputError, match="at least 256x120"):
        FrameWriter(tmp_path / "a.mov", OutputSpec(160, 120, Fraction(25), 2, None, source, codec="dnxhr"))


@pytest.mark.parametrize(("codec", "suffix"), PLACES)
def test_a_full_range_source_looks_the_same_in_every_codec(tmp_path: Path, codec: str, suffix: str) -> None:
    y, x = np.mgrid[0:120, 0:256]
    ramp = np.stack([x, 40 + y, 255 - x], 2).astype(np.uint8)
    tags = "colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    filters = f"scale=out_range=pc:out_color_matrix=bt709,format=yuv420p,setparams=range=pc:{tags}"
    encode = ("-c:v", "ffv1", "-color_range", "pc")
    source = make_video(tmp_path / "a.mkv", frames=[ramp] * 2, filters=filters, encode=encode)
    reader = open_video(source)
    assert reader.info.color_range == "pc"
    spec = OutputSpec(256, 120, Fraction(25), 2, None, reader.info, quality=5, codec=codec)
    with FrameWriter(tmp_path / f"b{suffix}", spec) as writer:
        for frame in reader.read_yuv(range(2)):
            writer.write(frame)
    [before], [after] = (open_video(path).read([0]) for path in (source, tmp_path / f"b{suffix}"))
    assert abs((after.astype(int) - before).mean()) < 1 and np.abs(after.astype(int) - before).mean() < 2.5
    assert bool(writer.warnings) == (codec == "ffv1" and suffix == ".mov")
