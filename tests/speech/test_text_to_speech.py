"""Texts become sound files: by espeak-ng where it is installed, else by a synthesiser of the test."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lipsync
from lipsync.cli.main import main
from lipsync.errors import Cancelled, InputError, LipsyncError, OptionError, OutputError, ToolError
from lipsync.media import open_audio, probe_audio, probe_video
from lipsync.media.programs import run_program
from lipsync.progress import CancelToken
from lipsync.registries import SYNTHESIZERS
from lipsync.speech.synthesizers import espeak, kokoro
from lipsync.speech.text_to_speech import MAX_CHARACTERS, language_of
from tests.material import FACE, make_voice
from tests.speech.fake_synthesizer import tone  # noqa: F401 - a fixture

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
needs_loader = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the wheel espeakng-loader is not installed"
)


@pytest.mark.usefixtures("tone")
def test_a_text_becomes_a_sound_file(tmp_path: Path) -> None:
    spoken = lipsync.speak("Good morning", tmp_path / "new" / "said.wav", "tone:low")
    assert (str(spoken.voice), spoken.path, spoken.seconds) == (
        "tone:low",
        tmp_path / "new" / "said.wav",
        0.6,
    )
    assert probe_audio(spoken.path).duration == pytest.approx(0.6)
    assert [path.name for path in spoken.path.parent.iterdir()] == ["said.wav"]
    german = lipsync.speak("Guten Morgen, wie geht es dir?", tmp_path / "a.wav", "tone")
    assert str(german.voice) == "tone:low"  # the language is told from the text
    assert str(lipsync.speak("Guten Morgen", tmp_path / "a.wav", "tone", language="fr").voice) == "tone:high"
    with pytest.raises(OutputError, match="already"):
        lipsync.speak("Hello", tmp_path / "a.wav", "tone", overwrite=False)


@pytest.mark.usefixtures("tone")
@pytest.mark.parametrize(
    ("text", "voice", "language", "told"),
    [
        ("", "tone", "auto", "nothing to say"),
        (" \n\0 ?!", "tone", "auto", "nothing to say"),
        ("a" * (MAX_CHARACTERS + 1), "tone", "auto", "too long"),
        ("Hello", "speak:x", "auto", r"no such speech synthesiser.*espeak, kokoro"),
        ("Hello", "tone:middle", "auto", r"no such voice: tone:middle.*low, high"),
        ("Hello", "tone", "xx", r"no such language.*de"),
        ("Hello", "tone:none", "auto", r"no sound.*Hello"),
    ],
)
def test_what_cannot_be_spoken_is_told(
    text: str, voice: str, language: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(LipsyncError, match=told):
        lipsync.speak(text, tmp_path / "said.wav", voice, language=language)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tone")
def test_speech_is_written_as_wav_alone(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.wav"):
        lipsync.speak("Hello", tmp_path / "said.mp3", "tone")
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        lipsync.speak("cancel", tmp_path / "said.wav", "tone", cancel=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_short_text_is_taken_for_english() -> None:
    assert language_of("Hello") == "en"
    assert language_of("Bonjour tout le monde, comment allez-vous ?") == "fr"
    assert language_of("Hello", "de") == "de"


@needs_espeak
def test_espeak_speaks(tmp_path: Path) -> None:
    deep = lipsync.speak(
        "My name is [[Ann]], and I say that it rains -- today.", tmp_path / "a.wav", "espeak:EN-us+m7"
    )
    high = lipsync.speak("-w x.wav", tmp_path / "b.wav", "espeak:en-us+f3", language="de")  # no flag of it
    assert (str(deep.voice), str(high.voice)) == ("espeak:en-us+m7", "espeak:en-us+f3")
    assert 2 < deep.seconds < 6 and 0.4 < high.seconds < 4
    assert np.abs(open_audio(deep.path).read().samples).max() > 0.1
    german = lipsync.speak("Guten Morgen, wie geht es dir?", tmp_path / "c.wav")
    assert str(german.voice) == "espeak:de"
    assert str(lipsync.speak("Hello", tmp_path / "d.wav", "espeak:+f2").voice) == "espeak:en+f2"
    assert str(lipsync.speak("你好", tmp_path / "d.wav", language="zh").voice) == "espeak:cmn"
    for voice, told in (
        ("espeak:xx", r"espeak:xx.*de, "),
        ("espeak:en+xx", r"en\+f3"),
        ("espeak:-w", "voice"),
    ):
        with pytest.raises(OptionError, match=told):
            lipsync.speak("Hello", tmp_path / "e.wav", voice)


@needs_espeak
@needs_loader
def test_the_library_speaks_like_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = espeak.Espeak()
    monkeypatch.setattr(espeak.shutil, "which", lambda name: None)
    library = espeak.Espeak()
    for name in ("en-us+f3", "de", "+f2"):
        assert program.voice_for(name, "en") == library.voice_for(name, "en")
    lengths = [one.synthesize("Good morning everybody", "en-us+f3").duration for one in (program, library)]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.3)


def test_without_espeak_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak.shutil, "which", lambda name: None)
    monkeypatch.setattr(espeak.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="espeakng-loader"):
        lipsync.speak("Hello", tmp_path / "a.wav")
    with pytest.raises(ToolError, match="kokoro-onnx"):
        lipsync.speak("Hello", tmp_path / "a.wav", "kokoro:af_heart")
    assert list(tmp_path.iterdir()) == []


class FakeKokoro:
    """The interface of kokoro-onnx that is used."""

    def __init__(self, network: str, voices: str) -> None:
        assert Path(network).name == "kokoro" and Path(voices).name == "kokoro_voices"

    def get_voices(self) -> list[str]:
        return ["af_heart", "bm_george", "ff_siwi", "jf_alpha", "zf_xiaobei"]

    def create(self, text: str, voice: str, lang: str) -> tuple[Any, int]:
        if text == "Fail":
            raise ValueError("no phonemes")
        assert lang == {"a": "en-us", "b": "en-gb", "f": "fr-fr"}[voice[0]]
        return np.full(24_000, 0.1, np.float32), 24_000


def test_kokoro_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("kokoro_onnx")
    module.Kokoro = FakeKokoro  # type: ignore[attr-defined]
    module.__spec__ = importlib.util.spec_from_loader("kokoro_onnx", None)
    monkeypatch.setitem(sys.modules, "kokoro_onnx", module)
    monkeypatch.setattr(kokoro, "require", lambda name, **_: tmp_path / name)
    spoken = lipsync.speak("Bonjour tout le monde", tmp_path / "a.wav", "kokoro")
    assert (str(spoken.voice), spoken.seconds) == ("kokoro:ff_siwi", 1.0)
    assert str(lipsync.speak("Hello", tmp_path / "a.wav", "kokoro:bm_george").voice) == "kokoro:bm_george"
    with pytest.raises(OptionError, match="元気"):
        lipsync.speak("元気ですか", tmp_path / "b.wav", "kokoro:jf_alpha")
    wrong = (
        {"voice": "kokoro:bm_grge"},
        {"voice": "kokoro", "language": "de"},
        {"voice": "kokoro:zf_xiaobei"},
    )
    for given in wrong:
        with pytest.raises(OptionError, match=r"no such voice.*af_heart, bm_george"):
            lipsync.speak("Hello", tmp_path / "b.wav", **given)
    with pytest.raises(ToolError, match="no phonemes"):
        lipsync.speak("Fail", tmp_path / "b.wav", "kokoro:af_heart")


def test_synthesisers_are_imported_only_when_asked_for() -> None:
    code = "import sys, lipsync, lipsync.cli.main; lipsync.speak; print([name for name in sys.modules if any("
    code += "part in name for part in ('espeak', 'kokoro', 'phonemizer')) or name == 'torch'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_programs_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"]
    with pytest.raises(ToolError, match="too long"):
        run_program(wait, seconds=0.3, cancel=CancelToken())
    cancel = CancelToken()
    threading.Timer(0.3, cancel.cancel).start()
    with pytest.raises(Cancelled, match="Speaking"):
        run_program(wait, "x" * 1_000_000, seconds=60, cancel=cancel, stage="Speaking")
    monkeypatch.setattr(CancelToken, "POLL_SECONDS", 0.001)  # shorter than it takes to send
    read = [sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"]
    assert run_program(read, "x" * 1_000_000, seconds=20, cancel=CancelToken()).strip() == "1000000"
    with pytest.raises(ToolError, match="cannot be started"):
        run_program([str(tmp_path / "nothing")], seconds=1, cancel=CancelToken())
    fail = [sys.executable, "-c", "import sys; sys.exit(sys.stdin.read())"]
    with pytest.raises(ToolError, match="Größe"):
        run_program(fail, "Größe", seconds=60, cancel=CancelToken())


# ------------------------------------------------------------------------------------- command line


@pytest.mark.usefixtures("tone")
def test_a_photo_and_a_sentence_make_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "hello.mp4"
    command = ["run", str(FACE), "--say", "Good morning", "--say-voice", "tone:high", "-o", str(output)]
    assert main([*command, "--no-score", "--resize-factor", "2"]) == 0
    assert "Note: The text is spoken by tone:high." in capsys.readouterr().err
    assert probe_video(output).frame_count == 15
    heard = open_audio(output).read().samples[2000:8000]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert spectrum.argmax() * 16_000 / len(heard) == pytest.approx(240, abs=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hello.mp4"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--say", " "], "nothing to say"),
        (["{voice}", "--say", "Hello"], "given twice"),
        (["--say", "Hello", "--script", "{script}"], "given twice"),
        (["--say", "Hello", "--say-voice", "ann=espeak"], "one speaker"),
        (["--say", "Hello", "--say-voice", "espeek"], "Did you mean 'espeak'?"),
        (["{voice}", "--say-voice", "espeak"], "nothing to say"),
        (["{voice}", "--script", "{script}", "--say-voice", "espeak"], "twice"),
        (["--script", "{script}", "--say-voice", "a=espeak", "--say-voice", "A=espeak:de"], "two voices"),
        (["--script", "{script}", "--max-speedup", "3"], "--max-speedup"),
        (["{voice}", "--max-speedup", "1.5"], "needs a script"),
        (["--script", "{script}", "--say-voice", "espeak", "--which-face", "speaking"], "given twice"),
        (["{voice}", "--segments", "0-1", "--which-face", "speaking"], "given twice"),
    ],
)
def test_contradictions_are_told_before_anything_is_loaded(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "dub.csv"
    script.write_text("start,end,text\n0,1,Hello\n", "utf-8")
    voice = make_voice(tmp_path / "voice.wav", seconds=0.4)
    given = [one.format(voice=voice, script=script) for one in arguments]
    assert main(["run", str(FACE), *given, "-o", str(tmp_path / "out.mp4")]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()
    assert issubclass(OptionError, InputError) and "tone" not in SYNTHESIZERS
