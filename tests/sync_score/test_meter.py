from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest
import torch

from lipsync.faces.trajectory import pad_boxes
from lipsync.media import YuvFrame
from lipsync.media.audio.mel import mel_spectrogram
from lipsync.options import FaceOptions
from lipsync.sync_score import (
    CompactSyncNet,
    CompactSyncNetConfig,
    SyncExpert,
    SyncMeter,
    crop_lower_face,
    embed_clip,
    similarity_by_offset,
    with_default_pads,
)
from lipsync.sync_score.streaming_embed import AudioEmbedder, FaceEmbedder
from lipsync.types import AudioClip, FloatArray, Frame, PixelBox, SyncScore, Verdict
from tests.sync_score.fakes import BOX, COLORS, LevelExpert, make_frames, make_levels, make_voice


def measure(
    frames: Iterable[YuvFrame], voice: AudioClip, fps: Fraction | float = 25, expert: SyncExpert | None = None
) -> SyncScore:
    meter = SyncMeter(expert or LevelExpert(), voice, fps)
    for number, frame in enumerate(frames):
        meter.update(number / float(fps), frame, BOX)
    return meter.result()


@pytest.mark.parametrize("early", [-15, -7, -1, 0, 1, 4, 15])
def test_the_offset_is_found(early: int) -> None:
    """Audio that is `early` frames early: frame i belongs to the audio at i - early."""
    levels = make_levels(250)
    score = measure(make_frames(levels[15:235]), make_voice(levels[15 + early : 235 + early]))
    assert score.offset == early
    assert score.offset_ms == pytest.approx(40 * early, abs=20)
    assert score.verdict is (Verdict.GOOD if -4 <= early <= 2 else Verdict.OFF)
    assert score.windows == 216


def test_better_sync_scores_better() -> None:
    levels, other = make_levels(200), make_levels(200, seed=9)
    blurred = 0.5 * levels + 0.5 * other
    good, fair, poor = (measure(make_frames(seen), make_voice(levels)) for seen in (levels, blurred, other))
    assert good.confidence and fair.confidence and poor.confidence
    assert good.confidence > fair.confidence > poor.confidence
    assert good.distance and fair.distance and good.distance < fair.distance
    assert (good.verdict, poor.verdict) == (Verdict.GOOD, Verdict.POOR)


def test_streaming_matches_embedding_the_whole_clip() -> None:
    """A real network: batches of 64 frames and 256 audio windows against all in one."""
    torch.manual_seed(0)
    expert = CompactSyncNet(CompactSyncNetConfig(width=8, seen=16, size=24)).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (300, 48, 96, 3), dtype=np.uint8)
    voice = make_voice(make_levels(300))
    mel = mel_spectrogram(voice)
    starts = np.floor(np.arange(296) * 3.2 + 1e-6).astype(int)
    whole = similarity_by_offset(
        *embed_clip(expert, pictures, np.stack([mel[:, start : start + 16] for start in starts]))
    )
    faces, sound = FaceEmbedder(expert), AudioEmbedder(expert, voice)
    assert sound.count == 296
    blocks = [faces.push(number, picture) for number, picture in enumerate(pictures)]
    found = [block for block in (*blocks, faces.flush()) if block]
    assert [first for first, _ in found] == [0, 60, 120, 180, 240]
    table = np.concatenate([sound.similarity(*block) for block in found])
    np.testing.assert_allclose(table, whole, atol=1e-5)


@pytest.mark.parametrize("samples", [0, 100, 2999, 3000, 3200, 6400, 16_000, 16_001])
def test_only_windows_within_the_audio_count(samples: int) -> None:
    voice = AudioClip(np.random.default_rng(0).normal(size=samples).astype(np.float32))
    columns = 1 + samples // 200
    expected = sum(1 for number in range(1000) if int(number * 3.2 + 1e-6) + 16 <= columns)
    sound = AudioEmbedder(LevelExpert(), voice)
    assert sound.count == expected
    known = ~np.isnan(sound.similarity(0, np.ones((100, 10), np.float32))[:, 15])
    assert np.flatnonzero(known).tolist() == list(range(expected))


@pytest.mark.parametrize("fps", [12.5, 24, Fraction(30000, 1001), 30, 50, 60])
def test_any_frame_rate_gives_the_same_score(fps: float) -> None:
    levels = make_levels(200)
    shown = np.minimum(np.arange(int(8 * fps)) * 25 / float(fps) + 1e-6, 199).astype(int)
    pictures = make_frames(levels)
    expert = LevelExpert()
    score = measure((pictures[number] for number in shown), make_voice(levels), fps, expert)
    assert score.verdict is Verdict.GOOD and score.offset in (0, 1)  # shown frames are never newer
    assert abs(score.windows - 196) <= 2
    assert expert.windows_seen <= 1.15 * 200  # no more than those of 25 a second
    if fps == 50:
        assert score == measure(pictures, make_voice(levels))


def test_frames_without_a_face_split_the_windows() -> None:
    levels = make_levels(200)
    meter = SyncMeter(LevelExpert(), make_voice(levels), 25)
    for number, frame in enumerate(make_frames(levels)):
        meter.update(number / 25, frame, None if 50 <= number < 60 or number == 120 else BOX)
    score = meter.result()
    assert score.windows == (50 - 4) + (60 - 4) + (79 - 4)
    assert score.offset == 0


