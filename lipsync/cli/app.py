"""`lipsync app`: serve the page."""

from __future__ import annotations

import argparse
import importlib.metadata
import os

from lipsync.batch.ray_cluster import check_cluster
from lipsync.cli.cluster import add_cluster
from lipsync.cli.flags import read_options
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import heavy_imports
from lipsync.errors import ToolError
from lipsync.options import ClusterOptions
from lipsync.utils.listen_address import check_address


def add_app_command(parser: CommandParser) -> None:
    """Add the arguments of `app`."""
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="create a public link for a week")
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as MCP tools as well")
    add_cluster(parser, "--batch-on", "make the videos of batches at the same time on Ray")
    parser.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    """Serve the page until it is stopped.

    Raises:
        ToolError: MCP tools are requested, and the package mcp is missing or its version not supported;
            or the cluster cannot be used.
        OptionError: the address cannot be listened on.
        DiskFullError, OutputError: the temporary folder cannot be used.
    """
    mcp = arguments.mcp or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    if mcp:
        _require_mcp()
    if arguments.host is not None or arguments.port is not None:
        check_address(arguments.host, arguments.port)
    if arguments.batch_on is not None:
        check_cluster(arguments.batch_on)
    with heavy_imports():
        from lipsync.ui.server import serve
    serve(
        arguments.host,
        arguments.port,
        share=arguments.share,
        mcp=mcp,
        batch_on=arguments.batch_on,
        workers=read_options(arguments, ClusterOptions()),
    )
    return 0


def _require_mcp() -> None:
    try:
        version = importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    if not version.startswith("1."):
        hint = 'Run `pip install "gradio[mcp]"`, or omit --mcp.'
        raise ToolError("The MCP server needs version 1 of the package mcp", given=version, hint=hint)
