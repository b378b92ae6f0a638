"""CPU time of SyncNet per window: plain layers, with `window_conv`, and with all.

One thread; random weights take as much work as the real ones. CPU time is hardly affected by other programs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.common import report
from benchmarks.limit import best_seconds
from benchmarks.lse import random_syncnet
from lipsync.metrics.lse import BATCH_WINDOWS
from lipsync.sync_score import SyncNet, load_syncnet
from lipsync.sync_score.base import WINDOW_FRAMES
from lipsync.sync_score.syncnet import SYNCNET_INPUT_SIZE
from lipsync.sync_score.winograd import NchwLayers


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="syncnet_v2.model (default: random weights)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest counts")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        network = load_syncnet(chosen.weights or random_syncnet(Path(folder)))
    values = {
        name: {branch: 1000 * seconds for branch, seconds in measure(network, chosen.repeats).items()}
        for name in variants(network)
    }
    table = [
        (name, f"{each['faces']:5.1f} ms faces, {each['audio']:4.1f} ms audio, {sum(each.values()):5.1f} ms")
        for name, each in values.items()
    ]
    report("syncnet_layers", table, values)


def variants(network: SyncNet) -> Iterator[str]:
    """Names of the variants; `network` is changed to each before its name is yielded."""
    assert isinstance(network.fast_stem, torch.nn.Sequential)
    yield "window_conv and winograd"
    network.fast_stem, network.fast_trunk = network.fast_stem[0], NchwLayers(network.netcnnlip[2:])
    network.fast_audio = None
    yield "window_conv"
    network.fast_stem = network.fast_trunk = None
    yield "plain"


@torch.inference_mode()
def measure(network: SyncNet, repeats: int) -> dict[str, float]:
    """CPU seconds per window of either branch."""
    side = SYNCNET_INPUT_SIZE
    frames = torch.randint(0, 256, (BATCH_WINDOWS + WINDOW_FRAMES - 1, side, side, 3), dtype=torch.uint8)
    mfcc = 20 * torch.randn(BATCH_WINDOWS, 1, 13, 20)
    faces = best_seconds(lambda: network.embed_faces(frames), time.process_time, repeats)
    audio = best_seconds(lambda: network.embed_audio(mfcc), time.process_time, repeats)
    return {"faces": faces / BATCH_WINDOWS, "audio": audio / BATCH_WINDOWS}


if __name__ == "__main__":
    main()
