"""Folders that weights are looked for in, and the one that downloads land in."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from lipsync.weights.catalogue import entry


def search_folders() -> tuple[Path, ...]:
    """Folders that are searched for weights, the first one first; they need not exist."""
    beside_package = Path(__file__).resolve().parents[2] / "weights"
    chosen = os.environ.get("LIPSYNC_WEIGHTS")
    folders = [Path(chosen).expanduser()] if chosen else []
    if beside_package.is_dir():
        folders.append(beside_package)
    return (*folders, Path(platformdirs.user_data_dir("lipsync", appauthor=False)) / "weights")


def weights_folder() -> Path:
    """Where downloads land.

    The environment variable LIPSYNC_WEIGHTS names it; else it is `weights/` in the checkout of
    this program when that can be written to; else a folder of the user's. It may not exist yet.
    """
    folders = search_folders()
    if os.environ.get("LIPSYNC_WEIGHTS"):
        return folders[0]
    return next((folder for folder in folders[:-1] if os.access(folder, os.W_OK)), folders[-1])


def find(name: str) -> Path | None:
    """The file of the entry called `name`, wherever it is on this machine; None when it is absent.

    A file that is there is taken as it is, whatever its size and hash: retrained weights under
    the usual name are welcome.
    """
    filename = entry(name).filename
    return next((folder / filename for folder in search_folders() if (folder / filename).is_file()), None)
