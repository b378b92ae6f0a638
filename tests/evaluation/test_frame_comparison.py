from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import InputError
from lipsync.evaluation.frame_comparison import RegionMetric, compare, drawn_parts, in_step
from lipsync.media import open_video, plan_timeline
from lipsync.options import BlendOptions, FaceOptions
from lipsync.registries import METRICS
from tests.make_media import make_video, read_number
from tests.material import make_head

LOSSLESS = ("-c:v", "ffv1", "-pix_fmt", "bgr0")


def watched() -> dict[str, RegionMetric]:
    found = {"psnr": RegionMetric(METRICS.create("psnr")), "ssim": RegionMetric(METRICS.create("ssim"))}
    places = {f"{name}_{where}": where for name in found for where in ("inside", "outside")}
    return found | {key: RegionMetric(METRICS.create(key[:4]), where) for key, where in places.items()}


def test_a_copy_is_perfect(tmp_path: Path) -> None:
    picture = open_video(make_head(tmp_path / "head.mp4", parts=[0.4]))
    inside = drawn_parts(picture, FaceOptions(), BlendOptions())
    found = compare(picture, picture, in_step(picture, picture), watched(), inside)
    assert found == {key: np.inf if "psnr" in key else 1.0 for key in watched()}


def test_what_changes_inside_does_not_count_outside(tmp_path: Path) -> None:
    head = open_video(make_head(tmp_path / "head.mp4", parts=[0.4]))
    inside = drawn_parts(head, FaceOptions(), BlendOptions())
    changed = []
    for number, frame in enumerate(head.read(np.arange(head.frame_count))):
        frame[inside(number, frame)] = 0
        changed.append(frame)
    result = open_video(make_video(tmp_path / "changed.mkv", frames=changed, encode=LOSSLESS))
    found = compare(result, head, in_step(result, head), watched(), inside)
    assert found["psnr_outside"] == np.inf
    assert found["ssim_outside"] == 1.0
    assert found["psnr_inside"] < found["psnr"] < 30


def test_where_a_mouth_is_drawn(tmp_path: Path) -> None:
    """Somewhere in the lower half of the face; nowhere in frames without one."""
    picture = open_video(make_head(tmp_path / "head.mp4", parts=[0.6, -0.6]))
    inside = drawn_parts(picture, FaceOptions(detect_every=1), BlendOptions())
    frames = list(picture.read([0, 25]))
    rows = np.flatnonzero(inside(0, frames[0]).any(1))
    assert 100 < rows[0] < rows[-1] < 239
    assert not inside(25, frames[1]).any()


def test_no_face_at_all(tmp_path: Path) -> None:
    picture = open_video(make_head(tmp_path / "none.mp4", parts=[-0.4]))
    inside = drawn_parts(picture, FaceOptions(), BlendOptions())
    found = compare(picture, picture, in_step(picture, picture), watched(), inside)
    assert found["psnr_outside"] == np.inf
    assert np.isnan(found["psnr_inside"])


def test_frames_in_step(tmp_path: Path) -> None:
    """By the timeline of a run, or by time where the rates differ."""
    source = open_video(make_video(tmp_path / "a.mp4", frames=10, fps=25))
    twice = open_video(make_video(tmp_path / "b.mp4", frames=24, fps=50))
    assert in_step(twice, source).tolist() == [n // 2 for n in range(20)]
    timeline = plan_timeline(10, 0.8, source.fps, "pingpong")
    assert in_step(twice, source, timeline).tolist() == [*range(10), *range(8, -1, -1), 1]
    shorter = open_video(make_video(tmp_path / "c.mp4", frames=8, fps=25))
    assert in_step(shorter, source, timeline).tolist() == list(range(8))
    shown = [read_number(frame) for frame in source.read(in_step(twice, source))]
    assert shown == in_step(twice, source).tolist()


def test_a_row_more_for_an_even_size_is_left_out(tmp_path: Path) -> None:
    odd = [np.full((61, 81, 3), 90, np.uint8)] * 3
    even = [np.full((62, 82, 3), 90, np.uint8)] * 3
    for frame in even:
        frame[61:], frame[:, 81:] = 0, 0
    one = open_video(make_video(tmp_path / "odd.mkv", frames=odd, encode=LOSSLESS))
    other = open_video(make_video(tmp_path / "even.mkv", frames=even, encode=LOSSLESS))
    found = compare(other, one, in_step(other, one), {"psnr": RegionMetric(METRICS.create("psnr"))})
    assert found["psnr"] == np.inf


def test_other_sizes_are_told(tmp_path: Path) -> None:
    small = open_video(make_video(tmp_path / "a.mp4", frames=2))
    large = open_video(make_video(tmp_path / "b.mp4", frames=2, size=(320, 240)))
    with pytest.raises(InputError, match="320x240 and 160x120"):
        compare(large, small, in_step(large, small), {})
