"""Start the page: `python app.py`, or a Hugging Face Space. `make app` sets everything up first."""

from __future__ import annotations

import argparse
import importlib.metadata
import os


def main() -> None:
    """Read where to listen, build the page and serve it."""
    # Imported here: the process that fetches a link reads this file anew, and needs no page.
    from lipsync.cli.terminal import heavy_imports

    with heavy_imports():
        from lipsync.ui import build_page, launch_settings

    parser = argparse.ArgumentParser(description="The lipsync page in your browser.")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="make a public link for a week")
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as MCP tools as well")
    chosen = parser.parse_args()
    mcp = chosen.mcp or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    if mcp and not _mcp_version().startswith("1."):
        parser.error('the MCP server needs the package mcp in version 1: pip install "gradio[mcp]"')
    build_page().launch(
        server_name=chosen.host,
        server_port=chosen.port,
        share=chosen.share,
        mcp_server=mcp,
        **launch_settings(),
    )


def _mcp_version() -> str:
    """Which version of the package mcp is installed, "" for none."""
    try:
        return importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
