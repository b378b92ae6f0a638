from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.errors import InputError
from lipsync.evaluation.dataset import Pair, find_result, read_pairs, with_other_voices


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table(tmp_path: Path, delimiter: str) -> None:
    rows = [
        "Video,voice,language,set,remark",
        "a.mp4,b.wav,en,news,loud",
        "sub/a b.mp4,,de,,",
        "a.mp4,b.wav,fr,,",
    ]
    path = write(tmp_path / "pairs.csv", "\n".join(rows).replace(",", delimiter) + "\n\n")
    one, other, again = read_pairs(path)
    assert (one.name, one.video, one.voice) == ("a__b", tmp_path / "a.mp4", tmp_path / "b.wav")
    assert (one.language, one.group, one.number, one.own_voice) == ("en", "news", 0, False)
    assert (other.name, other.video, other.own_voice) == ("a_b", tmp_path / "sub/a b.mp4", True)
    assert again.name == "a__b_2"
    assert not one.whole_frame


def test_the_folder_of_the_files_is_another(tmp_path: Path) -> None:
    path = write(tmp_path / "lists" / "pairs.csv", "video,voice\na.mp4,/abs/b.wav\n")
    [pair] = read_pairs(path, tmp_path / "data")
    assert pair.video == tmp_path / "data" / "a.mp4"
    assert pair.voice == Path("/abs/b.wav")


def test_lists_of_lrs_have_the_sound_first(tmp_path: Path) -> None:
    path = write(tmp_path / "lrs2.txt", "6339/00098 6330/00011\n6356/00023 6330/00022\n")
    one, other = read_pairs(path, tmp_path / "main")
    assert one.voice == tmp_path / "main/6339/00098.mp4"
    assert one.video == tmp_path / "main/6330/00011.mp4"
    assert (one.group, one.whole_frame, one.name) == ("lrs2", True, "00000_00011__00098")
    assert other.number == 1


def test_lists_of_lrw_by_word(tmp_path: Path) -> None:
    """Flat, as the original's script has it, or as the corpus itself is laid out."""
    path = write(tmp_path / "lrw.txt", "BRING_00018 WESTERN_00039\n")
    write(tmp_path / "WESTERN/test/WESTERN_00039.mp4", "")
    [pair] = read_pairs(path)
    assert pair.video == tmp_path / "WESTERN/test/WESTERN_00039.mp4"
    assert pair.voice == tmp_path / "BRING_00018.mp4"


def test_lists_of_resynced_have_the_video_first(tmp_path: Path) -> None:
    path = write(tmp_path / "tts_pairs.txt", "adam_1.mp4 andreng.wav\nagad_2.mp4 agad_2.wav\n")
    one, _ = read_pairs(path)
    assert (one.video, one.voice) == (tmp_path / "adam_1.mp4", tmp_path / "andreng.wav")
    assert not one.whole_frame


def test_folders(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MOV", "notes.md"):
        write(tmp_path / name, "")
    pairs = read_pairs(tmp_path)
    assert [(pair.name, pair.own_voice) for pair in pairs] == [("a", True), ("b", True)]
    write(tmp_path / "pairs.csv", "video,voice\nb.mp4,x.wav\n")
    assert [pair.name for pair in read_pairs(tmp_path)] == ["b__x"]
    write(tmp_path / "more.csv", "video\n")
    with pytest.raises(InputError, match="several tables"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "picture,voice\na.mp4,b.wav\n", "no column 'video'.*video,voice,language"),
        ("a.csv", "video,voice\n,b.wav\n", "row 2"),
        ("a.csv", "video,voice\n", "no videos to evaluate"),
        ("a.csv", "", "no videos to evaluate"),
        ("a.txt", "one two three\n", "'one two three'.*use a table"),
    ],
)
def test_what_cannot_be_understood(tmp_path: Path, name: str, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_pairs(write(tmp_path / name, text))


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(tmp_path / "absent.csv")


def test_results_that_were_made_elsewhere(tmp_path: Path) -> None:
    pairs = read_pairs(write(tmp_path / "list.txt", "a.mp4 x.wav\nb.mp4 x.wav\nc.mp4 x.wav\n"))
    made = tmp_path / "made"
    for name in ("00000_a__x.mp4", "b.mkv", "0.mp4"):
        write(made / name, "")
    found = [find_result(made, pair) for pair in pairs]
    assert found == [made / "00000_a__x.mp4", made / "b.mkv", None]
    write(made / "2.mp4", "")
    assert find_result(made, pairs[2]) == made / "2.mp4"


def test_names_fit_into_a_file_system(tmp_path: Path) -> None:
    """Those of two long files together, or in letters of several bytes, are longer than 255 bytes."""
    long, wide = "a" * 200, "\u00e4" * 120
    rows = [f"{long}.mp4,{wide}.wav", f"{long}.mp4,{wide}.wav", f"{long}.mp4,{wide}x.wav"]
    pairs = read_pairs(write(tmp_path / "table.csv", "\n".join(["video,voice", *rows])))
    names = [pair.name for pair in pairs]
    assert len(set(names)) == 3
    for name in names:
        for ending in (".mp4", ".json", ".fid"):
            write(tmp_path / "made" / f"{name}{ending}", "")
    assert find_result(tmp_path / "none", Pair("b" * 254, 0, tmp_path / f"{'c' * 252}.mp4", tmp_path)) is None


def test_every_video_gets_the_voice_of_another(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).touch()
    own = read_pairs(tmp_path)
    crossed = with_other_voices(own)
    assert [pair.voice.name for pair in crossed] == ["b.mp4", "c.mp4", "a.mp4"]
    assert [pair.name for pair in crossed] == ["a__b", "b__c", "c__a"]
    assert not any(pair.own_voice for pair in crossed)
    assert with_other_voices(own[:1])[0].own_voice
