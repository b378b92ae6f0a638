"""Proxies of the environment, passed by for connections within this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator

_LOCAL = ("localhost", "127.0.0.1", "::1")


@contextlib.contextmanager
def direct_local_connections(host: str | None = None) -> Iterator[None]:
    """Connect to this machine without the proxies of the environment, in the block.

    Gradio asks its own server whether it runs, and would ask the proxy. Its HTTP client cannot be made where
    there is a SOCKS proxy, not even at import, unless an optional package is installed.
    """
    before = dict(os.environ)
    own = [*_LOCAL, *([host.strip("[]")] if host else [])]
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name, ""), *own]))
    if importlib.util.find_spec("socksio") is None:
        for name, value in before.items():
            if name.lower().endswith("_proxy") and value.lower().startswith("socks"):
                del os.environ[name]
    try:
        yield
    finally:
        for name in before.keys() | {"no_proxy", "NO_PROXY"}:
            if name.lower().endswith("_proxy"):
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]
