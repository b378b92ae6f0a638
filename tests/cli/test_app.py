"""`lipsync app` as a process: its address, its environment, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from lipsync.cli.main import main
from tests.waiting import wait_until


def free_port(host: str, family: socket.AddressFamily) -> int:
    with socket.socket(family) as found:
        try:
            found.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} on this machine: {error}")
        port: int = found.getsockname()[1]
        return port


def test_it_serves_on_ipv6_behind_proxies_and_leaves_nothing(tmp_path: Path) -> None:
    port = free_port("::1", socket.AF_INET6)
    dead = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9", "NO_PROXY": ""}
    temporary, log = tmp_path / "tmp", tmp_path / "log"
    command = [sys.executable, "-m", "lipsync", "app", "--host", "::1", "--port", str(port)]
    environment = {**os.environ, **dead, "GRADIO_TEMP_DIR": str(temporary)}
    with log.open("wb") as output:
        app = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: "Running on" in log.read_text() or app.poll() is not None, 120)
        asked = requests.Session()
        asked.trust_env = False
        assert asked.get(f"http://[::1]:{port}/", timeout=60).ok, log.read_text()
        assert list(temporary.glob("lipsync-server-*/visits-*"))
        app.send_signal(signal.SIGTERM)
        assert app.wait(60) == 0
    finally:
        app.kill()
        app.wait()
    assert "Traceback" not in log.read_text()
    assert not [path for path in temporary.rglob("*") if path.is_file()]
    assert not list(temporary.glob("lipsync-server-*"))


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 1
    assert f"Error: The page cannot listen on this port: {port}" in capsys.readouterr().err


def test_a_temporary_folder_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    assert main(["app"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("Error: The page's temporary folder cannot be used")
    assert "GRADIO_TEMP_DIR" in told
