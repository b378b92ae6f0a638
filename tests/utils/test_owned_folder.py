"""Private folders outlive no process: what a killed one leaves, the next one sweeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lipsync.utils.file_names import fitting_name
from lipsync.utils.owned_folder import owned_folder, remove_abandoned, remove_unlocked, temporary_folder

OWNER = """
import sys, time
from pathlib import Path
from lipsync.utils.owned_folder import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    (folder / "result.mp4").write_bytes(bytes(1000))
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_living_process_keeps_its_folder_and_a_killed_one_does_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        folder = Path(owner.stdout.readline().strip())
        remove_abandoned(tmp_path)
        assert (folder / "result.mp4").exists()
        owner.send_signal(signal.SIGKILL)
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_thread_of_this_process_keeps_its_folder_too(tmp_path: Path) -> None:
    with owned_folder(tmp_path) as folder:
        remove_abandoned(tmp_path)
        assert folder.exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_links_and_other_names_are_left_alone(tmp_path: Path) -> None:
    inside = tmp_path / "mine" / "file"
    inside.parent.mkdir()
    inside.touch()
    (tmp_path / ".0123456789abcdef.part").symlink_to(inside.parent)
    (tmp_path / ".0123.part").mkdir()
    (tmp_path / ".fedcba9876543210.part").touch()
    remove_abandoned(tmp_path)
    assert inside.exists() and len(list(tmp_path.iterdir())) == 4


def test_temporary_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "lipsync-0123456789abcdef").mkdir()
    with temporary_folder() as first, temporary_folder() as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second])
    assert not list(tmp_path.iterdir())


def test_what_killed_releases_without_locks_left_goes_after_a_day(tmp_path: Path) -> None:
    old = [
        ".0123456789abcdef.mp4",
        ".0123456789abcdef.part.mp4",
        ".fedcba9876543210.part.mkv",
        ".00000000ffffffff.srt",
    ]
    kept = ["film.mp4", ".0123456789abcdef.txt", ".0123.mp4", ".film.part.mp4", ".0123456789abcdef0.mp4"]
    for name in (*old, *kept):
        (tmp_path / name).write_bytes(b"any")
    young = tmp_path / ".1111111111111111.part.mp4"
    locked = tmp_path / ".2222222222222222.part"  # of a run that has gone on for days
    locked.mkdir()
    (tmp_path / ".3333333333333333.part.mp4").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    young.touch()
    remove_unlocked(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, young.name, locked.name}


def test_empty_temporary_folders_of_releases_without_locks_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("lipsync-abcd_123", "lipsync-projects", "lipsync-young123"):
        (tmp_path / name).mkdir()
    (tmp_path / "lipsync-projects" / "mine").touch()
    for name in ("lipsync-abcd_123", "lipsync-projects"):
        os.utime(tmp_path / name, (0, 0))
    with temporary_folder():
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"lipsync-projects", "lipsync-young123"}


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "\udcff" * 200, "界" * 85])
def test_names_are_shortened_to_what_a_disk_takes(name: str, tmp_path: Path) -> None:
    fitted = fitting_name(".", name, ".parts")
    (tmp_path / fitted).touch()
    assert fitted.startswith(f".{name[:10]}") and fitted.endswith(".parts")
    assert fitted != fitting_name(".", name[:-1] + "b", ".parts")
    assert fitting_name(".", "a.mp4", ".parts") == ".a.mp4.parts"
