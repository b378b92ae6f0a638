"""Scripts as people bring them: subtitle files, tables, JSON, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.dubbing import ScriptLine, read_script
from lipsync.dubbing.script import split_speaker
from lipsync.errors import InputError
from tests.make_media import run_ffmpeg

SRT = """1
00:00:00,500 --> 00:00:02,000
[Ann] <i>Good morning.</i>
How are you?

2
00:00:02,500 --> 00:00:03,750
Bob: Fine, thank you.
"""
LINES = [
    ScriptLine(1, 0.5, 2.0, "Good morning.\nHow are you?", "Ann"),
    ScriptLine(2, 2.5, 3.75, "Fine, thank you.", "Bob"),
]
VTT = """WEBVTT

NOTE made by hand

00:00.500 --> 00:02.000 align:start
<v Ann>Good morning.
How are you?

00:02.500 --> 00:03.750
<v.loud Bob>Fine, <b>thank you</b>.</v>
"""
CSV = """Start;End;Speaker;Text
0.5;2,0;Ann;"Good morning.
How are you?"
0:02.5;0:03.75;Bob;Fine, thank you.

"""
JSON = (
    '{"lines": [{"start": 2.5, "end": "3.75", "speaker": "Bob", "text": "Fine, thank you."},'
    '{"start": 0.5, "end": 2, "text": "[Ann] Good morning.\\nHow are you?"}]}'
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("dub.srt", SRT.encode()),
        ("windows.SRT", SRT.replace("\n", "\r\n").encode("utf-8-sig")),
        ("old mac.srt", SRT.replace("\n", "\r").encode()),
        ("wide.srt", SRT.encode("utf-16")),
        ("dub.vtt", VTT.encode()),
        ("windows.vtt", VTT.replace("\n", "\r\n").encode("utf-8-sig")),
        ("wide.vtt", VTT.encode("utf-16-be").join([b"\xfe\xff", b""])),
    ],
)
def test_every_form_gives_the_same_lines(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    script = read_script(path)
    assert list(script.lines) == LINES
    assert script.speakers == ("Ann", "Bob") and script.notes == ()


@pytest.mark.parametrize(
    ("name", "text"), [("dub.csv", CSV), ("dub.tsv", CSV.replace(";", "\t")), ("dub.json", JSON)]
)
def test_tables_give_the_same_lines_too(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    found = [(line.start, line.end, line.speaker, line.text) for line in read_script(path).lines]
    assert found == [(line.start, line.end, line.speaker, line.text) for line in LINES]


@pytest.mark.parametrize(("name", "text"), [("dub.csv", CSV), ("dub.json", JSON)])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_windows_are_read(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    script = read_script(path)
    assert [(line.start, line.speaker) for line in script.lines] == [(0.5, "Ann"), (2.5, "Bob")]
    assert script.notes == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dub.srt", "1\n00:00:01,000 --> 00:00:02,000\nZoë: Ça va, “bien”.\n"),
        ("dub.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Zoë>Ça va, “bien”.\n"),
        ("dub.csv", "start;end;speaker;text\n1;2;Zoë;Ça va, “bien”.\n"),
        ("dub.json", '[{"start": 1, "end": 2, "speaker": "Zoë", "text": "Ça va, “bien”."}]'),
    ],
)
def test_letters_of_an_old_encoding_are_read_and_told(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("cp1252"))
    script = read_script(path)
    assert (script.lines[0].speaker, script.lines[0].text) == ("Zoë", "Ça va, “bien”.")
    assert "Windows-1252" in script.notes[0]


@pytest.mark.parametrize("name", ["dub.srt", "dub.vtt", "dub.csv", "dub.json"])
@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n"])
def test_an_empty_script_is_told(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"empty|no lines|not JSON"):
        read_script(path)


def test_a_sound_file_is_looked_for_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "sounds" / "one.wav")
    path = tmp_path / "dub.csv"
    path.write_text("start,end,sound\n0,1,sounds/one.wav\n", "utf-8")
    assert read_script(path).lines[0].sound == tmp_path / "sounds" / "one.wav"
    path.write_text("start,end,sound\n0,1,two.wav\n", "utf-8")
    with pytest.raises(InputError, match=r"two\.wav of line 1"):
        read_script(path)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("dub.srt", " \n", "no lines"),
        ("dub.srt", "Only words\n", "no lines"),
        ("dub.srt", SRT.replace("02,500", "02;500"), "02;500"),
        ("dub.srt", SRT.replace("03,750", "02,100"), r"line 2 \(0:02.50-0:02.10, Bob\)"),
        ("dub.csv", "begin,end\n1,2\n", "start in dub.csv"),
        ("dub.csv", "start,end\n1,two\n", "end 'two' of line 1"),
        ("dub.csv", "start,end\n-1,2\n", "start '-1' of line 1"),
        ("dub.csv", "start,end\n", "no lines"),
        ("dub.json", "[1, 2]", "holds no lines"),
        ("dub.json", "[" * 100_000, "not JSON"),
        ("dub.json", '[{"start": true, "end": 2}]', "start 'True' of line 1"),
        ("dub.json", '[{"start": NaN, "end": 2}]', "start 'nan' of line 1"),
        ("dub.docx", "words", "not a script"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=told):
        read_script(path)


@pytest.mark.parametrize(
    ("text", "speaker", "said"),
    [
        ("Dr. Who-Ever: Run!", "Dr. Who-Ever", "Run!"),
        ("{\\an8}[NARRATOR] Once.", "NARRATOR", "Once."),
        ("It is 10:30 now", "", "It is 10:30 now"),
        ("One more thing to say: stop.", "", "One more thing to say: stop."),
        ("http://example.org", "", "http://example.org"),
        ("5 < 6 and 7 > 6", "", "5 < 6 and 7 > 6"),
        ("अनीता: नमस्ते", "अनीता", "नमस्ते"),
    ],
)
def test_speakers_are_told_from_what_they_say(text: str, speaker: str, said: str) -> None:
    assert split_speaker(text) == (speaker, said)
