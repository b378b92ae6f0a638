from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import python_speech_features
import torch
from torch import Tensor

from lipsync.errors import Cancelled, InputError, WeightsError
from lipsync.evaluation import measure_lse
from lipsync.metrics import lse
from lipsync.progress import CancelToken
from lipsync.sync_score import SyncNet, SyncNetColor, load_syncnet
from lipsync.types import AudioClip, Frame

TIMEOUT = 20.0
Floats = npt.NDArray[np.floating]


@dataclass
class LevelNetwork:
    """A fake SyncNet: brightness of five frames, loudness of the audio of five frames."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    audio_windows: int = 0
    concurrent_batches: int = 1

    def embed_faces(self, frames: Tensor) -> Tensor:
        assert frames.dtype == torch.uint8
        self.shapes.append(tuple(frames.shape))
        return _centered(frames.float().mean((1, 2, 3)).unfold(0, 5, 1) / 255)

    def embed_audio(self, mfcc: Tensor) -> Tensor:
        assert mfcc.shape[1:] == (1, 13, 20)
        self.audio_windows += len(mfcc)
        return _centered(mfcc[:, 0, 0, ::4] / 6)  # the first MFCC is the log energy


def _centered(rows: Tensor) -> Tensor:
    return rows - rows.mean(1, keepdim=True)


def brightness(count: int) -> Floats:
    return np.random.default_rng(1).uniform(0, 1, count)


def frames_of(levels: Floats, size: tuple[int, int] = (32, 24)) -> Iterator[Frame]:
    return (np.full((*size, 3), round(level * 255), np.uint8) for level in levels)


def noise(levels: Floats) -> AudioClip:
    """40 ms of noise for each level, as loud as that frame is bright."""
    white = np.random.default_rng(2).normal(size=(len(levels), 640))
    samples = 0.1 * white * np.exp(3 * (levels[:, None] - 1))
    return AudioClip(samples.astype(np.float32).ravel())


@pytest.mark.parametrize("early", [-15, -3, 0, 1, 7, 15])
def test_the_shift_is_found(early: int) -> None:
    """Audio that is `early` frames early: frame i belongs to the audio at i - early."""
    levels = brightness(150)
    score = measure_lse(LevelNetwork(), frames_of(levels[15:135]), noise(levels[15 + early : 135 + early]))
    assert score.offset == early
    assert score.windows == 115
    assert score.confidence > 0.3


def test_better_sync_scores_better() -> None:
    levels = brightness(100)
    right = measure_lse(LevelNetwork(), frames_of(levels), noise(levels))
    wrong = measure_lse(LevelNetwork(), frames_of(levels), noise(brightness(201)[101:]))
    assert right.distance < wrong.distance
    assert right.confidence > wrong.confidence


def test_streaming_matches_one_batch() -> None:
    levels = brightness(53)
    whole = measure_lse(LevelNetwork(), frames_of(levels), noise(levels), batch=100)
    for batch in (1, 3, 7, 48, 49):
        network = LevelNetwork()
        score = measure_lse(network, frames_of(levels), noise(levels), batch=batch)
        assert score.distance == pytest.approx(whole.distance, abs=1e-6)
        assert (score.offset, score.windows) == (whole.offset, whole.windows) == (0, 48)
        assert max(shape[0] for shape in network.shapes) <= batch + 4
        assert sum(shape[0] - 4 for shape in network.shapes) == 48  # of 49 windows the last is left out
        assert network.audio_windows == 48


class TwoAtOnce(LevelNetwork):
    """Two batches in parallel: the first two wait for each other, and the first ends after the second."""

    def __init__(self) -> None:
        super().__init__(concurrent_batches=2)
        self._numbers, self._both, self._second_done = count(), threading.Barrier(2), threading.Event()

    def embed_faces(self, frames: Tensor) -> Tensor:
        number = next(self._numbers)
        if number < 2:
            self._both.wait(TIMEOUT)
        if number == 0:
            assert self._second_done.wait(TIMEOUT)
        found = super().embed_faces(frames)
        if number == 1:
            self._second_done.set()
        return found


def test_batches_run_in_parallel_and_stay_in_order() -> None:
    levels = brightness(120)
    alone = measure_lse(LevelNetwork(), frames_of(levels), noise(levels), batch=20)
    assert measure_lse(TwoAtOnce(), frames_of(levels), noise(levels), batch=20) == alone


def test_an_error_in_one_batch_is_raised_and_ends_the_rest() -> None:
    class Broken(LevelNetwork):
        def embed_faces(self, frames: Tensor) -> Tensor:
            super().embed_faces(frames)
            raise RuntimeError("the network broke")

    network, levels = Broken(concurrent_batches=2), brightness(200)
    with pytest.raises(RuntimeError, match="broke"):
        measure_lse(network, frames_of(levels), noise(levels), batch=10)
    assert len(network.shapes) <= 4
    assert not [one for one in threading.enumerate() if one.name.startswith("lipsync lse")]


def test_frames_of_any_size_are_resized_to_224() -> None:
    network = LevelNetwork()
    levels = brightness(10)
    measure_lse(network, frames_of(levels, (300, 200)), noise(levels))
    assert network.shapes == [(9, 224, 224, 3)]  # the last window is left out


def test_frames_beyond_the_audio_are_not_read() -> None:
    levels = brightness(40)
    frames = frames_of(levels)
    assert measure_lse(LevelNetwork(), frames, noise(levels[:25])).windows == 20
    assert len(list(frames)) == 15


def test_audio_beyond_the_frames_does_not_count() -> None:
    levels = brightness(40)
    short = measure_lse(LevelNetwork(), frames_of(levels[:25]), noise(levels[:25]))
    assert measure_lse(LevelNetwork(), frames_of(levels[:25]), noise(levels)) == short


@pytest.mark.parametrize(("frames", "sound"), [(0, 50), (3, 50), (5, 50), (50, 5), (50, 0)])
def test_too_short_for_lse(frames: int, sound: int) -> None:
    levels = brightness(50)
    given = "frames" if frames < sound else "s of audio"
    with pytest.raises(InputError, match=f"too short for LSE: .*{given}.*at least 0.24 s"):
        measure_lse(LevelNetwork(), frames_of(levels[:frames]), noise(levels[:sound]))


def test_six_frames_are_enough() -> None:
    levels = brightness(6)
    assert measure_lse(LevelNetwork(), frames_of(levels), noise(levels)).windows == 1


def test_audio_at_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000 Hz, got 48000"):
        measure_lse(LevelNetwork(), frames_of(brightness(9)), AudioClip(np.zeros(48_000, np.float32), 48_000))


def test_it_can_be_stopped() -> None:
    cancel = CancelToken()

    def frames() -> Iterator[Frame]:
        yield from frames_of(brightness(10))
        cancel.cancel()
        yield from frames_of(brightness(10))
        raise AssertionError("read on after the cancel")

    with pytest.raises(Cancelled):
        measure_lse(LevelNetwork(), frames(), noise(brightness(50)), cancel=cancel)


def test_mfcc_by_the_minute_equals_mfcc_of_the_whole() -> None:
    samples = noise(brightness(25)).samples
    whole = python_speech_features.mfcc(np.round(samples * 32768.0), 16_000)
    np.testing.assert_allclose(lse.compute_mfcc(samples, 96, chunk_rows=17), whole[:96], atol=1e-4)


def test_silence_and_clipped_audio_have_a_score() -> None:
    levels = brightness(30)
    for value in (0.0, 1.0, -1.5):
        sound = AudioClip(np.full(30 * 640, value, np.float32))
        assert np.isfinite(measure_lse(LevelNetwork(), frames_of(levels), sound).distance)


def test_distances_do_not_depend_on_the_chunk() -> None:
    video, audio = torch.randn(2, 40, 8)
    whole = lse.mean_distances(video, audio)
    np.testing.assert_allclose(lse.mean_distances(video, audio, chunk=7), whole, rtol=1e-9)
    assert whole[15] == pytest.approx(float((video - audio).norm(dim=1).mean()), rel=1e-5)


# --- the network ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the official layout, with 5-D weights in the face branch."""
    torch.manual_seed(0)
    state = SyncNet().state_dict()
    for name, value in state.items():
        if name.startswith("netcnnlip") and value.ndim == 4:
            depth = 5 if value.shape[1] == 15 else 1
            state[name] = value.unflatten(1, (-1, depth))
        elif name.endswith("running_var"):
            state[name] = value + torch.rand_like(value)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(dict(state), path)
    return path


