"""Runnable copy of the reference scripts of LSE.

These are Rudrabha/Wav2Lip's on joonson/syncnet_python. None of their code is here. Only what current
packages no longer accept, and what needs a CUDA device, is replaced in the copy (`EDITS`):

- `np.int`: removed in NumPy 1.24; it was Python's `int`.
- `S3FD(device='cuda')`: both programs are measured on the CPU.
- ffmpeg is found by the name "ffmpeg", so the one that this program uses is put on the path.
- the face detector S3FD gets random weights, since the time is that of the network, with a last layer that
  finds one face in every frame, always in the same place.

`scenedetect`, which the pipeline for real videos imports, is the last release of its series (0.5.1, which it
requires, fails with current OpenCV), in a separate folder:

    pip install --no-deps --target FOLDER scenedetect==0.5.6.1
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from pathlib import Path

from benchmarks.common import apply_edits, measure_command
from lipsync.media import ffmpeg_path
from lipsync.types import PixelBox

EDITS = (
    ("detectors/s3fd/box_utils.py", "astype(np.int)", "astype(int)"),
    ("run_pipeline.py", "S3FD(device='cuda')", "S3FD(device='cpu')"),
)
"""File of the reference, its text, and the replacement."""
DETECTOR = """
import sys
import torch
from detectors.s3fd.nets import S3FDNet
torch.manual_seed(0)
network = S3FDNet(device="cpu")
for name, module in network.named_modules():
    if isinstance(module, torch.nn.Conv2d):
        torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        torch.nn.init.zeros_(module.bias)
    if name.startswith(("conf.", "loc.")):
        torch.nn.init.zeros_(module.weight)
    if name.startswith("conf."):
        module.bias.data[:-1], module.bias.data[-1] = 9.0, -9.0
# The coarsest map is 1 everywhere, so only its first cell has no neighbour above or to the left.
network.extras[-1].weight.data.zero_()
network.extras[-1].bias.data.fill_(1.0)
first = network.conf[-1]
first.weight.data[1, 0, 0, 1] = first.weight.data[1, 0, 1, 0] = -99.0
first.bias.data[:] = torch.tensor([-9.0, 9.0])
network.loc[-1].bias.data[:] = torch.tensor([float(value) for value in sys.argv[2:]])
torch.save(network.state_dict(), sys.argv[1])
"""
"""Script for the reference's folder: writes its detector's weights. Arguments: the file, then `face_loc`."""
DETECTOR_SCALE = 0.25
_PRIOR, _CELL = 512, 128
"""Pixels: side of the prior boxes of the coarsest map, and of its cells in the frame."""
_VARIANCES = 0.1, 0.2


def prepare_reference(wav2lip: Path, syncnet: Path, folder: Path) -> Path:
    """Copy both into one folder, as in Wav2Lip's README, with `EDITS`, and ffmpeg in `programs`."""
    target = folder / "reference"
    shutil.copytree(syncnet, target, ignore=shutil.ignore_patterns(".git"))
    for script in (wav2lip / "evaluation" / "scores_LSE").glob("*.py"):
        shutil.copy(script, target)
    apply_edits(target, EDITS)
    (target / "programs").mkdir()
    (target / "programs" / "ffmpeg").symlink_to(ffmpeg_path())
    return target


def write_detector_weights(reference: Path, size: tuple[int, int], box: PixelBox) -> None:
    """Write weights with which its detector finds a face at `box` in every frame of this size."""
    target = reference / "detectors" / "s3fd" / "weights" / "sfd_face.pth"
    target.parent.mkdir(exist_ok=True)
    numbers = map(str, face_loc(size, box))
    measure_command([sys.executable, "-c", DETECTOR, str(target), *numbers], reference)


def face_loc(size: tuple[int, int], box: PixelBox) -> tuple[float, float, float, float]:
    """Output of S3FD's first coarsest cell for `box`, in the encoding of SSD (Liu et al., ECCV 2016).

    Args:
        size: width, height of the frames.
    """
    centers, extents = [], []
    for axis, side in enumerate(size):
        scaled = round(side * DETECTOR_SCALE)
        low, high = box[axis] / side, box[axis + 2] / side
        prior, middle = _PRIOR / scaled, _CELL / 2 / scaled
        centers.append(((low + high) / 2 - middle) / prior / _VARIANCES[0])
        extents.append(math.log((high - low) / prior) / _VARIANCES[1])
    return centers[0], centers[1], extents[0], extents[1]


def environment(reference: Path) -> dict[str, str]:
    """Environment variables of a process that runs the reference."""
    return {"PATH": f"{reference / 'programs'}{os.pathsep}{os.environ.get('PATH', '')}"}
