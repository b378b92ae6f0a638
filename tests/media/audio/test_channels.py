"""Channel layouts: what AAC holds stays, everything else keeps its loudness."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.media import open_audio
from lipsync.media.audio.channels import AAC_LAYOUTS, aac_layout, is_lossless, layout_of, mixing_matrix
from lipsync.media.audio.encoder import encode_audio
from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from tests.make_media import run_ffmpeg

RATE = 48_000


def tones(path: Path, layout: str) -> Path:
    """A second with a tone of its own in each channel; bass in those for bass."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    pitches = [40 if name == "LFE" else 300 + 200 * number for number, name in enumerate(names)]
    waves = "|".join(f"0.05*sin(2*PI*{pitch}*t)" for pitch in pitches)
    form = [] if layout.endswith("channels") else [f":c={layout}"]
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={waves}:s={RATE}:d=1{''.join(form)}", path)
    return path


def encoded(path: Path) -> FloatArray:
    """All channels of the file as the encoder gives them, (n, channels)."""
    target = path.with_suffix(".m4a")
    encode_audio(open_audio(path), Fraction(1), target, False, CancelToken())
    return np.concatenate(list(open_audio(target).blocks()))[4800:43_200]


@pytest.mark.parametrize(
    ("layout", "name", "kept"),
    [
        ("mono", "mono", True),
        ("stereo", "stereo", True),
        ("3.0", "3.0", True),
        ("4.0", "4.0", True),
        ("quad", "5.0", True),
        ("5.1(side)", "5.1", True),
        ("7.1", "7.1", True),
        ("6.1", "7.1", False),
        ("hexagonal", "7.1", False),
        ("octagonal", "7.1", False),
        ("hexadecagonal", "7.1", False),
        ("16 channels", "stereo", False),
    ],
)
def test_every_channel_keeps_its_power(layout: str, name: str, kept: bool) -> None:
    speakers = layout_of(av.AudioLayout(layout))
    assert (aac_layout(speakers), is_lossless(speakers)) == (name, kept)
    power = np.square(mixing_matrix(speakers, AAC_LAYOUTS[name])).sum(0)
    assert power == pytest.approx(np.ones(len(speakers)), abs=1e-6)


@pytest.mark.parametrize("layout", ["quad", "hexagonal", "octagonal", "5.1", "16 channels"])
def test_the_track_is_as_loud_as_the_file(tmp_path: Path, layout: str) -> None:
    path = tones(tmp_path / "a.wav", layout)
    given = np.concatenate(list(open_audio(path).blocks()))[4800:43_200]
    made = encoded(path)
    loss = 10 * np.log10(np.square(given).sum() / np.square(made).sum())
    assert loss == pytest.approx(0, abs=0.2)
    spectrum = np.abs(np.fft.rfft(made, axis=0)).sum(1)
    places = np.abs(np.fft.rfft(given, axis=0)).argmax(0)
    assert (spectrum[places] > 0.3 * np.median(spectrum[places])).all()


def test_opposite_phase_is_heard_by_the_networks(tmp_path: Path) -> None:
    source = "aevalsrc=exprs=0.5*sin(2*PI*300*t)|-0.5*sin(2*PI*300*t):s=48000:d=3"
    run_ffmpeg("-f", "lavfi", "-i", source, tmp_path / "a.wav")
    samples = open_audio(tmp_path / "a.wav").read().samples
    assert np.abs(samples[8000:]).reshape(-1, 1600).max(axis=1).min() > 0.45


def test_one_of_many_microphones_is_enough(tmp_path: Path) -> None:
    waves = "|".join(["0"] * 9 + ["0.5*sin(2*PI*300*t)"] + ["0"] * 6)
    run_ffmpeg("-f", "lavfi", "-i", f"aevalsrc=exprs={waves}:s=48000:d=2", tmp_path / "a.wav")
    assert np.abs(open_audio(tmp_path / "a.wav").read().samples[8000:]).max() > 0.45
    assert np.abs(encoded(tmp_path / "a.wav")).max() == pytest.approx(0.5 * 0.5**0.5, abs=0.01)
