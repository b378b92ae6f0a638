"""What is heard of a long voice: what the result needs, and a little more."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from lipsync.context import RunContext
from lipsync.generators.builtin.adapter import Builtin
from lipsync.generators.builtin.network import BuiltinNetwork, NetworkConfig
from lipsync.generators.wav2lip.adapter import Wav2Lip
from lipsync.media import AudioReader, open_audio
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import JobArguments, check_arguments
from lipsync.pipeline.audio_conditioning import CONTEXT_SECONDS, SAMPLE_RATE, condition_audio
from lipsync.pipeline.job import Job, open_job
from lipsync.pipeline.model_provider import FreshModels
from lipsync.progress import CancelToken
from lipsync.segments import parse_segments
from lipsync.types import AudioClip, FloatArray
from tests.make_media import run_ffmpeg
from tests.material import VOICE

SPEAK = SyncOptions.from_flat(in_silence="speak", length_mode="shorter")


class Listener:
    """A generator that keeps what it is given to hear."""

    def __init__(self) -> None:
        self.heard: list[AudioClip] = []

    def encode_audio(
        self, audio: AudioClip, fps: Fraction, frames: int, lead: int, cancel: CancelToken | None = None
    ) -> FloatArray:
        self.heard.append(audio)
        return np.zeros((frames, 1), np.float32)


@pytest.fixture(scope="module")
def long_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes that begin with a second of a tone."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    sound = "aevalsrc=exprs='0.5*sin(2*PI*440*t)*lt(t,1)':s=8000:d=1200"
    run_ffmpeg("-f", "lavfi", "-i", sound, path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of video."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2", path)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, whose result is as long as the voice."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48", "-frames:v", 1, path)
    return path


def conditioned(job: Job) -> tuple[AudioClip, list[AudioClip]]:
    generator: Any = Listener()
    done = condition_audio(job, generator, RunContext(FreshModels(), SPEAK))
    return done.voice, generator.heard


def job(video: Path, voice: Path, **given: Any) -> Job:
    return open_job(check_arguments(JobArguments, SPEAK, video=video, voice=voice, **given))


def test_a_long_voice_for_seconds_of_video(long_voice: Path, clip: Path) -> None:
    opened = job(clip, long_voice)
    tracemalloc.start()
    voice, heard = conditioned(opened)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert opened.seconds == 2
    assert [len(one.samples) for one in (voice, *heard)] == [round((2 + CONTEXT_SECONDS) * SAMPLE_RATE)] * 2
    assert voice.samples[:SAMPLE_RATE].std() == pytest.approx(0.5 / 2**0.5, abs=0.01)
    assert peak < 20 * 2**20


def test_segments_hear_their_parts_of_a_long_voice(
    long_voice: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, limits = AudioReader.read, list[float | None]()

    def limited(self: AudioReader, rate: int = SAMPLE_RATE, **given: Any) -> AudioClip:
        limits.append(given["seconds"])
        return read(self, rate, **given)

    monkeypatch.setattr(AudioReader, "read", limited)
    segments = parse_segments("0-0.5 face=0 voice=0-0.5; 1-1.5 face=0 voice=20-20.5")
    voice, [heard] = conditioned(job(clip, long_voice, segments=segments))
    assert limits == [20.5 + CONTEXT_SECONDS]
    assert voice.duration == heard.duration == 2
    assert voice.samples[: SAMPLE_RATE // 2].std() == pytest.approx(0.5 / 2**0.5, abs=0.01)


def test_the_beginning_of_a_voice_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=8:r=44100:seed=1", path)
    voice = open_audio(path, shift=0.25)
    whole = voice.read()
    assert np.array_equal(voice.read(seconds=2).samples, whole.samples[: 2 * SAMPLE_RATE])
    assert np.array_equal(voice.read(seconds=100).samples, whole.samples)
    assert len(voice.read(seconds=voice.duration).samples) == len(whole.samples)


def test_a_part_of_a_voice_is_that_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    run_ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=8:r=44100:seed=1", path)
    voice = open_audio(path)
    whole, part = voice.read().samples, voice.read(start=3, seconds=2).samples
    np.testing.assert_allclose(part[100:-100], whole[48_100:79_900], atol=1e-3)  # without the filter's ends
    assert len(voice.read(start=7).samples) == 16_000
    assert not voice.read(start=9).samples.any()


@pytest.mark.parametrize(("silence", "told"), [("close", True), ("keep", False)])
def test_a_person_who_speaks_on_while_the_voice_rests_is_told(
    tmp_path: Path, silence: str, told: bool
) -> None:
    film, voice = tmp_path / "film.mp4", tmp_path / "voice.wav"
    run_ffmpeg("-f", "lavfi", "-i", "color=size=64x48:rate=25:duration=6", "-i", VOICE, "-shortest", film)
    run_ffmpeg("-i", VOICE, "-af", "atrim=0:1.5,apad=whole_dur=6", voice)
    options = SyncOptions.from_flat(in_silence=silence, length_mode="shorter")
    for given, expected in ((voice, told), (film, False)):
        opened = open_job(check_arguments(JobArguments, options, video=film, voice=given))
        generator: Any = Listener()
        done = condition_audio(opened, generator, RunContext(FreshModels(), options))
        assert any("speaks for" in warning for warning in done.warnings) is expected


def test_a_soft_voice_reaches_the_generator_at_the_usual_level(tmp_path: Path, clip: Path) -> None:
    soft = tmp_path / "soft.wav"
    run_ffmpeg("-i", VOICE, "-af", "volume=-40dB", "-c:a", "pcm_s24le", soft)
    voice, [heard] = conditioned(job(clip, soft))
    assert 0.2 < np.abs(heard.samples).max() <= 1 and voice is heard
    assert np.abs(job(clip, soft).audio.read().samples).max() < 0.02  # what is heard stays as it is


@pytest.mark.parametrize(
    ("number", "first", "frames"), [(0, 0, 51), (10_000, 9_950, 101), (29_999, 29_949, 51)]
)
def test_a_preview_hears_the_voice_around_its_frame(
    long_voice: Path, photo: Path, number: int, first: int, frames: int
) -> None:
    opened = job(photo, long_voice)
    near = opened.around(number, 2.0)
    voice, [heard] = conditioned(near)
    assert (near.first, len(near.timeline)) == (first, frames)
    assert heard.duration <= 4.04 + CONTEXT_SECONDS
    whole = opened.voices[0].read(SAMPLE_RATE).samples
    start = round(first / 25 * SAMPLE_RATE)
    np.testing.assert_allclose(voice.samples, whole[start : start + len(voice.samples)], atol=2e-3)


@pytest.fixture(scope="module")
def rising_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of a tone that rises, so that each moment has its own sound."""
    path = tmp_path_factory.mktemp("rising") / "rising.flac"
    sound = "aevalsrc=exprs='0.5*sin(2*PI*(300*t+2*t*t))':s=16000:d=240"
    run_ffmpeg("-f", "lavfi", "-i", sound, path)
    return path


