"""Image sequences: numbered PNGs and a WAV file in a folder, whole or not there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from lipsync.errors import Cancelled, OutputError
from lipsync.media import FrameWriter, OutputSpec, open_audio, open_video
from lipsync.media.provenance import read_provenance
from lipsync.media.video.deep import DeepFrame
from lipsync.media.video.image_sequence import frames_of
from lipsync.media.video.sequence_copy import write_sequence_copy
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken
from tests.make_media import make_sound, make_video, number_frame, read_number, run_ffmpeg

FRAMES = 6


def spec_of(source: Path, *, size: tuple[int, int] = (160, 120), sound: Path | None = None) -> OutputSpec:
    audio = open_audio(sound) if sound else None
    return OutputSpec(*size, Fraction(25), FRAMES, audio, open_video(source).info, codec="png")


def write(target: Path, source: Path, spec: OutputSpec | None = None) -> FrameWriter:
    with FrameWriter(target, spec or spec_of(source)) as writer:
        for frame in open_video(source).read_yuv(range(FRAMES)):
            writer.write(frame)
    return writer


def values_of(path: Path) -> npt.NDArray[np.uint16]:
    """RGB of a PNG of 16 bits."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb48le")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "source.mp4", frames=[number_frame(n) for n in range(FRAMES)])


def test_frames_are_numbered_images_of_the_frames_beside_their_sound(source: Path, tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "voice.wav", 1.0)
    target = tmp_path / "new" / "100%d take.v2"  # a name that ffmpeg would fill in
    made = write(target, source, spec_of(source, sound=sound))
    assert made.path == target and not made.warnings
    names = [f"frame_{number:06d}.png" for number in range(1, FRAMES + 1)]
    assert sorted(path.name for path in target.iterdir()) == ["audio.wav", *names]
    images = [np.asarray(Image.open(path)) for path in frames_of(target)]
    assert [read_number(image) for image in images] == list(range(FRAMES))
    for image, frame in zip(images, open_video(source).read_yuv(range(FRAMES)), strict=True):
        assert np.abs(image.astype(int) - frame.to_rgb()).mean() < 0.5
    given, kept = (samples_of(path) for path in (sound, target / "audio.wav"))
    assert len(kept) == round(FRAMES / 25 * 48_000)
    assert np.array_equal(kept, given[: len(kept)])
    assert read_provenance(target).made_by_ai


def samples_of(path: Path) -> npt.NDArray[np.float32]:
    """Samples of a sound file, float32 (n, 1)."""
    reader = open_audio(path)
    assert reader.info.sample_rate == 48_000
    return np.concatenate(list(reader.blocks()))


def test_odd_sizes_stay_odd(tmp_path: Path) -> None:
    source = make_video(tmp_path / "source.mkv", frames=[number_frame(n) for n in range(FRAMES)])
    frames = [frame.cropped(159, 119) for frame in open_video(source).read_yuv(range(FRAMES))]
    with FrameWriter(tmp_path / "out", spec_of(source, size=(159, 119))) as writer:
        for frame in frames:
            writer.write(frame)
    for path, frame in zip(frames_of(tmp_path / "out"), frames, strict=True):
        image = np.asarray(Image.open(path))
        assert image.shape == (119, 159, 3) and np.abs(image.astype(int) - frame.to_rgb()).mean() < 0.5


@pytest.mark.parametrize("transfer", ["", "smpte2084"])
def test_ten_bits_become_sixteen_with_their_colour_tags(tmp_path: Path, transfer: str) -> None:
    source = tmp_path / "deep.mkv"
    tags = (
        "color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc" if transfer else "colorspace=bt709"
    )
    ramp = f"gradients=s=160x120:d=0.24:r=25:seed=1,format=yuv444p10le,setparams=range=tv:{tags}"
    run_ffmpeg("-f", "lavfi", "-i", ramp, "-c:v", "ffv1", source)
    video = open_video(source, MediaOptions(codec="png"))
    assert video.original is not None
    spec = replace(spec_of(source), source=video.original, deep=True)
    target = tmp_path / "out"
    frames = list(video.read_deep(range(FRAMES), "444"))
    with FrameWriter(target, spec) as writer:
        for frame in frames:
            writer.write(frame)
    for path, frame in zip(frames_of(target), frames, strict=True):
        assert np.abs(values_of(path).astype(float) - expected_rgb(frame)).max() < 2  # of 65535
    with av.open(str(frames_of(target)[0])) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "rgb48be"
        if transfer:
            context = container.streams.video[0].codec_context
            next(container.decode(video=0))
            assert (context.color_primaries, context.color_trc) == (9, 16)


