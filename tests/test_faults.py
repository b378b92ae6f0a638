"""Every row of ../shared/faults/README.tsv: files as people bring them, and the right result for each.

A row `f02` is checked by the tests whose names begin with `test_f02`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import lipsync
from lipsync.errors import NoFaceError
from lipsync.faces import pixel_box
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.media import open_audio, open_video, probe_audio, probe_video
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.options import SyncOptions
from lipsync.pipeline.model_provider import CachedModels
from lipsync.speech.level import even_level
from lipsync.speech.vad import detect_speech
from lipsync.types import Frame, SyncResult
from tests.conftest import SHARED
from tests.make_media import run_ffmpeg

FOLDER = SHARED / "faults"
ELSEWHERE = {
    "f16": "tests/cli/test_start.py",  # file names that are not UTF-8
    "f25": "tests/cli/test_app.py",  # addresses and proxies of the page
    "f26": "tests/cli/test_start.py",  # a closed stderr
}
"""Rows without a file, and the tests that check them."""
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder shared/faults is not beside this checkout"
)
slow = pytest.mark.slow
Run = Callable[..., SyncResult]


@pytest.fixture(scope="module")
def models() -> CachedModels:
    return CachedModels()


@pytest.fixture
def run(tmp_path: Path, models: CachedModels) -> Run:
    """`run(video, voice, **settings)`: a result with the built-in model, not scored."""

    def make(video: str, voice: str, **settings: object) -> SyncResult:
        options = SyncOptions.from_flat(**{"variant": "builtin", "score": False, **settings})
        return lipsync.sync(
            FOLDER / video, FOLDER / voice, options, output=tmp_path / "result.mp4", models=models
        )

    return make


def frames_of(path: Path, count: int) -> list[Frame]:
    """The first frames of a video."""
    clip = open_video(path)
    return list(clip.read(range(min(count, clip.frame_count))))


def color_spread(frame: Frame) -> float:
    """Mean distance between the largest and the smallest of red, green and blue."""
    return float(np.ptp(frame.astype(int), axis=2).mean())


def combs(frame: Frame) -> float:
    """Share of pixels that differ from the lines above and below by much in the same direction."""
    grey = frame[..., 1].astype(int)
    above, below = grey[1:-1] - grey[:-2], grey[1:-1] - grey[2:]
    return float(((above * below > 0) & (np.minimum(abs(above), abs(below)) > 15)).mean())


def beeps_after_flashes(path: Path) -> list[float]:
    """Seconds from each flash to its beep."""
    clip = open_video(path)
    brightness = np.array([frame.mean() for frame in clip.read(range(clip.frame_count), max_side=64)])
    flashes = np.flatnonzero((brightness[1:] > 150) & (brightness[:-1] <= 150)) + 1
    audio = open_audio(path).read()
    loud = np.flatnonzero(np.abs(audio.samples) > 0.1)
    beeps = loud[np.insert(np.diff(loud) > audio.sample_rate / 4, 0, True)] / audio.sample_rate
    return (beeps - flashes / float(clip.fps)).tolist()


def loudness(samples: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


def drawn_pixels(source: Path, result: Path, number: int) -> np.ndarray:
    """bool (H, W): where a frame of the result differs from that of its source by more than encoding does."""
    before, after = (next(open_video(path).read([number])).astype(int) for path in (source, result))
    return np.asarray(np.abs(after - before).max(axis=2) > 20)


def test_every_row_is_checked() -> None:
    with (FOLDER / "README.tsv").open(encoding="utf-8") as table:
        lines = (line for line in table if not line.startswith("#"))
        rows = {row["case"] for row in csv.DictReader(lines, delimiter="\t")}
    tests = (name for name in globals() if name.startswith("test_f"))
    checked = {case for name in tests for case in re.findall(r"_(f\d\d)(?=_)", name)}
    assert rows - set(ELSEWHERE) == checked
    assert all((Path(__file__).parents[1] / path).exists() for path in ELSEWHERE.values())


# --- photos, colours, frame rates --------------------------------------------------------------


@slow
def test_f02_a_heic_is_a_photo(run: Run) -> None:
    result = run("f02_plain.heic", "voice1s.wav")
    assert (result.frames, result.fps, result.width, result.height) == (25, 25, 1280, 720)


def test_f02_the_tiles_of_an_iphone_are_one_photo() -> None:
    info = probe_video(FOLDER / "f02_iphone_tiles.heic")
    assert (info.width, info.height, info.is_still) == (3024, 4032, True)


@slow
def test_f02_a_drawing_has_no_face(run: Run) -> None:
    with pytest.raises(NoFaceError, match="480x640"):
        run("f02_iphone_tiles.heic", "voice1s.wav")


@slow
def test_f10_transparency_is_white(run: Run) -> None:
    result = run("f10_alpha.mov", "voice1s.wav")
    assert any("'matte'" in warning for warning in result.warnings)
    assert min(int(frame[:8, :8].min()) for frame in frames_of(result.path, 10)) >= 250


@slow
def test_f13_a_photo_in_display_p3_keeps_its_colours(run: Run) -> None:
    [twin] = open_video(FOLDER / "f13_same_colours_srgb.jpg").read([0])
    result = run("f13_display_p3.jpg", "voice1s.wav")
    [frame] = frames_of(result.path, 1)
    assert color_spread(frame) == pytest.approx(color_spread(twin), abs=1.5)


@slow
def test_f19_lips_in_a_black_and_white_film_are_grey(run: Run) -> None:
    result = run("f19_bw.mp4", "voice.wav", length_mode="shorter")
    assert result.frames_synced > 30
    for frame in open_video(result.path).read_yuv(range(10, 40)):
        assert max(np.abs(plane.astype(int) - 128).max() for plane in (frame.u, frame.v)) <= 2


@slow
def test_f20_pq_is_converted_to_standard_range(run: Run) -> None:
    result = run("f20_pq.mov", "voice.wav", length_mode="shorter")
    info = probe_video(result.path)
    assert (info.color_primaries, info.color_transfer) == ("bt709", "bt709")
    assert any("SDR" in warning for warning in result.warnings)
    source, [frame] = open_video(FOLDER / "f20_pq.mov"), frames_of(result.path, 1)
    assert np.abs(next(source.read([0])).astype(int) - frame).mean() < 3


@slow
def test_f21_frames_that_become_interlaced_are_deinterlaced(run: Run) -> None:
    result = run("f21_interlaced_late.ts", "voice1s.wav", box=(300, 500, 10, 200), length_mode="picture")
    raw = run_ffmpeg("-i", FOLDER / "f21_interlaced_late.ts", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    source = np.frombuffer(raw, np.uint8).reshape(-1, 576, 720, 3)
    assert max(map(combs, source[-20:])) > 0.02
    assert max(map(combs, frames_of(result.path, 100)[-20:])) < 0.002


def test_f29_a_very_low_frame_rate_comes_with_advice() -> None:
    assert any("fps=25" in warning for warning in open_video(FOLDER / "f29_1fps.mp4").warnings)


# --- audio and its clock -----------------------------------------------------------------------


def test_f01_all_of_a_joined_file_is_heard() -> None:
    clip = open_audio(FOLDER / "f01_joined.mp3").read()
    assert clip.duration == pytest.approx(4, abs=0.15)
    parts = [loudness(part) for part in np.array_split(clip.samples[: 4 * clip.sample_rate], 8)]
    assert min(parts) > max(parts) / 10


@slow
def test_f01_all_of_a_joined_file_is_in_the_result(run: Run) -> None:
    result = run("talk.mp4", "f01_joined.mp3")
    clip = open_audio(result.path).read()
    parts = [loudness(part) for part in np.array_split(clip.samples, 8)]
    assert min(parts) > max(parts) / 10


@slow
@pytest.mark.parametrize("name", ["f05_fragments.mp4", "f12_plain.ts"])
def test_f05_f12_audio_keeps_the_offset_of_its_source(run: Run, name: str) -> None:
    result = run(name, name, length_mode="picture", box=(10, 80, 10, 80))
    assert result.frames == 150
    assert beeps_after_flashes(result.path) == pytest.approx([0.02] * 3, abs=0.003)


def test_f06_a_recording_out_of_a_live_stream_is_whole() -> None:
    assert probe_video(FOLDER / "f06_live_fragments.mp4").frame_count == 150


@slow
def test_f07_an_unknown_audio_track_does_no_harm(run: Run) -> None:
    assert run("f07_unknown_first_sound.mov", "voice1s.wav").frames > 20


@slow
def test_f11_channels_in_opposite_phase_are_followed(run: Run) -> None:
    result = run("talk.mp4", "f11_antiphase.wav")
    assert not any("silent" in warning for warning in result.warnings)
    assert result.frames_synced > result.frames / 4


def test_f14_speech_in_a_soft_voice_is_found_from_its_beginning() -> None:
    soft = open_audio(FOLDER / "f14_quiet.wav").read()
    raised = even_level(soft)
    assert loudness(raised.samples) > 10 * loudness(soft.samples)
    assert detect_speech(raised).spans[0][0] < 1


def test_f17_the_default_track_is_taken() -> None:
    assert loudness(open_audio(FOLDER / "f17_default_sound_2nd.mkv").read().samples) > 0.01


@slow
def test_f22_joints_of_voice_ranges_do_not_click(run: Run) -> None:
    ranges = (lipsync.TimeRange(1, 2.0011), lipsync.TimeRange(4.0007, 5))
    result = run("talk.mp4", "f22_tone.flac", voice_ranges=ranges)
    info = probe_audio(result.path)
    raw = run_ffmpeg("-i", result.path, "-vn", "-f", "f32le", "-c:a", "pcm_f32le", "-")
    samples = np.frombuffer(raw, np.float32).reshape(-1, info.channels)[:, 0]
    joint = round(1.0011 * info.sample_rate)
    assert np.abs(np.diff(samples, 2))[joint - 2000 : joint + 2000].max() < 0.005


@slow
def test_f23_four_channels_stay_as_loud(run: Run) -> None:
    result = run("talk.mp4", "f23_quad.wav")
    raw = ("-f", "f32le", "-c:a", "pcm_f32le", "-")
    before, after = (
        np.frombuffer(run_ffmpeg("-t", 2, "-i", path, "-vn", *raw), np.float32).reshape(-1, count)
        for path, count in ((FOLDER / "f23_quad.wav", 4), (result.path, probe_audio(result.path).channels))
    )
    power = [float(np.square(part, dtype=np.float64).mean(axis=0).sum()) for part in (before, after)]
    assert 10 * np.log10(power[1] / power[0]) == pytest.approx(0, abs=1)


@slow
def test_f24_tags_of_a_whole_source_are_kept(run: Run) -> None:
    result = run("f24_tags.mp4", "f24_tags.mp4", length_mode="picture", box=(10, 80, 10, 80))
    with av.open(str(FOLDER / "f24_tags.mp4")) as source, av.open(str(result.path)) as made:
        for key in ("title", "creation_time"):
            assert made.metadata[key] == source.metadata[key]
        assert made.streams.video[0].metadata["timecode"] == source.streams.video[0].metadata["timecode"]
        assert made.streams.audio[0].language == source.streams.audio[0].language == "eng"


@slow
def test_f30_length_and_chapters_of_the_voice_stay_out_of_the_result(run: Run) -> None:
    result = run("talk.mp4", "f30_chapters.m4b", voice_ranges=(lipsync.TimeRange(31, 33),))
    with av.open(str(result.path)) as container:
        assert container.duration / av.time_base == pytest.approx(2, abs=0.1)
        assert not container.chapters()


# --- faces -------------------------------------------------------------------------------------


@slow
def test_f03_the_mouth_of_a_head_upside_down_is_found(run: Run) -> None:
    """What is drawn lies around it, above the eyes; or nothing is drawn, and a warning says so."""
    result = run("f03_upside_down.mp4", "voice.wav", length_mode="shorter")
    if not result.frames_synced:
        assert result.warnings
        return
    source = FOLDER / "f03_upside_down.mp4"
    upright = np.ascontiguousarray(next(open_video(source).read([30]))[::-1, ::-1])
    [face, *_] = sorted(CenterFace().detect([upright])[0], key=lambda one: -one.score)
    height, width = upright.shape[:2]
    mouth = np.array([width, height]) - np.asarray(face.points)[3:].mean(axis=0)
    rows, columns = np.nonzero(drawn_pixels(source, result.path, 30))
    distance = np.hypot(columns.mean() - mouth[0], rows.mean() - mouth[1])
    assert distance < 0.35 * (face.box[2] - face.box[0])


@slow
def test_f04_the_person_of_another_shot_stays_silent(run: Run) -> None:
    result = run(
        "f04_two_people.mp4", "voice.wav", which_face="point", face_x=0.5, face_y=0.35, face_time=0.5
    )
    assert 0 < result.frames_synced < 0.75 * result.frames


@slow
@pytest.mark.parametrize(
    ("name", "drawn"), [("f09_text_over_mouth.mp4", 0), ("f09_microphone_comes.mp4", 50)]
)
def test_f09_what_covers_the_mouth_is_left_alone(run: Run, name: str, drawn: int) -> None:
    result = run(name, "voice.wav", length_mode="shorter")
    assert result.frames_synced <= drawn
    assert any("covers the mouth" in warning for warning in result.warnings)


@slow
def test_f15_a_face_without_eyes_gets_no_second_mouth(run: Run) -> None:
    result = run("f15_no_eyes.mp4", "voice.wav", length_mode="shorter")
    assert result.frames_synced == 0 or result.warnings


@slow
def test_f28_the_living_person_speaks_and_not_the_poster(run: Run) -> None:
    result = run("f28_poster.mp4", "voice.wav", length_mode="shorter")
    source = FOLDER / "f28_poster.mp4"
    moving = np.std([frame.mean(axis=2) for frame in frames_of(source, 40)], axis=0)
    drawn = np.any([drawn_pixels(source, result.path, number) for number in (10, 20, 30)], axis=0)
    assert drawn.sum() > 50
    assert moving[drawn].mean() > 2


@slow
def test_f27_mouths_that_are_wide_open_are_closed(run: Run) -> None:
    result = run("f27_shouts.mp4", "f27_then_silent.wav", length_mode="shorter")
    assert result.frames_synced == result.frames
    assert not result.warnings
    meter = LipMeter(LipLocator(), images=False)
    shouts = [75, 85, 130, 140, 150]
    source, made = (open_video(path).read(shouts) for path in (FOLDER / "f27_shouts.mp4", result.path))
    for before, after in zip(source, made, strict=True):
        [face] = CenterFace().detect([before])[0]
        meter.update(after, before, pixel_box(face.box, 480, 480))
    assert meter.openings[1].min() > 0.1
    assert meter.openings[0].max() < 0.06


@slow
def test_f27_mouths_that_close_are_not(run: Run, tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "2", tmp_path / "silent.wav")
    result = run("talk.mp4", str(tmp_path / "silent.wav"), length_mode="shorter")
    assert not any("stays open" in warning for warning in result.warnings)
