from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipsync.errors import Cancelled, InputError, MediaError, ToolError
from lipsync.generators.builtin.adapter import Builtin, load_builtin
from lipsync.media import open_audio, open_video, probe_video
from lipsync.progress import CancelToken, Progress
from lipsync.training.data.clip_extraction import FaceTools
from lipsync.training.data.dataset import read_set
from lipsync.training.data.dataset_format import (
    ClipContent,
    FaceAnnotations,
    open_audio_part,
    pack_landmarks,
    read_manifest,
    unpack_landmarks,
    write_clip,
)
from lipsync.training.data.face_clips import PreparedClip, read_face_clips
from lipsync.training.data.landmarks import MediaPipeLandmarker, crop_head
from lipsync.training.data.prepare import PreparedSet, PrepareOptions, prepare
from lipsync.training.data.sources import SourceVideo, find_sources
from lipsync.training.tasks.av_offset import AvOffset, write_av_offsets
from lipsync.training.tasks.builtin import BuiltinOptions, export_builtin, train_builtin
from lipsync.types import AudioClip, Face, Frame
from tests.make_media import make_flash_and_beep
from tests.material import make_head, make_voice, run_ffmpeg
from tests.training.fakes import FACE_BOX, FixedDetector, deadly_tools, fake_tools, no_landmarks
from tests.training.whisper_file import tiny_whisper


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    head = make_head(folder / "head.mp4", parts=[2.0])
    voice = make_voice(folder / "voice.wav", seconds=2.0)
    for person in ("ann", "bob"):
        (folder / person).mkdir()
        video = folder / person / f"{person}1.mp4"
        run_ffmpeg("-i", head, "-i", voice, "-c:v", "copy", "-r", "25", video)
    (folder / "bob" / "broken.mp4").write_bytes(b"not a video")
    head.unlink()
    return folder


def test_a_folder_becomes_a_set_that_can_be_trained_on(videos: Path, tmp_path: Path) -> None:
    sources = find_sources(videos)
    assert [source.person for source in sources] == ["ann", "bob", "bob"]
    options = PrepareOptions(val_people=("bob",), workers=1)
    prepared = prepare(sources, tmp_path, options, tools=fake_tools)
    assert [(row.name, row.split) for row in prepared.rows] == [("ann1_00", "train"), ("bob1_00", "val")]
    assert len(prepared.failures) == 1 and "broken.mp4" in next(iter(prepared.failures))
    assert read_manifest(tmp_path) == list(prepared.rows)

    def refuse(_: PrepareOptions) -> FaceTools:
        raise AssertionError("what is done must not be done again")

    assert prepare(sources, tmp_path, options, tools=refuse) == prepared

    training = read_set(tmp_path, coefficients=2)
    clip = training.clips[0]
    assert clip.crops is not None and clip.crops.shape == (len(clip), 160, 160, 3)
    assert 46 <= len(clip) <= 50 and abs(len(clip.audio) / 16_000 - len(clip) / 25) < 0.1
    assert np.corrcoef(clip.shapes[:, 0], np.sin(np.arange(len(clip)) / 3) ** 2)[0, 1] ** 2 > 0.9


def prepared_from(folder: Path, into: Path, **options: object) -> PreparedSet:
    chosen = PrepareOptions(workers=1, **options)  # type: ignore[arg-type]
    return prepare(find_sources(folder), into, chosen, tools=no_landmarks)


