"""JavaScript runtimes for yt-dlp, which needs one for YouTube.

https://github.com/yt-dlp/yt-dlp/wiki/EJS
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

_PROGRAMS = {"deno": "deno", "node": "node", "bun": "bun", "quickjs": "qjs"}
"""yt-dlp's names and their programs, best first. They run code from youtube.com: deno denies it files
and network, the others deny less."""


@dataclass(frozen=True)
class JavaScriptRuntime:
    """Installed JavaScript runtime; `name` and `supported` are yt-dlp's."""

    name: str
    path: str
    version: str
    supported: bool


def find_runtimes() -> dict[str, str]:
    """Return the runtimes on this machine: yt-dlp's name and the program's full path, best first."""
    found = {name: _packaged_deno() if name == "deno" else None for name in _PROGRAMS}
    paths = {name: found[name] or shutil.which(program) for name, program in _PROGRAMS.items()}
    return {name: path for name, path in paths.items() if path}


def _packaged_deno() -> str | None:
    """Path of the program in the `deno` package, where that is installed."""
    try:
        from deno import find_deno_bin  # type: ignore[import-not-found,unused-ignore]

        return str(find_deno_bin())
    except (ImportError, FileNotFoundError):
        return None


def describe_runtimes() -> list[JavaScriptRuntime]:
    """Start each runtime and return those that work, with their versions."""
    from yt_dlp.globals import supported_js_runtimes  # here: yt-dlp takes half a second to import

    described = []
    for name, path in find_runtimes().items():
        if info := supported_js_runtimes.value[name](path=path).info:
            described.append(JavaScriptRuntime(name, path, info.version, info.supported))
    return described
