"""Requirements and constraints.txt: every supported Python has one pin for each, and wheels for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lipsync.cli import doctor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINNED_EXTRAS = sorted(EXTRAS.keys() - {"mcp"})  # mcp asks for an older pydantic than everything else takes
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PATCH = 9  # any that is not brand new: some packages leave out the first ones
SYSTEMS = {
    "x86_64-manylinux_2_28": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "aarch64-apple-darwin": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "x86_64-pc-windows-msvc": {"sys_platform": "win32", "platform_machine": "AMD64"},
}
ONLY_AS_SOURCE = ("basicsr", "python-speech-features")  # no wheel of these exists, for any Python


def requirement_lines(path: Path) -> list[Requirement]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def applies(marker: Marker | None, python: str, system: str) -> bool:
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    values = SYSTEMS[system]
    return marker is None or marker.evaluate(
        {
            **values,
            "python_version": python,
            "python_full_version": f"{python}.{PATCH}",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_system": names[values["sys_platform"]],
            "extra": "",
        }
    )


def spelled(requirement: Requirement) -> str:
    return str(requirement).replace(requirement.name, canonicalize_name(requirement.name), 1)


def wanted() -> list[Requirement]:
    """What the program and its extras ask for; extras that name extras are in the list by themselves."""
    lines = [Requirement(line) for name in PINNED_EXTRAS for line in EXTRAS[name]]
    return requirement_lines(ROOT / "requirements.txt") + [r for r in lines if r.name != PROJECT["name"]]


def pins(python: str, system: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for pin in requirement_lines(ROOT / "constraints.txt"):
        if applies(pin.marker, python, system):
            found[canonicalize_name(pin.name)].append(str(pin.specifier).removeprefix("=="))
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_requirement_has_one_pin_that_satisfies_it(python: str, system: str) -> None:
    pinned = pins(python, system)
    assert {name: versions for name, versions in pinned.items() if len(versions) > 1} == {}
    unmet = [
        str(requirement)
        for requirement in wanted()
        if applies(requirement.marker, python, system)
        and not any(map(requirement.specifier.contains, pinned[canonicalize_name(requirement.name)]))
    ]
    assert unmet == []


def test_the_supported_pythons_are_said_alike_everywhere() -> None:
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(30) if supported.contains(f"3.{minor}.0")] == [10, 11, 12, 13, 14]
    classifiers = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if ":: Python :: 3." in line]
    assert tuple(classifiers) == PYTHONS
    assert [f"3.{minor}" for _, minor in doctor.PYTHONS] == [PYTHONS[0], PYTHONS[-1]]
    assert "3.10 to 3.14" in (ROOT / "constraints.txt").read_text("utf-8").splitlines()[0]
    assert "Python 3.10 to 3.14" in (ROOT / "README.md").read_text("utf-8")


def test_what_the_package_asks_for_is_what_requirements_say(tmp_path: Path) -> None:
    """But the extra gfpgan, whose packages pip cannot build in an empty environment."""
    build = [sys.executable, "-m", "hatchling", "metadata"]
    built = json.loads(subprocess.run(build, cwd=ROOT, capture_output=True, check=True).stdout)
    said = set(map(spelled, map(Requirement, built["dependencies"])))
    gfpgan = set(map(spelled, map(Requirement, EXTRAS["gfpgan"])))
    assert said | gfpgan == set(map(spelled, requirement_lines(ROOT / "requirements.txt")))
    assert not said & gfpgan and len(gfpgan) == 2


@pytest.mark.parametrize("version", [(3, 9), (3, 15), (2, 7)])
def test_make_says_which_pythons_it_takes(version: tuple[int, int], tmp_path: Path) -> None:
    python = tmp_path / "python"  # answers as another version would
    change = f"import sys; sys.version_info = {(*version, 0, 'final', 0)}; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{change}" "$2"\n')
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", f"{tmp_path / 'venv'}/.ready"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "lipsync runs on Python 3.10 to 3.14" in done.stderr
    assert f"is Python {version[0]}.{version[1]}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.registry
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_registry_has_wheels_of_every_pin(python: str, system: str, tmp_path: Path) -> None:
    """Resolved as if on that Python and system; `pip --dry-run` reads markers for the Python it runs on."""
    extras = tmp_path / "extras.txt"
    extras.write_text("\n".join(str(line) for line in wanted()))
    outcome = tmp_path / "resolved.txt"
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header"]
    command += [
        "--python-version",
        f"{python}.{PATCH}",
        "--python-platform",
        system,
        "--only-binary",
        ":all:",
    ]
    command += [word for name in ONLY_AS_SOURCE for word in ("--no-binary", name)]
    command += ["--no-config", "--constraint", str(ROOT / "constraints.txt")]
    command += [str(extras), "--output-file", str(outcome)]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}  # the oldest that PyAV is built for
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    pinned = pins(python, system)
    loose = [
        str(line)
        for line in requirement_lines(outcome)
        if str(line.specifier).removeprefix("==") not in pinned[canonicalize_name(line.name)]
    ]
    assert loose == []  # what is installed is what constraints.txt says, all of it
