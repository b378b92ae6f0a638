"""Flags of commands that make videos on a cluster."""

from __future__ import annotations

from lipsync.batch.ray_cluster import PLACES
from lipsync.cli.flags import add_options
from lipsync.cli.parser import CommandParser
from lipsync.options import ClusterOptions


def add_cluster(parser: CommandParser, flag: str, text: str) -> None:
    """Add the flag that names the cluster, and those of its workers."""
    parser.add_argument(flag, metavar="CLUSTER", help=f"{text}: {PLACES} (default: one after the other)")
    add_options(parser, ClusterOptions(), brief=True)
