"""Export of weights: built-in model, Wav2Lip generators and sync experts.

Our own files are safetensors in half precision with a descriptive header; networks of
Wav2Lip can also be written in the official format.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from lipsync.errors import OptionError
from lipsync.generators.builtin.adapter import FORMAT, LICENCE
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.builtin.packed_matrices import pack_matrix
from lipsync.generators.builtin.speech_encoder import LICENCE as ENCODER_LICENCE
from lipsync.generators.wav2lip.adapter import FORMAT as GENERATOR_FORMAT
from lipsync.generators.wav2lip.network import network_from_state_dict
from lipsync.options import OptionGroup
from lipsync.sync_score import CompactSyncNet, CompactSyncNetConfig, SyncNetColor, save_expert
from lipsync.training.data.dataset_format import FPS, read_manifest
from lipsync.training.data.face_clips import FaceClip
from lipsync.training.engine.checkpoint import read_checkpoint
from lipsync.training.engine.run_log import read_run_log
from lipsync.types import FloatArray
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights.checkpoint import load_into

ABOUT = "about.json"
"""File in the folder of a generator's run: the training set and the settings."""
_RENAMED_FACTS = {"held-out clips": "validation clips"}
"""Entries of earlier releases and their current names."""
_UNKNOWN_LICENCE = "not stated; the training data may forbid more than personal use"

# --- the built-in model --------------------------------------------------------------------------


def assemble(
    config: NetworkConfig,
    components: FloatArray,
    gain: FloatArray,
    audio2shape: Mapping[str, Tensor],
    locator: Mapping[str, Tensor],
    renderer: Mapping[str, Tensor],
    encoder: Mapping[str, Tensor] | None = None,
) -> BuiltinNetwork:
    """The built-in network from its networks' weights, in evaluation mode.

    Args:
        components: float32 (coefficients, 147) of the shape space.
        gain: float32 (coefficients,).
        renderer: with its critic, which is left out.
        encoder: the speech encoder, where the config has one.

    Raises:
        WeightsError: the weights are of another network.
    """
    network = BuiltinNetwork(config)
    if network.encoder is not None:
        load_into(network.encoder, dict(encoder or {}), what="the speech encoder")
    load_into(network.voice, dict(audio2shape), what="Audio2Shape")
    load_into(network.place, dict(locator), what="the mouth locator")
    load_into(network.painter, _strip_prefix(renderer, "painter."), what="the renderer")
    network.components.copy_(torch.from_numpy(components))
    network.gain.copy_(torch.from_numpy(gain))
    return network.eval()


def export_network(network: BuiltinNetwork, path: Path, notes: Mapping[str, str] | None = None) -> int:
    """Write the built-in model's weights file atomically; returns its size in bytes.

    Convolutions and matrices are stored in 16 bits, those of the speech encoder in 8; normalisation, biases
    and the shape space in 32.

    Args:
        notes: further entries of the header, such as the commit and the seeds.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
    """
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.startswith("encoder.") and value.ndim >= 2:
            state |= pack_matrix(name, value)
            continue
        in_full = value.ndim < 2 or name in ("components", "gain")
        state[name] = (value if in_full else value.half()).contiguous()
    encoder = {} if network.encoder is None else {"speech encoder": ENCODER_LICENCE}
    header = {
        **encoder,
        **(notes or {}),
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(network.config)),
        "licence": LICENCE,
    }
    with atomic_write(path) as part:
        part.write_bytes(save(state, metadata=header))  # save_file would hide the system's errors
    return path.stat().st_size


# --- Wav2Lip generators --------------------------------------------------------------------------


def write_run_facts(run: Path, folder: Path, clips: Sequence[FaceClip], options: OptionGroup) -> None:
    """Record the training set and settings in a run's folder, for its model card.

    Of paths only the file names.

    Args:
        run: folder of the training run.
        folder: the training set.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
    """
    train_clips = [clip for clip in clips if clip.split == "train"]
    rows = read_manifest(folder) if (folder / "manifest.tsv").exists() else []
    settings = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    facts = {
        "set": folder.resolve().name,
        "clips": len(train_clips),
        "people": len({clip.person for clip in train_clips}),
        "minutes": round(sum(len(clip) for clip in train_clips) / FPS / 60, 1),
        "validation clips": sum(clip.split == "val" for clip in clips),
        "licences": sorted({row.licence for row in rows if row.licence and row.split == "train"}),
        "options": {k: v.name if isinstance(v, Path) else v for k, v in settings.items()},
    }
    run.mkdir(parents=True, exist_ok=True)
    with atomic_write(run / ABOUT) as part:
        part.write_text(json.dumps(facts, indent=2), "utf-8")


