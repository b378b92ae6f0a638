from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsync.training.data.dataset import PersonBalancedSampler
from lipsync.training.data.scene_cache import SceneCache
from lipsync.training.data.speech_scenes import Scene, make_scene, room_sound, target_shapes
from tests.training.synthetic import make_clip, make_clips

SAMPLER = PersonBalancedSampler([clip for clip in make_clips() if clip.split == "train"])


def scene(seed: int, rest_share: float = 0.0) -> Scene:
    return make_scene(SAMPLER, 10.0, rest_share, np.random.default_rng(seed))


def test_speech_and_pauses_have_their_targets() -> None:
    for seed in range(6):
        made = scene(seed)
        assert made.audio.shape == (160_000,) and made.shapes.shape == (2, 500)
        assert not (made.speech & made.rest).any()
        assert np.all(made.shapes[:, made.rest] == 0)
        assert 0.2 < made.speech.mean() < 0.98 and made.rest.mean() < 0.7
        apart = np.abs(np.subtract.outer(np.flatnonzero(made.speech), np.flatnonzero(made.rest)))
        assert apart.size == 0 or apart.min() > 10  # between them is time to close the mouth


def test_the_audio_of_a_scene_fits_its_shapes() -> None:
    rs = []
    for seed in range(6):
        made = scene(seed)
        power = np.square(made.audio).reshape(500, 320).mean(1)
        rs.append(np.corrcoef(np.sqrt(power)[made.speech], made.shapes[0][made.speech])[0, 1])
    assert np.median(rs) > 0.7  # the hum is as loud as the mouth is open


def test_a_scene_is_the_same_every_time_and_some_have_no_speech() -> None:
    np.testing.assert_array_equal(scene(3).audio, scene(3).audio)
    silent = scene(3, rest_share=1.0)
    assert silent.rest.all() and not silent.speech.any() and not silent.shapes.any()


def test_room_sounds_are_silence_or_between_minus_70_and_minus_20_db() -> None:
    levels = []
    for seed in range(60):
        sound = room_sound(16_000, np.random.default_rng(seed))
        levels.append(10 * np.log10(np.square(sound).mean() + 1e-12))
    heard = [level for level in levels if level > -100]
    assert 10 < len(levels) - len(heard) < 40
    assert min(heard) > -71 and max(heard) < -19 and np.ptp(heard) > 30


def test_shapes_follow_the_audio_s_delay_and_speed() -> None:
    clip = make_clip("p", "train", 1, frames=100)
    plain, fast = target_shapes(clip)[0], target_shapes(clip, 2.0)[0]
    np.testing.assert_allclose(fast, plain[::2][: len(fast)], atol=1e-6)


def test_a_scene_is_encoded_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def make(number: int) -> Scene:
        calls.append(number)
        return scene(number)

    def encode(audio: np.ndarray) -> np.ndarray:
        return np.stack([audio[::320], audio[::320] ** 2])

    first = SceneCache(make, encode, 500, tmp_path / "a")[1]
    again = SceneCache(make, encode, 500, tmp_path / "a")[1]
    memory = SceneCache(make, encode, 500)
    assert calls == [1] and first.features.shape == (2, 500)
    for name in ("features", "shapes", "masks"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(memory[1], name))
    assert memory[1] is memory[1] and calls == [1, 1]
    assert first.masks[0].astype(bool) == pytest.approx(scene(1).speech)
