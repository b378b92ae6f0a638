"""From checkpoints to the file that ships: safetensors, half precision, a header that says what it is.

A generator of Wav2Lip's kind can also be written in the official format.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from lipsync.errors import OptionError
from lipsync.generators.builtin.adapter import FORMAT, LICENCE
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.wav2lip.adapter import FORMAT as GENERATOR_FORMAT
from lipsync.generators.wav2lip.network import network_from_state_dict
from lipsync.options import OptionGroup
from lipsync.training.data.dataset_format import FPS, read_manifest
from lipsync.training.data.face_clips import FaceClip
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.types import FloatArray
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights.checkpoint import load_into

ABOUT = "about.json"
"""The file in the folder of a generator's run that says what was trained on what."""
_UNKNOWN_LICENCE = "not stated; what was trained on may forbid more than personal use"


def assemble(
    config: NetworkConfig,
    components: FloatArray,
    gain: FloatArray,
    voice: Mapping[str, Tensor],
    place: Mapping[str, Tensor],
    painter: Mapping[str, Tensor],
) -> BuiltinNetwork:
    """One network out of the averaged weights of the three trainings."""
    network = BuiltinNetwork(config)
    network.voice.load_state_dict(voice)
    network.place.load_state_dict(place)
    ours = {
        name.removeprefix("painter."): value for name, value in painter.items() if name.startswith("painter.")
    }
    network.painter.load_state_dict(ours)  # its critic stays behind
    network.components.copy_(torch.from_numpy(components))
    network.gain.copy_(torch.from_numpy(gain))
    return network.eval()


def export(network: BuiltinNetwork, path: Path, notes: Mapping[str, str] | None = None) -> int:
    """Write the weights' file whole or not at all; gives its size in bytes.

    Convolutions and matrices are stored in 16 bits; what normalises, and the shapes, in 32.

    Args:
        notes: further entries of the header, such as the commit and the seeds.
    """
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        wide = value.ndim < 2 or name in ("components", "gain")
        state[name] = (value if wide else value.half()).contiguous()
    header = {
        **(notes or {}),
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(network.config)),
        "licence": LICENCE,
    }
    with atomic_write(path) as part:
        part.write_bytes(save(state, metadata=header))  # save_file would hide the system's errors
    return path.stat().st_size


def note_training(run: Path, folder: Path, clips: Sequence[FaceClip], options: OptionGroup) -> None:
    """Note in a run's folder what the model card tells later; files by their names alone."""
    learned = [clip for clip in clips if clip.split == "train"]
    rows = read_manifest(folder) if (folder / "manifest.tsv").exists() else []
    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    about = {
        "set": folder.resolve().name,
        "clips": len(learned),
        "people": len({clip.person for clip in learned}),
        "minutes": round(sum(len(clip) for clip in learned) / FPS / 60, 1),
        "held-out clips": sum(clip.split == "held" for clip in clips),
        "licences": sorted({row.licence for row in rows if row.licence and row.split == "train"}),
        "options": {k: v.name if isinstance(v, Path) else v for k, v in settings.items()},
    }
    run.mkdir(parents=True, exist_ok=True)
    with atomic_write(run / ABOUT) as part:
        part.write_text(json.dumps(about, indent=2), "utf-8")


def export_generator(
    run: Path, path: Path, notes: Mapping[str, str] | None = None, averaged: bool = True
) -> int:
    """Put a trained generator into one file, and a model card beside it; gives the size in bytes.

    Args:
        run: the folder that `train_generator` wrote.
        path: ending in `.pth` for the official format, which the original's own programs read too, or
            in `.safetensors` for half the size and a header. The card is the same name with `.md`.
        notes: further entries of header and card, such as "licence" or the commit.
        averaged: the averaged weights, which draw more steadily, else those of the last step.

    Raises:
        OptionError: the path ends in something else.
        WeightsError: the run has no checkpoint, or not of a generator.
        OutputError: the file cannot be written.
    """
    if path.suffix not in (".pth", ".safetensors"):
        hint = "Use a name that ends in .pth (the official format) or .safetensors."
        raise OptionError("A generator is not exported into such a file", given=path, hint=hint)
    last = read_checkpoint(run / "last.pt")
    state = {
        name.removeprefix("generator."): value.contiguous()
        for name, value in last["average" if averaged else "network"].items()
        if name.startswith("generator.")
    }
    network = network_from_state_dict(state)
    load_into(network, state, what="the Wav2Lip generator", path=run / "last.pt")
    form = {"size": "x".join(map(str, network.size)), "width": f"{network.width:g}"}
    facts = {**form, **_facts(run, int(last["step"]), averaged), **(notes or {})}
    with atomic_write(path) as part:
        if path.suffix == ".pth":
            _write_official(state, int(last["step"]), part)
        else:
            header = {**facts, "format": GENERATOR_FORMAT}
            part.write_bytes(save(_halved(state), metadata=header))
    with atomic_write(path.with_suffix(".md")) as part:
        part.write_text(_card(path, facts), "utf-8")
    return path.stat().st_size


def _write_official(state: Mapping[str, Tensor], step: int, path: Path) -> None:
    official = {
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "optimizer": None,  # which the original's training takes for "start with a new one"
        "global_step": step,
        "global_epoch": 0,
    }
    with path.open("wb") as file:  # given a name, torch would hide the system's errors
        torch.save(official, file)


def _halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in 16 bits, what normalises in 32; counters that only training reads left out."""
    return {
        name: value.half() if value.ndim > 1 else value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


def _facts(run: Path, step: int, averaged: bool) -> dict[str, str]:
    """What the run's folder tells: the set, the settings, and what was measured last."""
    about = _read_json(run / ABOUT)
    settings: dict[str, Any] = about.pop("options", {})
    licences = "; ".join(about.pop("licences", []))
    return {
        "step": str(step),
        "weights": "averaged" if averaged else "of the last step",
        **{name: str(value) for name, value in about.items()},
        "licence": _UNKNOWN_LICENCE,
        **({"licences of the set": licences} if licences else {}),
        **{f"held out: {name}": f"{value:.4g}" for name, value in _measured_last(run / "log.jsonl").items()},
        **{f"option: {name}": str(value) for name, value in settings.items()},
    }


def _measured_last(log: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    for line in log.read_text("utf-8").splitlines() if log.exists() else []:
        with suppress(json.JSONDecodeError):  # a line that a kill cut short
            figures = json.loads(line).get("held_out", figures)
    return figures


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _card(path: Path, facts: Mapping[str, str]) -> str:
    """A model card: what the file is, what it may be used for, and all that is known of its making."""
    cells = [f"| {name} | {value.replace('|', '/')} |" for name, value in facts.items()]
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            f"`{path.name}`: a lip generator of Wav2Lip's kind (Prajwal et al., ACM MM 2020, arXiv",
            f"2008.10010) for face crops of {facts['size']} pixels (height x width), trained with",
            "`lipsync.training`. It takes crops in BGR with the lower half hidden, another frame of the same",
            "face, and 0.2 s of mel spectrogram.",
            "",
            f"**Licence:** {facts['licence']}.",
            "",
            "Videos made with it must be told from real ones: say that the lips were generated, and ask",
            "whoever is shown.",
            "",
            "| | |",
            "|---|---|",
            *cells,
            "",
        ]
    )
