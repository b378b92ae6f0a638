"""Makes the goldens: what the original projects' own code computes, to check ours against.

    git clone https://github.com/Rudrabha/Wav2Lip WAV2LIP        (made with 5c90fa9)
    git clone https://github.com/joonson/syncnet_python SYNCNET  (made with 6efbb1c)
    python -m tests.goldens.make WAV2LIP SYNCNET

It writes, beside this file:

- `formats.json`: the official checkpoint formats, see official.py;
- `chunk_starts.json`: "frames per second/columns of the mel" -> first column of every window that the
  original's loop takes;
- `goldens.npz`, with made-up weights (official.py) in evaluation mode, in fp32 on a CPU:
  - `wav_int16` (48000,), 3 s of the sample voice at 16 kHz -> `mel` (80, 241);
  - `wav2lip/out`, `lipsync_expert/{audio,face}_embedding`, `visual_quality_disc/out`,
    `syncnet_v2/{lip,audio}_embedding`: outputs of the networks, for the inputs of official.py;
  - `smoothing/{boxes,out}`: boxes of faces through the original's smoothing in place, T = 5;
  - `face_bgr` (224, 224, 3), the sample face; `paste/box` (y1, y2, x1, x2); `paste/out` (3, h, w, 3): the
    pasted boxes of three frames through the original's batches, network and paste, with `mel` at 25 frames/s;
  - `lse/result`: offset, confidence, distance of 76 frames and `wav_int16` by the reference's script of LSE.

The originals are run in copies, in which what today's packages no longer take is replaced (`EDITS`, and those
of `benchmarks.against_original` and `benchmarks.lse_reference`). None of their code is here.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.io import wavfile

from benchmarks.against_original import Original
from benchmarks.common import SAMPLES, apply_edits
from benchmarks.lse_reference import prepare_reference
from tests.goldens import official
from tests.make_media import run_ffmpeg

EDITS = (("audio.py", "librosa.stft(y=y, n_fft", 'librosa.stft(pad_mode="reflect", y=y, n_fft'),)
"""As librosa 0.7.0 did it, which the original asks for."""
RATES = (23.976, 24, 25, 29.97, 30, 50, 60)
COLUMNS = (16, 17, 80, 241, 801)
BOX = (61, 206, 52, 171)
"""(y1, y2, x1, x2) of the face that is pasted."""
Arrays = dict[str, npt.NDArray[Any]]


class Columns:
    """Stands for a mel spectrogram; notes where its windows start."""

    def __init__(self, count: int) -> None:
        self.count, self.starts = count, []  # type: ignore[var-annotated]

    def __getitem__(self, key: int | tuple[slice, slice]) -> range | None:
        if isinstance(key, int):
            return range(self.count)
        self.starts.append(key[1].start)
        return None


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wav2lip", type=Path, help="checkout of Rudrabha/Wav2Lip")
    parser.add_argument("syncnet", type=Path, help="checkout of joonson/syncnet_python")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original = Original(chosen.wav2lip, folder).folder
        apply_edits(original, EDITS)
        reference = prepare_reference(chosen.wav2lip, chosen.syncnet, folder)
        files = ["--checkpoint_path", "", "--face", "", "--audio", ""]  # it reads its arguments when imported
        sys.argv = ["inference.py", *files, "--box", *map(str, BOX)]
        sys.path[:0] = [str(original), str(reference)]
        make(original, folder)


def make(original: Path, folder: Path) -> None:
    """Write the files; the originals' folders are on the path."""
    inference, models, scores = (
        importlib.import_module(name) for name in ("inference", "models", "SyncNetInstance_calc_scores")
    )
    networks: dict[str, torch.nn.Module] = {
        "wav2lip": models.Wav2Lip(),
        "lipsync_expert": models.SyncNet_color(),
        "visual_quality_disc": models.Wav2Lip_disc_qual(),
        "syncnet_v2": importlib.import_module("SyncNetModel").S(num_layers_in_fc_layers=1024),
        "s3fd": importlib.import_module("face_detection.detection.sfd.net_s3fd").s3fd(),
    }
    write_json("formats.json", {name: form_of(name, network) for name, network in networks.items()})
    official.formats.cache_clear()
    write_json("chunk_starts.json", chunk_starts((original / "inference.py").read_text("utf-8")))

    arrays: Arrays = {"wav_int16": sample_voice(), "face_bgr": sample_face()}
    arrays["mel"] = (
        importlib.import_module("audio")
        .melspectrogram(arrays["wav_int16"].astype(np.float32) / 32768)
        .astype(np.float32)
    )
    with torch.inference_mode():
        arrays |= outputs(networks, folder)
    arrays |= smoothing(inference)
    arrays |= paste(inference, folder, arrays)
    arrays |= lse(scores, folder, arrays)
    np.savez_compressed(official.HERE / "goldens.npz", **arrays)  # type: ignore[arg-type]
    for key, array in arrays.items():
        print(f"{key:34} {array.dtype!s:8} {array.shape}")  # noqa: T201


def form_of(name: str, network: torch.nn.Module) -> dict[str, Any]:
    """How the official file of a network holds it."""
    tensors = [[key, list(value.shape), str(value.dtype)[6:]] for key, value in network.state_dict().items()]
    plain = name in ("syncnet_v2", "s3fd")
    counters = {"optimizer": {}, "global_step": 0, "global_epoch": 0}
    return {
        "prefix": "module." if name == "wav2lip" else "",
        "wrapped_in": None if plain else "state_dict",
        "beside": {} if plain else counters,
        "tensors": tensors,
    }


