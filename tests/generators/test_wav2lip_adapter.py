"""Wav2Lip as a generator: colours, masking, batches, memory that runs out, wrong files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import lipsync
from lipsync.errors import OptionError, ToolError, WeightsError
from lipsync.generators import PartialGenerator
from lipsync.generators.wav2lip.adapter import Wav2Lip
from lipsync.generators.wav2lip.network import Wav2LipNetwork
from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.types import FloatArray
from lipsync.utils import onednn_conv
from tests.material import make_head, make_voice


class Recorder(nn.Module):
    """Returns the reference; remembers its input; has memory for `fits` frames."""

    def __init__(self, fits: int = 1000, error: str = "CUDA out of memory") -> None:
        super().__init__()
        self.fits, self.error = fits, error
        self.batches: list[int] = []
        self.seen = torch.empty(0)

    def forward(self, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(face))
        if len(face) > self.fits:
            raise RuntimeError(self.error)
        assert len(mel) == len(face)
        self.seen = face
        return face[:, 3:]


def crops(count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)


def rows(count: int) -> FloatArray:
    return np.zeros((count, 1, 80, 16), np.float32)


def make(network: nn.Module, batch_size: int = 0) -> Wav2Lip:
    return Wav2Lip(network, device="cpu", number_format="fp32", batch_size=batch_size)


def test_rgb_outside_bgr_inside_and_the_lower_half_masked() -> None:
    network = Recorder()
    given = crops(2)
    drawn = make(network).generate(given, rows(2))
    rgb = given.transpose(0, 3, 1, 2) / np.float32(255)
    seen = network.seen.numpy()
    np.testing.assert_allclose(seen[:, 3:], rgb[:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(seen[:, :3, :48], seen[:, 3:, :48])
    assert (seen[:, :3, 48:] == 0).all()
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, rgb, atol=1e-6)


def test_what_lies_above_the_first_row_is_the_crop() -> None:
    torch.manual_seed(1)
    generator, given = make(Wav2LipNetwork(width=1 / 8).eval(), batch_size=2), crops(3)
    assert isinstance(generator, PartialGenerator)
    whole = generator.generate(given, rows(3))
    drawn = generator.generate_below(45, given, rows(3))
    rgb = given.transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_allclose(drawn[:, :, :40], rgb[:, :, :40], atol=1e-6)  # in steps of eight
    np.testing.assert_allclose(drawn[:, :, 40:], whole[:, :, 40:], atol=1e-6)
    np.testing.assert_array_equal(generator.generate_below(7, given, rows(3)), whole)


def test_a_network_of_another_kind_draws_all_rows() -> None:
    given = crops(2)
    drawn = make(Recorder()).generate_below(40, given, rows(2))
    np.testing.assert_allclose(drawn, given.transpose(0, 3, 1, 2) / np.float32(255), atol=1e-6)


def test_batches_keep_their_order() -> None:
    network = Recorder()
    given = crops(10)
    drawn = make(network, batch_size=4).generate(given, rows(10))
    assert network.batches == [4, 4, 2]
    np.testing.assert_allclose(drawn, given.transpose(0, 3, 1, 2) / np.float32(255), atol=1e-6)


def test_batch_is_halved_when_memory_runs_out_and_stays_so() -> None:
    network = Recorder(fits=3)
    given = crops(10)
    generator = make(network, batch_size=16)
    drawn = generator.generate(given, rows(10))
    assert network.batches == [10, 5, 2, 2, 2, 2, 2]
    assert generator.batch_size == 2
    np.testing.assert_allclose(drawn, given.transpose(0, 3, 1, 2) / np.float32(255), atol=1e-6)
    network.batches.clear()
    generator.generate(given[:4], rows(4))
    assert network.batches == [2, 2]


def test_not_even_one_frame_fits() -> None:
    with pytest.raises(ToolError, match=r"memory.*Close other programs"):
        make(Recorder(fits=0)).generate(crops(4), rows(4))


def test_other_errors_are_not_taken_for_memory() -> None:
    network = Recorder(fits=0, error="shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        make(network).generate(crops(4), rows(4))
    assert network.batches == [4]


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        make(Recorder()).generate(crops(2)[:, :48], rows(2))
    with pytest.raises(ValueError, match="do not fit"):
        make(Recorder()).generate(crops(2), rows(3))


def test_an_empty_batch() -> None:
    assert make(Recorder()).generate(crops(0), rows(0)).shape == (0, 3, 96, 96)


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
@pytest.mark.parametrize("packs", [True, False])
def test_later_changes_of_the_file_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number_format: str, packs: bool
) -> None:
    """Weights are read through a mapping of the file, which must be let go of."""
    if not packs:
        monkeypatch.setattr(onednn_conv, "OPERATORS", ("_an_operator_of_another_torch",))
    path = tmp_path / "small.pth"
    torch.manual_seed(0)
    torch.save(Wav2LipNetwork((32, 32), 0.25).state_dict(), path)
    generator = Wav2Lip(path, device="cpu", number_format=number_format)
    before = generator.generate(np.full((1, 32, 32, 3), 90, np.uint8), rows(1))
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    after = generator.generate(np.full((1, 32, 32, 3), 90, np.uint8), rows(1))
    np.testing.assert_array_equal(after, before)


def test_checkpoint_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "expert.pth"
    torch.save({"state_dict": {"face_encoder.0.conv_block.0.weight": torch.ones(32, 15, 7, 7)}}, path)
    with pytest.raises(WeightsError, match=r"not those of the Wav2Lip generator.*sync expert"):
        Wav2Lip(path)


def test_unknown_number_format(checkpoint: Path) -> None:
    with pytest.raises(OptionError, match="number format"):
        Wav2Lip(checkpoint, device="cpu", number_format="int4")


def test_a_whole_torchscript_file_of_the_official_kind(checkpoint: Path, tmp_path: Path) -> None:
    """The network as the official page offers it today, with its code in the file."""
    from lipsync.weights import load_into, load_state_dict

    network = Wav2LipNetwork(width=1 / 16).eval()
    load_into(network, load_state_dict(checkpoint), what="the Wav2Lip generator")
    example = (torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 96, 96))
    with pytest.warns(FutureWarning):
        torch.jit.trace(network, example, check_trace=False).save(str(tmp_path / "w.pt"))
    drawn = [
        Wav2Lip(path, device="cpu", number_format="fp32").generate(crops(1), rows(1))
        for path in (checkpoint, tmp_path / "w.pt")
    ]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("size", [(192, 288), (288, 192)])
def test_a_face_that_is_not_square_keeps_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """A whole run with a generator that gives the reference back: the video must not change."""
    weights = tmp_path / "large.pth"
    state = {f"module.{name}": value for name, value in Wav2LipNetwork(size, 0.0625).state_dict().items()}
    torch.save({"state_dict": state, "optimizer": {}, "global_step": 0, "global_epoch": 0}, weights)
    seen: list[tuple[int, ...]] = []

    def give_back(self: Wav2LipNetwork, mel: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(face.shape[1:]))
        half = size[0] // 2
        assert not face[:, :3, half:].any() and torch.equal(face[:, :3, :half], face[:, 3:, :half])
        return face[:, 3:]

    monkeypatch.setattr(Wav2LipNetwork, "forward", give_back)
    head = make_head(tmp_path / "head.mp4", parts=[0.4])
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    chosen = SyncOptions.from_flat(
        variant="wav2lip", weights=weights, device="cpu", number_format="fp32", mask="box"
    )
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    assert result.frames_synced == 10 and set(seen) == {(6, *size)}
    given, made = (
        np.stack(list(open_video(path).read(np.arange(10)))) for path in (head, tmp_path / "out.mp4")
    )
    assert np.abs(given.astype(int) - made).mean() < 2
