from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import Cancelled
from lipsync.inspection.audio import analyse_audio, find_silence, measure_loudness
from lipsync.media import ffmpeg_path, open_audio
from lipsync.media.audio.loudness import gated_loudness
from lipsync.progress import CancelToken
from lipsync.types import AudioClip
from tests.make_media import make_sound, run_ffmpeg
from tests.material import VOICE

pyloudnorm = pytest.importorskip("pyloudnorm")


def make_tones(path: Path, *, channels: int = 2, rate: int = 44_100) -> Path:
    """Four seconds: loud, silent, soft, loud."""
    volume = "if(lt(t,1),0.5,if(lt(t,2),0,if(lt(t,3),0.01,0.7)))"
    tones = "|".join(f"{volume}*sin(2*PI*{300 + 400 * n}*t)".replace(",", "\\,") for n in range(channels))
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={tones}:s={rate}:d=4", f"file:{path}")
    return path


@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 44_100), (2, 22_050)])
def test_loudness_matches_pyloudnorm(tmp_path: Path, channels: int, rate: int) -> None:
    """Streamed a second at a time, against the package on the whole."""
    reader = open_audio(make_tones(tmp_path / "tones.wav", channels=channels, rate=rate))
    whole = np.concatenate(list(reader.read_blocks()))
    assert whole.shape == (4 * rate, channels)
    loudness, peak = measure_loudness(reader)
    assert loudness == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(whole), abs=1e-3)
    assert peak == pytest.approx(20 * np.log10(np.abs(whole).max()))


def test_loudness_matches_ffmpeg() -> None:
    graph = ["-af", "loudnorm=print_format=json", "-f", "null", "-"]
    command = [str(ffmpeg_path()), "-hide_banner", "-i", str(VOICE), *graph]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    expected = float(json.JSONDecoder().raw_decode(output[output.rindex("{") :])[0]["input_i"])
    loudness, _ = measure_loudness(open_audio(VOICE))
    assert loudness == pytest.approx(expected, abs=0.15)


def test_a_tone_of_known_loudness(tmp_path: Path) -> None:
    """BS.1770: 997 Hz at full scale in one channel is -3.01 LUFS; at half of it 6.02 less."""
    run_ffmpeg("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*997*t):s=48000:d=3", tmp_path / "tone.wav")
    loudness, peak = measure_loudness(open_audio(tmp_path / "tone.wav"))
    assert loudness == pytest.approx(-9.03, abs=0.06)
    assert peak == pytest.approx(-6.02, abs=0.01)


def test_more_channels_are_mixed_down(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "many.wav", channels=6)
    blocks = list(open_audio(path).read_blocks(0.25))
    assert {block.shape for block in blocks} == {(12_000, 2)}


def test_silence_has_no_loudness(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=48000:d=2", tmp_path / "silence.wav")
    reader = open_audio(tmp_path / "silence.wav")
    assert measure_loudness(reader) == (None, -np.inf)
    report, _ = analyse_audio(reader, reader.read())
    assert report.silent_share == pytest.approx(1, abs=0.03)
    assert report.as_dict()["peak_db"] is None
    assert gated_loudness(np.ones(3)) is None


def test_spans_of_silence(tmp_path: Path) -> None:
    reader = open_audio(make_tones(tmp_path / "tones.wav"))
    [(start, end)] = find_silence(reader.read())
    assert (start, end) == pytest.approx((1, 2), abs=0.06)
    short = AudioClip(np.concatenate([np.ones(16_000), np.zeros(6400), np.ones(16_000)]).astype(np.float32))
    assert find_silence(short) == ()
    assert find_silence(AudioClip(np.zeros(10, np.float32))) == ()


def test_speech_is_found_and_tones_are_not_speech(tmp_path: Path) -> None:
    pytest.importorskip("silero_vad")
    reader = open_audio(VOICE)
    report, missing = analyse_audio(reader, reader.read())
    assert not missing
    assert report.speech_share is not None
    assert report.speech_share > 0.6
    tone = open_audio(make_sound(tmp_path / "tone.wav", 2))
    assert analyse_audio(tone, tone.read())[0].speech == ()


def test_it_can_be_stopped() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        measure_loudness(open_audio(VOICE), cancel=cancel)
