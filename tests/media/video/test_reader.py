"""Random access to frames: the right one, and always the same, in any order."""

from __future__ import annotations

import contextlib
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.errors import Cancelled, MediaError, OptionError, RangeError
from lipsync.media import open_video
from lipsync.media.video import reader
from lipsync.options import MediaOptions
from lipsync.types import Frame, TimeRange
from tests.make_media import make_variable_rate, make_video, number_frame, read_number, run_ffmpeg
from tests.material import running_ffmpeg
from tests.waiting import CancelAtLook

OPEN_GOP = (
    "-c:v",
    "libx264",
    "-pix_fmt",
    "yuv420p",
    "-bf",
    3,
    "-g",
    10,
    "-x264-params",
    "open-gop=1:scenecut=0",
)
MPEG2 = ("-c:v", "mpeg2video", "-q:v", 2, "-bf", 2, "-g", 12)
INTERLACED = (
    "-c:v",
    "libx264",
    "-pix_fmt",
    "yuv420p",
    "-flags",
    "+ilme+ildct",
    "-x264-params",
    "tff=1",
    "-g",
    12,
)


def numbers(frames: object) -> list[int]:
    return [read_number(frame) for frame in frames]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("cfr.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 3, "-g", 12)),
        ("cfr.mkv", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 3, "-g", 12)),
        ("open_gop.mp4", OPEN_GOP),
        ("open_gop.ts", OPEN_GOP),
        ("old.mpg", MPEG2),
        ("old.ts", MPEG2),
        ("h264.avi", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 3, "-g", 12)),
        ("xvid.avi", ("-c:v", "mpeg4", "-q:v", 2, "-bf", 2, "-g", 12)),
        (
            "web.webm",
            (
                "-c:v",
                "libvpx",
                "-b:v",
                "1M",
                "-cpu-used",
                8,
                "-auto-alt-ref",
                1,
                "-lag-in-frames",
                8,
                "-g",
                12,
            ),
        ),
        ("hevc.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=12:log-level=none")),
        ("raw.h264", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 2, "-g", 12)),
        ("loop.gif", ()),
    ],
)
@pytest.mark.parametrize("fps", [25, Fraction(30_000, 1001)], ids=["25", "29.97"])
def test_every_way_to_a_frame_gives_that_frame(
    tmp_path: Path, name: str, encode: tuple[object, ...], fps: Fraction
) -> None:
    if fps != 25 and name in ("raw.h264", "loop.gif"):
        pytest.skip("this format holds no exact rate")
    clip = open_video(make_video(tmp_path / name, frames=40, fps=fps, encode=encode))
    assert (clip.frame_count, clip.fps, clip.info.variable_frame_rate) == (40, fps, False)
    forward = list(clip.read(range(40)))
    assert numbers(forward) == list(range(40))
    for order in ([39, 38, 37, 20, 19, 3], [7], [25, 26, 26, 30], [31, 2, 33, 2, 0, 39]):
        for number, frame in zip(order, clip.read(order), strict=True):
            assert np.array_equal(frame, forward[number]), (order, number)


def test_blocks_of_a_backward_read_join_without_a_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK_BYTES", 7 * 160 * 120 * 3)
    clip = open_video(make_video(tmp_path / "a.mp4", frames=40))
    assert numbers(clip.read(range(39, -1, -1))) == list(range(39, -1, -1))


def test_frames_belong_to_the_receiver(tmp_path: Path) -> None:
    clip = open_video(make_video(tmp_path / "a.mp4", frames=4))
    for order in ([2, 2, 2], [3, 3, 1, 1]):
        seen = []
        for frame in clip.read(order):
            seen.append(read_number(frame))
            frame[:] = 0
        assert seen == order


