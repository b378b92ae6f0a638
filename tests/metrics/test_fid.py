from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.errors import Cancelled, InputError, WeightsError
from lipsync.media import write_image
from lipsync.metrics.fid import Fid, load_inception, measure_fid
from lipsync.metrics.frechet import Moments, frechet_distance
from lipsync.progress import CancelToken
from tests.make_media import make_video
from tests.metrics.networks import color_features, save_inception

Floats = npt.NDArray[np.float64]


def cloud(seed: int, count: int = 60, size: int = 12, shift: float = 0.0) -> Floats:
    """Vectors with correlated components."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, size)) @ random.normal(size=(size, size)) + shift


def moments(vectors: Floats, batch: int = 7) -> Moments:
    out = Moments()
    for first in range(0, len(vectors), batch):
        out.add(vectors[first : first + batch])
    return out


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("batch", [1, 7, 60])
def test_running_moments_match_those_of_all_vectors(shift: float, batch: int) -> None:
    vectors = cloud(1, shift=shift)
    found = moments(vectors, batch)
    assert found.count == 60
    np.testing.assert_allclose(found.mean, vectors.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(vectors, rowvar=False), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("count", [5, 60])  # fewer vectors than dimensions: a singular covariance
def test_the_distance_matches_scipy(count: int) -> None:
    scipy = pytest.importorskip("scipy.linalg")
    one, other = cloud(1, count), cloud(2, count, shift=0.3)
    root = scipy.sqrtm(np.cov(one, rowvar=False) @ np.cov(other, rowvar=False)).real
    squared_shift = np.square(one.mean(0) - other.mean(0)).sum()
    expected = squared_shift + np.trace(np.cov(one, rowvar=False) + np.cov(other, rowvar=False) - 2 * root)
    assert frechet_distance(moments(one), moments(other)) == pytest.approx(expected, rel=1e-4)


def test_the_distance_matches_torch_fidelity() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    one, other = cloud(3, 300), cloud(4, 200, shift=0.5)

    def statistics(vectors: Floats) -> dict[str, Floats]:
        return {"mu": vectors.mean(0), "sigma": np.cov(vectors, rowvar=False)}

    expected = fidelity.fid_statistics_to_metric(statistics(one), statistics(other), False)
    [value] = expected.values()
    assert frechet_distance(moments(one), moments(other)) == pytest.approx(value, rel=1e-6)


def test_the_distance_by_hand() -> None:
    """Two spheres of variance 1 and 4 in three dimensions, five squared_shift: 25 + 3 (1 + 4 - 2·2)."""
    corners = np.vstack([np.eye(3), -np.eye(3)]) * np.sqrt(5 / 2)  # unbiased variance 1
    shift = corners * 2 + [5.0, 0, 0]
    assert frechet_distance(moments(corners), moments(shift)) == pytest.approx(25 + 3)


def test_equal_and_empty_sets() -> None:
    assert frechet_distance(moments(cloud(1)), moments(cloud(1), 3)) == pytest.approx(0, abs=1e-9)
    assert np.isnan(frechet_distance(moments(cloud(1)), Moments()))


def test_videos_and_folders(tmp_path: Path) -> None:
    """A video and a folder with its frames as images are the same set."""
    grey = [np.full((64, 96, 3), 10 * n, np.uint8) for n in range(20)]
    lossless = ("-c:v", "ffv1", "-pix_fmt", "bgr0")
    video = make_video(tmp_path / "a.mkv", frames=grey, encode=lossless)
    folder = tmp_path / "images"
    for number, frame in enumerate(grey):
        write_image(folder / f"{number:03d}.png", frame)
    (folder / "note.txt").write_text("no picture")
    score = measure_fid(video, folder, color_features)
    assert (score.frames, score.reference_frames) == (20, 20)
    assert score.fid == pytest.approx(0, abs=1e-9)
    darker = make_video(tmp_path / "b.mkv", frames=grey[:10], encode=lossless)
    assert measure_fid(darker, video, color_features).fid > 0.01


def test_images_of_several_sizes(tmp_path: Path) -> None:
    for number, size in enumerate([(20, 30), (20, 30), (40, 30), (20, 30)]):
        write_image(tmp_path / f"{number}.png", np.full((*size, 3), 50 * number, np.uint8))
    shapes: list[tuple[int, ...]] = []

    def features(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        shapes.append(images.shape)
        return color_features(images)

    assert measure_fid(tmp_path, tmp_path, features).fid == pytest.approx(0, abs=1e-9)
    assert shapes[:3] == [(2, 20, 30, 3), (1, 40, 30, 3), (1, 20, 30, 3)]


def test_at_most_a_batch_of_frames_is_buffered() -> None:
    """At most sixteen frames are buffered, fewer where they are large."""
    largest = 0

    def features(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        nonlocal largest
        largest = max(largest, images.nbytes)
        return images[:, 0, 0].astype(np.float32)

    fid, large = Fid(features), np.zeros((2160, 3840, 3), np.uint8)
    for _ in range(5):
        fid.update(large, large)
    assert fid.compute() == 0
    assert large.nbytes <= largest <= 64 << 20


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        measure_fid(tmp_path, tmp_path, color_features)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", frames=5)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        measure_fid(video, video, color_features, cancel=cancel)


# --- the network ---------------------------------------------------------------------------------


def test_inception_matches_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = save_inception(tmp_path / "inception.pth", monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), np.uint8)
    found = load_inception(path)(images)
    theirs = module.FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(path))
    with torch.no_grad():
        [expected] = theirs(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert found.shape == (2, 2048)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    path = tmp_path / "other.pth"
    torch.save({"some.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="not those of FID's"):
        load_inception(path)


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("created-by-a-pickle",)


def test_weights_that_want_to_run_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity itself would unpickle anything."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    torch.save({"weight": _Code()}, path)
    with pytest.raises(WeightsError, match="run code"):
        load_inception(path)
    assert not (tmp_path / "created-by-a-pickle").exists()
