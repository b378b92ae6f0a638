"""`lipsync verify`, and the flags of commands that sign their results."""

from __future__ import annotations

import argparse
from pathlib import Path

from lipsync.cli.outputs import add_json, print_json
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import EXIT_ERROR, heavy_imports
from lipsync.errors import InputError
from lipsync.utils.checked_file import checked_file


def add_signing(parser: CommandParser) -> None:
    """Add the flags that name the operator's certificate and key; settings files never hold them."""
    for flag, text in (
        ("--sign-cert", "certificate chain of the publisher to sign the result with, the leaf first"),
        ("--sign-key", "its key"),
    ):
        named = flag[2:].upper().replace("-", "_")
        parser.add_argument(
            flag,
            type=Path,
            metavar="FILE.pem",
            help=f"{text} (default: $LIPSYNC_{named}, else one of its own)",
        )


def add_verify_command(parser: CommandParser) -> None:
    """Add the arguments of `verify`."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="video, photo or audio, or the folder of an image sequence",
    )
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE.pem",
        help="certificates of signers that you trust, such as C2PA's list",
    )
    add_json(parser)
    parser.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    for path in arguments.files:
        if not path.is_dir():
            checked_file(path)
    anchors = _anchors(arguments.trust) if arguments.trust else b""
    with heavy_imports():
        from lipsync.media.provenance import read_provenance

    reports = [(path, read_provenance(path, anchors)) for path in arguments.files]
    if arguments.json:
        values = [{"path": str(path), **report.as_dict()} for path, report in reports]
        print_json(values if len(values) > 1 else values[0])
    for path, report in reports if not arguments.json else ():
        facts = report.facts()
        width = max(len(name) for name, _ in facts)
        print("\n".join([str(path), *(f"  {name:<{width}}  {value}" for name, value in facts)]))
    return 0 if all(report.state == "whole" for _, report in reports) else EXIT_ERROR


def _anchors(path: Path) -> bytes:
    """The certificates in a file, PEM."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            "The trusted certificates cannot be read", given=f"{path} ({error.strerror})"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InputError("There are no certificates in the file", given=path, hint="Give them in PEM.")
    return content