def test_variable_rate_is_shown_by_timestamp(tmp_path: Path) -> None:
    clip = open_video(make_variable_rate(tmp_path / "vfr.mp4"))
    assert clip.info.variable_frame_rate
    assert (clip.fps, clip.frame_count) == (Fraction(30), 120)
    expected = [k if k < 60 else 60 + (k - 60) // 3 for k in range(120)]
    assert numbers(clip.read(range(120))) == expected
    order = [119, 118, 61, 62, 59, 100]
    assert numbers(clip.read(order)) == [expected[k] for k in order]


def test_a_range_may_begin_inside_a_long_frame(tmp_path: Path) -> None:
    path = make_variable_rate(tmp_path / "vfr.mp4")
    clip = open_video(path, MediaOptions(video_ranges=(TimeRange(3.07, 3.31),)))  # frame 70 lasts 3.0-3.1
    assert numbers(clip.read(range(clip.frame_count))) == [70, 71, 71, 71, 72, 72, 72]


def test_ranges_are_joined_in_the_order_given(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50)
    clip = open_video(path, MediaOptions(video_ranges=TimeRange.parse_list("1.2-1.4, 0-0.2, 1.92-")))
    expected = [30, 31, 32, 33, 34, 0, 1, 2, 3, 4, 48, 49]
    assert clip.frame_count == len(expected)
    assert numbers(clip.read(range(12))) == expected
    assert numbers(clip.read(range(11, -1, -1))) == expected[::-1]
    assert numbers(clip.read([4, 5, 5, 10])) == [34, 0, 0, 48]


def test_range_past_the_end_names_the_length(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50)
    with pytest.raises(RangeError, match=r"2\.00 s"):
        open_video(path, MediaOptions(video_ranges=(TimeRange(1, 3),)))


def test_another_rate_repeats_or_drops_by_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50, fps=50)
    slower = open_video(path, MediaOptions(fps=25))
    assert numbers(slower.read(range(slower.frame_count))) == list(range(0, 50, 2))
    faster = open_video(path, MediaOptions(fps=100))
    assert numbers(faster.read(range(faster.frame_count))) == [k // 2 for k in range(100)]


def test_static_is_the_first_frame_of_the_first_range(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=30)
    clip = open_video(path, MediaOptions(static=True, video_ranges=(TimeRange(0.4),)))
    assert clip.frame_count == 1 and clip.is_still
    assert numbers(clip.read([0, 0, 0])) == [10, 10, 10]


def test_video_that_starts_after_the_audio_stays_in_sync(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "late.mkv",
        frames=10,
        filters="setpts=PTS+0.4/TB",
        sound=("-f", "lavfi", "-i", "sine=d=1"),
        output=("-fps_mode", "passthrough"),
    )
    clip = open_video(path)
    assert numbers(clip.read(range(clip.frame_count))) == [0] * 10 + list(range(10))


# --- geometry ----------------------------------------------------------------------------------


def corners(frame: Frame) -> list[int]:
    """Mean grey of the four quarters: top left, top right, bottom left, bottom right."""
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    parts = (frame[:height, :width], frame[:height, width:], frame[height:, :width], frame[height:, width:])
    return [round(float(part.mean()) / 50) for part in parts]


def quarters(width: int, height: int) -> Frame:
    frame = np.full((height, width, 3), 50, np.uint8)
    frame[: height // 2, width // 2 :] = 100
    frame[height // 2 :, : width // 2] = 150
    frame[height // 2 :, width // 2 :] = 200
    return frame


@pytest.mark.parametrize(
    ("counterclockwise", "expected"), [(90, [2, 4, 1, 3]), (180, [4, 3, 2, 1]), (270, [3, 1, 4, 2])]
)
def test_rotation_of_the_file_is_honoured(tmp_path: Path, counterclockwise: int, expected: list[int]) -> None:
    flat = make_video(tmp_path / "flat.mp4", frames=[quarters(160, 120)] * 3)
    path = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", counterclockwise, "-i", flat, "-c", "copy", path)
    clip = open_video(path)
    assert (clip.width, clip.height) == ((120, 160) if counterclockwise != 180 else (160, 120))
    assert clip.info.rotation == 360 - counterclockwise
    (frame,) = clip.read([1])
    assert frame.shape == (clip.height, clip.width, 3)
    assert corners(frame) == expected


@pytest.mark.parametrize(
    ("rotate", "expected"), [(90, [3, 1, 4, 2]), (180, [4, 3, 2, 1]), (270, [2, 4, 1, 3])]
)
@pytest.mark.parametrize("kind", ["video", "photo"])
def test_resize_then_rotate_then_crop(tmp_path: Path, rotate: int, expected: list[int], kind: str) -> None:
    if kind == "video":
        path = make_video(tmp_path / "a.mp4", frames=[quarters(162, 122)] * 2)
    else:
        path = tmp_path / "a.png"
        Image.fromarray(quarters(162, 122)).save(path)
    whole = open_video(path, MediaOptions(resize_factor=2, rotate=rotate))
    size = (61, 81) if rotate != 180 else (81, 61)
    assert (whole.width, whole.height) == size
    (frame,) = whole.read([0])
    assert corners(frame) == expected
    cut = open_video(path, MediaOptions(resize_factor=2, rotate=rotate, crop=(11, 40, 7, -1)))
    assert (cut.width, cut.height) == (size[0] - 7, 29)
    (part,) = cut.read([0])
    assert np.array_equal(part, frame[11:40, 7:])
    (small,) = cut.read([0], max_side=20)
    assert max(small.shape) == 20


def test_crop_outside_the_frame(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="160x120"):
        open_video(make_video(tmp_path / "a.mp4", frames=2), MediaOptions(crop=(0, 121, 0, -1)))


def test_reduced_frames_keep_number_and_shape(tmp_path: Path) -> None:
    clip = open_video(make_video(tmp_path / "a.mp4", frames=20))
    frames = list(clip.read([2, 7, 12, 17], max_side=64))
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert numbers(frames) == [2, 7, 12, 17]
    assert next(clip.read([0], max_side=9999)).shape == (120, 160, 3)


@pytest.mark.parametrize("size", [(161, 121), (2, 2), (1, 1), (33, 240)])
def test_odd_and_tiny_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = [np.full((size[1], size[0], 3), grey, np.uint8) for grey in (30, 200)]
    clip = open_video(make_video(tmp_path / "a.mkv", frames=frames, encode=("-c:v", "ffv1")))
    assert [frame.shape for frame in clip.read([0, 1])] == [(size[1], size[0], 3)] * 2
    assert [round(float(frame.mean())) for frame in clip.read([1, 0])] == [200, 30]


def test_pixel_aspect_ratio_rotates_with_the_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2, filters="setsar=4/3")
    assert open_video(path).info.sample_aspect_ratio == Fraction(4, 3)
    assert open_video(path, MediaOptions(rotate=90)).info.sample_aspect_ratio == Fraction(3, 4)


def test_the_delay_of_an_encoder_without_an_edit_list_is_no_picture(tmp_path: Path) -> None:
    """A fragmented MP4: its picture begins at 0.08 s, its audio at 0."""
    flags = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-shortest")
    sound = ("-f", "lavfi", "-i", "sine=d=2")
    clip = open_video(make_video(tmp_path / "a.mp4", frames=50, sound=sound, output=flags))
    assert clip.frame_count == 50
    assert numbers(clip.read(range(50))) == list(range(50))


# --- pixels ------------------------------------------------------------------------------------

PATCHES = np.array(
    [[200, 60, 60], [60, 180, 90], [70, 80, 210], [128, 128, 128], [16, 16, 16], [240, 235, 230]]
)


def patches() -> Frame:
    return np.repeat(np.repeat(PATCHES.astype(np.uint8)[None], 64, axis=0), 32, axis=1)


def patch_error(frame: Frame) -> float:
    seen = np.array([frame[20:44, 32 * k + 8 : 32 * k + 24].mean(axis=(0, 1)) for k in range(len(PATCHES))])
    return float(np.abs(seen - PATCHES).max())


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(
    ("matrix", "tag"), [("bt709", "bt709"), ("bt601", "smpte170m"), ("bt2020", "bt2020nc")]
)
@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_the_files_own_matrix_range_and_depth_give_the_true_colours(
    tmp_path: Path, pixels: str, matrix: str, tag: str, color_range: str
) -> None:
    scale = f"scale=out_color_matrix={matrix}:out_range={color_range}:flags=accurate_rnd+full_chroma_int"
    encode = ("-c:v", "ffv1", "-colorspace", tag, "-color_range", color_range)
    path = make_video(
        tmp_path / "a.mkv", frames=[patches()] * 2, filters=f"{scale},format={pixels}", encode=encode
    )
    clip = open_video(path)
    assert (clip.info.color_space, clip.info.color_range) == (tag, color_range)
    assert clip.info.bit_depth == (10 if "10" in pixels else 8)
    assert patch_error(next(clip.read([0]))) < 2.5


@pytest.mark.parametrize(("height", "matrix"), [(64, "bt601"), (720, "bt709")])
def test_untagged_colours_are_guessed_by_height(tmp_path: Path, height: int, matrix: str) -> None:
    tall = np.concatenate([patches()] * -(-height // 64))[:height]
    scale = f"scale=out_color_matrix={matrix}:out_range=tv:flags=accurate_rnd"
    filters = f"{scale},format=yuv420p,setparams=colorspace=unknown"
    path = make_video(tmp_path / "a.avi", frames=[tall], filters=filters, encode=("-c:v", "ffv1"))
    clip = open_video(path)
    assert clip.info.color_space == ""
    assert patch_error(next(clip.read([0]))) < 2.5


def test_interlaced_combs_are_removed_on_flagged_frames(tmp_path: Path) -> None:
    fields = [np.full((120, 160, 3), 30, np.uint8) for _ in range(50)]
    for k, field in enumerate(fields):
        field[:, 2 * k : 2 * k + 40] = 220
    path = make_video(
        tmp_path / "i.mp4", frames=fields, fps=50, filters="tinterlace=interleave_top", encode=INTERLACED
    )
    clip = open_video(path)
    assert clip.info.interlaced and clip.fps == 25 and clip.frame_count == 25
    frames = list(clip.read(range(25)))

    def combs(frame: Frame) -> float:
        grey = frame[..., 0].astype(int)
        return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())

    combed = np.frombuffer(run_ffmpeg("-i", path, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"), np.uint8)
    assert combs(frames[10]) < combs(combed.reshape(-1, 120, 160, 3)[10]) / 3
    for number in (12, 13, 24, 5):
        assert np.array_equal(next(clip.read([number])), frames[number])


# --- damage, closing, cancelling ---------------------------------------------------------------


def make_hole(path: Path, share: float) -> None:
    """Overwrite the end of the stream, so that the container is whole and the frames are not."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 8
    data[start + int((len(data) - start) * (1 - share)) :] = bytes(int((len(data) - start) * share) + 1)
    path.write_bytes(data[: path.stat().st_size])


def test_decoding_that_dies_says_at_what_second(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (50, 120, 160, 3), dtype=np.uint8)
    path = make_video(
        tmp_path / "a.mp4",
        frames=list(noise),
        encode=("-c:v", "png"),
        output=("-f", "mov", "-movflags", "faststart"),
    )
    make_hole(path, 0.4)
    clip = open_video(path)
    with pytest.raises(MediaError, match=r"breaks off at 1\.\d+ s"):
        list(clip.read(range(50)))
    assert len(list(clip.read(range(20)))) == 20


def test_a_missing_last_frame_is_replaced_by_the_one_before(tmp_path: Path) -> None:
    noise = [number_frame(n) for n in range(30)]
    path = make_video(
        tmp_path / "a.mov", frames=noise, encode=("-c:v", "png"), output=("-movflags", "faststart")
    )
    make_hole(path, 0.04)  # a bit more than one of 30 equal frames
    seen = numbers(open_video(path).read(range(30)))
    assert seen[:28] == list(range(28)) and seen[-1] in (27, 28)


def test_closing_early_leaves_no_process_and_no_thread(tmp_path: Path) -> None:
    clip = open_video(make_video(tmp_path / "a.mp4", frames=100))
    before = threading.active_count()
    frames = clip.read(range(100))
    next(frames)
    assert len(running_ffmpeg()) == 1
    frames.close()
    assert running_ffmpeg() == [] and threading.active_count() == before


def test_cancel_is_answered_while_ffmpeg_is_silent(tmp_path: Path) -> None:
    clip = open_video(make_video(tmp_path / "a.mp4", frames=250))
    token = CancelAtLook(20)  # more looks than there are frames on the way
    frames = clip.read(range(250), cancel=token)
    next(frames)
    (process,) = running_ffmpeg()
    process.suspend()  # a stalled disk or a frame that takes forever
    with pytest.raises(Cancelled):
        for _ in frames:
            pass
    assert token.looks == 20
    assert running_ffmpeg() == []


def test_numbers_outside_are_refused_at_once(tmp_path: Path) -> None:
    clip = open_video(make_video(tmp_path / "a.mp4", frames=4))
    for wrong in ([4], [-1]):
        with pytest.raises(IndexError):
            clip.read(wrong)
    assert list(clip.read([])) == []


def test_a_flood_of_error_messages_does_not_block(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", frames=60, encode=("-c:v", "mpeg2video", "-q:v", 2))
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(2000, len(data) - 2000, 400):
        data[place] ^= 255
    path.write_bytes(data)
    clip = open_video(path)
    with contextlib.suppress(MediaError):  # either is fine; hanging is not
        list(clip.read(range(clip.frame_count)))


def test_no_shell_ever(tmp_path: Path) -> None:
    name = "$(touch gone); `touch gone` & .mp4"
    clip = open_video(make_video(tmp_path / name, frames=2))
    assert len(list(clip.read([0, 1]))) == 2
    assert not Path("gone").exists()


def test_broadcasts_joined_byte_by_byte_have_all_their_frames(tmp_path: Path) -> None:
    """The packet at a joint is marked as damaged, and yet a frame comes of it."""
    part, joined = tmp_path / "part.ts", tmp_path / "joined.ts"
    make_video(tmp_path / "a.mp4", frames=[number_frame(number) for number in range(10)])
    run_ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", part)
    joined.write_bytes(part.read_bytes() * 3)
    clip = open_video(joined)
    assert clip.frame_count == 30
    assert [read_number(frame) for frame in clip.read(range(30))] == [*range(10)] * 3


@pytest.mark.parametrize(("seconds", "doubted"), [(4, True), (40, False)])
def test_a_low_frame_rate_that_its_own_sound_contradicts_is_doubted(
    tmp_path: Path, seconds: int, doubted: bool
) -> None:
    path = tmp_path / "a.avi"
    pattern = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=2.5:duration=40")
    run_ffmpeg(*pattern, "-f", "lavfi", "-i", f"sine=d={seconds}", "-c:v", "mjpeg", "-c:a", "pcm_s16le", path)
    warnings = open_video(path).warnings
    assert "2.5 frames/s" in warnings[0] and "fps=25" in warnings[0]
    assert any("may be wrong" in warning for warning in warnings) is doubted
    assert not open_video(path, MediaOptions(fps=25)).warnings


def test_repeated_frames_of_theora_are_read(tmp_path: Path) -> None:
    """Frames that show nothing new are empty packets."""
    stills = [number_frame(number) for number in (1, 2, 3) for _ in range(10)]
    make_video(tmp_path / "a.ogv", frames=stills, encode=("-c:v", "libtheora", "-q:v", 8))
    video = open_video(tmp_path / "a.ogv")
    assert video.frame_count == 30
    assert [read_number(frame) for frame in video.read(range(30))] == [1] * 10 + [2] * 10 + [3] * 10
    assert [read_number(frame) for frame in video.read([29, 15])] == [3, 2]
