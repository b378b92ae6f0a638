"""`background=keep`: music and noise of the source stay under the new voices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

import lipsync
from lipsync.context import RunContext
from lipsync.errors import LipsyncError, ToolError
from lipsync.media import open_audio
from lipsync.media.audio.loudness import KWeightedEnergy, gated_loudness
from lipsync.media.audio.true_peak import true_peak
from lipsync.options import SyncOptions
from lipsync.pipeline import background
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.background import keep_background
from lipsync.pipeline.job import Job, open_job
from lipsync.pipeline.model_provider import CachedModels
from lipsync.types import FloatArray
from tests.make_media import run_ffmpeg
from tests.material import FACE, make_head, make_voice

RATE = 48_000
SECONDS = 6.0
KEEP = SyncOptions.from_flat(
    background="keep", background_ducking=0.0, variant="builtin", score=False, quality=30
)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose person speaks over music, the voice alone, the music alone, and a soft new voice."""
    folder = tmp_path_factory.mktemp("background")
    head = make_head(folder / "head.mp4", parts=[SECONDS])
    make_voice(folder / "old.wav", seconds=SECONDS)
    make_voice(folder / "new.wav", seconds=SECONDS, volume=0.1)
    music = "aevalsrc=0.08*sin(2*PI*220*t)*(1+sin(7*t))|0.05*sin(2*PI*331*t)*(1+cos(5*t)):s=48000:d=6"
    run_ffmpeg("-f", "lavfi", "-i", music, folder / "music.wav")
    run_ffmpeg("-i", folder / "old.wav", "-ar", str(RATE), folder / "old48.wav")
    mixed = ["-filter_complex", "[1:a][2:a]amix=inputs=2:normalize=0[s]", "-map", "0:v", "-map", "[s]"]
    sounds = ["-i", folder / "old48.wav", "-i", folder / "music.wav"]
    codecs = ["-c:v", "copy", "-c:a", "pcm_s16le"]
    run_ffmpeg("-i", head, *sounds, *mixed, *codecs, folder / "talk.mov")
    return folder


def samples(path: Path) -> FloatArray:
    """All channels of a file at 48 kHz."""
    return np.concatenate(list(open_audio(path).blocks()))


