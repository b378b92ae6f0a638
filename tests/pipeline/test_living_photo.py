"""A photo that lives: what moves, what stays, and that it does so the same way every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync import SyncOptions, sync
from lipsync.media import open_audio, open_video
from lipsync.pipeline.audio_conditioning import SpeakerAudio
from lipsync.pipeline.living_photo import bring_to_life
from lipsync.pipeline.photo_motion import plan_motion
from lipsync.pipeline.stages import RenderPlan, Speaker
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FaceTrack
from tests.material import FACE, VOICE, make_head, make_voice

FPS = 25.0


def syllables(*times: float, seconds: float = 8.0) -> AudioClip:
    """Loud syllables in a quiet murmur."""
    clock = np.arange(int(seconds * 16_000)) / 16_000
    loud = 0.05 + sum(np.exp(-0.5 * ((clock - time) / 0.08) ** 2) for time in times)
    return AudioClip((0.3 * loud * np.sin(2 * np.pi * 180 * clock)).astype(np.float32), 16_000)


def test_the_head_nods_at_loud_syllables() -> None:
    motion = plan_motion(syllables(2.0, 4.0, 6.0), FPS, np.ones(200), 1.0, seed=1)
    still = plan_motion(syllables(), FPS, np.ones(200), 1.0, seed=1)
    nods = motion.poses[:, 4] - still.poses[:, 4]
    for time in (2.0, 4.0, 6.0):
        frame = round(time * FPS)
        assert nods[frame - 2 : frame + 3].max() > nods[[frame - 20, frame + 20]].max() + 0.015


def test_blinks_are_short_and_two_to_six_seconds_apart() -> None:
    for seed in range(5):
        closed = plan_motion(syllables(seconds=40), FPS, np.ones(1000), 0.5, seed).closures > 0
        starts = np.flatnonzero(np.diff(closed.astype(int)) == 1) + 1
        ends = np.flatnonzero(np.diff(closed.astype(int)) == -1) + 1
        assert len(starts) >= 6 and all(2.0 <= gap <= 6.1 for gap in np.diff(starts) / FPS)
        assert all(4 <= length <= 6 for length in ends - starts[: len(ends)])


def test_movement_is_small_smooth_and_begins_at_rest() -> None:
    voice = open_audio(VOICE).read(16_000)
    one, half = (plan_motion(voice, FPS, np.ones(150), size, seed=3).poses for size in (1.0, 0.5))
    assert not one[0].any() and np.allclose(half, one / 2, atol=1e-6)
    assert np.abs(one).max() < 0.06 and np.abs(np.diff(one, axis=0)).max() < 0.012
    silent = plan_motion(AudioClip(np.zeros(16_000, np.float32), 16_000), FPS, np.ones(25), 1.0, seed=3)
    assert np.isfinite(silent.poses).all()


def frames(path: Path) -> list[np.ndarray]:  # type: ignore[type-arg]
    video = open_video(path)
    return list(video.read(np.arange(video.frame_count)))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=1.6)


def run(source: Path, voice: Path, output: Path, **settings: object) -> list[np.ndarray]:  # type: ignore[type-arg]
    options = SyncOptions.from_flat(variant="builtin", score=False, fps=12.5, quality=0, **settings)
    sync(source, voice, options, output=output)
    return frames(output)


def test_a_photo_lives_and_its_background_stays(voice: Path, tmp_path: Path) -> None:
    living = run(FACE, voice, tmp_path / "living.mp4", liveliness=1.0)
    first = living[0].astype(float)
    moved = np.mean([np.abs(frame - first) for frame in living[8:]], axis=0).mean(2)
    assert moved[90:120, 170:270].mean() > 3  # eyes and forehead
    assert moved[:, 360:].max() == moved[300:].max() == 0


def test_without_the_setting_only_the_lips_move(voice: Path, tmp_path: Path) -> None:
    still = run(FACE, voice, tmp_path / "still.mp4")
    first = still[0].astype(float)
    moved = np.mean([np.abs(frame - first) for frame in still[8:]], axis=0).mean(2)
    assert moved[90:120, 170:270].max() == 0 < moved[145:165, 205:245].mean()


def test_a_video_is_left_as_it_is(tmp_path: Path) -> None:
    voice = make_voice(tmp_path / "voice.wav", seconds=0.5)
    head = make_head(tmp_path / "head.mp4", parts=[0.5])
    run(head, voice, tmp_path / "with.mp4", liveliness=1.0, provenance="metadata")
    run(head, voice, tmp_path / "without.mp4", provenance="metadata")
    assert (tmp_path / "with.mp4").read_bytes() == (tmp_path / "without.mp4").read_bytes()


def speaker(box: list[float], points: list[list[float]] | None, frames: int) -> Speaker:
    boxes = np.array([box], np.float32)
    known = np.full((1, 5, 2), np.nan, np.float32) if points is None else np.array([points], np.float32)
    audio = SpeakerAudio(np.zeros((frames, 2), np.float32), np.ones(frames, np.float32))
    return Speaker(FaceTrack(boxes, known, np.ones(1, np.float32)), (), audio, boxes)


def test_boxes_and_points_move_with_the_faces_they_are_of() -> None:
    """One face as detected, one where the user says, and somebody who is not in the photo."""
    video, frames = open_video(FACE), 100
    points = [[206.0, 100], [249, 105], [226, 126], [205, 143], [241, 147]]
    speakers = (
        speaker([181, 59, 273, 177], points, frames),
        speaker([181, 59, 273, 177], None, frames),
        speaker([np.nan] * 4, None, frames),
    )
    plan = RenderPlan(video, np.zeros(frames, np.int64), speakers, None)  # type: ignore[arg-type]
    living = bring_to_life(plan, syllables(1.0, 2.0, 3.0), 1.0, CancelToken())
    assert list(living.timeline) == list(range(frames)) and living.video.width == video.width
    one, fixed, missing = (speaker.track for speaker in living.speakers)
    moved = one.points - one.points[0]
    assert np.array_equal(one.points[0], np.float32(points)) and np.abs(moved).max() > 2
    np.testing.assert_allclose(one.boxes - one.boxes[0], np.tile(moved.mean(1), 2), atol=1e-3)
    assert np.abs(fixed.boxes - fixed.boxes[0]).max() > 1 and np.isnan(fixed.points).all()
    assert not missing.present.any() and len(missing) == frames
    assert bring_to_life(plan, syllables(1.0), 0.0, CancelToken()) is plan
    again = bring_to_life(plan, syllables(1.0, 2.0, 3.0), 1.0, CancelToken())
    for one_frame, same in zip(living.video.read_yuv([40, 70]), again.video.read_yuv([40, 70]), strict=True):
        assert np.array_equal(one_frame.y, same.y) and np.array_equal(one_frame.u, same.u)
