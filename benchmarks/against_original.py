"""Comparison with the original Wav2Lip: same clip, voice, weights and box.

    git clone https://github.com/Rudrabha/Wav2Lip ORIGINAL
    python -m benchmarks.against_original ORIGINAL

The original runs from a copy in which only what current packages no longer accept is replaced (`EDITS`);
none of its code is here:

- `librosa.filters.mel(rate, n_fft, ...)`: since librosa 0.10 both are keyword-only.
- ffmpeg is found by the name "ffmpeg", so the one that this program uses is put on its path.
- its face detector S3FD gets random weights of the right shapes, which find a face in every frame. What is
  found does not matter, since the time is that of the network.

First both get the face box: ours with its default blending of the mouth, and with the original's paste of
the whole box (`--mask box`). Then both detect the face; the original does so in a short clip only, and the
time that it needs more than with the box is scaled to the length of the clip, as the report says. Other
programs on the machine affect the wall time, the CPU time hardly.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import (
    FPS,
    Measurement,
    add_avx2_option,
    apply_edits,
    limit_to_avx2,
    make_talking_head,
    measure_command,
    measure_lipsync,
    random_checkpoint,
    report,
    run_arguments,
)
from lipsync.media import ffmpeg_path

EDITS = (
    (
        "audio.py",
        "librosa.filters.mel(hp.sample_rate, hp.n_fft,",
        "librosa.filters.mel(sr=hp.sample_rate, n_fft=hp.n_fft,",
    ),
)
"""File of the original, its text, and the replacement for current packages."""
DETECTOR = """
import sys
import torch
from face_detection.detection.sfd.net_s3fd import s3fd
torch.manual_seed(0)
network = s3fd()
for name, value in network.state_dict().items():
    if value.ndim == 4:
        torch.nn.init.kaiming_normal_(value, nonlinearity="relu")
    elif name.endswith("bias"):
        value.zero_()
# A face in every cell of the coarsest grid with full confidence, and nowhere else.
for name, module in network.named_modules():
    if name.endswith("_conf"):
        module.weight.data.zero_()
        module.bias.data[:] = -9.0
        module.bias.data[0 if not name.startswith("conv7_2") else 1] = 9.0
    if name.endswith("_loc"):
        module.weight.data.zero_()
torch.save(network.state_dict(), sys.argv[1])
"""
"""Script for the original's folder: writes weights for its face detector."""
Box = tuple[int, int, int, int]


