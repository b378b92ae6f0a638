"""Settings of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from lipsync.options import DEVICES, OptionGroup, option
from lipsync.registries import METRICS


@dataclass(frozen=True)
class EvaluatorOptions(OptionGroup):
    """Selection of metrics, and how they are run."""

    sync: bool = option(True, "sync distance, confidence and offset, by the built-in expert")
    lse: bool = option(True, "LSE-D, LSE-C and offset, if SyncNet's weights are on this machine")
    lips: bool = option(True, "how the lips look and move: sharpness, closures, rest in pauses, leaks, seam")
    closures: bool = option(False, "closures at p, b and m for other voices, too; transcribes the voice")
    pictures: bool = option(True, "PSNR and SSIM against the source, frame by frame")
    fid: bool = option(True, "FID against the sources, if InceptionV3's weights are on this machine")
    lpips: bool = option(False, "LPIPS against the source (slow), if AlexNet's weights are on this machine")
    metrics: tuple[str, ...] = option(
        (), "metrics against the source by name, in place of the switches above", choices=METRICS
    )
    download: bool = option(False, "download missing weights that metrics need")
    device: str = option("auto", "device that networks run on", choices=DEVICES)
