from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.signal import medfilt
from torch import Tensor

from lipsync.errors import Cancelled, InputError, MediaError
from lipsync.media import YuvFrame
from lipsync.metrics.lse import LseScore
from lipsync.metrics.lse_tracks import (
    TrackOptions,
    TrackScore,
    crop_like_reference,
    evaluate_frames,
    evaluate_tracks,
    mean_lse,
)
from lipsync.progress import CancelToken, Progress
from lipsync.types import Face, Frame
from tests.make_media import make_video, run_ffmpeg
from tests.sync_score.fakes import COLORS, make_levels, make_voice


class MeanNetwork:
    """A fake SyncNet that records its input."""

    concurrent_batches = 1

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def embed_faces(self, frames: Tensor) -> Tensor:
        self.inputs.append(frames)
        return frames.float().mean((1, 2)).unfold(0, 5, 1).flatten(1)

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        return mfcc.mean((1, 2)).repeat(1, 2)[:, :15]


class WhiteSpots:
    """A fake detector: finds squares of full red."""

    batch_size = 8

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        return [self._faces(frame) for frame in frames]

    def _faces(self, frame: Frame) -> list[Face]:
        spots = (frame[..., 0] > 200).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(spots)
        boxes = [np.array([x, y, x + w, y + h], np.float32) for x, y, w, h, area in stats[1:] if area > 300]
        return [Face(box, 0.9) for box in boxes]


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s at 30 a second: a face on the left all along, one on the right at 0-5 s and 7-12 s.

    The loudness is the brightness of the left one.
    """
    levels = make_levels(300)
    checks = np.kron(
        np.indices((6, 8)).sum(0) % 2, np.ones((40, 40))
    )  # else an appearing face would count as a cut
    room = np.stack([np.full((240, 320), 40), 255 * checks, 255 * checks], axis=2).astype(np.uint8)
    frames = []
    for number in range(360):
        frame = room.copy()
        grey = round(255 * float(levels[number * 25 // 30]))
        frame[60:180, 20:140] = (255, grey, grey)
        if not 150 <= number < 210:
            frame[60:180, 180:300] = (255, 60 + number % 90, 90)
        frames.append(frame)
    folder = tmp_path_factory.mktemp("tracks")
    sound = make_voice(levels).samples
    raw = ("-f", "f32le", "-ar", 16_000, "-ac", 1, "-i", "pipe:")
    run_ffmpeg(*raw, folder / "voice.wav", data=sound.tobytes())
    coded = ("-c:v", "libx264", "-pix_fmt", "yuv444p", "-crf", 5)
    return make_video(
        folder / "two.mkv", frames=frames, fps=30, encode=coded, sound=("-i", folder / "voice.wav")
    )


def test_every_face_track_has_a_score(two_faces: Path) -> None:
    reports: list[Progress] = []
    options = TrackOptions(min_side=50, detect_size=160)  # boxes are scaled back
    rows = evaluate_tracks(two_faces, MeanNetwork(), WhiteSpots(), options, progress=reports.append)
    found = [(row.track, round(row.start, 1), round(row.end, 1)) for row in rows]
    assert found == [(0, 0.0, 12.0), (1, 0.0, 5.0), (2, 7.0, 12.0)] or found == [
        (0, 0.0, 5.0),
        (1, 0.0, 12.0),
        (2, 7.0, 12.0),
    ]
    left = next(row for row in rows if row.end - row.start > 10)
    assert left.box is not None and np.abs(np.array(left.box) - (20, 60, 140, 180)).max() <= 3
    assert left.score.windows == 295
    assert all(115 <= row.score.windows <= 125 for row in rows if row is not left)
    assert {report.stage for report in reports} == {"Finding faces", "Measuring lip sync"}
    assert all(report.done <= report.total for report in reports)


def test_short_and_small_tracks_are_left_out(two_faces: Path) -> None:
    network = MeanNetwork()
    long = evaluate_tracks(two_faces, network, WhiteSpots(), TrackOptions(min_frames=200, min_side=50))
    assert [round(row.end - row.start) for row in long] == [12]
    assert evaluate_tracks(two_faces, network, WhiteSpots(), TrackOptions(min_side=125)) == []


def test_lse_gets_the_crops_of_the_reference(two_faces: Path) -> None:
    network = MeanNetwork()
    options = TrackOptions(min_frames=200, min_side=50)
    [row] = evaluate_tracks(two_faces, network, WhiteSpots(), options)
    assert row.score.windows == 300 - 5
    crop = network.inputs[0][0].numpy()
    assert crop.shape == (224, 224, 3)
    # Half a face is 60: from 60 above the middle to 108 below, and 84 to either side.
    red = crop[..., 0] > 200
    assert red[3 : round(224 * 120 / 168) - 3, round(224 * 24 / 168) + 3 : round(224 * 144 / 168) - 3].all()
    assert not red[round(224 * 120 / 168) + 3 :].any()
    assert not red[:, : round(224 * 24 / 168) - 3].any()


def test_crops_are_grey_outside_the_frame() -> None:
    random = np.random.default_rng(0)
    noise = (random.integers(0, 256, (100, 120, 3), dtype=np.uint8) for _ in range(30))
    frames = [YuvFrame.from_rgb(frame, COLORS) for frame in noise]
    corners = np.cumsum(random.normal(0, 4, (30, 2)), axis=0) + np.array([-6, -4])
    boxes = np.concatenate([corners, corners + random.uniform(45, 60, (30, 2))], axis=1)
    crops = list(crop_like_reference(frames, boxes))
    size, x, y = (
        medfilt(values, 13)
        for values in (
            (boxes[:, 2:] - boxes[:, :2]).max(1) / 2,
            (boxes[:, 0] + boxes[:, 2]) / 2,
            (boxes[:, 1] + boxes[:, 3]) / 2,
        )
    )
    for number, frame in enumerate(frames):
        edge = int(1.8 * size[number])
        padded = np.pad(frame.to_rgb(), ((edge, edge), (edge, edge), (0, 0)), constant_values=110)
        my, mx, half = y[number] + edge, x[number] + edge, size[number]
        whole = padded[int(my - half) : int(my + 1.8 * half), int(mx - 1.4 * half) : int(mx + 1.4 * half)]
        np.testing.assert_array_equal(crops[number], cv2.resize(whole, (224, 224)))


def test_whole_frames(two_faces: Path) -> None:
    network = MeanNetwork()
    row = evaluate_frames(two_faces, network)
    assert (row.box, row.track, row.score.windows) == (None, 0, 295)
    assert round(row.end) == 12


def test_videos_that_cannot_be_scored_raise(tmp_path: Path, two_faces: Path) -> None:
    silent = make_video(tmp_path / "silent.mp4", frames=10)
    with pytest.raises(MediaError):
        evaluate_tracks(silent, MeanNetwork(), WhiteSpots())
    short = make_video(tmp_path / "short.mp4", frames=4, sound=("-f", "lavfi", "-i", "sine=d=0.16"))
    with pytest.raises(InputError, match="too short for LSE"):
        evaluate_frames(short, MeanNetwork())
    assert evaluate_tracks(short, MeanNetwork(), WhiteSpots()) == []


def test_tracks_after_the_end_of_the_audio_are_left_out(tmp_path: Path, two_faces: Path) -> None:
    cut = tmp_path / "cut.mkv"
    run_ffmpeg("-i", two_faces, "-c:v", "copy", "-af", "atrim=end=6", "-c:a", "flac", cut)
    rows = evaluate_tracks(cut, MeanNetwork(), WhiteSpots(), TrackOptions(min_side=50))
    assert sorted(row.score.windows for row in rows) == [120, 145]


def test_it_can_be_stopped(two_faces: Path) -> None:
    cancel = CancelToken()
    network = MeanNetwork()

    def stop(report: Progress) -> None:
        if report.stage == "Measuring lip sync" and report.done:
            cancel.cancel()

    with pytest.raises(Cancelled):
        evaluate_tracks(
            two_faces,
            network,
            WhiteSpots(),
            TrackOptions(min_side=50),
            progress=stop,
            cancel=cancel,
        )


def test_mean_over_tracks() -> None:
    scores = LseScore(8.0, 4.0, 2, 100), LseScore(6.0, 8.0, -1, 300)
    rows = [TrackScore(Path("a.mp4"), n, 0, 1, None, score) for n, score in enumerate(scores)]
    assert mean_lse(rows) == LseScore(6.5, 7.0, -1, 400)
    assert mean_lse([]) is None
