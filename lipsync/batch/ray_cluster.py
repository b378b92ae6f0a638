"""Ray cluster of a batch: one of our own, or one that runs already.

Ray's processes trust whoever reaches them, so one of our own listens on 127.0.0.1 alone and has a token of
its own, and one that runs already is used only with a token.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import secrets
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lipsync
from lipsync.errors import OptionError, ToolError
from lipsync.utils.owned_folder import owned_folder, remove_abandoned

LOCAL, AUTO, SCHEME = "ray", "auto", "ray://"
PLACES = "ray (a cluster on this machine), auto (the one that runs on this machine), or ray://HOST:PORT"
_OBJECT_BYTES = 200 << 20
"""Ray's shared memory on this machine: files are read where they are, so little else passes through it."""
_CONNECT_SECONDS = 5.0
_LONGEST_FOLDER = 107 - len(
    "/lipsync-ray-0123456789abcdef/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
)
"""Letters of a folder in which the names of Ray's sockets still fit into the 107 that Linux allows."""
_OWN = ("lipsync-ray-", "")
_LOOPBACK = "127.0.0.1"
_MISSING_KEY_HINT = "Give its token in RAY_AUTH_TOKEN, or in the file ~/.ray/auth_token."
_ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}


def check_cluster(where: str) -> None:
    """Check, without importing anything large, that a batch can go there.

    Raises:
        OptionError: it is no place for a batch.
        ToolError: Ray is not installed, or the cluster cannot be reached, or its token is missing.
    """
    if where not in (LOCAL, AUTO):
        _host_and_port(where)
    if importlib.util.find_spec("ray") is None:
        hint = 'Install it with: pip install "lipsync-video[cluster]"'
        raise ToolError("Making many videos on a cluster needs the package ray", hint=hint)
    if where != LOCAL and not _has_token():
        raise ToolError("A running cluster is used only with a token", given=where, hint=_MISSING_KEY_HINT)
    if where.startswith(SCHEME):
        host, port = _host_and_port(where)
        try:
            socket.create_connection((host, port), _CONNECT_SECONDS).close()
        except OSError as error:
            hint = "Is the head running? Its port is that of `ray start --ray-client-server-port` (10001)."
            raise ToolError("The cluster cannot be reached", given=f"{where} ({error})", hint=hint) from error


def _host_and_port(where: str) -> tuple[str, int]:
    host, _, port = where.removeprefix(SCHEME).rpartition(":")
    if not where.startswith(SCHEME) or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise OptionError("This is no place for a batch", given=where, hint=f"Give {PLACES}.")
    return host.strip("[]"), int(port)


def _has_token() -> bool:
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return (Path(named) if named else Path.home() / ".ray" / "auth_token").is_file()


@contextlib.contextmanager
def cluster(where: str) -> Iterator[Any]:
    """Context with Ray connected; gives the package. One of our own ends with the block.

    Where this process is connected to a cluster already, that one is used and stays.

    Args:
        where: one of `PLACES`.

    Raises:
        OptionError, ToolError: as `check_cluster`, or the cluster cannot be started or joined.
    """
    check_cluster(where)
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(_environment(_ALWAYS | (_own_environment() if where == LOCAL else {})))
        ray: Any = importlib.import_module("ray")
        if ray.is_initialized():
            yield ray
            return
        _read_environment()
        cleanup.callback(ray.shutdown)
        try:
            with _same_signal_handlers(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the error says it all
                if where == LOCAL:
                    _start(ray, cleanup)
                else:
                    ray.init(address=where, log_to_driver=False, logging_level="error")
        except Exception as error:  # of many kinds, some of them plain RuntimeErrors
            raise _explained(error, where) from error
        yield ray


def _own_environment() -> dict[str, str]:
    """Environment of a cluster of our own: a new token, the loopback address, and this very package."""
    package = Path(lipsync.__file__).parents[1]
    return {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: listen on 127.0.0.1 alone
        "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")])),
    }


def _start(ray: Any, cleanup: contextlib.ExitStack) -> None:
    """Start a cluster on this machine."""
    folder = cleanup.enter_context(_short_folder())
    cleanup.callback(ray.shutdown)  # before the folder is removed
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=_OBJECT_BYTES,
        _temp_dir=str(folder),
    )
    listens = {node["NodeManagerAddress"] for node in ray.nodes()}
    if listens != {_LOOPBACK}:
        raise ToolError("Ray does not keep to this machine", given=", ".join(sorted(listens)))


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    """A temporary folder with a name that is short enough for sockets within it."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > _LONGEST_FOLDER and os.name == "posix":
        parent = Path("/tmp")  # noqa: S108 - the folder within has a random name and is private
    remove_abandoned(parent, *_OWN)
    with owned_folder(parent, *_OWN) as folder:
        yield folder


def _explained(error: Exception, where: str) -> ToolError:
    if isinstance(error, ToolError):
        return error
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if where == LOCAL:
        return ToolError(
            "Ray could not be started", given=first, hint="`ray stop` ends what is left of others."
        )
    if "auth" in f"{type(error).__name__} {error}".lower():
        return ToolError("The cluster refuses the token", given=where, hint=_MISSING_KEY_HINT)
    hint = (
        "Start one with `ray start --head`."
        if where == AUTO
        else "Its token, and its versions of Ray and Python, must be ours."
    )
    return ToolError("The cluster could not be joined", given=f"{where} ({first})", hint=hint)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables of this process and those that it starts, for the time of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read_environment() -> None:
    """Have Ray read the environment anew, where it was imported under another one."""
    with contextlib.suppress(ImportError, AttributeError):  # private, and needed for a second cluster alone
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _same_signal_handlers() -> Iterator[None]:
    """Context that gives back the handlers of signals that Ray takes in the block: here they mean cancel."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
