"""Small real media for tests of the whole program: a face that moves, and a voice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from lipsync.speech.text_to_speech import installed_synthesizers
from tests.make_media import run_ffmpeg

SAMPLES = Path(__file__).resolve().parents[1] / "lipsync" / "samples"
FACE, VOICE = SAMPLES / "face.jpg", SAMPLES / "voice.mp3"
FPS = 25
needs_espeak = pytest.mark.skipif("espeak" not in installed_synthesizers(), reason="no espeak-ng here")


def make_head(path: Path, *, parts: Sequence[float], size: tuple[int, int] = (320, 240)) -> Path:
    """A video of the sample face, slowly moving; a negative part is that long and has no face."""
    width, height = size
    inputs: list[str] = []
    graph = []
    for number, seconds in enumerate(parts):
        length = str(abs(seconds))
        if seconds > 0:
            inputs += ["-loop", "1", "-framerate", str(FPS), "-t", length, "-i", str(FACE)]
            place = f"crop=256:192:112+8*sin(n/9):30+6*cos(n/7),scale={width}:{height}"
        else:
            inputs += ["-f", "lavfi", "-t", length, "-i", f"testsrc2=s={width}x{height}:r={FPS}"]
            place = "null"
        graph.append(f"[{number}:v]{place},setsar=1,format=yuv420p[p{number}]")
    joined = "".join(f"[p{number}]" for number in range(len(parts)))
    graph.append(f"{joined}concat=n={len(parts)}:v=1:a=0[out]")
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18"]
    run_ffmpeg(*inputs, "-filter_complex", ";".join(graph), "-map", "[out]", *encoder, path)
    return path


def make_voice(path: Path, *, seconds: float, volume: float = 1) -> Path:
    """The sample voice as 44.1 kHz stereo, cut to `seconds`."""
    shape = ["-af", f"volume={volume}", "-t", str(seconds), "-ar", "44100", "-ac", "2"]
    run_ffmpeg("-i", VOICE, *shape, path)
    return path


def running_ffmpeg() -> list[psutil.Process]:
    """The ffmpeg programs that this process has started and that still run.

    Other children are not counted: Python keeps one of its own once processes were spawned.
    """
    children = psutil.Process().children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if child.name().startswith("ffmpeg")]
