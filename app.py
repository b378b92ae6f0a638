"""Start the page: `python app.py`, or a Hugging Face Space. The same program as `lipsync app`."""

from __future__ import annotations

import sys


def start() -> None:
    """Serve the page until it is stopped."""
    # Imported here: the process that fetches a link reads this file anew, and needs none of it.
    from lipsync.__main__ import program

    program(["app", *sys.argv[1:]])


if __name__ == "__main__":
    start()
