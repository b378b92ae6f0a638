"""Peak rates of this machine, the upper bounds for the other benchmarks.

Arithmetic in GFLOP/s (a multiplication and an addition are two operations): matrix product, and 3x3
convolutions of the shapes that dominate Wav2Lip, packed for oneDNN where possible. "A core" comes from CPU
time with one thread, which other programs hardly affect; "all" from wall time with all threads. ffmpeg's
rates are for the clip, with nothing else running.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.common import make_talking_head, report
from lipsync.devices import cpu_has_bf16
from lipsync.media import ffmpeg_path, open_video
from lipsync.media.video.encoder_settings import video_settings
from lipsync.options import MediaOptions
from lipsync.utils.onednn_conv import PackedConv, can_pack

CPU = torch.device("cpu")
CONVOLUTIONS = ((64, 96), (128, 48), (256, 24), (384, 12), (512, 6))
"""Channels, and side of the square feature map, in Wav2Lip's decoder."""
BATCH = 4
MATRIX = 2048
COPIED_BYTES = 256 << 20
REPEATS = 8


def formats() -> dict[str, torch.dtype]:
    """Number formats that this CPU supports natively."""
    return {"fp32": torch.float32, **({"bf16": torch.bfloat16} if cpu_has_bf16() else {})}


def convolution(channels: int, side: int, dtype: torch.dtype) -> tuple[Callable[[], Any], float]:
    """A 3x3 convolution over a batch, and its number of operations."""
    conv = torch.nn.Conv2d(channels, channels, 3, 1, 1).requires_grad_(False).to(dtype)
    conv = conv.to(memory_format=torch.channels_last)
    layer = PackedConv(conv) if can_pack(CPU, dtype) else conv
    x = torch.randn(BATCH, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)
    return lambda: layer(x), 2.0 * 9 * channels**2 * side**2 * BATCH


def product(dtype: torch.dtype) -> tuple[Callable[[], Any], float]:
    """A matrix product, and its number of operations."""
    a, b = (torch.randn(MATRIX, MATRIX).to(dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * MATRIX**3


def best_seconds(work: Callable[[], Any], clock: Callable[[], float], repeats: int = REPEATS) -> float:
    """The shortest of several runs, after one warm-up run."""
    work()
    found = []
    for _ in range(repeats):
        started = clock()
        work()
        found.append(clock() - started)
    return min(found)


def rates(work: Callable[[], Any], amount: float) -> dict[str, float]:
    """10^9 units of `amount` per second, of one core and of all."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        core = best_seconds(work, time.thread_time)
    finally:
        torch.set_num_threads(threads)
    return {"core": amount / core / 1e9, "all": amount / best_seconds(work, time.perf_counter) / 1e9}


@torch.inference_mode()
def arithmetic() -> dict[str, dict[str, float]]:
    """Rates by "matmul fp32", "convolution bf16", ...; the best of the convolutions."""
    found = {}
    for name, dtype in formats().items():
        found[f"matmul {name}"] = rates(*product(dtype))
        each = [rates(*convolution(channels, side, dtype)) for channels, side in CONVOLUTIONS]
        found[f"convolution {name}"] = {key: max(rate[key] for rate in each) for key in ("core", "all")}
    return found


def bandwidth() -> dict[str, float]:
    """GB/s read and written by a copy, added up."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return rates(lambda: target.copy_(source), 2.0 * COPIED_BYTES)


def ffmpeg_rates(clip: Path, most_frames: int = 100) -> dict[str, dict[str, float]]:
    """Frames per second over the first frames of a clip: decoding, with conversion to RGB, encoding."""
    video = open_video(clip)
    count = min(most_frames, video.frame_count)
    decode = ["-i", str(clip), "-frames:v", str(count)]
    settings = video_settings("libx264", MediaOptions().quality, Fraction(video.fps))
    settings["threads"] = 0  # no limit: nothing else runs
    encode = ["-c:v", str(settings.pop("vcodec"))]
    encode += [part for key, value in settings.items() for part in (f"-{key}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "frames.yuv"
        size = f"{video.info.width}x{video.info.height}"
        stored = ["-f", "rawvideo", "-pix_fmt", "yuv420p"]
        _run([*decode, *stored, str(raw)], 1)
        return {
            "decode": _run([*decode, "-f", "null", "-"], count),
            "decode to RGB": _run([*decode, "-pix_fmt", "rgb24", "-f", "null", "-"], count),
            "encode": _run(
                [*stored, "-s", size, "-r", str(video.fps), "-i", str(raw), *encode, "-f", "null", "-"],
                count,
            ),
        }


def _run(arguments: list[str], frames: int) -> dict[str, float]:
    own = psutil.Process()
    before, started = own.cpu_times(), time.perf_counter()
    subprocess.run([ffmpeg_path(), "-y", "-v", "error", *arguments], check=True)
    wall, after = time.perf_counter() - started, own.cpu_times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"core": frames / max(cpu, 1e-3), "all": frames / wall}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="for ffmpeg's rates (default: 4 s of 1080x1920, generated)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = chosen.clip or make_talking_head(Path(name), 1080, 1920, 4)[0]
        found = {**arithmetic(), "memory copy": bandwidth(), **ffmpeg_rates(clip)}
    units = {"memory copy": "GB/s", "decode": "frames/s", "decode to RGB": "frames/s", "encode": "frames/s"}
    table = [
        (label, f"{rate['core']:7.0f} a core {rate['all']:7.0f} all  {units.get(label, 'GFLOP/s')}")
        for label, rate in found.items()
    ]
    report("limit", table, found)


if __name__ == "__main__":
    main()
