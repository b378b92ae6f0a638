"""Finding a JavaScript runtime: the packaged deno first, then what is on the path."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from lipsync.cli import doctor
from lipsync.sources.javascript import JavaScriptRuntime, describe_runtimes, find_runtimes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the made-up programs are shell scripts")


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_deno(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deno", None)


def package(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    module = types.ModuleType("deno")
    module.find_deno_bin = lambda: str(path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deno", module)


def test_the_package_is_used_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "deno", "deno 1.0.0")
    node = program(tmp_path / "bin", "node", "v24.1.0")
    packaged = program(tmp_path / "package", "deno", "deno 2.9.8 (stable)")
    package(monkeypatch, packaged)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_runtimes() == {"deno": str(packaged), "node": str(node)}
    assert describe_runtimes() == [
        JavaScriptRuntime("deno", str(packaged), "2.9.8", True),
        JavaScriptRuntime("node", str(node), "24.1.0", True),
    ]


@pytest.mark.usefixtures("no_deno")
def test_the_doctor_reports_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    [finding] = doctor._check_javascript()
    assert (finding.state, finding.found) == ("note", "none")
    assert "pip install deno" in finding.advice
    node = program(tmp_path / "bin", "node", "v18.2.0")
    [finding] = doctor._check_javascript()
    assert finding.state == "note"
    assert "18.2.0" in finding.found
    node.unlink()
    program(tmp_path / "bin", "node", "v24.1.0")
    [finding] = doctor._check_javascript()
    assert finding.state == "ok"
    assert "24.1.0" in finding.found


@pytest.mark.usefixtures("no_deno")
def test_a_program_that_does_not_start_is_no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "node", "nothing of use").write_text("not a program")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert describe_runtimes() == []
