"""Packed convolutions equal plain ones."""

from __future__ import annotations

import copy
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lipsync.generators.wav2lip.network import Wav2LipNetwork, prepare_for_inference
from lipsync.utils import onednn_conv
from lipsync.utils.onednn_conv import PackedConv, can_pack

CPU = torch.device("cpu")
needs_packing = pytest.mark.skipif(
    not can_pack(CPU, torch.float32), reason="this torch has no oneDNN operators"
)


def channels_last(*shape: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


@needs_packing
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 16, 7, 1, 3),
        nn.Conv2d(16, 32, 3, (3, 1), 1),
        nn.Conv2d(32, 24, 1),
        nn.ConvTranspose2d(40, 16, 3, 2, 1, 1),
        nn.ConvTranspose2d(8, 16, (3, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("relu", [True, False])
def test_as_the_plain_one(conv: nn.Conv2d | nn.ConvTranspose2d, relu: bool) -> None:
    conv = copy.deepcopy(conv).requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    layer = PackedConv(conv, relu=relu)
    for batch in (1, 3):
        x = channels_last(batch, conv.in_channels, 9, 7)
        plain = torch.relu(conv(x)) if relu else conv(x)
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)


@needs_packing
def test_the_input_is_added_before_the_relu() -> None:
    conv = nn.Conv2d(32, 32, 3, 1, 1).requires_grad_(False)
    x = channels_last(2, 32, 12, 12)
    drawn = PackedConv(conv, residual=True)(x)
    torch.testing.assert_close(drawn, torch.relu(conv(x) + x), atol=1e-5, rtol=1e-5)


@needs_packing
@pytest.mark.parametrize(
    ("conv", "arguments"),
    [
        (nn.Conv2d(8, 8, 3, bias=False), {}),
        (nn.Conv2d(8, 8, 3, groups=2), {}),
        (nn.ConvTranspose2d(8, 8, 3, 1, 1), {"residual": True}),
        (nn.Conv2d(8, 8, 3, 1, 1), {"residual": True, "relu": False}),
    ],
)
def test_what_cannot_be_packed(conv: nn.Conv2d, arguments: dict[str, bool]) -> None:
    with pytest.raises(ValueError, match="cannot be packed"):
        PackedConv(conv, **arguments)


def test_where_packing_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_pack(CPU, torch.float16)
    assert not can_pack(torch.device("cuda"), torch.float32)
    assert not can_pack(torch.device("mps"), torch.float32)
    monkeypatch.setattr(onednn_conv, "OPERATORS", ("_an_operator_of_another_torch",))
    assert not can_pack(CPU, torch.float32)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_prepared_network_draws_the_same(
    monkeypatch: pytest.MonkeyPatch, present: bool, batch: int
) -> None:
    if not present:
        monkeypatch.setattr(onednn_conv, "OPERATORS", ("_an_operator_of_another_torch",))
    torch.manual_seed(4)
    network = Wav2LipNetwork((96, 64), 0.25).eval()
    prepared = prepare_for_inference(copy.deepcopy(network), CPU, torch.float32)
    layers = [module for module in prepared.modules() if isinstance(module, PackedConv)]
    assert bool(layers) == can_pack(CPU, torch.float32)
    mel, face = torch.randn(batch, 1, 80, 16), torch.rand(batch, 6, 96, 64)
    with torch.inference_mode():
        torch.testing.assert_close(prepared(mel, face), network(mel, face), atol=1e-5, rtol=0)


def test_what_is_seen_and_what_is_drawn_are_not_rounded() -> None:
    torch.manual_seed(5)
    prepared = prepare_for_inference(Wav2LipNetwork((32, 32), 0.25), CPU, torch.bfloat16)
    mel, face = torch.randn(2, 1, 80, 16).bfloat16(), 0.5 + 0.5 * torch.rand(2, 6, 32, 32)
    with torch.inference_mode():
        drawn, of_rounded = prepared(mel, face), prepared(mel, face.bfloat16().float())
    assert drawn.dtype == torch.float32 and not torch.equal(drawn, drawn.bfloat16().float())
    assert (drawn != of_rounded).float().mean() > 0.5


LARGE = 10_000
"""Numbers. SyncNet's first audio layer, 576 of them, is a plain one: its reorder takes 7 microseconds."""
WITHOUT_AVX512 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
BATCHES = """
import sys
from pathlib import Path

import torch
from benchmarks.lse import random_syncnet
from lipsync.generators.wav2lip.network import Wav2LipNetwork, prepare_for_inference
from lipsync.sync_score import load_syncnet

torch.set_num_threads(1)
torch.manual_seed(0)
network = prepare_for_inference(Wav2LipNetwork((96, 96), 0.5), torch.device("cpu"), torch.float32)
for count in (8, 3, 1):  # the last batch of a video is a short one
    mel = torch.randn(count, 1, 80, 16)
    face = torch.rand(count, 6, 96, 96).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(mel, face)
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            network(mel, face)

syncnet = load_syncnet(random_syncnet(Path(sys.argv[1])))
for windows in (9, 2):
    frames = torch.zeros(windows + 4, 224, 224, 3, dtype=torch.uint8)
    with torch.inference_mode():
        syncnet.embed_faces(frames), syncnet.embed_audio(torch.zeros(windows, 1, 13, 20))
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            syncnet.embed_faces(frames), syncnet.embed_audio(torch.zeros(windows, 1, 13, 20))
"""


@needs_packing
@pytest.mark.parametrize("limit", [{}, WITHOUT_AVX512], ids=["this CPU", "AVX2"])
def test_no_call_puts_the_weights_in_order_again(limit: dict[str, str], tmp_path: Path) -> None:
    """oneDNN says so in its log: a reorder into a layout with blocks of output channels (a capital A)."""
    run = subprocess.run(
        [sys.executable, "-c", BATCHES, str(tmp_path)],
        env=os.environ | limit,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    convolutions = [line for line in run.stdout.splitlines() if ",convolution," in line]
    reorders = [line for line in run.stdout.splitlines() if ",exec," in line and ",reorder," in line]
    if not convolutions:
        pytest.skip("oneDNN writes no log here")
    weights = [line for line in reorders if ":blocked:A" in line.partition(" dst:")[2]]
    large = [line for line in weights if math.prod(map(int, line.split(",")[-2].split("x"))) >= LARGE]
    assert [line for line in reorders if "simple:any" in line] == []  # the slow reference implementation
    assert large == []


@needs_packing
def test_sizes_that_want_the_same_blocks_share_one_copy() -> None:
    conv = nn.Conv2d(16, 32, 3, padding=1).requires_grad_(False)
    layer = PackedConv(conv, relu=False)
    for size in (4, 4, 9, 16):
        x = channels_last(2, 16, size, size)
        torch.testing.assert_close(layer(x), conv(x), rtol=1e-5, atol=1e-5)
    assert re.search(r"for 3 input sizes in [12] layouts", str(layer))
