"""The reference scripts of LSE, ready to be run in a copy: Rudrabha/Wav2Lip's on joonson/syncnet_python.

None of their code is here. What today's packages no longer take, and what asks for a CUDA device, is
replaced in the copy (`EDITS`); nothing else is changed:

- `np.int`: gone since NumPy 1.24; it was Python's `int`.
- `S3FD(device='cuda')`: both programs are measured on the CPU.
- ffmpeg is found by the name "ffmpeg", so the one that this program uses is put on the path.
- the weights of the face detector S3FD are made up, since the time is that of the network: random ones,
  with a last layer that finds one face in every frame, always in the same place.

`scenedetect`, which the pipeline for real videos imports, is the last one of its series (0.5.1, which it asks
for, fails with today's OpenCV); it is put in a folder of its own:

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
"""File of the reference, what it says, and what it must say."""
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
# The coarsest map is 1 everywhere, so its first cell is the only one that has nothing above nor before it.
network.extras[-1].weight.data.zero_()
network.extras[-1].bias.data.fill_(1.0)
first = network.conf[-1]
first.weight.data[1, 0, 0, 1] = first.weight.data[1, 0, 1, 0] = -99.0
first.bias.data[:] = torch.tensor([-9.0, 9.0])
network.loc[-1].bias.data[:] = torch.tensor([float(value) for value in sys.argv[2:]])
torch.save(network.state_dict(), sys.argv[1])
"""
"""Run in the reference's folder: writes weights for its detector. Arguments: the file, then `face_loc`."""
DETECTOR_SCALE = 0.25
_PRIOR, _CELL = 512, 128
"""Pixels: side of the boxes of the coarsest map, and of the part of the picture that a cell stands for."""
_VARIANCES = 0.1, 0.2


def prepare_reference(wav2lip: Path, syncnet: Path, folder: Path) -> Path:
    """Both in one copy, as Wav2Lip's README says to put them, with `EDITS`, and ffmpeg in `programs`."""
    target = folder / "reference"
    shutil.copytree(syncnet, target, ignore=shutil.ignore_patterns(".git"))
    for script in (wav2lip / "evaluation" / "scores_LSE").glob("*.py"):
        shutil.copy(script, target)
    apply_edits(target, EDITS)
    (target / "programs").mkdir()
    (target / "programs" / "ffmpeg").symlink_to(ffmpeg_path())
    return target


def make_up_detector(reference: Path, size: tuple[int, int], box: PixelBox) -> None:
    """Weights with which its detector finds a face at `box` in every frame of this size."""
    target = reference / "detectors" / "s3fd" / "weights" / "sfd_face.pth"
    target.parent.mkdir(exist_ok=True)
    numbers = map(str, face_loc(size, box))
    measure_command([sys.executable, "-c", DETECTOR, str(target), *numbers], reference)


def face_loc(size: tuple[int, int], box: PixelBox) -> tuple[float, float, float, float]:
    """What S3FD's first coarsest cell must say for `box`, by the encoding of SSD (Liu et al., ECCV 2016).

    Args:
        size: width, height of the frames.
    """
    places, extents = [], []
    for axis, side in enumerate(size):
        seen = round(side * DETECTOR_SCALE)
        low, high = box[axis] / side, box[axis + 2] / side
        prior, middle = _PRIOR / seen, _CELL / 2 / seen
        places.append(((low + high) / 2 - middle) / prior / _VARIANCES[0])
        extents.append(math.log((high - low) / prior) / _VARIANCES[1])
    return places[0], places[1], extents[0], extents[1]


def environment(reference: Path) -> dict[str, str]:
    """Variables of a process that runs the reference."""
    return {"PATH": f"{reference / 'programs'}{os.pathsep}{os.environ.get('PATH', '')}"}
