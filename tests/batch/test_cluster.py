"""What is checked before a batch goes to a cluster. Without one."""

from __future__ import annotations

import importlib.util
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest

from lipsync.batch.ray_cluster import check_cluster
from lipsync.cli.main import main
from lipsync.errors import Cancelled, MediaError, OptionError, ToolError
from tests.material import FACE, VOICE


@pytest.fixture(autouse=True)
def with_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray seems to be installed, and no token is known."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "where", ["", "Ray", "10.0.0.1:6379", "ray://", "ray://host", "ray://host:0", "ray://:1"]
)
def test_other_places_are_refused_with_those_that_there_are(where: str) -> None:
    with pytest.raises(OptionError, match="ray://HOST:PORT"):
        check_cluster(where)


def test_without_ray_its_extra_is_named_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    real: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else real(name))
    words = ["batch", "--videos", FACE, "--voices", VOICE, "-o", tmp_path / "made", "--on", "ray"]
    assert main([*map(str, words)]) == 1
    assert 'pip install "lipsync-video[cluster]"' in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("where", ["auto", "ray://127.0.0.1:9"])
def test_a_running_cluster_is_used_only_with_a_token(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match="only with a token"):
        check_cluster(where)
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    check_cluster("auto")
    check_cluster("ray")


def test_a_head_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = free.getsockname()[1]
        with pytest.raises(ToolError, match="cannot be reached"):
            check_cluster(f"ray://127.0.0.1:{port}")
        free.listen()
        check_cluster(f"ray://127.0.0.1:{port}")


def test_errors_stay_as_they_are_on_their_way_to_another_process() -> None:
    error = MediaError("It is broken", given="a.mp4", hint="Try another.")
    error.kept = "Some is kept."
    for one in (error, Cancelled("Drawing lips"), ToolError("What")):
        copy = pickle.loads(pickle.dumps(one))
        assert type(copy) is type(one) and str(copy) == str(one) and vars(copy) == vars(one)
