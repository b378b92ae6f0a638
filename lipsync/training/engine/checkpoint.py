"""Checkpoints of a training run: atomic writes and safe reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lipsync.errors import OutputError, WeightsError
from lipsync.utils.atomic_write import atomic_write
from lipsync.utils.disk_errors import disk_full, is_disk_full, write_error
from lipsync.weights.checkpoint import read_weights

_RENAMED_KEYS = {"average": "ema", "worse": "bad_evaluations"}
"""Keys of earlier releases and their current names."""
_START_ANEW = "Delete it to start anew."
_RESUMES = "start again: training resumes from its last checkpoint."


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically; the previous one stays intact until then.

    Args:
        state: what `torch.load(weights_only=True)` reads: tensors, numbers, strings and their containers.

    Raises:
        DiskFullError: no space is left.
        OutputError: the folder is not writable.
    """
    # Given an open file, torch raises the system's OSError; given a name, it hides it.
    with atomic_write(path, explain=run_error, durable=True) as part, part.open("wb") as file:
        torch.save(state, file)


def read_checkpoint(path: Path, *keys: str) -> dict[str, Any]:
    """Read a checkpoint of `write_checkpoint` onto the CPU, without unpickling code.

    Checkpoints of earlier releases are read too; their keys get today's names.

    Args:
        keys: entries that must be there, by today's names.

    Raises:
        WeightsError: the file is missing, no regular file, damaged, or lacks one of `keys`.
    """
    try:
        state: dict[str, Any] = read_weights(path, mapped=False)  # a training goes on with its tensors
    except WeightsError as error:
        what = f"A checkpoint cannot be read ({error.what[0].lower()}{error.what[1:]})"
        raise WeightsError(what, given=error.given, hint=_START_ANEW) from error
    if not isinstance(state, dict):
        raise WeightsError("This is not a checkpoint of a training run", given=path, hint=_START_ANEW)
    renamed = {_RENAMED_KEYS.get(key, key): value for key, value in state.items()}
    if missing := [key for key in keys if key not in renamed]:
        given = f"{path} lacks {', '.join(missing)}"
        raise WeightsError("This is not a checkpoint of a training run", given=given, hint=_START_ANEW)
    return renamed


def run_error(error: OSError, path: Path) -> OutputError:
    """The error to raise for an OSError in writing `path` of a run's folder."""
    if is_disk_full(error):
        return disk_full(path.parent, f"Free some space and {_RESUMES}")
    hint = f"Make the folder writable and {_RESUMES}"
    return write_error(error, path, "The training cannot write to its folder", hint)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Context that raises `run_error` for an OSError in writing `path`.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise run_error(error, path) from error
