"""The sync score of real people, by the shipped expert."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sync_score import Material, embed
from lipsync.faces import DETECTORS, VideoShape, track_faces
from lipsync.media import open_audio, open_video
from lipsync.options import FaceOptions, MediaOptions
from lipsync.progress import StageProgress
from lipsync.sync_score import SyncExpert, SyncMeter, load_expert
from lipsync.types import FaceTrack, Verdict
from lipsync.weights import require

pytestmark = pytest.mark.slow
Clip = Callable[[str], Path]

# People whom the expert was not trained on: frames by which their audio is early.
OFFSETS = {
    "syncnet_example__example.mp4": 3,
    "obama__obama.mp4": -1,
    "pcavs_00086__00086.mp4": -1,
}
SECONDS = 7  # of 5, a large shift of the audio leaves too little for a verdict


@pytest.fixture(scope="module")
def expert() -> SyncExpert:
    return load_expert(require("expert"))


@cache
def find_face(path: Path, fps: float) -> FaceTrack:
    picture = open_video(path, MediaOptions(fps=fps))
    count = min(picture.frame_count, int(SECONDS * picture.fps))
    return track_faces(
        picture.read(np.arange(count), max_side=640),
        VideoShape(count, (picture.width, picture.height), picture.fps),
        detector=DETECTORS.create("centerface"),
        options=FaceOptions(),
        progress=StageProgress("", count),
    ).track


@cache
def material(path: Path, expert: SyncExpert) -> Material:
    boxes = find_face(path, 25.0).boxes
    frames = open_video(path, MediaOptions(fps=25)).read(np.arange(len(boxes)))
    sound = open_audio(path).read().samples[: len(boxes) * 640]
    return Material(path.name, path.name, list(embed(frames, boxes, expert)), sound)


@pytest.mark.parametrize("name", OFFSETS)
def test_every_shift_of_the_sound_is_found(name: str, clip: Clip, expert: SyncExpert) -> None:
    """From 15 frames late to 15 early, the whole search range."""
    one = material(clip(name), expert)
    own = one.score(expert, one.audio).offset
    assert own is not None and abs(own - OFFSETS[name]) <= 1
    moves = [frames for frames in range(-15, 16) if abs(own + frames) <= 15]
    found = [one.score(expert, one.shifted(frames)).offset for frames in moves if own + frames]
    expected = [own + frames for frames in moves if own + frames]
    errors = [99 if offset is None else offset - real for offset, real in zip(found, expected, strict=True)]
    assert len(errors) >= 26
    assert max(map(abs, errors)) <= 1
    assert np.mean(np.array(errors) == 0) > 0.9


@pytest.mark.parametrize("name", OFFSETS)
def test_a_wrong_voice_and_silence_are_told_from_the_right_one(
    name: str, clip: Clip, expert: SyncExpert
) -> None:
    one = material(clip(name), expert)
    own = one.score(expert, one.audio)
    assert own.verdict in (Verdict.GOOD, Verdict.OFF)
    for other in OFFSETS:
        if other != name:
            wrong = one.score(expert, np.resize(material(clip(other), expert).audio, len(one.audio)))
            assert wrong.verdict in (Verdict.POOR, Verdict.TOO_SHORT)
    assert one.score(expert, np.zeros_like(one.audio)).verdict is Verdict.TOO_SHORT


def test_native_frame_rate_matches_25_fps(clip: Clip, expert: SyncExpert) -> None:
    """A 30 fps clip, as the pipeline gives it to the meter."""
    path = clip("obama__obama.mp4")
    picture, track = open_video(path), find_face(path, 0.0)
    assert picture.fps == 30
    meter = SyncMeter(expert, open_audio(path).read(), picture.fps)
    for number, frame in enumerate(picture.read_yuv(np.arange(len(track)))):
        meter.update(number / 30, frame, track.boxes[number] if track.present[number] else None)
    score, at_25 = meter.result(), material(path, expert)
    other = at_25.score(expert, at_25.audio)
    assert (score.verdict, score.offset) == (other.verdict, other.offset)
    assert score.confidence == pytest.approx(other.confidence, abs=0.03)
    assert abs(score.windows - other.windows) <= 1
