"""S3FD: the official checkpoint format and the decoding."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.errors import WeightsError
from lipsync.faces import DETECTORS
from lipsync.faces.detectors.s3fd.detector import decode
from lipsync.faces.detectors.s3fd.network import S3FDNetwork
from lipsync.types import FloatArray
from tests.goldens import official


def naive_decode(maps: list[tuple[FloatArray, FloatArray]], least: float) -> list[list[float]]:
    """One candidate at a time, in the words of the paper and the original: x1, y1, x2, y2, score."""
    rows = []
    for level, (scores, offsets) in enumerate(maps):
        stride = 2 ** (level + 2)
        for y in range(scores.shape[0]):
            for x in range(scores.shape[1]):
                if scores[y, x] > 0.05:
                    dx, dy, dw, dh = (float(value) for value in offsets[:, y, x])
                    cx = stride / 2 + x * stride + dx * 0.1 * stride * 4
                    cy = stride / 2 + y * stride + dy * 0.1 * stride * 4
                    w, h = stride * 4 * math.exp(dw * 0.2), stride * 4 * math.exp(dh * 0.2)
                    rows.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, float(scores[y, x])])
    rows.sort(key=lambda row: -row[4])
    kept: list[list[float]] = []
    for row in rows:
        if all(overlap_counting_pixels(row, other) <= 0.3 for other in kept):
            kept.append(row)
    return [row for row in kept if row[4] > least]


def overlap_counting_pixels(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = sum((r[2] - r[0] + 1) * (r[3] - r[1] + 1) for r in (a, b))
    return w * h / (areas - w * h)


def random_maps(seed: int) -> list[tuple[FloatArray, FloatArray]]:
    rng = np.random.default_rng(seed)
    shapes = [(24, 32), (12, 16), (6, 8), (7, 8), (4, 4), (2, 2)]
    return [
        (rng.random(shape, dtype=np.float32) ** 4, rng.normal(0, 1, (4, *shape)).astype(np.float32))
        for shape in shapes
    ]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("least", [0.05, 0.5])
def test_decoding_equals_a_plain_loop(seed: int, least: float) -> None:
    maps = random_maps(seed)
    expected = np.array(naive_decode(maps, least))
    boxes, scores = decode(maps, least)
    assert len(expected) > 10
    np.testing.assert_allclose(boxes, expected[:, :4], atol=1e-3)
    np.testing.assert_allclose(scores, expected[:, 4], atol=1e-6)


def test_nothing_found_is_no_error() -> None:
    maps = [(np.zeros((2, 2), np.float32), np.zeros((4, 2, 2), np.float32))] * 6
    boxes, scores = decode(maps, 0.05)
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_names_and_shapes_are_those_of_the_official_checkpoint() -> None:
    tensors = official.formats()["s3fd"]["tensors"]
    with torch.device("meta"):
        ours = {key: list(value.shape) for key, value in S3FDNetwork().state_dict().items()}
    assert ours == {key: shape for key, shape, _ in tensors}


def test_the_official_format_loads_and_runs(tmp_path: Path) -> None:
    path = official.write_checkpoint("s3fd", tmp_path / "s3fd.pth")
    detector = DETECTORS.create("s3fd", device=torch.device("cpu"), weights=path)
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    found = detector.detect([frame])[0]
    assert found
    assert all(face.points is None for face in found)

    # the same by hand: the colour means as the original has them, its maps, the plain loop
    network = S3FDNetwork()
    network.load_state_dict(torch.load(path, weights_only=True))
    picture = torch.from_numpy(frame.astype(np.float32) - np.float32([104, 117, 123])).permute(2, 0, 1)[None]
    with torch.inference_mode():
        maps = [(scores[0].numpy(), offsets[0].numpy()) for scores, offsets in network(picture)]
    assert [scores.shape for scores, _ in maps] == [(24, 32), (12, 16), (6, 8), (7, 8), (4, 4), (2, 2)]
    expected = np.array(naive_decode(maps, 0.05))
    boxes = np.clip(expected[:, :4], 0, [128, 96, 128, 96])
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    # the first few: further down, scores lie so close that rounding may swap two
    np.testing.assert_allclose([face.box for face in found[:5]], boxes[inside][:5], atol=0.01)
    np.testing.assert_allclose([face.score for face in found[:5]], expected[inside][:5, 4], atol=1e-4)


def test_the_finest_stage_takes_the_largest_of_its_three_backgrounds() -> None:
    with torch.no_grad():
        network = S3FDNetwork()
        head = network.get_submodule("conv3_3_norm_mbox_conf")
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 2.0, 1.0, 2.0]))
        scores, _ = network(torch.zeros(1, 3, 32, 32))[0]
    assert scores.flatten().tolist() == pytest.approx([0.5] * 64)


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\x03\x04 broken"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s3fd.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"s3fd\.pth"):
        DETECTORS.create("s3fd", weights=path)


def test_a_checkpoint_of_another_network_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv1_1.weight": torch.zeros(64, 3, 3, 3), "head.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"S3FD.*other\.pth"):
        DETECTORS.create("s3fd", weights=path)
    with pytest.raises(WeightsError, match="missing"):
        DETECTORS.create("s3fd", weights=tmp_path / "none.pth")


def test_a_batch_that_does_not_fit_is_halved(tmp_path: Path) -> None:
    from lipsync.faces.detectors.s3fd.detector import S3FD
    from tests.faces.made_up import write_s3fd

    detector = S3FD(device=torch.device("cpu"), weights=write_s3fd(tmp_path / "s3fd.pth"))
    frame = np.zeros((64, 64, 3), np.uint8)
    expected, network = [face.score for face in detector.detect([frame])[0]], detector.network
    sizes: list[int] = []

    class Crowded(torch.nn.Module):
        def forward(self, frames: torch.Tensor) -> object:
            sizes.append(len(frames))
            if len(frames) > 1:
                raise RuntimeError("CUDA out of memory")
            return network(frames)

    detector.network, detector.batch_size = Crowded(), 4
    assert [[face.score for face in faces] for faces in detector.detect([frame] * 4)] == [expected] * 4
    assert sizes == [4, 2, 1, 1, 1, 1]
