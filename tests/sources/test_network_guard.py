"""Which addresses may be reached, by their text and at the moment of the connection."""

from __future__ import annotations

import asyncio
import ipaddress
import multiprocessing
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from multiprocessing.connection import Connection

import pytest

from lipsync.errors import AddressError, LinkError
from lipsync.sources.network_guard import check_url, install_network_guard, is_allowed, is_public
from tests.sources.serving import HERE, serve

PRIVATE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.192 192.88.99.1 192.168.1.1 198.18.0.1 224.0.0.1 239.1.1.1 240.0.0.1
    255.255.255.255 100.100.100.200 168.63.129.16
    :: ::1 fe80::1 fe80::1%1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 2001::1 100::1 ::7f00:1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::
    2002:a00:1::1
""".split()  # noqa: SIM905 - quotes and commas would hide the addresses
PUBLIC = """
    8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.167.1.1 223.255.255.1
    2606:4700::1111 2a00:1450:4001:830::200e ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1
""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_an_allowance_is_for_its_network_only() -> None:
    assert is_allowed(ipaddress.ip_address("127.0.0.1"), HERE)
    assert not is_allowed(ipaddress.ip_address("127.0.0.2"), HERE)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.mp4",
        "data:text/plain,hello",
        "gopher://example.com/",
        "ytsearch:cats",
        "javascript:alert(1)",
        "example.com/a.mp4",
        "https://",
        "https:///a.mp4",
        "",
        "http://[::1",
        "http://example.com:99999/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: other",
        "https://example.com/" + "a" * 5000,
    ],
)
def test_invalid_links(url: str) -> None:
    with pytest.raises(LinkError):
        check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "0"),
        *("10.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]"),
    ],
)
def test_private_addresses_in_any_spelling(host: str) -> None:
    with pytest.raises(AddressError):
        check_url(f"http://{host}:8080/a.mp4")


@pytest.mark.parametrize("url", ["https://www.youtube.com/watch?v=abc&t=1s", "HTTP://8.8.8.8/a.mp4"])
def test_plain_links_pass(url: str) -> None:
    assert check_url(f"  {url}\n") == url


def test_the_password_of_a_refused_link_is_not_repeated() -> None:
    with pytest.raises(LinkError) as caught:
        check_url("https://user:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


# --- the guard, in a process of its own since it cannot be removed --------------------------------


def _attempts(port: int) -> dict[str, Callable[[], object]]:
    """Ways out, each of which works without the guard."""

    def by_fake_name(*answers: str) -> object:
        real, left = socket.getaddrinfo, list(answers)

        def resolve(host: str, *rest: object, **more: object) -> object:
            return real(left.pop(0) if len(left) > 1 else left[0], *rest, **more)  # type: ignore[arg-type]

        socket.getaddrinfo = resolve  # type: ignore[assignment]
        try:
            check_url(f"http://rebinding.example:{port}/")
            socket.getaddrinfo("rebinding.example", port)  # a check before, which sees a public address
            return urllib.request.urlopen(f"http://rebinding.example:{port}/ok", timeout=5).status
        finally:
            socket.getaddrinfo = real

    def plain(family: int, address: object) -> object:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(5)
            return one.connect(address)  # type: ignore[arg-type]

    def datagram() -> object:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            return one.sendto(b"x", ("127.0.0.2", port))

    async def asynchronous() -> object:
        return await asyncio.open_connection("127.0.0.2", port)

    return {
        "allowed": lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/ok", timeout=5).status,
        "allowed program": lambda: subprocess.run([sys.executable, "-c", ""], check=True).returncode,
        "number": lambda: plain(socket.AF_INET, ("127.0.0.2", port)),
        "resolved by connect": lambda: plain(socket.AF_INET, ("localhost", port)),
        "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.2", port)),
        "create_connection": lambda: socket.create_connection(("127.0.0.2", port), 5),
        "rebinding": lambda: by_fake_name("93.184.216.34", "127.0.0.2"),
        "datagram": datagram,
        "asyncio": lambda: asyncio.run(asynchronous()),
        "program": lambda: subprocess.run(["/bin/echo"], check=True),
        "shell": lambda: os.system("true"),
    }


def _try_all(pipe: Connection, port: int) -> None:
    refused: list[str] = []
    install_network_guard(HERE, [sys.executable], refused.append)
    outcomes: dict[str, str] = {}
    for name, attempt in _attempts(port).items():
        try:
            outcomes[name] = f"worked: {attempt()}"
        except Exception as error:
            outcomes[name] = f"{type(error).__name__}: {error}"
    pipe.send((outcomes, refused))


def test_the_guard_holds_whichever_way_is_taken() -> None:
    near, far = multiprocessing.Pipe(duplex=False)
    with serve() as site:
        site.answers["/ok"] = lambda request: request.send_error(204)
        process = multiprocessing.get_context("spawn").Process(target=_try_all, args=(far, site.port))
        process.start()
        far.close()
        outcomes, refused = near.recv()
        process.join()
        assert site.hits == ["/ok"]
    assert outcomes.pop("allowed") == "worked: 204"
    assert outcomes.pop("allowed program") == "worked: 0"
    for name, outcome in outcomes.items():
        assert not outcome.startswith("worked"), name
        assert "not public" in outcome or "may be started" in outcome or "may not be" in outcome, name
    assert set(refused) == {"127.0.0.2", "localhost"}
