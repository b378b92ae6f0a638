"""Folders that are searched for weights, and the folder for downloads.

A clone keeps all weights in its folder `weights/`. In an installation that folder's content lies inside
of the package, which is read-only: downloads go to the user's data folder.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import platformdirs

from lipsync.weights.catalogue import entry


def search_folders() -> tuple[Path, ...]:
    """Folders that are searched for weights, in order; they need not exist."""
    chosen = os.environ.get("LIPSYNC_WEIGHTS")
    named = (Path(chosen).expanduser(),) if chosen else ()
    clone = _clone_folder()
    if clone is not None:
        return (*named, clone, _user_folder())
    return (*named, _user_folder(), _packaged_folder())


def weights_folder() -> Path:
    """The folder for downloads; it may not exist yet.

    The environment variable LIPSYNC_WEIGHTS names it; else it is `weights/` of the clone where that can
    be written to, else the user's data folder.
    """
    chosen = os.environ.get("LIPSYNC_WEIGHTS")
    if chosen:
        return Path(chosen).expanduser()
    clone = _clone_folder()
    return clone if clone is not None and os.access(clone, os.W_OK) else _user_folder()


def find(name: str) -> Path | None:
    """The file of the entry called `name` on this machine; None if it is missing.

    Its size and hash are not checked: retrained weights under the usual name are allowed.
    """
    filename = entry(name).filename
    return next((folder / filename for folder in search_folders() if (folder / filename).is_file()), None)


def _packaged_folder() -> Path:
    """Folder of the shipped weights in a wheel (force-include in pyproject.toml)."""
    return Path(str(resources.files("lipsync.weights") / "files"))


def _clone_folder() -> Path | None:
    """`weights/` next to the package in a clone; None in an installation."""
    folder = Path(__file__).resolve().parents[2] / "weights"
    return folder if folder.is_dir() and not _packaged_folder().is_dir() else None


def _user_folder() -> Path:
    return Path(platformdirs.user_data_dir("lipsync", appauthor=False)) / "weights"
