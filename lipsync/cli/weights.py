"""`lipsync weights`: list or download model weights."""

from __future__ import annotations

import argparse

from lipsync.cli.terminal import ProgressBar, cancel_on_interrupt, heavy_imports


def add_weights_command(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `weights`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to download; without any, list all")
    parser.set_defaults(command=_weights)


def _weights(arguments: argparse.Namespace) -> int:
    with heavy_imports():
        from lipsync.weights import CATALOGUE, find, require

    for name in arguments.names:
        with cancel_on_interrupt() as cancel, ProgressBar() as bar:
            print(require(name, progress=bar.update, cancel=cancel))
    if not arguments.names:
        for entry in CATALOGUE.values():
            path = find(entry.name)
            print(f"{entry.name}: {entry.what}")
            print(f"    {path or f'not downloaded, {entry.bytes / 1e6:.0f} MB, from {entry.source}'}")
            print(f"    licence: {entry.licence}")
    return 0