def export_generator(
    run: Path, path: Path, notes: Mapping[str, str] | None = None, averaged: bool = True
) -> int:
    """Write a Wav2Lip generator and its model card; returns the size in bytes.

    Args:
        run: the folder that `train_generator` wrote.
        path: ending in `.pth` for the official format, which the original's programs read too, or in
            `.safetensors` for half the size and a header. The card has the same name with `.md`.
        notes: further entries of header and card, such as "licence" or the commit.
        averaged: the averaged weights, which give steadier results, else those of the last step.

    Raises:
        OptionError: the path ends in something else.
        WeightsError: the run has no checkpoint, or not of a generator.
        DiskFullError, OutputError: the file cannot be written.
    """
    if path.suffix not in (".pth", ".safetensors"):
        hint = "Use a name that ends in .pth (the official format) or .safetensors."
        raise OptionError("A generator cannot be exported into such a file", given=path, hint=hint)
    last = read_checkpoint(run / "last.pt", "ema", "network", "step")
    state = _strip_prefix(last["ema" if averaged else "network"], "generator.")
    network = network_from_state_dict(state)
    load_into(network, state, what="the Wav2Lip generator", path=run / "last.pt")
    form = {"size": "x".join(map(str, network.size)), "width": f"{network.width:g}"}
    facts = {**form, **_facts(run, int(last["step"]), averaged), **(notes or {})}
    with atomic_write(path) as part:
        if path.suffix == ".pth":
            _write_official({f"module.{name}": value for name, value in state.items()}, last["step"], part)
        else:
            header = {**facts, "format": GENERATOR_FORMAT}
            part.write_bytes(save(_to_half(state), metadata=header))
    with atomic_write(path.with_suffix(".md")) as part:
        part.write_text(_model_card(path, facts), "utf-8")
    return path.stat().st_size


def _to_half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in 16 bits, normalisation in 32, without counters of training."""
    return {
        name: value.half() if value.ndim > 1 else value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


def _facts(run: Path, step: int, averaged: bool) -> dict[str, str]:
    """Entries of the model card: set, settings, figures of the last evaluation."""
    path = run / ABOUT
    about: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    settings: dict[str, Any] = about.pop("options", {})
    licences = "; ".join(about.pop("licences", []))
    evaluations = [kinds["val"] for _, kinds in read_run_log(run) if "val" in kinds]
    figures = evaluations[-1] if evaluations else {}
    return {
        "step": str(step),
        "weights": "averaged" if averaged else "of the last step",
        **{_RENAMED_FACTS.get(name, name): str(value) for name, value in about.items()},
        "licence": _UNKNOWN_LICENCE,
        **({"licences of the set": licences} if licences else {}),
        **{f"validation: {name}": f"{value:.4g}" for name, value in figures.items()},
        **{f"option: {name}": str(value) for name, value in settings.items()},
    }


def _model_card(path: Path, facts: Mapping[str, str]) -> str:
    """A model card in Markdown: architecture, licence and training."""
    cells = [f"| {name} | {value.replace('|', '/')} |" for name, value in facts.items()]
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            f"`{path.name}`: a lip-sync generator with Wav2Lip's architecture (Prajwal et al., ACM MM 2020,",
            f"arXiv 2008.10010) for face crops of {facts['size']} pixels (height x width), trained with",
            "`lipsync.training`. Inputs: crops in BGR with the lower half masked, another frame of the same",
            "face, and 0.2 s of mel spectrogram.",
            "",
            f"**Licence:** {facts['licence']}.",
            "",
            "Label videos made with it as generated, and have the consent of whoever is shown.",
            "",
            "| | |",
            "|---|---|",
            *cells,
            "",
        ]
    )


# --- sync experts --------------------------------------------------------------------------------


def is_expert_run(run: Path) -> bool:
    """Whether a sync expert was trained in this folder.

    Raises:
        WeightsError: there is no checkpoint.
    """
    return any(name.startswith("expert.") for name in read_checkpoint(run / "last.pt", "ema")["ema"])


def export_expert(run: Path, path: Path) -> int:
    """Write a sync expert's weights file; returns its size in bytes.

    The weights are those of the best validation score.

    Args:
        run: the folder that `train_expert` wrote.
        path: ending in `.safetensors` for the compact network, in `.pth` for Wav2Lip's.

    Raises:
        OptionError: the path ends in something else.
        WeightsError: the run has no checkpoint of an evaluation.
        DiskFullError, OutputError: the file cannot be written.
    """
    best = read_checkpoint(run / "best.pt", "network", "step")
    state = _strip_prefix(best["network"], "expert.")
    compact = state.keys() == CompactSyncNet(CompactSyncNetConfig()).state_dict().keys()
    suffix = ".safetensors" if compact else ".pth"
    if path.suffix != suffix:
        hint = f"Use a name that ends in {suffix}."
        raise OptionError("This expert cannot be exported into such a file", given=path, hint=hint)
    expert = CompactSyncNet(CompactSyncNetConfig()) if compact else SyncNetColor()
    load_into(expert, state, what="a sync expert", path=run / "best.pt")
    if isinstance(expert, CompactSyncNet):
        return save_expert(expert, path, {"step": str(best["step"])})
    with atomic_write(path) as part:
        _write_official(expert.state_dict(), best["step"], part)
    return path.stat().st_size


# --- shared --------------------------------------------------------------------------------------


def _strip_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries of a state dict whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): value.contiguous()
        for name, value in state.items()
        if name.startswith(prefix)
    }


def _write_official(state: Mapping[str, Tensor], step: int, path: Path) -> None:
    """Write weights as Wav2Lip's training programs do."""
    official = {
        "state_dict": state,
        "optimizer": None,  # which the original's training takes for "start with a new one"
        "global_step": int(step),
        "global_epoch": 0,
    }
    with path.open("wb") as file:  # given a name, torch would hide the system's errors
        torch.save(official, file)
