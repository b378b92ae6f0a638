"""`lipsync weights`: list or download model weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lipsync.cli.outputs import add_json, print_json
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import ProgressBar, cancel_on_interrupt, heavy_imports
from lipsync.weights.catalogue import CATALOGUE, WeightsEntry, entry


def add_weights_command(parser: CommandParser) -> None:
    """Add the arguments of `weights`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to download; without any, list all")
    add_json(parser)
    parser.set_defaults(command=_weights)


def _weights(arguments: argparse.Namespace) -> int:
    for name in arguments.names:  # all of them, before the first is downloaded
        entry(name)
    with heavy_imports():
        from lipsync.weights import find, require

    for name in arguments.names:
        with cancel_on_interrupt() as cancel, ProgressBar() as bar:
            path = require(name, progress=bar.update, cancel=cancel)
        if not arguments.json:
            print(path, flush=True)
    chosen = [entry(name) for name in arguments.names or CATALOGUE]
    if arguments.json:
        print_json([_as_values(one, find(one.name)) for one in chosen])
    elif not arguments.names:
        for one in chosen:
            print(f"{one.name}: {one.what}")
            print(f"    {find(one.name) or f'not downloaded, {one.bytes / 1e6:.0f} MB, from {one.source}'}")
            print(f"    licence: {one.licence}")
    return 0


def _as_values(one: WeightsEntry, path: Path | None) -> dict[str, Any]:
    """An entry of the catalogue for JSON; `path` is None where it is not downloaded."""
    return {
        "name": one.name,
        "what": one.what,
        "path": path and str(path),
        "bytes": one.bytes,
        "source": one.source,
        "licence": one.licence,
    }
