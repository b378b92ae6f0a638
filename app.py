"""Start the page: `python app.py`, or a Hugging Face Space. `make app` sets everything up first."""

from __future__ import annotations

import argparse

from lipsync.ui import build_page, launch_settings


def main() -> None:
    """Read where to listen, build the page and serve it."""
    parser = argparse.ArgumentParser(description="The lipsync page in your browser.")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="make a public link for a week")
    chosen = parser.parse_args()
    page = build_page().queue(max_size=20)
    page.launch(
        server_name=chosen.host,
        server_port=chosen.port,
        share=chosen.share,
        show_error=True,
        **launch_settings(),
    )


if __name__ == "__main__":
    main()
