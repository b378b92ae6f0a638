from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from lipsync.blending import blend, make_mask
from lipsync.errors import WeightsError
from lipsync.media import open_video
from lipsync.metrics.image import Psnr, Ssim
from lipsync.metrics.lpips import Lpips
from lipsync.options import BlendOptions
from tests.material import FACE
from tests.metrics.networks import save_alexnet

Frame = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def face() -> Frame:
    [frame] = open_video(FACE).read([0])
    return frame[:240, 60:360].copy()


def noisy(frame: Frame, much: float = 12) -> Frame:
    noise = np.random.default_rng(0).normal(scale=much, size=frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def test_psnr_is_the_known_one(face: Frame) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    psnr = Psnr()
    psnr.update(noisy(face), face)
    assert psnr.compute() == pytest.approx(metrics.peak_signal_noise_ratio(face, noisy(face)), abs=1e-9)


def test_psnr_by_hand() -> None:
    """One colour of one pixel in a hundred off by 10: MSE 100 / 300."""
    black, other = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)
    other[3, 4, 1] = 10
    psnr = Psnr()
    psnr.update(other, black)
    assert psnr.compute() == pytest.approx(10 * np.log10(255**2 * 3))
    psnr.update(black, black)  # pooled: twice as many pixels, the same error
    assert psnr.compute() == pytest.approx(10 * np.log10(255**2 * 6))


def test_ssim_is_the_known_one(face: Frame) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    ssim, others = Ssim(), []
    for much in (3, 12, 50):
        ssim.update(noisy(face, much), face)
        others.append(
            metrics.structural_similarity(
                noisy(face, much),
                face,
                channel_axis=2,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    assert ssim.compute() == pytest.approx(np.mean(others), abs=1e-5)


def test_ssim_of_a_region_sees_no_pixel_outside(face: Frame) -> None:
    """Windows that reach out of the region do not count, so that it is exactly 1."""
    where = np.ones(face.shape[:2], bool)
    where[100:160, 100:200] = False
    other = face.copy()
    other[~where] = 255 - other[~where]
    ssim = Ssim()
    ssim.update(other, face, where)
    assert ssim.compute() == 1.0
    ssim = Ssim()
    ssim.update(other, face, ~where)
    assert ssim.compute() < 0.5


def test_ssim_of_what_is_smaller_than_a_window() -> None:
    small = np.zeros((10, 40, 3), np.uint8)
    ssim = Ssim()
    ssim.update(small, small)
    assert np.isnan(ssim.compute())


def test_outside_its_mask_a_drawn_mouth_changes_nothing(face: Frame) -> None:
    box, points = (60, 20, 220, 230), np.full((5, 2), np.nan, np.float32)
    mouth = np.random.default_rng(1).uniform(0, 1, (3, 96, 96)).astype(np.float32)
    for options in (BlendOptions(), BlendOptions(mask="box"), BlendOptions(feather=40, mask_size=1.5)):
        mask = make_mask(face, box, points, options)
        inside = np.zeros(face.shape[:2], bool)
        height, width = mask.alpha.shape
        inside[mask.y : mask.y + height, mask.x : mask.x + width] = mask.alpha > 0
        drawn = blend(face, mouth, box, points, options)
        outside, within, similar = Psnr(), Psnr(), Ssim()
        outside.update(drawn, face, ~inside)
        similar.update(drawn, face, ~inside)
        within.update(drawn, face, inside)
        assert outside.compute() == np.inf
        assert similar.compute() == 1.0
        assert within.compute() < 30


def test_lpips_is_the_package_s_own(face: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same AlexNet, loaded by the package itself, gives the same figure."""
    lpips = pytest.importorskip("lpips")
    path = save_alexnet(tmp_path / "alexnet.pth")
    ours = Lpips(weights=path)
    ours.update(noisy(face), face)

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)  # nothing is fetched
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    features = [name for name, _ in theirs.net.named_parameters()]
    state = torch.load(path, weights_only=True)
    moved = {name: state[f"features.{name.split('.', 1)[1]}"] for name in features}
    theirs.net.load_state_dict(moved)

    def scaled(frame: Frame) -> torch.Tensor:
        return torch.from_numpy(frame).permute(2, 0, 1)[None] / 255 * 2 - 1

    with torch.no_grad():
        expected = float(theirs(scaled(noisy(face)), scaled(face)))
    assert ours.compute() == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_lpips_with_another_network_s_weights(tmp_path: Path) -> None:
    pytest.importorskip("lpips")
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not AlexNet's"):
        Lpips(weights=path)