def write_json(name: str, content: Any) -> None:
    """One line for each innermost list."""
    text = json.dumps(content, indent=1)
    lines = re.sub(r"\[[^\[\]]*\]", lambda found: " ".join(found[0].split()), text)
    lines = re.sub(r"\[[^\[\]]*\[[^\[\]]*\][^\[\]]*\]", lambda found: " ".join(found[0].split()), lines)
    (official.HERE / name).write_text(lines + "\n", "utf-8")


def chunk_starts(inference: str) -> dict[str, list[int]]:
    """Windows of the loop in the original's `main`, for some frame rates and lengths."""
    tree = ast.parse(inference)
    body = next(node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    first = next(number for number, line in enumerate(body) if ast.unparse(line) == "mel_chunks = []")
    loop = ast.Module(body[first : first + 4], type_ignores=[])
    starts = {}
    for fps in RATES:
        for columns in COLUMNS:
            mel = Columns(columns)
            exec(compile(loop, "inference.py", "exec"), {"mel": mel, "fps": fps, "mel_step_size": 16})
            starts[f"{fps}/{columns}"] = mel.starts
    return starts


def sample_voice() -> npt.NDArray[np.int16]:
    """The first 3 s at 16 kHz."""
    sound = run_ffmpeg("-i", SAMPLES / "voice.mp3", "-t", 3, "-ar", 16_000, "-ac", 1, "-f", "s16le", "-")
    return np.frombuffer(sound, np.int16)[:48_000].copy()


def sample_face() -> npt.NDArray[np.uint8]:
    """(224, 224, 3) BGR."""
    with Image.open(SAMPLES / "face.jpg") as photo:
        face = photo.convert("RGB").crop((96, 0, 352, 256)).resize((224, 224))
    return np.ascontiguousarray(np.asarray(face)[..., ::-1])


def outputs(networks: dict[str, torch.nn.Module], folder: Path) -> Arrays:
    """What each network makes of the inputs of official.py."""
    for name, network in networks.items():
        form, path = official.formats()[name], official.write_checkpoint(name, folder / f"{name}.pth")
        state = torch.load(path, weights_only=True)
        state = state if form["wrapped_in"] is None else state[form["wrapped_in"]]
        network.load_state_dict({key.removeprefix(form["prefix"]): value for key, value in state.items()})
        network.eval()
    mel, face = official.given_wav2lip()
    drawn = networks["wav2lip"](mel, face)
    with_time = networks["wav2lip"](mel[None], face.transpose(0, 1)[None])  # (1, 2, ...), (1, 6, 2, ...)
    assert torch.equal(with_time[0].transpose(0, 1), drawn)
    sound, seen = networks["lipsync_expert"](*official.given_expert())
    syncnet: Any = networks["syncnet_v2"]
    mfcc, lips = official.given_syncnet()
    return {
        "wav2lip/out": drawn.numpy(),
        "lipsync_expert/audio_embedding": sound.numpy(),
        "lipsync_expert/face_embedding": seen.numpy(),
        "visual_quality_disc/out": networks["visual_quality_disc"](official.given_discriminator()).numpy(),
        "syncnet_v2/lip_embedding": syncnet.forward_lip(lips).numpy(),
        "syncnet_v2/audio_embedding": syncnet.forward_aud(mfcc).numpy(),
    }


def smoothing(inference: ModuleType) -> Arrays:
    """Forty boxes of a face that wanders."""
    steps = np.random.default_rng(0).integers(-6, 7, (40, 4))
    boxes = np.array([100, 80, 220, 230]) + steps.cumsum(axis=0)
    return {"smoothing/boxes": boxes, "smoothing/out": inference.get_smoothened_boxes(boxes.copy(), T=5)}


def paste(inference: ModuleType, folder: Path, arrays: Arrays) -> Arrays:
    """The body of the loop in the original's `main`, around its own batches and network."""
    frames, starts = official.paste_frames(arrays["face_bgr"]), [int(80 / 25 * n) for n in range(3)]
    windows = [arrays["mel"][:, start : start + 16] for start in starts]
    [(faces, mels, _, places)] = inference.datagen(frames, windows)
    network = inference.load_model(str(folder / "wav2lip.pth"))
    with torch.no_grad():
        drawn = network(*(torch.FloatTensor(np.transpose(batch, (0, 3, 1, 2))) for batch in (mels, faces)))
    mouths = drawn.numpy().transpose(0, 2, 3, 1) * 255.0
    pasted = []
    for mouth, (y1, y2, x1, x2) in zip(mouths, places, strict=True):
        pasted.append(cv2.resize(mouth.astype(np.uint8), (x2 - x1, y2 - y1)))
    return {"paste/box": np.array(BOX), "paste/out": np.stack(pasted)}


def lse(scores: Any, folder: Path, arrays: Arrays) -> Arrays:
    """The reference's `evaluate`, which is given frames and sound where it would have ffmpeg write them."""
    frames: Sequence[npt.NDArray[np.uint8]] = official.lse_frames(arrays["face_bgr"])
    work = folder / "work"

    def extract(command: str, **_: Any) -> int:
        if "image2" in command:
            for number in range(len(frames)):
                (work / "lse" / f"{number:06d}.jpg").touch()
        else:
            wavfile.write(work / "lse" / "audio.wav", 16_000, arrays["wav_int16"])
        return 0

    scores.subprocess = SimpleNamespace(call=extract)
    scores.cv2 = SimpleNamespace(imread=lambda name: frames[int(Path(name).stem)], resize=cv2.resize)
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self  # type: ignore[method-assign, assignment]
    instance = scores.SyncNetInstance()
    instance.loadParameters(str(folder / "syncnet_v2.pth"))
    options = SimpleNamespace(tmp_dir=str(work), reference="lse", batch_size=20, vshift=15)
    return {"lse/result": np.array([float(value) for value in instance.evaluate(options, "")])}


if __name__ == "__main__":
    main()