def test_a_face_that_jumps_splits_the_windows() -> None:
    levels = make_levels(200)
    meter = SyncMeter(LevelExpert(), make_voice(levels), 25)
    for number, frame in enumerate(make_frames(levels)):
        by = 3 * number / 10 if number < 100 else 60  # it drifts, then jumps
        meter.update(number / 25, frame, (by, 5, by + 50, 55))
    assert meter.result().windows == 2 * 96


def test_skipped_frames_split_the_windows_and_repeated_frames_count_once() -> None:
    levels = make_levels(200)
    meter = SyncMeter(LevelExpert(), make_voice(levels), 25)
    pictures = make_frames(levels)
    for number in (*range(100), *range(99, 50, -1), *range(50, 90), *range(110, 200)):
        meter.update(number / 25, pictures[number], BOX)
    score = meter.result()
    assert score.windows == 96 + 86
    assert score.offset == 0


def test_frames_are_not_kept() -> None:
    levels = make_levels(150)
    meter = SyncMeter(LevelExpert(), make_voice(levels), 25)
    for number, frame in enumerate(make_frames(levels)):
        meter.update(number / 25, frame, BOX)
        frame.y[:] = 0
    assert meter.result().verdict is Verdict.GOOD


@pytest.mark.parametrize("box", [(20, 30, 70, 90), (-8.5, 40.2, 60.3, 131.7), (100.4, 2.5, 119.9, 17.5)])
def test_only_the_lower_half_of_the_face_becomes_rgb(
    box: tuple[float, float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the result of a full conversion; frames above 25 a second are partly not converted at all."""
    random = np.random.default_rng(0)
    frame = YuvFrame.from_rgb(random.integers(0, 256, (120, 130, 3), dtype=np.uint8), COLORS)
    crops: list[Frame] = []
    shapes: list[tuple[int, ...]] = []
    whole_rgb = YuvFrame.to_rgb

    def to_rgb(self: YuvFrame, part: PixelBox | None = None) -> Frame:
        found = whole_rgb(self, part)
        shapes.append(found.shape)
        return found

    def push(self: FaceEmbedder, number: int, crop: Frame) -> None:
        crops.append(crop)

    monkeypatch.setattr(YuvFrame, "to_rgb", to_rgb)
    monkeypatch.setattr(FaceEmbedder, "push", push)
    meter = SyncMeter(LevelExpert(), make_voice(make_levels(10)), 50)
    for number in range(4):
        meter.update(number / 50, frame, box)
    assert len(crops) == len(shapes) == 2
    assert all(height <= (box[3] - box[1]) / 2 + 7 for height, *_ in shapes)
    for crop in crops:
        np.testing.assert_array_equal(crop, crop_lower_face(whole_rgb(frame), box))


@pytest.mark.parametrize("seconds", [0, 0.1, 1.0, 1.9])
def test_short_video_has_no_figures(seconds: float) -> None:
    levels = make_levels(int(25 * seconds))
    score = measure(make_frames(levels), make_voice(levels))
    assert score.verdict is Verdict.TOO_SHORT
    assert score.confidence is score.distance is score.offset is None
    assert "Too short to judge" in score.words


def test_video_without_face_or_audio_has_no_figures() -> None:
    levels = make_levels(200)
    meter = SyncMeter(LevelExpert(), make_voice(levels), 25)
    for number, frame in enumerate(make_frames(levels)):
        meter.update(number / 25, frame, None)
    assert meter.result().verdict is Verdict.TOO_SHORT
    for sound in (np.zeros(0, np.float32), np.zeros(200 * 640, np.float32)):
        assert measure(make_frames(levels), AudioClip(sound)).verdict is Verdict.TOO_SHORT


def test_three_seconds_cannot_prove_a_wrong_voice() -> None:
    """Proving that lips and voice disagree takes more video than proving that they agree."""
    wrong = make_voice(make_levels(200, seed=5))
    assert measure(make_frames(make_levels(75)), wrong).verdict is Verdict.TOO_SHORT
    assert measure(make_frames(make_levels(200)), wrong).verdict is Verdict.POOR


def test_a_mouth_that_never_moves_is_poor() -> None:
    still = np.full(200, 0.5, np.float32)
    score = measure(make_frames(still), make_voice(make_levels(200)))
    assert score.verdict is Verdict.POOR


def boxes_with(options: FaceOptions) -> tuple[FloatArray, FloatArray]:
    plain = np.array([[300, 200, 420, 380], [np.nan] * 4, [310.5, 205.25, 428, 390]])
    return tuple(pad_boxes(plain, (1280, 720), o).astype(np.float32) for o in (options, FaceOptions()))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "options",
    [
        FaceOptions(),
        FaceOptions(pad_top=10, pad_bottom=30, pad_left=-20, pad_right=40),
        FaceOptions(pads_px=(0, 10, 3, 0), pad_bottom=0),
    ],
)
def test_user_pads_are_removed(options: FaceOptions) -> None:
    given, default = boxes_with(options)
    np.testing.assert_allclose(with_default_pads(given, (1280, 720), options), default, atol=1e-3)


def test_pads_that_removed_everything_still_give_a_box() -> None:
    options = FaceOptions(pad_top=-50, pad_bottom=-50, pad_left=-50, pad_right=-50)
    boxes = with_default_pads(boxes_with(options)[0], (1280, 720), options)
    known = boxes[~np.isnan(boxes[:, 0])]
    assert len(known) == 2 and (known[:, 2:] > known[:, :2]).all()


def test_a_fixed_box_is_returned_unchanged() -> None:
    boxes = np.array([[1, 2, 30, 40]], np.float32)
    assert with_default_pads(boxes, (100, 100), FaceOptions(box=(2, 40, 1, 30))) is boxes