def test_consecutive_frames_match_their_single_windows(official: Path) -> None:
    network = load_syncnet(official)
    frames = torch.randint(0, 256, (7, 224, 224, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = network.embed_faces(frames)
        assert together.shape == (3, 1024)
        for start in range(3):
            alone = network.embed_faces(frames[start : start + 5])
            torch.testing.assert_close(together[start], alone[0], rtol=3e-5, atol=4e-6)


def test_fast_layers_match_the_plain_ones(official: Path) -> None:
    network = load_syncnet(official)
    frames = torch.randint(0, 256, (13, 224, 224, 3), dtype=torch.uint8)  # more than one block
    with torch.inference_mode():
        found = network.embed_faces(frames)
        assert network.fast_stem is not None
        network.fast_stem = None
        torch.testing.assert_close(found, network.embed_faces(frames), rtol=3e-5, atol=4e-6)
        mfcc = 10 * torch.randn(5, 1, 13, 20)
        heard = network.embed_audio(mfcc)
        assert network.fast_audio is not None
        network.fast_audio = None
        torch.testing.assert_close(heard, network.embed_audio(mfcc), rtol=3e-5, atol=4e-6)


def test_it_is_loaded_for_inference(official: Path) -> None:
    network = load_syncnet(official)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any("Norm" in type(part).__name__ for part in network.modules())  # folded


def test_another_network_is_named(tmp_path: Path) -> None:
    torch.save(SyncNetColor().state_dict(), tmp_path / "expert.pth")
    with pytest.raises(WeightsError, match=r"not those of SyncNet .*looks like the sync expert"):
        load_syncnet(tmp_path / "expert.pth")
