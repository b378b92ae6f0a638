"""One signed manifest for a folder of images: whole, changed, incomplete, added to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from lipsync.cli.main import main
from lipsync.errors import MediaError
from lipsync.media import FrameWriter, OutputSpec, open_audio, open_video
from lipsync.media.provenance import METADATA_MARKS, Marks, own_credentials, read_provenance
from tests.make_media import make_sound, make_video, number_frame
from tests.media.provenance.test_provenance import edit_of

pytest.importorskip("c2pa", reason="c2pa-python has no wheel for this machine")
FRAMES = 3


def write(target: Path, folder: Path, marks: Marks | None) -> Path:
    source = make_video(folder / "Jane Doe.mp4", frames=FRAMES)
    audio = open_audio(make_sound(folder / "voice.wav", 0.2))
    video = open_video(source).info
    spec = OutputSpec(160, 120, Fraction(25), FRAMES, audio, video, codec="png", marks=marks)
    with FrameWriter(target, spec) as writer:
        for number in range(FRAMES):
            writer.write(number_frame(number))
    assert writer.signed == bool(marks and marks.edit)
    return target


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    marks = Marks(edit_of(folder / "Jane Doe.mp4", folder / "voice.wav"), own_credentials())
    return write(folder / "take", folder, marks)


def test_a_folder_is_signed_with_the_digests_of_its_files(
    signed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = read_provenance(signed)
    assert (report.state, report.own, report.sidecar) == ("whole", True, True)
    assert report.actions == ("c2pa.opened", "c2pa.placed", "c2pa.edited") and report.made_by_ai
    assert report.ingredients[0].startswith("source video")
    assert b"Jane" not in (signed / "frames.c2pa").read_bytes()
    assert main(["verify", str(signed)]) == 0
    assert "nothing was changed since it was signed" in capsys.readouterr().out
    if program := shutil.which("sha256sum"):  # another program reads the list, too
        command = [program, "-c", "--quiet", "frames.sha256"]
        assert subprocess.run(command, cwd=signed, check=False, timeout=20).returncode == 0


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(folder: Path) -> None:
    one, other = (folder / f"frame_00000{number}.png" for number in (1, 2))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of an image": (lambda folder: flip(folder / "frame_000002.png"), "changed: frame_000002.png"),
    "a byte of the sound": (lambda folder: flip(folder / "audio.wav"), "changed: audio.wav"),
    "an image is gone": (lambda folder: (folder / "frame_000003.png").unlink(), "missing: frame_000003.png"),
    "an image is new": (
        lambda folder: shutil.copy(folder / "frame_000001.png", folder / "frame_000004.png"),
        "added: frame_000004.png",
    ),
    "two images are swapped": (swap, "changed: frame_000001.png, frame_000002.png"),
    "a byte of the list": (lambda folder: flip(folder / "frames.sha256"), "assertion.dataHash.mismatch"),
    "the list is gone": (lambda folder: (folder / "frames.sha256").unlink(), "missing: frames.sha256"),
    "a byte of the manifest": (lambda folder: flip(folder / "frames.c2pa"), ""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_told(signed: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(signed, tmp_path / "copy"))
    change, problem = CHANGES[name]
    change(folder)
    report = read_provenance(folder)
    assert report.state == "tampered"
    assert any(problem in one for one in report.problems)
    assert main(["verify", str(folder)]) == 1


def test_a_list_that_was_made_anew_is_not_signed(signed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(signed, tmp_path / "copy"))
    (folder / "frames.c2pa").unlink()
    assert read_provenance(folder).state == "metadata"


@pytest.mark.parametrize(("marks", "state"), [(METADATA_MARKS, "metadata"), (None, "none")])
def test_fewer_marks_leave_images_and_sound_alone(tmp_path: Path, marks: Marks | None, state: str) -> None:
    folder = write(tmp_path / "take", tmp_path, marks)
    assert read_provenance(folder).state == state
    assert sorted({path.suffix for path in folder.iterdir()}) == [".png", ".wav"]


def test_a_folder_without_images_is_no_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MediaError, match="no image sequence"):
        read_provenance(tmp_path)
    assert main(["verify", str(tmp_path)]) != 0
    assert "no image sequence" in capsys.readouterr().err
