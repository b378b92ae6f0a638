"""Check that a server can listen on an address."""

from __future__ import annotations

import socket

from lipsync.errors import OptionError

PORT_HINT = "Choose another with 'port', or leave it out to take the first free one from 7860."
_HOST_HINT = "Use an address of this machine, such as 127.0.0.1, ::1, or 0.0.0.0 for all of them."


def check_address(host: str | None, port: int | None) -> None:
    """Raise an `OptionError` unless a server can listen on this address now.

    Args:
        host: None for this machine only.
        port: None for any.
    """
    name = (host or "127.0.0.1").strip("[]")
    if port is not None and not 0 < port < 65_536:
        raise OptionError("The port must be from 1 to 65535", given=port, hint=PORT_HINT)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except (OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror | UnicodeError) or port is None:
            raise OptionError(
                "The page cannot listen on this address", given=f"{name} ({error})", hint=_HOST_HINT
            ) from error
        raise OptionError(
            "The page cannot listen on this port",
            given=f"{port} of {name} ({error.strerror})",
            hint=PORT_HINT,
        ) from error
