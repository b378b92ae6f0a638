"""What `background=keep` makes of music under speech, with true answers.

A scene is music with a voice of 4 s in every 6 s. A silent new voice leaves the background alone, which is
compared with the true music; then a new voice, 12 dB softer, speaks where the old one did.

    python -m benchmarks.background --music song.ogg --old ann.wav --new bob.wav

Without `--network` Demucs separates, as in runs; a function `load(path, device)` in a module of your own puts
another network in its place (`segment`, `samplerate`, `audio_channels`, `sources`, call as `HTDemucs`).
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile  # type: ignore[import-untyped]

from benchmarks.common import SAMPLES, report
from lipsync import parse_segments
from lipsync.context import RunContext
from lipsync.media import ffmpeg_path
from lipsync.media.audio.loudness import KWeightedEnergy, gated_loudness
from lipsync.media.audio.true_peak import true_peak
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.background import keep_background
from lipsync.pipeline.job import open_job
from lipsync.pipeline.model_provider import CachedModels
from lipsync.speech import detect_speech, separation
from lipsync.types import AudioClip, FloatArray

_RATE = 48_000
_PERIOD, _PAUSE = 6.0, 2.0
_LOUDNESS, _LEVEL, _DUCKING = -23.0, -2.0, 6.0
_WINDOW = 4096


@dataclass(frozen=True)
class Scene:
    """Music and voices at 48 kHz, float32 (n, 2), and the turns of the voices in seconds."""

    music: FloatArray
    old: FloatArray
    new: FloatArray
    turns: list[tuple[float, float]]

    def inside(self, margin: float = 0.3) -> np.ndarray:
        """Whether somebody speaks at each sample."""
        out = np.zeros(len(self.music), bool)
        for start, end in self.turns:
            out[round((start - margin) * _RATE) : round((end + margin) * _RATE)] = True
        return out


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--music", type=Path, nargs="+", required=True, help="music or noise without voices")
    parser.add_argument("--old", type=Path, nargs="+", default=[SAMPLES / "voice.mp3"], help="clean speech")
    parser.add_argument("--new", type=Path, nargs="+", default=[SAMPLES / "voice.mp3"], help="other speech")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ratios", type=float, nargs="+", default=[10.0, 0.0], help="voice to music, dB")
    parser.add_argument("--network", help="MODULE:FUNCTION in place of lipsync.speech.separation.load_demucs")
    chosen = parser.parse_args()
    if chosen.network:
        module, _, name = chosen.network.partition(":")
        loader = getattr(importlib.import_module(module), name)
        mock.patch.object(separation, "load_demucs", loader).start()
        mock.patch.object(separation, "require", lambda *_, **__: Path(chosen.network)).start()
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        for music in chosen.music:
            for ratio in chosen.ratios:
                scene = make_scene(music, chosen.old, chosen.new, chosen.seconds, ratio)
                values[f"{music.stem} {ratio:+g} dB"] = measure(scene, Path(folder))
    names = list(next(iter(values.values())))
    table = [(name, "".join(f"{row[name]:12.2f}" for row in values.values())) for name in names]
    table.insert(0, ("music and voice to music", "".join(f"{one[:5] + one[-6:]:>12}" for one in values)))
    report("background", table, dict(values))


def make_scene(music: Path, old: Sequence[Path], new: Sequence[Path], seconds: float, ratio: float) -> Scene:
    """An old voice at -23 LUFS over music that is `ratio` dB softer."""
    count = round(seconds * _RATE)
    turns = [(at + _PAUSE, at + _PERIOD) for at in np.arange(0, seconds - _PERIOD + 1e-6, _PERIOD).tolist()]
    voices = []
    for number, files in enumerate((old, new)):
        speech = _filled(files, count, skip=0 if old != new else 5 * number)
        mask = np.zeros(count, np.float32)
        for start, end in turns:
            mask[round(start * _RATE) : round(end * _RATE)] = 1
        ramp = np.ones(round(0.02 * _RATE), np.float32)
        voices.append(speech * np.convolve(mask, ramp / len(ramp), "same")[:, None])
    quiet = _at_loudness(_filled([music], count), _LOUDNESS - ratio)
    louder, softer = _at_loudness(voices[0], _LOUDNESS), _at_loudness(voices[1], _LOUDNESS - 12)
    return Scene(quiet, louder, softer, turns)


def measure(scene: Scene, folder: Path) -> Mapping[str, float]:
    """Figures of one scene."""
    files = {name: folder / f"{name}.wav" for name in ("mix", "new", "none")}
    for name, sound in (("mix", scene.music + scene.old), ("new", scene.new), ("none", scene.new * 0)):
        soundfile.write(files[name], sound, _RATE, subtype="FLOAT")
    video = folder / "talk.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25", "-i", files["mix"], "-c:v", "libx264"]
    _ffmpeg(*picture, "-preset", "ultrafast", "-c:a", "copy", "-shortest", video)
    started = time.process_time()
    kept = _result(video, files["none"], scene, background_ducking=0.0)
    spent = time.process_time() - started
    turns = "; ".join(f"{start}-{end} face=0 voice={start}-{end}" for start, end in scene.turns)
    mix = _result(video, files["new"], scene, turns, background_level=_LEVEL, background_ducking=_DUCKING)
    return (
        _of_background(kept, scene)
        | _of_mix(mix, scene)
        | {"CPU seconds per second": spent / len(kept) * _RATE}
    )


def _of_background(kept: FloatArray, scene: Scene) -> dict[str, float]:
    """Figures of the background alone."""
    inside, pauses = scene.inside(0.0), ~scene.inside()
    error = kept - scene.music
    clip = AudioClip(_at_16k(kept))
    old = _seconds_of(detect_speech(AudioClip(_at_16k(scene.old))).spans, scene)
    return {
        "SDR in pauses, dB": _decibels(scene.music[pauses], error[pauses]),
        "SDR under speech, dB": _decibels(scene.music[inside], error[inside]),
        "correlation in pauses": _correlation(kept[pauses], scene.music[pauses]),
        "correlation under speech": _correlation(kept[inside], scene.music[inside]),
        "old voice left, dB": -_decibels(scene.old[inside], _explained(error, scene.old)[inside]),
        "old speech that is still found, %": 100 * _seconds_of(detect_speech(clip).spans, scene) / old,
        "delay at the beginning, samples": _delay(kept[: 10 * _RATE], scene.music[: 10 * _RATE]),
        "delay at the end, samples": _delay(kept[-10 * _RATE :], scene.music[-10 * _RATE :]),
    }


def _of_mix(mix: FloatArray, scene: Scene) -> dict[str, float]:
    """Figures of the whole result."""
    inside, pauses = scene.inside(-0.1), ~scene.inside(0.5)
    music, _, new = _gains(mix[inside], [part[inside] for part in (scene.music, scene.old, scene.new)])
    alone = _gains(mix[pauses], [scene.music[pauses]])[0]
    old = _loudness(scene.old[scene.inside(0.0)])
    return {
        "level of the music in pauses, dB": 20 * np.log10(alone),
        "level of the music under speech, dB": 20 * np.log10(max(music, 1e-6)),
        "new voice to old voice, LU": _loudness(scene.new[scene.inside(0.0)] * np.float32(new)) - old,
        "true peak, dBTP": 20 * np.log10(true_peak([mix], _RATE)),
        "steepest step against the sources'": float(
            np.abs(np.diff(mix, axis=0)).max() / np.abs(np.diff(scene.music + scene.old, axis=0)).max()
        ),
    }


def _result(video: Path, voice: Path, scene: Scene, segments: str = "", **speech: float) -> FloatArray:
    """The sound that a run would write."""
    options = SyncOptions.from_flat(background="keep", score=False, **speech)
    job = open_job(JobArguments(video, voice, options, tuple(parse_segments(segments))))
    job, _ = keep_background(job, RunContext(CachedModels(), options))
    sound = np.concatenate(list(job.audio.blocks()))
    return np.pad(sound, ((0, max(0, len(scene.music) - len(sound))), (0, 0)))[: len(scene.music)]


# ------------------------------------------------------------------------------------ sound


def _filled(files: Sequence[Path], count: int, skip: float = 0) -> FloatArray:
    """The files one after another, from `skip` seconds on and repeated, as stereo at 48 kHz."""
    parts = []
    for path in files:
        command = [
            str(ffmpeg_path()),
            "-v",
            "error",
            "-i",
            str(path),
            "-ac",
            "2",
            "-ar",
            str(_RATE),
            "-f",
            "f32le",
        ]
        raw = subprocess.run([*command, "-"], capture_output=True, check=True).stdout
        parts.append(np.frombuffer(raw, np.float32).reshape(-1, 2)[:count])
    whole = np.concatenate(parts)
    whole = np.roll(whole, -round(skip * _RATE), axis=0)
    return np.tile(whole, (-(-count // len(whole)), 1))[:count]


def _loudness(sound: FloatArray) -> float:
    energy = KWeightedEnergy(_RATE)
    energy.update(sound)
    value = gated_loudness(np.array(energy.steps))
    return -100.0 if value is None else value


def _at_loudness(sound: FloatArray, target: float) -> FloatArray:
    return np.asarray(sound * 10 ** ((target - _loudness(sound)) / 20), np.float32)


def _at_16k(sound: FloatArray) -> FloatArray:
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(sound.mean(1), 1, 3), np.float32)


def _seconds_of(spans: np.ndarray, scene: Scene) -> float:
    """Seconds of the spans within the turns."""
    found: list[list[float]] = spans.tolist()
    shared = (min(last, end) - max(first, start) for first, last in found for start, end in scene.turns)
    return sum(max(0.0, one) for one in shared)


def _decibels(signal: FloatArray, error: FloatArray) -> float:
    powers = [float(np.square(one, dtype=np.float64).mean()) for one in (signal, error)]
    return 10 * float(np.log10(powers[0] / max(powers[1], 1e-20)))


def _correlation(one: FloatArray, other: FloatArray) -> float:
    return float(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1])


def _gains(mix: FloatArray, parts: Sequence[FloatArray]) -> list[float]:
    """Gains of the parts, the sum of which comes closest to the mix."""
    matrix = np.stack([part.reshape(-1) for part in parts], 1).astype(np.float64)
    found = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ mix.reshape(-1).astype(np.float64), rcond=None)
    return [float(one) for one in found[0]]


def _explained(error: FloatArray, voice: FloatArray) -> FloatArray:
    """What of the error is the voice, filtered: a complex gain for each frequency."""
    from scipy.signal import istft, stft

    out = np.zeros_like(error)
    for channel in range(error.shape[1]):
        wrong, true = (stft(one[:, channel], nperseg=_WINDOW)[2] for one in (error, voice))
        gain = (wrong * true.conj()).sum(1) / np.maximum((np.abs(true) ** 2).sum(1), 1e-12)
        back = istft(true * gain[:, None], nperseg=_WINDOW)[1][: len(error)]
        out[: len(back), channel] = back
    return out


def _delay(one: FloatArray, other: FloatArray) -> float:
    """Samples by which the first is later."""
    from scipy.signal import correlate, correlation_lags

    mono = [part.mean(1) for part in (one, other)]
    found = correlate(mono[0], mono[1], method="fft")
    lags = correlation_lags(len(mono[0]), len(mono[1]))
    return float(lags[int(found.argmax())])


def _ffmpeg(*arguments: object) -> None:
    subprocess.run([str(ffmpeg_path()), "-v", "error", "-y", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
