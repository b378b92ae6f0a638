"""Whole runs on real talking-face clips: length, sound, and frames without a face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.media import open_audio, open_video, probe_audio, probe_video
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken
from lipsync.sync_score import estimate_sync, load_expert
from lipsync.training import PrepareOptions, SourceVideo
from lipsync.training.data.face_clips import read_face_clips
from lipsync.training.data.prepare import prepare
from lipsync.training.tasks.sync_expert import clip_similarity
from lipsync.weights import require

pytestmark = pytest.mark.slow

# Frame rates from 24 to 30, squares, wide and upright pictures, one and two people, sound early and late.
CLIPS = (
    "grid_s1__bbaf2n.mp4",
    "syncnet_example__example.mp4",
    "celebvhq_M2Ohb0FAaJU__M2Ohb0FAaJU_1.mp4",
    "cvs_001__001.mp4",
    "visualvoice_restaurant__noisy_restaurant.mp4",
    "latentsync_demo1__demo1_video.mp4",
    "astorfi_sample_video__sample_video.mp4",
    "vrt_1__1.mp4",
)


@pytest.mark.parametrize("name", CLIPS)
def test_a_real_clip_keeps_its_length_and_its_audio(
    name: str, clip: Callable[[str], Path], full_checkpoint: Path, tmp_path: Path
) -> None:
    source = clip(name)
    before = probe_video(source)
    options = SyncOptions.from_flat(variant="wav2lip", weights=full_checkpoint, length_mode="picture")
    result = lipsync.sync(source, source, options, output=tmp_path / "out.mp4")

    after = probe_video(result.path)
    assert (after.frame_count, after.fps) == (before.frame_count, before.fps)
    assert (after.width, after.height) == (before.width + before.width % 2, before.height + before.height % 2)
    assert result.frames_synced >= 0.9 * result.frames
    sounds = [open_audio(path).read(cancel=CancelToken()).samples for path in (source, result.path)]
    count = min(map(len, sounds))
    assert probe_audio(result.path).sample_rate == probe_audio(source).sample_rate
    assert np.corrcoef(sounds[0][:count], sounds[1][:count])[0, 1] > 0.98

    shown, made = (
        next(iter(open_video(path).read([before.frame_count // 2]))).astype(int)
        for path in (source, result.path)
    )
    change = np.abs(shown - made[: shown.shape[0], : shown.shape[1]]).max(axis=-1)
    assert np.median(change) <= 4  # most of the frame is only encoded anew
    assert change.max() > 40  # and the mouth is painted by random weights


KNOWN_OFFSETS = {  # frames by which the sound comes early; the first is what SyncNet itself reads
    "syncnet_example__example": 3,
    "syncnet_example__test_offset_5": -2,
    "syncnet_example__test_offset_12": -9,
    "obama__uncrop_Obama": -6,
}


@pytest.mark.parametrize(("name", "early"), KNOWN_OFFSETS.items())
def test_the_expert_that_ships_finds_known_offsets(
    name: str, early: int, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    prepare([SourceVideo(clip(f"{name}.mp4"), "someone", "test")], tmp_path, PrepareOptions(workers=1))
    found = estimate_sync(clip_similarity(load_expert(require("expert")), read_face_clips(tmp_path)[0]))
    assert found is not None
    assert found.offset == early and found.confidence > 0.1
