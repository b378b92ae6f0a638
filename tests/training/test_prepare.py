from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lipsync.data_types import AudioClip, Face, Frame
from lipsync.errors import InputError, ToolError
from lipsync.generators.builtin.adapter import Builtin
from lipsync.training.builtin import BuiltinOptions, export_builtin, train_builtin
from lipsync.training.dataset import read_set
from lipsync.training.lags import Lag, note_lags
from lipsync.training.prepare import PrepareOptions, Source, find_sources, prepare
from lipsync.training.shapes import MOUTH, RIGID
from lipsync.training.store import _pack, _unpack, read_manifest
from lipsync.training.teacher import LANDMARKS, MediaPipeTeacher, whole_head
from tests.material import make_head, make_voice, run_ffmpeg

FACE_BOX = np.array([100, 60, 200, 190], np.float32)


class FixedDetector:
    batch_size = 8

    def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
        return [[Face(FACE_BOX * frame.shape[1] / 320, 0.9)] for frame in frames]


class DrawnTeacher:
    """Landmarks of a rigid head whose lower lip goes up and down."""

    def __call__(self, pictures: Iterable[Frame]) -> npt.NDArray[np.float32]:
        base = np.random.default_rng(0).uniform(60, 200, (LANDMARKS, 3))
        base[[33, 263]] = [(90, 100, 0), (170, 100, 0)]
        lower = [index for index in MOUTH[20:31] if index not in RIGID]
        rows = []
        for number, _ in enumerate(pictures):
            face = base.copy()
            face[lower, 1] += 10 * np.sin(number / 3) ** 2
            rows.append(face)
        return np.asarray(rows, np.float32)


def fake_tools(_: PrepareOptions) -> tuple[FixedDetector, DrawnTeacher]:
    return FixedDetector(), DrawnTeacher()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    head = make_head(folder / "head.mp4", parts=[2.0])
    voice = make_voice(folder / "voice.wav", seconds=2.0)
    for person in ("ann", "bob"):
        (folder / person).mkdir()
        video = folder / person / f"{person}1.mp4"
        run_ffmpeg("-i", head, "-i", voice, "-c:v", "copy", "-r", "25", video)
    (folder / "bob" / "broken.mp4").write_bytes(b"not a video")
    head.unlink()
    return folder


def test_a_folder_becomes_a_set_that_can_be_trained_on(videos: Path, tmp_path: Path) -> None:
    sources = find_sources(videos)
    assert [source.person for source in sources] == ["ann", "bob", "bob"]
    options = PrepareOptions(held_out=("bob",), workers=1)
    prepared = prepare(sources, tmp_path, options, tools=fake_tools)
    assert [(row.name, row.split) for row in prepared.rows] == [("ann1_00", "train"), ("bob1_00", "held")]
    assert len(prepared.failures) == 1 and "broken.mp4" in next(iter(prepared.failures))
    assert read_manifest(tmp_path) == list(prepared.rows)

    def refuse(_: PrepareOptions) -> tuple[FixedDetector, DrawnTeacher]:
        raise AssertionError("what is done must not be done again")

    assert prepare(sources, tmp_path, options, tools=refuse) == prepared

    training = read_set(tmp_path, numbers=2)
    clip = training.clips[0]
    assert clip.crops is not None and clip.crops.shape == (len(clip), 160, 160, 3)
    assert 46 <= len(clip) <= 50 and abs(len(clip.sound) / 16_000 - len(clip) / 25) < 0.1
    assert np.corrcoef(clip.shapes[:, 0], np.sin(np.arange(len(clip)) / 3) ** 2)[0, 1] ** 2 > 0.9


def test_a_set_becomes_weights_that_draw(videos: Path, tmp_path: Path) -> None:
    options = PrepareOptions(held_out=("bob",), workers=1)
    prepare(find_sources(videos), tmp_path, options, tools=fake_tools)
    parts: list[str] = []
    short = BuiltinOptions(
        voice_steps=2, place_steps=2, painter_steps=2, batch=2, critic_share=0.5, threads=1
    )
    outcomes = train_builtin(tmp_path, tmp_path / "runs", short, lambda part, *_: parts.append(part))
    assert list(outcomes) == ["voice", "place", "painter", "painter with critic"]
    assert [outcome.step for outcome in outcomes.values()] == [2, 2, 1, 2]
    weights = tmp_path / "model.safetensors"
    assert 1_000_000 < export_builtin(tmp_path, tmp_path / "runs", weights, {"seed": "1"}) < 25_000_000
    generator = Builtin(weights, device="cpu")
    rows = generator.encode_audio(AudioClip(np.zeros(16_000, np.float32)), 25, 1)
    assert generator.generate(np.zeros((1, 128, 128, 3), np.uint8), rows).shape == (1, 3, 128, 128)


def test_believable_lags_are_noted_and_others_are_not(videos: Path, tmp_path: Path) -> None:
    prepare(find_sources(videos), tmp_path, PrepareOptions(workers=1), tools=fake_tools)
    lags = {"ann": Lag(0.08, 0.6, 0.4), "bob": Lag(0.08, 0.3, 0.1)}
    assert note_lags(tmp_path, lags) == 1
    assert [row.lag for row in read_manifest(tmp_path)] == [0.08, 0.0]


def test_an_empty_folder_and_a_missing_package_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no videos"):
        find_sources(tmp_path)
    with pytest.raises(InputError, match="train prepare"):
        read_set(tmp_path)
    with pytest.raises(ToolError):
        MediaPipeTeacher(tmp_path / "none.task")


def test_landmarks_are_kept_to_a_fraction_of_a_pixel() -> None:
    landmarks = np.random.default_rng(0).uniform(-400, 900, (9, 4, 3)).astype(np.float32)
    landmarks[3] = np.nan
    again = _unpack(_pack(landmarks))
    np.testing.assert_allclose(again, landmarks, atol=1 / 60)


def test_a_manifest_says_who_and_what_for(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text("file\tuse\tperson\nclips/a.mp4\tcheck\tann\n")
    assert find_sources(tmp_path) == [Source(tmp_path / "clips" / "a.mp4", "ann", "check")]


def test_a_head_is_cut_out_and_the_way_back_is_right() -> None:
    frame = np.zeros((600, 800, 3), np.uint8)
    cv2.circle(frame, (420, 330), 12, (255, 255, 255), -1)
    picture, (x, y, scale) = whole_head(frame, np.array([300, 200, 500, 440], np.float32))
    row, column = np.argwhere(picture[..., 0] > 200).mean(0)
    assert (column * scale + x, row * scale + y) == pytest.approx((420, 330), abs=1.5)
