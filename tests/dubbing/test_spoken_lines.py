"""Lines of a script without a sound are spoken, and sounds are fitted to their lines."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import main
from lipsync.dubbing import Script, ScriptLine, fill_lines, read_script
from lipsync.errors import Cancelled, InputError, LipsyncError
from lipsync.media import open_audio, probe_audio, probe_video
from lipsync.media.audio.tempo import write_faster
from lipsync.media.subtitle_formats import read_subtitles
from lipsync.progress import CancelToken
from tests.make_media import run_ffmpeg
from tests.material import make_voice
from tests.speech.fake_synthesizer import tone  # noqa: F401 - a fixture

SRT = """1
00:00:00,200 --> 00:00:00,800
[Ann] Good morning

2
00:00:01,000 --> 00:00:01,400
Bob: Well, well...

3
00:00:01,500 --> 00:00:01,900
Yes
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "dub.srt").write_text(SRT, "utf-8")
    return tmp_path / "dub.srt"


def pitch(path: Path, start: float, end: float) -> float:
    """The strongest frequency of a stretch, Hz."""
    clip = open_audio(path).read(16_000, start=start, seconds=end - start)
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples))))
    return float(spectrum.argmax() * 16_000 / len(clip.samples))


@pytest.mark.usefixtures("tone")
def test_every_speaker_has_a_voice(script: Path, tmp_path: Path) -> None:
    told: list[lipsync.Progress] = []
    spoken = lipsync.speak_lines(script, tmp_path, {"ANN": "tone:high", "": "tone:low"}, progress=told.append)
    assert (told[0].amount, told[-1].amount) == ("0 of 3 lines", "3 of 3 lines")
    assert [line.sound and line.sound.name for line in spoken.lines] == [
        "line1.wav",
        "line2.wav",
        "line3.wav",
    ]
    pitches = [pitch(line.sound, 0, 0.15) for line in spoken.lines if line.sound]
    assert pitches == pytest.approx([240, 120, 120], abs=15)
    assert spoken.notes == (
        "Ann is spoken by tone:high.",
        "Bob is spoken by tone:low.",
        "The script is spoken by tone:low.",
    )


@pytest.mark.usefixtures("tone")
def test_lines_with_a_sound_keep_it(tmp_path: Path) -> None:
    own = make_voice(tmp_path / "own.wav", seconds=0.3)
    (tmp_path / "dub.csv").write_text("start,end,text,sound\n0,1,Hello,\n1,2,,own.wav\n", "utf-8")
    spoken = lipsync.speak_lines(tmp_path / "dub.csv", tmp_path / "made", {"": "tone"})
    assert [line.sound for line in spoken.lines] == [tmp_path / "made" / "line1.wav", own]


@pytest.mark.usefixtures("tone")
@pytest.mark.parametrize(
    ("voices", "text", "told"),
    [
        ({"ann": "tone", "eve": "tone"}, "Hello", "Nobody of this name.*eve.*Ann, Bob"),
        ({"ann": "tone"}, "Hello", "no voice to speak with: Bob, lines without a speaker"),
        ({"": "speak"}, "Hello", "no such speech synthesiser"),
        ({"": "tone:x"}, "Hello", "no such voice"),
        ({"": "tone"}, "", r"nothing to say.*line 1"),
        ({"": "tone"}, "a" * 10_001, r"too long.*line 1"),
    ],
)
def test_what_cannot_be_spoken_is_told_before_any_line(
    voices: dict[str, str], text: str, told: str, tmp_path: Path
) -> None:
    lines = [("Ann", text), ("Bob", "Well"), ("", "Yes")]
    made = Script(tuple(ScriptLine(n, n, n + 1, said, who) for n, (who, said) in enumerate(lines, 1)))
    with pytest.raises(InputError, match=told):
        lipsync.speak_lines(made, tmp_path / "made", voices)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tone")