def test_a_preview_of_segments_hears_what_is_said_around_its_frame(
    rising_voice: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "0-4 face=0 voice=2-6; 4-8 face=1 voice=150-154; 8-12 face=0 voice=200-204"
    opened = job(photo, rising_voice, segments=parse_segments(text))
    whole, _ = conditioned(opened)
    read, spans = AudioReader.read, list[tuple[float, float]]()

    def seen(self: AudioReader, rate: int = SAMPLE_RATE, **given: Any) -> AudioClip:
        clip = read(self, rate, **given)
        spans.append((given["start"], given["start"] + clip.duration))
        return clip

    monkeypatch.setattr(AudioReader, "read", seen)
    near = opened.around(150, 1.0)  # second 5 to 7, of the second face alone
    voice, heard = conditioned(near)
    assert (near.first, len(near.timeline), len(heard)) == (125, 51, 1)
    assert spans == [(151 - CONTEXT_SECONDS, pytest.approx(153.04 + CONTEXT_SECONDS))]
    np.testing.assert_allclose(
        voice.samples, whole.samples[5 * SAMPLE_RATE :][: len(voice.samples)], atol=2e-3
    )
    both = opened.around(200, 1.0)  # the turn changes at second 8
    assert [(one.start, one.end, one.voice_start) for one in both.segments] == [
        (0, 1, 153),
        (1, pytest.approx(2.04), 200),
    ]


def test_a_preview_between_segments_draws_nobody(rising_voice: Path, photo: Path) -> None:
    opened = job(photo, rising_voice, segments=parse_segments("0-1 voice=0-1; 10-11 voice=5-6"))
    near = opened.around(125, 1.0)
    generator: Any = Listener()
    done = condition_audio(near, generator, RunContext(FreshModels(), SPEAK))
    assert len(near.segments) == 1 and done.warnings == ()
    [speaker] = done.speakers
    assert len(speaker.weights) == 51 and not speaker.weights[5:-5].any()


def test_a_late_part_of_a_voice_is_heard_alone(
    long_voice: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, given_to = AudioReader.read, list[dict[str, Any]]()
    monkeypatch.setattr(
        AudioReader, "read", lambda self, rate, **g: given_to.append(g) or read(self, rate, **g)
    )
    conditioned(job(clip, long_voice, segments=parse_segments("0-1 voice=1100.5-1101.5")))
    assert [(one["start"], one["seconds"]) for one in given_to] == [(1070, 31.5 + CONTEXT_SECONDS)]


def test_memory_does_not_grow_with_the_voice(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.utils.mapped_array.MAPPED_BYTES", 2**20)
    config = NetworkConfig(encoder_layers=1, encoder_width=16, encoder_heads=2, voice_width=8)
    builtin: Any = Builtin(BuiltinNetwork(config), device="cpu")
    wav2lip: Any = Wav2Lip(nn.Identity(), device="cpu")
    peaks = []
    for seconds in (2, 120, 210):  # the first loads what is imported late
        voice = tmp_path / f"{seconds}.wav"
        run_ffmpeg("-stream_loop", -1, "-i", VOICE, "-t", seconds, "-af", "volume=-30dB", "-ar", 16000, voice)
        options = SyncOptions()
        opened = open_job(check_arguments(JobArguments, options, video=photo, voice=voice))
        tracemalloc.start()
        done = condition_audio(opened, builtin, RunContext(FreshModels(), options))
        wav2lip.encode_audio(done.voice, 25, len(opened.timeline))
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 4  # a minute of samples is 4 MB, and of either spectrogram 2 MB
