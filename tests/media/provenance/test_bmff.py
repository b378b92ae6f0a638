"""The manifest of a video is embedded in one pass, and the file is what c2pa-python would make of it."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest

from lipsync.media import open_video
from lipsync.media.provenance import bmff, manifest, own_credentials, read_provenance
from tests.make_media import make_video, run_ffmpeg
from tests.media.provenance.test_provenance import edit_of

pytest.importorskip("c2pa", reason="c2pa-python has no wheel for this machine")
TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("source") / "source.mp4", frames=5)


def signed(path: Path, target: Path, parent: Path | None = None) -> Path:
    manifest.sign_embedded(edit_of(parent or path), own_credentials(), TYPES[path.suffix], path, target)
    return target


def told_of(path: Path) -> tuple[Any, bytes]:
    """What the active manifest says, without what is new each time, and the file around it."""
    found = manifest.read_manifest(path, b"")
    assert found is not None
    active = found[0]["manifests"][found[0]["active_manifest"]]
    changing = r"(urn:c2pa:|xmp\.iid:)[\w-]+|'hash': '[^']+'\}"
    content = path.read_bytes()
    start = content.index(b"uuid") - 4
    [size] = struct.unpack(">I", content[start : start + 4])
    assertions = {one["label"]: one["data"] for one in active["assertions"]}
    assert bmff.LABEL in assertions
    text = re.sub(changing, "", str({**active, "label": "", "assertions": ""}))
    return (text, assertions[bmff.LABEL], size), content[:start] + content[start + size :]


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("flags", ["+faststart", "0"])
def test_the_file_is_what_the_library_itself_would_write(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, flags: str
) -> None:
    plain = tmp_path / f"plain{suffix}"
    sound = ("-f", "lavfi", "-i", "sine=d=0.2", "-c:v", "copy", "-c:a", "aac")
    run_ffmpeg("-i", source, *sound, "-movflags", flags, plain)
    ours = signed(plain, tmp_path / f"ours{suffix}")
    with monkeypatch.context() as patched:
        patched.setattr(manifest, "_BMFF_TYPES", ())
        theirs = signed(plain, tmp_path / f"theirs{suffix}")
    assert told_of(ours) == told_of(theirs)
    assert read_provenance(ours).state == read_provenance(theirs).state == "whole"
    packets = [
        run_ffmpeg("-i", path, "-map", 0, "-c", "copy", "-f", "framemd5", "-") for path in (plain, ours)
    ]
    assert packets[0] == packets[1]


def test_offsets_of_64_bits_are_moved_too(source: Path, tmp_path: Path) -> None:
    content = bytearray(source.read_bytes())
    start = content.rindex(b"stco") - 4
    assert content.index(b"mdat") < start  # the samples do not move when the index grows
    size, _, _, count = struct.unpack_from(">I4sII", content, start)
    offsets = struct.unpack_from(f">{count}I", content, start + 16)
    at = 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = content.index(kind, at)
        [old] = struct.unpack_from(">I", content, at - 4)
        struct.pack_into(">I", content, at - 4, old + 4 * count)
    content[start : start + size] = struct.pack(
        f">I4sII{count}Q", size + 4 * count, b"co64", 0, count, *offsets
    )
    (tmp_path / "wide.mp4").write_bytes(content)
    made = signed(tmp_path / "wide.mp4", tmp_path / "signed.mp4")
    assert read_provenance(made).state == "whole"
    digests = [run_ffmpeg("-i", path, "-f", "framemd5", "-") for path in (source, made)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "dash+global_sidx"])
def test_other_layouts_are_left_to_the_library(source: Path, tmp_path: Path, flags: str) -> None:
    plain = tmp_path / "plain.mp4"
    run_ffmpeg("-i", source, "-c", "copy", "-movflags", flags, plain)
    with (tmp_path / "nothing").open("w+b") as written, pytest.raises(bmff.UnknownLayoutError):
        bmff.copy_with_room(plain, written, 100)
    assert (tmp_path / "nothing").stat().st_size == 0
    assert read_provenance(signed(plain, tmp_path / "signed.mp4")).state == "whole"


def test_a_file_that_is_signed_gets_the_new_manifest_alone(source: Path, tmp_path: Path) -> None:
    first = signed(source, tmp_path / "first.mp4")
    second = signed(first, tmp_path / "second.mp4", source)
    assert read_provenance(second).state == "whole"
    assert abs(second.stat().st_size - first.stat().st_size) < 100


@pytest.mark.parametrize("cut", [3, 20, 900])
def test_a_file_that_is_cut_short_is_not_moved(source: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.mp4").write_bytes(source.read_bytes()[:cut])
    with (tmp_path / "nothing").open("w+b") as written, pytest.raises(bmff.UnknownLayoutError):
        bmff.copy_with_room(tmp_path / "cut.mp4", written, 100)


def test_ingredients_are_read_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    add = manifest._add_ingredient

    def noted(builder: Any, about: dict[str, Any], path: Path) -> None:
        read.append(path)
        add(builder, about, path)

    monkeypatch.setattr(manifest, "_add_ingredient", noted)
    first = signed(source, tmp_path / "first.mp4")
    read.clear()
    second = signed(source, tmp_path / "second.mp4", first)
    assert read == [first]
    [parent] = read_provenance(second).ingredients
    assert parent.startswith("source video, signed by lipsync") and parent.endswith("whole")
    assert open_video(second).frame_count == 5
