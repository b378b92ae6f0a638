"""Face restoration against the authors' own program, in several precisions, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from lipsync.enhancers.face_restoration import FaceRestorer
from lipsync.enhancers.loaders import import_network_class
from lipsync.errors import Cancelled, OptionError, ToolError
from lipsync.progress import CancelToken
from tests.enhancers.made_up import write_enhancer
from tests.enhancers.packages import needs_gfpgan
from tests.material import FACE


@pytest.fixture(scope="module")
def gfpgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_enhancer(tmp_path_factory.mktemp("weights"), "gfpgan")


@pytest.fixture(scope="module")
def face() -> npt.NDArray[np.uint8]:
    """(1, 512, 512, 3) RGB: somebody, blurred."""
    picture = cv2.cvtColor(cv2.imread(str(FACE)), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.blur(cv2.resize(picture, (512, 512)), (7, 7)), np.uint8)[None]


class Aligned:
    """What GFPGANer needs of facexlib's helper for a face that is aligned already."""

    def clean_all(self) -> None:
        self.restored_faces: list[Any] = []

    def add_restored_face(self, restored: object) -> None:
        self.restored_faces.append(restored)


class SameNoise(nn.Module):
    """The network with its stored noise instead of fresh noise: else no two results are equal."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Any, **how: Any) -> Any:
        return self.network(*given, **how, randomize_noise=False)


@needs_gfpgan
@pytest.mark.parametrize("name", ["gfpgan", "restoreformer"])
def test_equals_the_authors_program(
    name: str, tmp_path: Path, face: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = FaceRestorer(write_enhancer(tmp_path, name), name=name, device="cpu", number_format="fp32")
    import_network_class("gfpgan", "gfpgan")  # brings the packages in, with what they need
    from gfpgan.utils import GFPGANer

    theirs = object.__new__(GFPGANer)  # its constructor downloads a face detector
    theirs.face_helper, theirs.device = Aligned(), torch.device("cpu")
    theirs.gfpgan = SameNoise(ours.network) if name == "gfpgan" else ours.network
    _, (expected,), _ = theirs.enhance(np.ascontiguousarray(face[0, ..., ::-1]), has_aligned=True)
    assert expected.std() > 10
    drawn = ours.enhance(face)[0]
    assert np.abs(drawn.astype(int) - expected[..., ::-1]).max() <= 1
    assert np.mean(drawn != expected[..., ::-1]) < 0.001


def test_bf16_against_fp32(gfpgan: Path, face: npt.NDArray[np.uint8]) -> None:
    exact, rounded = (
        FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format=number_format)
        .enhance(face)
        .astype(int)
        for number_format in ("fp32", "bf16")
    )
    difference = np.abs(exact - rounded)  # measured: 0.47 and 4; with the full width 0.44 and 4
    assert difference.mean() < 0.8 and difference.max() <= 8, (difference.mean(), difference.max())


def test_precisions_that_would_spoil_the_result_are_refused(gfpgan: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="bf16"):
        FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format="fp16")
    with pytest.raises(OptionError, match="It supports: fp32"):
        weights = write_enhancer(tmp_path, "restoreformer")
        FaceRestorer(weights, name="restoreformer", device="cpu", number_format="bf16")


def test_the_same_every_time(gfpgan: Path, face: npt.NDArray[np.uint8]) -> None:
    enhancer = FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format="fp32")
    np.testing.assert_array_equal(enhancer.enhance(face), enhancer.enhance(face))


class TooSmall(nn.Module):
    """A device on which no more than `most` faces fit."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most
        self.seen: list[int] = []

    def forward(self, given: torch.Tensor, **how: Any) -> Any:
        self.seen.append(len(given))
        if len(given) > self.most:
            raise RuntimeError("CUDA error: out of memory")
        return self.network(given, **how)


def test_a_batch_that_does_not_fit_is_halved(gfpgan: Path, face: npt.NDArray[np.uint8]) -> None:
    enhancer = FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format="fp32", batch_size=4)
    four = np.concatenate([face, face[:, ::-1], face[:, :, ::-1], 255 - face])
    together = enhancer.enhance(four)
    enhancer.network = small = TooSmall(enhancer.network, 1)
    assert np.abs(enhancer.enhance(four).astype(int) - together).max() <= 1
    assert small.seen == [4, 2, 1, 1, 1, 1]
    assert enhancer.batch_size == 1


def test_no_memory_at_all(gfpgan: Path, face: npt.NDArray[np.uint8]) -> None:
    enhancer = FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format="fp32")
    enhancer.network = TooSmall(enhancer.network, 0)
    with pytest.raises(ToolError, match="not enough memory"):
        enhancer.enhance(face)


def test_a_cancel_is_checked_inside_the_network(gfpgan: Path, face: npt.NDArray[np.uint8]) -> None:
    enhancer = FaceRestorer(gfpgan, name="gfpgan", device="cpu", number_format="fp32")
    cancel, layers = CancelToken(), 0

    def count(*_: object) -> None:
        nonlocal layers
        layers += 1
        cancel.cancel()

    for module in enhancer.network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with pytest.raises(Cancelled):
        enhancer.enhance(face, 1.0, cancel)
    assert layers == 1
    enhancer.enhance(face)  # the next job is not cancelled
    assert layers > 10
