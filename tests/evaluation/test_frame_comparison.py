from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import InputError
from lipsync.evaluation.frame_comparison import RegionMetric, compare_frames, generated_region, match_frames
from lipsync.media import open_video, plan_timeline
from lipsync.options import BlendOptions, FaceOptions
from lipsync.registries import METRICS
from tests.make_media import make_video, read_number
from tests.material import make_head

LOSSLESS = ("-c:v", "ffv1", "-pix_fmt", "bgr0")


def region_metrics() -> dict[str, RegionMetric]:
    found = {"psnr": RegionMetric(METRICS.create("psnr")), "ssim": RegionMetric(METRICS.create("ssim"))}
    regions = {f"{name}_{region}": region for name in found for region in ("inside", "outside")}
    return found | {key: RegionMetric(METRICS.create(key[:4]), region) for key, region in regions.items()}


def test_a_copy_is_perfect(tmp_path: Path) -> None:
    picture = open_video(make_head(tmp_path / "head.mp4", parts=[0.4]))
    region = generated_region(picture, FaceOptions(), BlendOptions())
    found = compare_frames(picture, picture, match_frames(picture, picture), region_metrics(), region)
    assert found == {key: np.inf if "psnr" in key else 1.0 for key in region_metrics()}


def test_changes_inside_do_not_count_outside(tmp_path: Path) -> None:
    head = open_video(make_head(tmp_path / "head.mp4", parts=[0.4]))
    region = generated_region(head, FaceOptions(), BlendOptions())
    changed = []
    for number, frame in enumerate(head.read(np.arange(head.frame_count))):
        frame[region(number, frame)] = 0
        changed.append(frame)
    result = open_video(make_video(tmp_path / "changed.mkv", frames=changed, encode=LOSSLESS))
    found = compare_frames(result, head, match_frames(result, head), region_metrics(), region)
    assert found["psnr_outside"] == np.inf
    assert found["ssim_outside"] == 1.0
    assert found["psnr_inside"] < found["psnr"] < 30


def test_the_generated_region(tmp_path: Path) -> None:
    """In the lower half of the face; empty in frames without one."""
    picture = open_video(make_head(tmp_path / "head.mp4", parts=[0.6, -0.6]))
    region = generated_region(picture, FaceOptions(detect_every=1), BlendOptions())
    frames = list(picture.read([0, 25]))
    rows = np.flatnonzero(region(0, frames[0]).any(1))
    assert 100 < rows[0] < rows[-1] < 239
    assert not region(25, frames[1]).any()


def test_no_face_at_all(tmp_path: Path) -> None:
    picture = open_video(make_head(tmp_path / "none.mp4", parts=[-0.4]))
    region = generated_region(picture, FaceOptions(), BlendOptions())
    found = compare_frames(picture, picture, match_frames(picture, picture), region_metrics(), region)
    assert found["psnr_outside"] == np.inf
    assert np.isnan(found["psnr_inside"])


def test_matching_frames(tmp_path: Path) -> None:
    """By the timeline of a run, or by time if the rates differ."""
    source = open_video(make_video(tmp_path / "a.mp4", frames=10, fps=25))
    twice = open_video(make_video(tmp_path / "b.mp4", frames=24, fps=50))
    assert match_frames(twice, source).tolist() == [n // 2 for n in range(20)]
    timeline = plan_timeline(10, 0.8, source.fps, "pingpong")
    assert match_frames(twice, source, timeline).tolist() == [*range(10), *range(8, -1, -1), 1]
    shorter = open_video(make_video(tmp_path / "c.mp4", frames=8, fps=25))
    assert match_frames(shorter, source, timeline).tolist() == list(range(8))
    shown = [read_number(frame) for frame in source.read(match_frames(twice, source))]
    assert shown == match_frames(twice, source).tolist()


def test_the_row_that_an_even_size_adds_is_left_out(tmp_path: Path) -> None:
    odd = [np.full((61, 81, 3), 90, np.uint8)] * 3
    even = [np.full((62, 82, 3), 90, np.uint8)] * 3
    for frame in even:
        frame[61:], frame[:, 81:] = 0, 0
    one = open_video(make_video(tmp_path / "odd.mkv", frames=odd, encode=LOSSLESS))
    other = open_video(make_video(tmp_path / "even.mkv", frames=even, encode=LOSSLESS))
    found = compare_frames(
        other, one, match_frames(other, one), {"psnr": RegionMetric(METRICS.create("psnr"))}
    )
    assert found["psnr"] == np.inf


def test_other_sizes_are_refused(tmp_path: Path) -> None:
    small = open_video(make_video(tmp_path / "a.mp4", frames=2))
    large = open_video(make_video(tmp_path / "b.mp4", frames=2, size=(320, 240)))
    with pytest.raises(InputError, match="320x240 and 160x120"):
        compare_frames(large, small, match_frames(large, small), {})