@pytest.fixture
def ideal(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A separation that finds the voice exactly."""

    def vocals(mix: FloatArray, rate: int, *_: object, **__: object) -> FloatArray:
        assert rate == RATE and mix.shape[1] == 2
        voice = samples(media / "old48.wav")
        return np.pad(voice, ((0, max(0, len(mix) - len(voice))), (0, 0)))[: len(mix)]

    monkeypatch.setattr(background, "separate_vocals", vocals)


def job_of(
    media: Path, options: SyncOptions, segments: str = "", video: str = "talk.mov", more: Sequence[Path] = ()
) -> tuple[Job, tuple[str, ...], FloatArray]:
    """The job with its background, warnings, and its sound."""
    parsed = tuple(lipsync.parse_segments(segments))
    given = JobArguments(media / video, media / "new.wav", options, parsed, more_voices=tuple(more))
    job, warnings = keep_background(open_job(given), RunContext(CachedModels(), options))
    return job, warnings, np.concatenate(list(job.audio.blocks()))


def loudness(sound: FloatArray) -> float:
    energy = KWeightedEnergy(RATE)
    energy.update(sound)
    value = gated_loudness(np.array(energy.steps))
    assert value is not None
    return value


def correlation(one: FloatArray, other: FloatArray) -> float:
    count = min(len(one), len(other))
    return float(np.corrcoef(one[:count].reshape(-1), other[:count].reshape(-1))[0, 1])


def test_outside_of_segments_the_source_stays_and_inside_its_music_alone(media: Path, ideal: None) -> None:
    job, warnings, mix = job_of(media, KEEP, "2-4 face=0 voice=2-4")
    source, old, music = (samples(media / name) for name in ("talk.mov", "old48.wav", "music.wav"))
    assert warnings == () and job.audio.info.sample_rate == RATE and len(mix) == round(SECONDS * RATE)
    assert set(job.audio.paths) == {media / "talk.mov", media / "new.wav"}
    for part in (slice(0, round(1.95 * RATE)), slice(round(4.05 * RATE), round(5.9 * RATE))):
        assert np.abs(mix[part] - source[part]).max() < 1e-3
    inside = slice(round(2.1 * RATE), round(3.9 * RATE))
    voice = mix[inside] - music[inside]
    assert correlation(voice, old[inside]) > 0.99  # the new voice says the same, ten times as soft
    assert loudness(voice) == pytest.approx(loudness(old[inside]), abs=0.7)
    assert true_peak([mix], RATE) <= max(10 ** (-1 / 20), true_peak([source], RATE)) * 1.002


def test_level_and_ducking(media: Path, ideal: None) -> None:
    """The music is lower by its level throughout, and by the ducking too while somebody speaks."""
    options = replace(KEEP, speech=replace(KEEP.speech, background_level=-6.0, background_ducking=14.0))
    _, _, mix = job_of(media, options, "3-6 face=0 voice=3-6")
    old, music = samples(media / "old48.wav"), samples(media / "music.wav")
    before = slice(round(0.5 * RATE), round(2.5 * RATE))
    assert np.abs(mix[before] - old[before] - music[before] / 10 ** (6 / 20)).max() < 2e-3
    _, _, loud = job_of(media, KEEP, "3-6 face=0 voice=3-6")
    inside = slice(round(3.4 * RATE), round(5.5 * RATE))  # the voices are the same, the music is not
    lower = (loud - mix)[inside]
    assert correlation(lower, music[inside]) > 0.99
    assert lower.std() == pytest.approx(music[inside].std() * (1 - 0.1), rel=0.02)


def test_one_voice_replaces_all_of_the_source_s(media: Path, ideal: None) -> None:
    """Without segments; the result is as long as the voice, here shorter."""
    _, warnings, mix = job_of(media, KEEP)
    music = samples(media / "music.wav")
    voice = mix - music[: len(mix)]
    assert warnings == () and correlation(voice, samples(media / "old48.wav")) > 0.98


def test_a_source_without_a_voice_has_nothing_to_match(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "separate_vocals", lambda mix, *_, **__: np.zeros_like(mix))
    _, warnings, mix = job_of(media, KEEP)
    new = samples(media / "new.wav")
    assert "No voice was found" in warnings[0]
    assert np.abs(mix).max() > np.abs(new).max()


@pytest.mark.parametrize("leak", ["music", "all"])
def test_what_a_separation_leaves_of_the_rest_is_no_voice(
    media: Path, leak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Music is never taken out of the voices wholly; a new voice as loud as the rest of it is not heard."""
    old, music, source = (samples(media / name) for name in ("old48.wav", "music.wav", "talk.mov"))
    left = 0.3 * music if leak == "music" else 0.25 * source
    monkeypatch.setattr(background, "separate_vocals", lambda mix, *_, **__: left[: len(mix)])
    _, warnings, mix = job_of(media, KEEP, "2-4 face=0 voice=2-4")
    inside = slice(round(2.1 * RATE), round(3.9 * RATE))
    voice = (mix[: len(source)] - (source - left)[: len(mix)])[inside]
    assert "No voice was found" in warnings[0] and correlation(voice, old[inside]) > 0.99
    assert voice.std() == pytest.approx(old[inside].std() / 10, rel=0.1)


def test_a_line_where_nobody_spoke_is_as_loud_as_the_others(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, the separation leaves some of the music in the voices."""
    old, music = samples(media / "old48.wav"), samples(media / "music.wav")

    def vocals(mix: FloatArray, *_: object, **__: object) -> FloatArray:
        voice = old[: len(mix)].copy()
        voice[3 * RATE :] = 0.3 * music[3 * RATE : len(voice)]
        return voice

    monkeypatch.setattr(background, "separate_vocals", vocals)
    lines = "0.5-2.5 face=0 voice=0.5-2.5; 3.5-5.5 face=0 file=1 voice=0.5-2.5"
    _, warnings, mix = job_of(media, KEEP, lines, more=[media / "new.wav"])
    first, second = (slice(round((at + 0.1) * RATE), round((at + 1.9) * RATE)) for at in (0.5, 3.5))
    voice = [mix[first] - music[first], mix[second] - 0.7 * music[second] - old[second]]
    assert warnings == () and loudness(voice[1]) == pytest.approx(loudness(voice[0]), abs=0.5)


def test_a_short_line_is_as_loud_as_what_it_replaces(media: Path, ideal: None) -> None:
    """Shorter than a gating block of 400 ms; the same words, ten times as soft."""
    _, _, mix = job_of(media, KEEP, "1.5-1.8 face=0 voice=1.5-1.8")
    inside = slice(round(1.55 * RATE), round(1.75 * RATE))
    voice = mix[inside] - samples(media / "music.wav")[inside]
    assert voice.std() == pytest.approx(samples(media / "old48.wav")[inside].std(), rel=0.06)


def test_a_loud_background_stays_below_the_ceiling_when_encoded(
    media: Path, ideal: None, tmp_path: Path
) -> None:
    loud = replace(KEEP, speech=replace(KEEP.speech, background_level=14.0))
    _, _, mix = job_of(media, loud, "2-4 face=0 voice=2-4")
    soundfile.write(tmp_path / "mix.wav", mix, RATE)
    run_ffmpeg("-i", tmp_path / "mix.wav", "-c:a", "aac", "-b:a", "192k", tmp_path / "mix.m4a")
    ceiling = max(10 ** (-1 / 20), true_peak([samples(media / "talk.mov")], RATE))
    assert true_peak([mix], RATE) > 0.8 * ceiling
    assert true_peak([samples(tmp_path / "mix.m4a")], RATE) <= ceiling


def test_more_channels_than_two_are_told(media: Path, ideal: None) -> None:
    run_ffmpeg("-i", media / "talk.mov", "-c:v", "copy", "-c:a", "pcm_s16le", "-ac", "6", media / "wide.mov")
    _, warnings, mix = job_of(media, KEEP, "2-4 face=0 voice=2-4", "wide.mov")
    assert "6 channels of wide.mov are mixed into 2" in warnings[0] and mix.shape[1] == 2


def test_the_background_ends_with_the_video(media: Path, ideal: None) -> None:
    long = media / "long.wav"
    make_voice(long, seconds=SECONDS + 1)
    given = JobArguments(media / "talk.mov", long, KEEP)
    job, warnings = keep_background(open_job(given), RunContext(CachedModels(), KEEP))
    assert "ends after 6.00 s" in warnings[0] and len(list(job.audio.blocks())) == 7


def test_the_run_writes_the_mix(media: Path, ideal: None, tmp_path: Path) -> None:
    """With AAC between."""
    segments = lipsync.parse_segments("1-1.2 face=0 voice=1-1.2")
    short = replace(KEEP, media=replace(KEEP.media, video_ranges=(lipsync.TimeRange(0, 1.2),)))
    result = lipsync.sync(
        media / "talk.mov", media / "new.wav", short, output=tmp_path / "o.mp4", segments=segments
    )
    assert correlation(samples(result.path)[:RATE], samples(media / "talk.mov")[:RATE]) > 0.98


@pytest.mark.parametrize(
    ("video", "changed", "told"),
    [
        ("face.jpg", {}, "A photo has no sound to keep"),
        ("head.mp4", {}, "no sound to keep"),
        ("talk.mov", {"length_mode": "stretch", "voice_ranges": "0-3"}, "slowed down or sped up"),
    ],
)
def test_what_has_no_background_is_told_before_the_run(
    media: Path, tmp_path: Path, video: str, changed: dict[str, str], told: str
) -> None:
    flat = KEEP.flat() | changed
    flat["voice_ranges"] = lipsync.TimeRange.parse_list(str(changed.get("voice_ranges", "")))
    options = SyncOptions.from_flat(**flat)
    path = FACE if video == "face.jpg" else media / video
    with pytest.raises(LipsyncError, match=told):
        lipsync.plan(path, media / "new.wav", options)


@pytest.mark.parametrize("flag", ["background", "separate_voice"])
def test_a_missing_separator_is_told_before_the_run(
    media: Path, tmp_path: Path, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "demucs.htdemucs", None)
    options = SyncOptions.from_flat(**{flag: "keep" if flag == "background" else True}, variant="builtin")
    for call in (lipsync.plan, lipsync.preview, lipsync.sync):
        with pytest.raises(ToolError, match=r"pip install 'demucs>=4\.1'"):
            call(media / "talk.mov", media / "new.wav", options=options)  # type: ignore[operator]
