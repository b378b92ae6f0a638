"""SSRF protection: links may reach public addresses only.

`check_url` checks the text of a link, for an early and clear error. The guarantee comes from
`install_network_guard`, which checks the numeric address of every connection at the moment it is
made, after names have been resolved and redirects followed. A name that resolves differently the
second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from lipsync.errors import AddressError, LinkError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_LENGTH = 4096
_SCHEMES = ("http", "https")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_BLOCKED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba Cloud's metadata
        "168.63.129.16/32",  # Azure's host agent, at an address that counts as public
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata
        "192.88.99.0/24",  # old 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "2001::/23",  # Teredo and other assignments
        "64:ff9b:1::/48",  # local NAT64
        "fec0::/10",  # site-local, deprecated
    )
)
"""Networks that ipaddress takes for public, at least in some versions of Python."""
_LEGACY_IPV4 = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}", re.IGNORECASE)
_CONNECT_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_PROCESS_EVENTS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn")


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    Private, loopback, link-local, carrier-grade NAT, multicast, reserved and unspecified addresses
    do not, nor do the services that clouds offer to their own machines. An IPv6 address that embeds
    an IPv4 one is decided by the latter.
    """
    embedded = _embedded_ipv4(address)
    if embedded is not None:
        return is_public(embedded)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _BLOCKED)


def _embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv4-mapped, 6to4 or NAT64 address."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def is_allowed(address: Address, allow: Collection[Network] = ()) -> bool:
    """Whether a connection to an address may be made; `allow` is for tests only."""
    return is_public(address) or any(address in network for network in allow)


def check_url(url: str, allow: Collection[Network] = ()) -> str:
    """Check the text of a link and return it without surrounding whitespace.

    Raises:
        LinkError: it is not an http(s) URL, or it contains a user name or password.
        AddressError: its host is a literal address, in any notation, that is not public.
    """
    url = url.strip()
    hint = "Paste the whole address of the page, beginning with https://."
    if len(url) > MAX_URL_LENGTH:
        raise LinkError("The link is too long", given=f"{len(url)} characters", hint=hint)
    if not url.isprintable() or " " in url or "\\" in url:
        raise LinkError("The link contains invalid characters", given=repr(url), hint=hint)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise LinkError("The link cannot be read", given=url, hint=hint) from error
    if parts.scheme.lower() not in _SCHEMES or not host:
        raise LinkError("This is not a link to a web page", given=url, hint=hint)
    if parts.username is not None or parts.password is not None:
        hint = "Remove the part before the @ from the link."
        raise LinkError("Links with a user name or password are not accepted", given=host, hint=hint)
    address = _literal_address(host)
    if address is not None and not is_allowed(address, allow):
        raise address_error(host)
    return url


def address_error(host: str) -> AddressError:
    """Return the error for an address that is not public."""
    return AddressError(
        "The link leads to an address inside this machine or its network, which is never opened",
        given=host,
        hint="Give a link to a public page, or the file itself.",
    )


def _literal_address(host: str) -> Address | None:
    """The address that a host is written as, also as 2130706433, 0x7f.1 or 0177.0.0.1."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host)
    if _LEGACY_IPV4.fullmatch(host):
        with contextlib.suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


def install_network_guard(
    allow: Collection[Network], programs: Collection[str], on_refused: Callable[[str], None]
) -> None:
    """Restrict this process, until it ends, to connections to the public internet.

    Uses Python's audit hooks (PEP 578), which cannot be removed and see every connection that Python
    code makes, whatever library it uses. C libraries with sockets of their own are not seen, so none
    may be loaded. Meant for a process that does nothing else.

    Args:
        allow: networks that may be reached although they are not public.
        programs: full paths of the only programs that may be started.
        on_refused: called with every refused address.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CONNECT_EVENTS:
            _check_connection(arguments, allow, on_refused)
        elif event == "subprocess.Popen":
            program = _program(*arguments[:2])
            if program not in programs:
                raise PermissionError(f"{program} may not be started here")
        elif event in _PROCESS_EVENTS:
            raise PermissionError("no other program may be started here")

    sys.addaudithook(hook)


def _check_connection(
    arguments: tuple[Any, ...], allow: Collection[Network], on_refused: Callable[[str], None]
) -> None:
    target = arguments[1]
    if target is None:  # a message over a connection that was checked when it was made
        return
    host = target[0] if isinstance(target, tuple) and target else target
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name, which the system would resolve unchecked; or not an internet socket
        address = None
    if address is None or not is_allowed(address, allow):
        on_refused(str(host))
        raise PermissionError(f"the address {host} is not public")


def _program(executable: Any, arguments: Any) -> str:
    """Path of the program that a `subprocess.Popen` event would start."""
    if executable is not None:
        return os.fsdecode(executable)
    if isinstance(arguments, str):  # Windows: the whole command line
        return arguments[1:].split('"')[0] if arguments.startswith('"') else arguments.split(" ")[0]
    return os.fsdecode(arguments[0])
