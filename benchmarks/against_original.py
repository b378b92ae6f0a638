"""This program against the original Wav2Lip: the same clip, voice, weights and box, in one go.

    git clone https://github.com/Rudrabha/Wav2Lip ORIGINAL
    python -m benchmarks.against_original ORIGINAL

The original is run from a copy, in which what today's packages no longer take is replaced (`EDITS`);
nothing else is changed and none of its code is here:

- `librosa.filters.mel(rate, n_fft, ...)`: since librosa 0.10 both must be given by name.
- ffmpeg is found by the name "ffmpeg", so the one that this program uses is put on its path.
- its face detector S3FD is made up: random weights of the right shapes, which find a face in every
  frame. What is found does not matter, since the time is that of the network.

First both take the face box as given: ours once as it comes, with the mouth blended in, and once with
the original's own paste of the whole box (`--mask box`). Then both look for the face; the original does
so in a short clip only, and the time that it needs more than with the box is scaled to the length of the
clip, which the report says. Wall time suffers from whatever else the machine does; CPU time hardly.
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
    Measured,
    apply_edits,
    made_up_checkpoint,
    make_talking_head,
    measure_command,
    report,
    run_measured,
)
from lipsync.media import ffmpeg_path

EDITS = (
    (
        "audio.py",
        "librosa.filters.mel(hp.sample_rate, hp.n_fft,",
        "librosa.filters.mel(sr=hp.sample_rate, n_fft=hp.n_fft,",
    ),
)
"""File of the original, what it says, and what it must say with today's packages."""
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
# A face at every place of the coarsest grid, as certain as can be, and nowhere else.
for name, module in network.named_modules():
    if name.endswith("_conf"):
        module.weight.data.zero_()
        module.bias.data[:] = -9.0
        module.bias.data[0 if not name.startswith("conv7_2") else 1] = 9.0
    if name.endswith("_loc"):
        module.weight.data.zero_()
torch.save(network.state_dict(), sys.argv[1])
"""
"""Run in the original's folder: writes weights for its face detector."""
Box = tuple[int, int, int, int]


class Original:
    """A copy of the original, ready to be run.

    Args:
        checkout: its files.
        folder: where the copy goes.
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

    def make_up_detector(self) -> None:
        """Weights for its face detector."""
        target = self.folder / "face_detection" / "detection" / "sfd" / "s3fd.pth"
        measure_command([sys.executable, "-c", DETECTOR, str(target)], self.folder, self.environment)

    def run(self, video: Path, voice: Path, weights: Path, box: Box | None) -> Measured:
        """Its whole program, from start to end."""
        command = [sys.executable, "inference.py", "--checkpoint_path", str(weights)]
        command += ["--face", str(video), "--audio", str(voice), "--outfile", "results/out.mp4"]
        command += ["--box", *map(str, box)] if box else []
        return measure_command(command, self.folder, self.environment)


def run_ours(
    folder: Path, video: Path, voice: Path, weights: Path, box: Box | None, mask: str = "mouth"
) -> Measured:
    """Our whole program, from start to end."""
    arguments = ["run", str(video), str(voice), "-o", str(folder / "ours.mp4"), "--json", "--no-cache"]
    arguments += ["--variant", "wav2lip", "--weights", str(weights), "--number-format", "auto", "--no-score"]
    arguments += ["--mask", mask, *(["--box", *map(str, box)] if box else [])]
    return run_measured(arguments)


def scaled(with_box: Measured, short_box: Measured, short_found: Measured, times: float) -> Measured:
    """The whole run with detection, from what detection costs in a short one."""
    return Measured(
        "",
        with_box.seconds + times * max(0.0, short_found.seconds - short_box.seconds),
        with_box.cpu_seconds + times * max(0.0, short_found.cpu_seconds - short_box.cpu_seconds),
        max(with_box.peak_bytes, short_found.peak_bytes),
    )


def in_rows(case: str, original: Measured, ours: Measured) -> list[tuple[str, str]]:
    """Both, and how many times as much the original takes."""

    def row(what: str, theirs: float, own: float, unit: str) -> tuple[str, str]:
        return f"{case}: {what}", f"{theirs:8.1f} {unit} original, {own:7.1f} ours, {theirs / own:6.1f} x"

    return [
        row("wall time", original.seconds, ours.seconds, "s"),
        row("CPU time", original.cpu_seconds, ours.cpu_seconds, "s"),
        row("peak memory", original.peak_bytes / 2**20, ours.peak_bytes / 2**20, "MiB"),
    ]


def main() -> None:
    """Run both, one after the other, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original", type=Path, help="checkout of Rudrabha/Wav2Lip")
    parser.add_argument("--size", default="1080x1920", help="of the made clip (default 1080x1920)")
    parser.add_argument("--seconds", type=float, default=10, help="its length (default 10)")
    parser.add_argument("--video", type=Path, help="a clip of your own instead, at 25 frames a second")
    parser.add_argument("--voice", type=Path, help="a voice of your own, WAV")
    parser.add_argument("--box", type=int, nargs=4, metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"))
    parser.add_argument("--weights", type=Path, help="checkpoint (default: made-up weights)")
    parser.add_argument("--rounds", type=int, default=1, help="of both with the box; the shortest count")
    parser.add_argument("--detected-frames", type=int, default=5, help="0 leaves detection out")
    chosen = parser.parse_args()
    width, height = map(int, chosen.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = (chosen.weights or made_up_checkpoint(folder)).absolute()
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
        table = in_rows("box given", with_box, ours) + in_rows("its own paste", with_box, pasted)
        values = {"box": {"original": asdict(with_box), "ours": asdict(ours), "ours, box": asdict(pasted)}}
        if chosen.detected_frames:
            original.make_up_detector()
            short, _ = make_talking_head(folder, width, height, chosen.detected_frames / FPS)
            times = chosen.seconds * FPS / chosen.detected_frames
            # The voice is longer than these few frames: the original repeats them, but looks once.
            estimate = scaled(
                with_box,
                original.run(short, voice, weights, box),
                original.run(short, voice, weights, None),
                times,
            )
            found = run_ours(folder, video, voice, weights, None)
            table += in_rows("with detection", estimate, found)
            table.append(
                ("", f"(the original looked for {chosen.detected_frames} frames; times {times:g} here)")
            )
            values["detection"] = {"original, scaled": asdict(estimate), "ours": asdict(found)}
    report("against_original", table, values)


if __name__ == "__main__":
    main()
