"""The wheel: what `pip install` puts on a machine makes the demo by itself, offline, without the clone."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import lipsync

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = Path(sysconfig.get_path("purelib"))  # of the environment that runs the tests
PART = ("--voice-ranges", "0-2.5")  # long enough for a score
SHIPPED = ("builtin.safetensors", "expert.safetensors", "speaker.safetensors")

# Python runs it first. The clone may hold the environment whose libraries are used; nothing else is read.
GUARD = f"""
import sys
def guard(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        if arguments[0].startswith({f"{ROOT}/"!r}) and not arguments[0].startswith({f"{LIBRARIES}/"!r}):
            raise PermissionError("the clone is out of reach: " + arguments[0])
sys.addaudithook(guard)
"""

WHERE = """
import importlib.metadata, json, lipsync
from importlib import resources
from lipsync.weights import find, weights_folder
print(json.dumps({
    "package": lipsync.__file__,
    "builtin": str(find("builtin")), "expert": str(find("expert")),
    "samples": str(resources.files("lipsync") / "samples"),
    "downloads": str(weights_folder()),
    "version": importlib.metadata.version("lipsync-video"),
}))
"""


def build(source: Path, kind: str, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the libraries are those of the running one."""
    home = tmp_path_factory.mktemp("installation")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    (libraries,) = home.glob("lib/python*/site-packages")
    (libraries / "libraries.pth").write_text(f"{LIBRARIES}\n")
    (libraries / "clone_guard.py").write_text(GUARD)
    (libraries / "guard.pth").write_text("import clone_guard\n")
    return home


def call(installation: Path, *words: str) -> str:
    """Run a program of the installation in a folder of its own, with nothing of this process around it."""
    user = installation / "user"
    user.mkdir(exist_ok=True)
    environment = {
        "PATH": f"{installation / 'bin'}:/usr/bin:/bin",
        "HOME": str(user),
        "HTTP_PROXY": "http://127.0.0.1:9",  # nobody is there
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    command = [str(installation / "bin" / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=user, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installation_makes_the_demo(installation: Path) -> None:
    found = json.loads(call(installation, "python", "-c", WHERE))
    assert found["version"] == lipsync.__version__
    for what in ("package", "builtin", "expert", "samples"):
        assert Path(found[what]).is_relative_to(installation), what
    assert Path(found["downloads"]).is_relative_to(installation / "user")  # not into the package

    samples = Path(found["samples"])
    inputs = [str(samples / "face.jpg"), str(samples / "voice.mp3")]
    result = json.loads(call(installation, "lipsync", "run", *inputs, *PART, "-o", "demo.mp4", "--json"))
    assert (installation / "user" / "demo.mp4").stat().st_size > 10_000
    assert result["variant"] == "builtin"
    assert result["frames_synced"] == result["frames"] > 50
    assert result["score"]["result"]["sync_confidence"] > 0.15  # what counts as good
    assert result["warnings"] == []


def test_the_clone_is_out_of_reach(installation: Path) -> None:
    with pytest.raises(AssertionError, match="the clone is out of reach"):
        call(installation, "python", "-c", f"open({str(ROOT / 'README.md')!r})")


def test_lipsync_and_python_m_lipsync_are_one_program(installation: Path) -> None:
    assert call(installation, "lipsync", "--version") == f"{lipsync.__version__}\n"
    for words in (["--help"], ["app", "--help"]):
        told = call(installation, "lipsync", *words)
        assert told == call(installation, "python", "-m", "lipsync", *words)
    page = subprocess.run([sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, check=True)
    assert page.stdout.decode() == told


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    parts = {name.partition("/")[0] for name in names}
    info = f"lipsync_video-{lipsync.__version__}.dist-info"
    assert parts == {"lipsync", info}
    shipped = {f"lipsync/weights/files/{name}" for name in (*SHIPPED, "README.md")}
    assert shipped | {"lipsync/py.typed", f"{info}/licenses/LICENSE"} <= names
    files = (path.relative_to(ROOT) for path in (ROOT / "lipsync").rglob("*") if path.is_file())
    ours = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert {name for name in names if name.startswith("lipsync/")} == ours | shipped


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    again = build(tmp_path / archive.name.removesuffix(".tar.gz"), "wheel", tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {one.filename: one.CRC for one in first.infolist()} == {
            one.filename: one.CRC for one in second.infolist()
        }