class Original:
    """A runnable copy of the original.

    Args:
        checkout: of Rudrabha/Wav2Lip.
        folder: parent of the copy.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.folder = folder / "original"
        shutil.copytree(checkout, self.folder, ignore=shutil.ignore_patterns(".git"))
        for name in ("temp", "results"):
            (self.folder / name).mkdir(exist_ok=True)
        apply_edits(self.folder, EDITS)
        programs = folder / "programs"
        programs.mkdir()
        (programs / "ffmpeg").symlink_to(ffmpeg_path())
        self.environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(self.folder),
        }

    def write_detector_weights(self) -> None:
        """Write weights for its face detector."""
        target = self.folder / "face_detection" / "detection" / "sfd" / "s3fd.pth"
        measure_command([sys.executable, "-c", DETECTOR, str(target)], self.folder, self.environment)

    def run(self, video: Path, voice: Path, weights: Path, box: Box | None) -> Measurement:
        """Measure a whole run of the original."""
        command = [sys.executable, "inference.py", "--checkpoint_path", str(weights)]
        command += ["--face", str(video), "--audio", str(voice), "--outfile", "results/out.mp4"]
        command += ["--box", *map(str, box)] if box else []
        return measure_command(command, self.folder, self.environment)


def run_ours(
    folder: Path, video: Path, voice: Path, weights: Path, box: Box | None, mask: str = "mouth"
) -> Measurement:
    """Measure a whole run of this program."""
    arguments = [*run_arguments(video, voice, folder / "ours.mp4"), "--json"]
    arguments += ["--variant", "wav2lip", "--weights", str(weights), "--no-score"]
    # "auto" goes by the CPU's flags, which a limit to AVX2 does not change.
    arguments += ["--number-format", "fp32" if "ONEDNN_MAX_CPU_ISA" in os.environ else "auto"]
    arguments += ["--mask", mask, *(["--box", *map(str, box)] if box else [])]
    return measure_lipsync(arguments)


def scaled(
    with_box: Measurement, short_box: Measurement, short_found: Measurement, times: float
) -> Measurement:
    """Estimate of the whole run with detection, from the cost of detection in a short one."""
    return Measurement(
        "",
        with_box.seconds + times * max(0.0, short_found.seconds - short_box.seconds),
        with_box.cpu_seconds + times * max(0.0, short_found.cpu_seconds - short_box.cpu_seconds),
        max(with_box.peak_bytes, short_found.peak_bytes),
    )


def table_rows(case: str, original: Measurement, ours: Measurement) -> list[tuple[str, str]]:
    """Both values and the ratio of the original to ours."""

    def row(what: str, original: float, ours: float, unit: str) -> tuple[str, str]:
        return (
            f"{case}: {what}",
            f"{original:8.1f} {unit} original, {ours:7.1f} ours, {original / ours:6.1f} x",
        )

    return [
        row("wall time", original.seconds, ours.seconds, "s"),
        row("CPU time", original.cpu_seconds, ours.cpu_seconds, "s"),
        row("peak memory", original.peak_bytes / 2**20, ours.peak_bytes / 2**20, "MiB"),
    ]


def main() -> None:
    """Measure both in turn and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original", type=Path, help="checkout of Rudrabha/Wav2Lip")
    parser.add_argument("--size", default="1080x1920", help="of the generated clip (default 1080x1920)")
    parser.add_argument("--seconds", type=float, default=10, help="its length (default 10)")
    parser.add_argument("--video", type=Path, help="your own clip, at 25 frames a second")
    parser.add_argument("--voice", type=Path, help="your own voice, WAV")
    parser.add_argument("--box", type=int, nargs=4, metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"))
    parser.add_argument("--weights", type=Path, help="checkpoint (default: random weights)")
    parser.add_argument("--rounds", type=int, default=1, help="of both with the box; the shortest counts")
    parser.add_argument("--detected-frames", type=int, default=5, help="0 skips detection")
    add_avx2_option(parser)
    chosen = parser.parse_args()
    limit_to_avx2(chosen)
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = (chosen.weights or random_checkpoint(folder)).absolute()
        made = make_talking_head(folder, width, height, chosen.seconds)
        video, voice = (chosen.video or made[0]).absolute(), (chosen.voice or made[1]).absolute()
        box = tuple(chosen.box or (height // 6, height // 2, width // 4, width * 3 // 4))
        original = Original(chosen.original, folder)
        turns = [
            (
                original.run(video, voice, weights, box),
                run_ours(folder, video, voice, weights, box),
                run_ours(folder, video, voice, weights, box, mask="box"),
            )
            for _ in range(chosen.rounds)
        ]
        with_box, ours, pasted = (
            min(side, key=lambda run: run.cpu_seconds) for side in zip(*turns, strict=True)
        )
        table = table_rows("box given", with_box, ours) + table_rows("its own paste", with_box, pasted)
        values = {"box": {"original": asdict(with_box), "ours": asdict(ours), "ours, box": asdict(pasted)}}
        if chosen.detected_frames:
            original.write_detector_weights()
            short, _ = make_talking_head(folder, width, height, chosen.detected_frames / FPS)
            times = chosen.seconds * FPS / chosen.detected_frames
            # The voice is longer than these few frames: the original repeats them, but detects once.
            estimate = scaled(
                with_box,
                original.run(short, voice, weights, box),
                original.run(short, voice, weights, None),
                times,
            )
            found = run_ours(folder, video, voice, weights, None)
            table += table_rows("with detection", estimate, found)
            table.append(
                ("", f"(the original detected in {chosen.detected_frames} frames; scaled by {times:g})")
            )
            values["detection"] = {"original, scaled": asdict(estimate), "ours": asdict(found)}
    report("against_original", table, values)


if __name__ == "__main__":
    main()
