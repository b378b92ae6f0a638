"""A cluster as it is started by hand: a head and two workers, by `ray start`, joined by address and token."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lipsync
from lipsync.batch import ray_cluster
from tests.batch.results import QUICK, assert_alike
from tests.batch.test_ray import FLAGS, PATIENT, copies
from tests.material import make_head, make_voice
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such sockets")
@pytest.mark.parametrize("letters", [14, 15, 20, 60])
def test_names_of_sockets_fit_whatever_the_temporary_folder_is(
    monkeypatch: pytest.MonkeyPatch, letters: int
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="x" * max(0, letters - 13)) as parent:
        monkeypatch.setattr(tempfile, "tempdir", parent)
        with ray_cluster._short_folder() as folder:
            longest = folder / "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
            assert len(os.fsencode(longest)) <= 107
            assert len(parent) != 14 or folder.parent == Path(parent)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a cluster with a head without cores and two workers of one core, and its token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment = os.environ | token | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    port, client = free_port(), free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    small = ["--object-store-memory=100000000", "--block"]
    head = ["--head", f"--port={port}", f"--ray-client-server-port={client}", "--num-cpus=0"]
    head += ["--include-dashboard=false", f"--dashboard-agent-listen-port={free_port()}"]
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(
            tempfile.TemporaryDirectory(prefix="lr-", dir="/tmp", ignore_cleanup_errors=True)
        )
        log = cleanup.enter_context((Path(folder) / "log").open("w"))

        def start(*words: str) -> None:
            running = subprocess.Popen(
                [ray, "start", *words, *small], env=environment, stdout=log, stderr=log
            )
            cleanup.callback(running.wait, 60)
            cleanup.callback(running.terminate)

        start(*head, f"--temp-dir={folder}")
        wait_until(lambda: answers(client), 120)
        for _ in range(2):
            agent = f"--dashboard-agent-listen-port={free_port()}"
            start(f"--address=127.0.0.1:{port}", "--num-cpus=1", agent)
        yield f"ray://127.0.0.1:{client}", token


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def batch(address: str, environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    flags = [address if word == "ray" else word for word in FLAGS]
    return subprocess.run(
        [sys.executable, "-m", "lipsync", "batch", *map(str, words), *flags],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENT,
    )


@pytest.mark.slow
def test_a_batch_joins_a_cluster_by_its_address_and_token(
    address: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    place, token = address
    head = make_head(tmp_path / "head.mp4", parts=(0.4,), size=(160, 120))
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    given = ["--videos", *copies(head, tmp_path / "videos", 4), "--voices", voice, "-o", tmp_path / "made"]
    refused = batch(place, token | {"RAY_AUTH_TOKEN": "another"}, *given)
    assert refused.returncode == 1 and "token" in refused.stderr, refused.stderr
    assert not (tmp_path / "made").exists()
    done = batch(place, token, *given)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 made." in done.stdout
    plain = lipsync.sync(head, voice, QUICK, output=tmp_path / "plain.mp4").path
    results = sorted((tmp_path / "made").iterdir())
    assert len(results) == 4
    for path in results:
        assert_alike(path, plain)


def test_the_example_for_several_machines_starts_what_there_is() -> None:
    """Its commands parse, and it has a token, and a folder that all see."""
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert "RAY_AUTH_MODE: token" in text and "RAY_AUTH_TOKEN: ${RAY_AUTH_TOKEN:?" in text
    page = re.search(r"command: python app.py (.*)", text)
    assert page
    from lipsync.cli.main import parser_for

    words = ["app", *shlex.split(page[1])]
    assert parser_for(words).parse_args(words).batch_on == "ray://head:10001"
    assert "EXTRAS: cluster" in text and 'ARG EXTRAS=""' in (ROOT / "Dockerfile").read_text("utf-8")
    assert "media:/media/lipsync" in text and "GRADIO_TEMP_DIR: /media/lipsync" in text
