from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lipsync.errors import WeightsError
from lipsync.metrics.lpips import Lpips
from lipsync.types import Frame
from tests.metrics.images import noisy
from tests.metrics.networks import save_alexnet


def test_lpips_matches_the_package(face: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("lpips")
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not AlexNet's"):
        Lpips(weights=path)