def expected_rgb(frame: DeepFrame) -> npt.NDArray[np.float64]:
    """RGB of a frame by the standard's formula, 0 to 65535."""
    values = np.stack(frame.planes, -1).astype(float) / 4
    matrix = frame.color_space.yuv_to_rgb.astype(float)
    rgb = values @ matrix[:, :3].T + matrix[:, 3]
    return np.asarray(np.clip(rgb / 255, 0, 1) * 65535)


def test_a_folder_appears_whole_or_not_at_all(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "results"
    cancel = CancelToken()
    frames = list(open_video(source).read_yuv(range(FRAMES)))
    with pytest.raises(Cancelled), FrameWriter(place / "out", spec_of(source), cancel=cancel) as writer:
        for frame in frames:
            writer.write(frame)
        cancel.cancel()
    assert not place.exists()
    with (
        pytest.raises(OutputError, match="5 of 6 frames"),
        FrameWriter(place / "out", spec_of(source)) as writer,
    ):
        for frame in frames[:-1]:
            writer.write(frame)
    assert not place.exists()


def test_a_sequence_replaces_nothing_but_another_one(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()  # empty, as if it were not there
    kept = replace(spec_of(source), overwrite=False)
    write(target, source, kept)
    with pytest.raises(OutputError, match="a folder of this name already"):
        write(target, source, kept)
    (target / "frame_000099.png").write_bytes(b"of an earlier, longer one")
    write(target, source)
    assert len(frames_of(target)) == FRAMES
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"has other files.*notes\.txt"):
        write(target, source)
    assert (target / "notes.txt").read_text() == "mine" and len(frames_of(target)) == FRAMES
    shutil.rmtree(target)
    target.write_text("mine")
    with pytest.raises(OutputError, match="a file of the folder's name"):
        write(target, source)
    assert target.read_text() == "mine" and [path.name for path in tmp_path.iterdir()].count("out") == 1


def test_a_folder_that_appears_during_the_work_stays(source: Path, tmp_path: Path) -> None:
    target, spec = tmp_path / "out", replace(spec_of(source), overwrite=False)
    with FrameWriter(target, spec) as writer:
        for frame in open_video(source).read_yuv(range(FRAMES)):
            writer.write(frame)
        target.mkdir()
        (target / "frame_000001.png").write_bytes(b"of another run")
    assert (target / "frame_000001.png").read_bytes() == b"of another run"
    assert writer.path == tmp_path / "out_2" and len(frames_of(writer.path)) == FRAMES


@pytest.mark.parametrize("name", ["out.mp4", "out.PNG"])
def test_names_of_files_are_refused(source: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="is a folder, and not a file"):
        FrameWriter(tmp_path / name, spec_of(source))


def test_images_of_the_sequence_are_whole(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", source)
    for path in frames_of(tmp_path / "out"):
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            image.load()
            assert b"compositeWithTrainedAlgorithmicMedia" in image.info["xmp"]


@pytest.mark.parametrize("transfer", ["", "arib-std-b67"])
def test_a_copy_to_watch_has_sound_and_looks_alike(tmp_path: Path, transfer: str) -> None:
    frames = [number_frame(n) for n in range(FRAMES)]
    source, folder = make_video(tmp_path / "source.mp4", frames=frames), tmp_path / "50% take"
    spec = spec_of(source, sound=make_sound(tmp_path / "voice.wav", 1.0))
    write(folder, source, spec)
    if transfer:  # as the pixels of HDR would be
        deepened = "zscale=min=gbr:rin=pc:tin=bt709:pin=bt709:t=arib-std-b67:p=bt2020:npl=203,format=rgb48be"
        for path in frames_of(folder):
            run_ffmpeg("-i", path, "-vf", f"format=gbrpf32le,{deepened}", "-y", tmp_path / path.name)
            (tmp_path / path.name).replace(path)
    copy = open_video(write_sequence_copy(folder, tmp_path / "copy.mp4", Fraction(25), CancelToken()))
    assert (copy.frame_count, copy.fps, copy.info.bit_depth) == (FRAMES, 25, 8)
    assert open_audio(copy.info.path).duration == pytest.approx(FRAMES / 25, abs=0.05)
    for frame, before in zip(copy.read(range(FRAMES)), frames, strict=True):
        assert np.abs(frame.astype(int) - before).mean() < 6
    assert read_provenance(copy.info.path).made_by_ai
