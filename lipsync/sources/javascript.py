"""The JavaScript runtime that yt-dlp needs for YouTube: where one is, and whether it is recent enough.

https://github.com/yt-dlp/yt-dlp/wiki/EJS
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

_PROGRAMS = {"deno": "deno", "node": "node", "bun": "bun", "quickjs": "qjs"}
"""yt-dlp's names, best first. They run code from youtube.com: deno walls it off from files and network,
the others less so."""


@dataclass(frozen=True)
class JavaScriptRuntime:
    """One runtime: yt-dlp's name for it, the program, its version, and whether yt-dlp takes it."""

    name: str
    path: str
    version: str
    supported: bool


def find_runtimes() -> dict[str, str]:
    """The runtimes on this machine: yt-dlp's name and the full path of the program, best first."""
    found = {name: _packaged_deno() if name == "deno" else None for name in _PROGRAMS}
    paths = {name: found[name] or shutil.which(program) for name, program in _PROGRAMS.items()}
    return {name: path for name, path in paths.items() if path}


def _packaged_deno() -> str | None:
    """The program that the `deno` package carries, where that is installed."""
    try:
        from deno import find_deno_bin  # type: ignore[import-not-found,unused-ignore]

        return str(find_deno_bin())
    except (ImportError, FileNotFoundError):
        return None


def describe_runtimes() -> list[JavaScriptRuntime]:
    """The runtimes that really start, with their versions. Starts each one."""
    from yt_dlp.globals import supported_js_runtimes  # here: yt-dlp takes half a second to import

    described = []
    for name, path in find_runtimes().items():
        if info := supported_js_runtimes.value[name](path=path).info:
            described.append(JavaScriptRuntime(name, path, info.version, info.supported))
    return described