def written(folder: Path) -> dict[str, int]:
    """The clips of a set, with when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "clips").iterdir()}


def talker(videos: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(videos / "ann" / "ann1.mp4", folder / name))


def test_only_what_has_changed_is_done_again(videos: Path, tmp_path: Path) -> None:
    source, into = tmp_path / "videos", tmp_path / "set"
    talker(videos, source / "ann", "a.mp4")
    talker(videos, source / "bob", "b.mp4")
    prepared_from(source, into)
    write_av_offsets(into, {person: AvOffset(0.08, 0.6, 0.4) for person in ("ann", "bob")})
    before = written(into)

    os.utime(source / "bob" / "b.mp4", (1, 1))
    prepared = prepared_from(source, into)
    assert {name for name, at in written(into).items() if at != before[name]} == {"b_00.mp4", "b_00.npz"}
    assert [(row.name, row.audio_delay) for row in prepared.rows] == [("a_00", 0.08), ("b_00", 0.0)]

    before = written(into)
    assert len(prepared_from(source, into, val_people=("bob",)).rows) == 2
    assert written(into) == before  # the split changes no clip

    assert len(prepared_from(source, into, min_side=400.0).failures) == 2
    assert written(into) == {} and read_manifest(into) == []

    (into / "clips" / "a_00.mp4").touch()  # left by somebody else, and not whole
    assert len(prepared_from(source, into).rows) == 2
    (into / "clips" / "a_00.npz").unlink()
    assert len(prepared_from(source, into).rows) == 2
    assert len(written(into)) == 4


def test_what_was_decoded_of_an_old_clip_is_forgotten(videos: Path, tmp_path: Path) -> None:
    source, into = tmp_path / "videos", tmp_path / "set"
    talker(videos, source / "ann", "a.mp4")
    prepared_from(source, into)
    read_face_clips(into)[0].faces(np.array([0]), (96, 96))
    run_ffmpeg("-i", videos / "ann" / "ann1.mp4", "-vf", "negate", "-c:a", "copy", source / "ann" / "a.mp4")
    prepared_from(source, into)
    clip = read_face_clips(into)[0]
    inside = clip.faces(np.array([0]), (96, 96)).mean()
    original = PreparedClip(into, read_manifest(into)[0]).faces(np.array([0]), (96, 96)).mean()
    assert inside == original and len(list((into / "cache").glob("*.160.npy"))) == 1
    frame = next(open_video(source / "ann" / "a.mp4").read([0]))
    x1, y1, x2, y2 = FACE_BOX.astype(int)
    assert inside == pytest.approx(frame[y1:y2, x1:x2].mean(), abs=12)


def test_odd_names_and_equal_names_of_two_files(videos: Path, tmp_path: Path) -> None:
    source, into = tmp_path / "videos", tmp_path / "set"
    names = ["-dash.mp4", "a b 'c' \"d\".mp4", "лицо%d.mp4", "new\nline\ttab.mp4", "same.mp4", "Same.mp4"]
    for name in names:
        talker(videos, source / "ann", name)
    talker(videos, source / "bob", "same.mp4")
    prepared = prepared_from(source, into)
    assert not prepared.failures
    rows = [row.name for row in prepared.rows]
    assert len({name.casefold() for name in rows}) == 7 and read_manifest(into) == list(prepared.rows)
    assert {"dash_00", "a_b_c_d_00", "лицо_d_00", "new_line_tab_00"} <= set(rows)
    assert sum(name.casefold().startswith("same") for name in rows) == 3
    assert len(written(into)) == 14

    talker(videos, source / "carl", "SAME.mp4")  # one more takes no other's name
    more = {row.name for row in prepared_from(source, into).rows}
    assert set(rows) < more and len({name.casefold() for name in more}) == 8


def test_without_a_landmarker_there_are_faces_but_no_landmarks(videos: Path, tmp_path: Path) -> None:
    prepared_from(videos, tmp_path)
    clip = read_face_clips(tmp_path)[0]
    assert clip.faces(np.arange(5), (96, 96)).shape == (5, 96, 96, 3) and len(clip.audio()) > 30_000
    with pytest.raises(InputError, match=r"no landmarks.*--landmarker"):
        read_set(tmp_path)


def test_a_set_with_larger_crops(videos: Path, tmp_path: Path) -> None:
    chosen = PrepareOptions(workers=1, crop_side=192)
    sources = find_sources(videos)
    prepare(sources, tmp_path / "large", chosen, tools=fake_tools)
    prepare(sources, tmp_path / "usual", PrepareOptions(workers=1), tools=fake_tools)
    large, usual = (read_face_clips(tmp_path / name)[0] for name in ("large", "usual"))
    with_pixels = large.faces(np.array([7]), (192, 192))
    assert with_pixels.shape == (1, 192, 192, 3)
    faces = [clip.faces(np.array([7]), (96, 96)).astype(int) for clip in (large, usual)]
    assert np.abs(faces[0] - faces[1]).mean() < 3  # the same part of the face
    clips = [read_set(tmp_path / name, coefficients=2).clips[0] for name in ("large", "usual")]
    assert clips[0].crops is not None and clips[1].crops is not None
    assert clips[0].crops.shape == clips[1].crops.shape == (len(clips[0]), 160, 160, 3)
    assert np.abs(clips[0].crops[7].astype(int) - clips[1].crops[7]).mean() < 3
    np.testing.assert_array_equal(clips[0].mouth, clips[1].mouth)
    with pytest.raises(InputError, match="192x192 pixels, not 128x128"):
        prepare(sources, tmp_path / "large", PrepareOptions(workers=1), tools=fake_tools)


def test_the_sound_stays_where_it_was(tmp_path: Path) -> None:
    """A click at a known time, through the encoder and back, whole and from the middle of a file."""
    click = make_flash_and_beep(tmp_path / "click.mp4", at=1.2, seconds=2.4)
    frames = np.zeros((45, 160, 160, 3), np.uint8)
    for start in (0.0, 0.6):
        voice, info = open_audio_part(click, start, 1.8), probe_video(click)
        annotations = FaceAnnotations(np.zeros((45, 4), np.float32))
        write_clip(tmp_path / "clips", "c", ClipContent(info, voice, frames, annotations))
        heard = open_audio(tmp_path / "clips" / "c.mp4")
        assert (heard.info.sample_rate, heard.info.channels) == (16_000, 1)
        samples = heard.read().samples
        assert abs(np.argmax(np.abs(samples) > 0.2) / 16_000 - (1.2 - start)) < 0.003
        assert abs(len(samples) - 1.8 * 16_000) < 1024


def test_a_process_that_dies_takes_one_file_with_it(videos: Path, tmp_path: Path) -> None:
    source, into = tmp_path / "videos", tmp_path / "set"
    for name in ("a.mp4", "c.mp4"):
        talker(videos, source / "ann", name)
    tall = ("-vf", "transpose=1", "-c:a", "copy")
    run_ffmpeg("-i", videos / "ann" / "ann1.mp4", *tall, source / "ann" / "b.mp4")
    options = PrepareOptions(workers=2)
    prepared = prepare(find_sources(source), into, options, tools=deadly_tools)
    assert [row.name for row in prepared.rows] == ["a_00", "c_00"]
    (file, why), *others = prepared.failures.items()
    assert file.endswith("b.mp4") and "signal 9" in why and not others
    listed = (into / "failures.tsv").read_text("utf-8").splitlines()
    assert listed[0] == "file\twhy" and listed[1].startswith(file) and len(listed) == 2
    assert not (into / "partial").exists()

    again = prepare(find_sources(source), into, PrepareOptions(workers=1), tools=no_landmarks)
    assert len(again.rows) == 3 and not again.failures  # it is tried again, and succeeds
    assert not (into / "failures.tsv").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cancel_keeps_what_is_done_and_nothing_else(videos: Path, tmp_path: Path, workers: int) -> None:
    source, into = tmp_path / "videos", tmp_path / "set"
    for number in range(4):
        talker(videos, source / "ann", f"{number}.mp4")
    cancel = CancelToken()

    def stop_after_one(progress: Progress) -> None:
        if progress.done:
            cancel.cancel()

    options = PrepareOptions(workers=workers)
    with pytest.raises(Cancelled):
        prepare(find_sources(source), into, options, stop_after_one, cancel, tools=no_landmarks)
    done = len(list((into / "sources").iterdir()))
    assert 1 <= done < 4 and len(written(into)) == 2 * done
    assert sorted(path.name for path in into.iterdir()) == ["clips", "set.json", "sources"]
    before = written(into)
    assert len(prepared_from(source, into).rows) == 4
    assert before.items() <= written(into).items()


def test_what_breaks_in_a_library_is_the_file_s_failure(videos: Path, tmp_path: Path) -> None:
    class Broken(FixedDetector):
        def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
            raise MemoryError("17 GB")

    sources, options = find_sources(videos)[:1], PrepareOptions(workers=1)
    prepared = prepare(sources, tmp_path, options, tools=lambda _: FaceTools(Broken()))
    assert list(prepared.failures.values()) == ["MemoryError: 17 GB"]
    assert len(prepare(sources, tmp_path, options, tools=no_landmarks).rows) == 1


def test_an_ffmpeg_that_ctrl_c_ended_is_no_fault_of_the_file(videos: Path, tmp_path: Path) -> None:
    cancel = CancelToken()

    class Interrupted(FixedDetector):
        def detect(self, frames: Sequence[Frame]) -> list[list[Face]]:
            cancel.cancel()
            raise MediaError("The file cannot be decoded")

    sources, options = find_sources(videos)[:1], PrepareOptions(workers=1)
    with pytest.raises(Cancelled):
        prepare(sources, tmp_path, options, cancel=cancel, tools=lambda _: FaceTools(Interrupted()))
    assert len(prepare(sources, tmp_path, options, tools=no_landmarks).rows) == 1


def test_settings_that_fit_nothing_are_refused_before_the_work(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No video shows a person of that name.*: bop"):
        prepared_from(videos, tmp_path, val_people=("bop",))
    with pytest.raises(ToolError):
        prepare(find_sources(videos), tmp_path, PrepareOptions(workers=1, landmarker=tmp_path / "none.task"))
    assert not (tmp_path / "sources").exists()


def test_a_set_becomes_weights_that_draw(videos: Path, tmp_path: Path) -> None:
    options = PrepareOptions(val_people=("bob",), workers=1, crop_side=192)
    prepare(find_sources(videos), tmp_path, options, tools=fake_tools)
    parts: list[str] = []
    short = BuiltinOptions(
        audio2shape_steps=2, locator_steps=2, renderer_steps=2, batch=2, critic_share=0.5, threads=1
    )
    outcomes = train_builtin(tmp_path, tmp_path / "runs", short, lambda part, *_: parts.append(part))
    assert list(outcomes) == ["audio2shape", "locator", "renderer", "renderer with critic"]
    assert [outcome.step for outcome in outcomes.values()] == [2, 2, 1, 2]
    weights = tmp_path / "model.safetensors"
    assert 1_000_000 < export_builtin(tmp_path, tmp_path / "runs", weights, {"seed": "1"}) < 25_000_000
    generator = Builtin(weights, device="cpu")
    rows = generator.encode_audio(AudioClip(np.zeros(16_000, np.float32)), 25, 1)
    [mouth] = generator.generate(np.zeros((1, 160, 160, 3), np.uint8), rows)
    assert mouth.shape == (3, 160, 160)


def test_a_model_learns_through_the_first_layers_of_a_whisper_model(videos: Path, tmp_path: Path) -> None:
    prepare(find_sources(videos), tmp_path, PrepareOptions(val_people=("bob",), workers=1), tools=fake_tools)
    short = BuiltinOptions(
        speech_encoder=tiny_whisper(tmp_path / "model.bin"),
        encoder_layers=1,
        audio2shape_steps=1,
        encoder_steps=1,
        locator_steps=1,
        renderer_steps=2,
        critic_share=0.0,
        batch=2,
        threads=1,
    )
    outcomes = train_builtin(tmp_path, tmp_path / "runs", short, lambda *_: None)
    assert list(outcomes) == ["audio2shape", "encoder", "locator", "renderer"]
    (tmp_path / "model.bin").unlink()  # the run keeps what it needs
    train_builtin(tmp_path, tmp_path / "runs", short, lambda *_: None)
    export_builtin(tmp_path, tmp_path / "runs", tmp_path / "model.safetensors")
    network = load_builtin(tmp_path / "model.safetensors")
    assert network.encoder is not None and len(network.encoder.layers) == 1
    rows = Builtin(network, device="cpu").encode_audio(AudioClip(np.ones(16_000, np.float32)), 25, 9)
    assert len(rows) == 9 and np.isfinite(rows).all()


def test_reliable_delays_are_written_and_others_are_not(videos: Path, tmp_path: Path) -> None:
    prepare(find_sources(videos), tmp_path, PrepareOptions(workers=1), tools=fake_tools)
    offsets = {"ann": AvOffset(0.08, 0.6, 0.4), "bob": AvOffset(0.08, 0.3, 0.1)}
    assert write_av_offsets(tmp_path, offsets) == 1
    assert [row.audio_delay for row in read_manifest(tmp_path)] == [0.08, 0.0]


def test_an_empty_folder_and_a_missing_package_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no videos"):
        find_sources(tmp_path)
    with pytest.raises(InputError, match="train prepare"):
        read_set(tmp_path)
    with pytest.raises(ToolError):
        MediaPipeLandmarker(tmp_path / "none.task")


def test_landmarks_are_kept_to_a_fraction_of_a_pixel() -> None:
    landmarks = np.random.default_rng(0).uniform(-400, 900, (9, 4, 3)).astype(np.float32)
    landmarks[3] = np.nan
    again = unpack_landmarks(pack_landmarks(landmarks))
    np.testing.assert_allclose(again, landmarks, atol=1 / 60)


def test_a_set_among_the_videos_is_no_source(videos: Path, tmp_path: Path) -> None:
    talker(videos, tmp_path / "ann", "a.mp4")
    prepared_from(tmp_path, tmp_path / "set")
    assert [source.path.name for source in find_sources(tmp_path)] == ["a.mp4"]


def test_clips_of_a_manifest_get_the_split_they_are_for(videos: Path, tmp_path: Path) -> None:
    options = PrepareOptions(workers=1, val_share=0.9)
    wanted = {"val": "val", "test": "test", "train": "val", "held": "val", "check": "test"}
    for use, split in wanted.items():
        source = SourceVideo(videos / "ann" / "ann1.mp4", "ann", use)
        rows = prepare([source], tmp_path, options, tools=fake_tools).rows
        assert [row.split for row in rows] == [split]


def test_a_manifest_says_who_and_what_for(tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text("file\tuse\tperson\nclips/a.mp4\tcheck\tann\n")
    assert find_sources(tmp_path) == [SourceVideo(tmp_path / "clips" / "a.mp4", "ann", "check")]
    (tmp_path / "manifest.tsv").write_text("name\tperson\na\tann\n")
    with pytest.raises(InputError, match="columns file and person"):
        find_sources(tmp_path)


def test_a_head_is_cut_out_and_the_way_back_is_right() -> None:
    frame = np.zeros((600, 800, 3), np.uint8)
    cv2.circle(frame, (420, 330), 12, (255, 255, 255), -1)
    picture, (x, y, scale) = crop_head(frame, np.array([300, 200, 500, 440], np.float32))
    row, column = np.argwhere(picture[..., 0] > 200).mean(0)
    assert (column * scale + x, row * scale + y) == pytest.approx((420, 330), abs=1.5)