def test_a_cancel_ends_the_speaking(tmp_path: Path) -> None:
    made = Script((ScriptLine(1, 0, 1, "cancel"),))
    with pytest.raises(Cancelled):
        lipsync.speak_lines(made, tmp_path / "made", {"": "tone"}, cancel=CancelToken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tone")
def test_long_sounds_are_sped_up_at_their_pitch(script: Path, pair: Path, tmp_path: Path) -> None:
    spoken = lipsync.speak_lines(script, tmp_path, {"": "tone:high"})
    as_they_are = lipsync.fit_lines(spoken, tmp_path, 1)
    assert as_they_are.lines == spoken.lines
    assert lipsync.plan_dub(pair, as_they_are).notes[-2:] == (
        "Line 2 (0:01.00-0:01.40, Bob) fits if it is spoken 1.65 times as fast ('max_speedup').",
        "Line 2 (0:01.00-0:01.40, Bob) lasts 0.40 s, but its sound 0.65 s: the end is not heard.",
    )
    fitted = lipsync.fit_lines(spoken, tmp_path, 1.7)
    assert [line.sound and line.sound.name for line in fitted.lines][1] == "line2_fitted.wav"
    sound = fitted.lines[1].sound
    assert sound and probe_audio(sound).duration == pytest.approx(0.4, abs=0.04)
    assert pitch(sound, 0.1, 0.35) == pytest.approx(240, abs=10)
    assert fitted.notes[-1] == "Line 2 (0:01.00-0:01.40, Bob) is spoken 1.63 times as fast."
    assert lipsync.plan_dub(pair, fitted).notes == fitted.notes
    limited = lipsync.fit_lines(spoken, tmp_path, 1.2)
    assert limited.lines[1].sound and probe_audio(limited.lines[1].sound).duration == pytest.approx(
        0.54, abs=0.04
    )
    assert "is spoken 1.20 times" in limited.notes[-2] and "1.65 times" in limited.notes[-1]
    assert "the end is not heard" in lipsync.plan_dub(pair, limited).notes[-1]
    for factor in (0.9, 2.1, float("nan")):
        with pytest.raises(LipsyncError, match="max_speedup"):
            lipsync.fit_lines(spoken, tmp_path, factor)


def test_a_short_sound_is_followed_by_silence_to_the_end_of_its_line(pair: Path, tmp_path: Path) -> None:
    """So that the rest of what was said there before is not heard, and the lips close."""
    make_voice(tmp_path / "short.wav", seconds=0.4)
    make_voice(tmp_path / "right.wav", seconds=0.5)
    table = "start,end,sound\n0,1.2,short.wav\n1.2,1.72,right.wav\n1.8,2,\n"
    (tmp_path / "dub.csv").write_text(table, "utf-8")
    script = read_script(tmp_path / "dub.csv")
    filled = fill_lines(script, tmp_path / "made")
    assert filled.lines[1:] == script.lines[1:] and filled.notes == script.notes
    sound = filled.lines[0].sound
    assert sound == tmp_path / "made" / "line1_filled.wav"
    assert (probe_audio(sound).duration, probe_audio(sound).channels) == (pytest.approx(1.2, abs=1e-3), 2)
    heard, given = open_audio(sound).read().samples, open_audio(tmp_path / "short.wav").read().samples
    assert np.corrcoef(heard[: len(given)], given)[0, 1] > 0.99 and not heard[len(given) + 100 :].any()
    dub = lipsync.plan_dub(pair, filled, make_voice(tmp_path / "track.wav", seconds=2))
    assert str(dub.segments[0]) == "0-1.2 voice=0-1.2"


def test_a_faster_sound_keeps_its_channels(tmp_path: Path) -> None:
    """Two tones, one a side, at 44.1 kHz."""
    run_ffmpeg(
        "-f", "lavfi", "-i", "aevalsrc=0.3*sin(880*PI*t)|0.3*sin(1320*PI*t):s=44100:d=2", tmp_path / "a.wav"
    )
    write_faster(tmp_path / "a.wav", tmp_path / "b.wav", 1.5, CancelToken())
    info = probe_audio(tmp_path / "b.wav")
    assert (info.sample_rate, info.channels) == (44_100, 2)
    assert info.duration == pytest.approx(2 / 1.5, abs=0.05)
    blocks = np.concatenate(list(open_audio(tmp_path / "b.wav").blocks()))[11_025:33_075]
    peaks = np.abs(np.fft.rfft(blocks, axis=0)).argmax(0) * 2
    assert peaks.tolist() == pytest.approx([440, 660], abs=8)


@pytest.mark.usefixtures("tone")
def test_a_script_is_spoken_and_dubbed_by_one_command(
    pair: Path, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "dubbed.mp4"
    voices = ["--say-voice", "ann=tone:high", "--say-voice", "tone:low", "--max-speedup", "2"]
    faces = ["--speaker", "ann=0", "--speaker", "bob=1"]
    command = ["run", str(pair), "--script", str(script), *voices, *faces, "-o", str(output)]
    assert main([*command, "--subtitles", "file", "--no-score"]) == 0
    told = capsys.readouterr().err
    assert "Note: Ann is spoken by tone:high." in told and "1.63 times as fast" in told
    assert probe_video(output).frame_count == 50
    assert pitch(output, 0.3, 0.7) == pytest.approx(240, abs=10)
    assert pitch(output, 1.05, 1.35) == pytest.approx(120, abs=10)
    assert read_subtitles(output.with_suffix(".srt"))[0].text == "Good morning"
    assert sorted(path.name for path in output.parent.iterdir()) == ["dubbed.mp4", "dubbed.srt"]


def test_without_a_voice_for_them_lines_are_not_spoken(
    pair: Path, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(pair), "--script", str(script), "-o", str(tmp_path / "o.mp4")]) == 1
    told = capsys.readouterr().err
    assert "A line has no sound" in told and "(--say-voice)" in told


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_speaks_a_script(script: Path, tmp_path: Path) -> None:
    spoken = lipsync.speak_lines(script, tmp_path, {"ann": "espeak:en-us+f3", "": "espeak:en-us"})
    assert len(spoken.lines) == len(read_script(script).lines) == 3
    for line in spoken.lines:
        assert line.sound and 0.2 < probe_audio(line.sound).duration < 3
