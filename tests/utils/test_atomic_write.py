"""Files that are whole or not there, and the errors of writing them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lipsync.errors import DiskFullError, OutputError
from lipsync.utils.atomic_write import atomic_write, check_not_there, check_place, remove_parts, write_text
from lipsync.utils.disk_errors import says_disk_full


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, durable=durable) as part:
        part.write_text("new")
        assert path.read_text() == "old" and part.suffix == ".txt"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_its_place_too(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "clip") as part:
        part.mkdir()
        (part / "0.jpg").touch()
    assert [path.name for path in (tmp_path / "clip").iterdir()] == ["0.jpg"]


@pytest.mark.parametrize("folder", [False, True])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyError), atomic_write(tmp_path / "a.txt") as part:
        if folder:
            part.mkdir()
            part = part / "inside"
        part.write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_distinguished_from_other_errors(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(DiskFullError, match=f"disk is full: {tmp_path}. Free some space"), atomic_write(path):
        raise OSError(number, os.strerror(number))
    denied = pytest.raises(OutputError, match=r"cannot be written: .*a\.txt \(Permission denied\)")
    with denied as caught, atomic_write(path):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert not isinstance(caught.value, DiskFullError)


def test_missing_folders_are_made_and_go_again_if_it_fails(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "ö")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ö".encode()
    with pytest.raises(KeyError), atomic_write(tmp_path / "other" / "inner" / "a.txt"):
        raise KeyError
    with pytest.raises(KeyError), atomic_write(tmp_path / "new" / "inner" / "a.txt"):
        raise KeyError
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "new" / "a.txt"]


def test_a_place_is_checked_before_there_is_anything_to_write(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "a.txt")
    (tmp_path / "file").touch()
    for bad in (tmp_path, tmp_path / "file" / "a.txt", tmp_path / ("ä" * 130)):
        with pytest.raises(OutputError, match="cannot be written"):
            check_place(bad)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("last.pt", "part.pt", "a.part")]
    for path in (*kept, tmp_path / ".0123456789abcdef.part.pt"):  # a file, by earlier versions
        path.touch()
    (tmp_path / ".0123456789abcdef.part").mkdir()
    remove_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_logs_that_say_so() -> None:
    assert says_disk_full("av_interleaved_write_frame(): No space left on device")
    assert says_disk_full("[Errno 28] whatever") and not says_disk_full("Errno 280")


@pytest.mark.parametrize("links", [True, False])  # some file systems know no hard links
def test_without_overwriting_an_existing_file_stays(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def no_link(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "a.txt"
    names = [write_text(path, text, overwrite=False) for text in ("one", "two", "three")]
    assert [name.name for name in names] == ["a.txt", "a_2.txt", "a_3.txt"]
    assert [name.read_text() for name in names] == ["one", "two", "three"]
    assert len(list(tmp_path.iterdir())) == 3
    assert write_text(path, "four") == path and path.read_text() == "four"


def test_what_must_not_be_replaced_is_refused_even_a_broken_link(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    check_not_there(path)
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="already"):
        check_not_there(path)
    check_not_there(path, overwrite=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path, linked: bool) -> None:
    pipe = path = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link.txt"
        path.symlink_to(pipe)
    with pytest.raises(OutputError, match="a pipe or a device"):
        check_place(path)
    with pytest.raises(OutputError, match="a pipe or a device"):
        write_text(path, "new")
    with pytest.raises(OutputError, match="a pipe or a device"), atomic_write(path) as part:
        part.write_text("new")
    assert pipe.is_fifo() and {*tmp_path.iterdir()} == {pipe, path}


def test_a_loop_of_links_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "loop.txt"
    path.symlink_to(path)
    write_text(path, "new")
    assert path.read_text() == "new" and not path.is_symlink()
