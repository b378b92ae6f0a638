"""Sets in the layout of Wav2Lip's preprocess.py."""

from __future__ import annotations

import dataclasses
import wave
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lipsync.errors import Cancelled, InputError, MediaError, OutputError
from lipsync.progress import CancelToken
from lipsync.training.data.dataset_format import read_manifest, write_manifest
from lipsync.training.data.face_clips import read_face_clips
from lipsync.training.data.lrs_export import write_lrs_layout
from lipsync.training.data.lrs_layout import read_lrs_layout
from lipsync.training.data.prepare import PrepareOptions, prepare
from lipsync.training.data.sources import SourceVideo
from tests.make_media import run_ffmpeg
from tests.material import make_head, make_voice
from tests.training.fakes import no_landmarks

GREY = 3  # grey levels from picture to picture


def make_clip(folder: Path, numbers: list[int], seconds: float = 2.0) -> None:
    """Pictures whose grey says their number, left red (in RGB); and a sound that counts its samples."""
    folder.mkdir(parents=True)
    for number in numbers:
        picture = np.full((40, 30, 3), GREY * number, np.uint8)
        picture[:, :15] = (255, 0, 0)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture[..., ::-1])
    write_wave(folder / "audio.wav", np.arange(round(seconds * 16_000)) % 30_000)


def write_wave(path: Path, samples: npt.NDArray[np.int64]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def write_lists(folder: Path, **lists: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in lists.items():
        (folder / f"{name}.txt").write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "lrs2"
    make_clip(root / "ann" / "00001", list(range(50)))
    make_clip(root / "ann" / "00002", [*range(3, 20), *range(25, 40), 45, 46])
    make_clip(root / "bob" / "00001", list(range(12)))
    make_clip(root / "carl" / "00009", list(range(6)))
    train = "ann/00001\nann/00002 NF MV\n\nbob/00001\ngone/00001\n"
    write_lists(root / "filelists", train=train, val="bob/00001 NF\n", test="carl/00009\n")
    return root


def test_clips_are_stretches_without_a_gap(root: Path) -> None:
    clips = {clip.name: clip for clip in read_face_clips(root)}
    assert {name: (clip.person, clip.split, len(clip)) for name, clip in clips.items()} == {
        "ann/00001": ("ann", "train", 50),
        "ann/00002:3": ("ann", "train", 17),
        "ann/00002:25": ("ann", "train", 15),
        "bob/00001": ("bob", "val", 12),  # it is in two lists: measured on, so never trained on
        "carl/00009": ("carl", "test", 6),
    }
    assert {clip.audio_delay for clip in clips.values()} == {0.0}

    late = clips["ann/00002:25"]
    faces = late.faces(np.array([0, 14]), (20, 16))
    assert faces.shape == (2, 20, 16, 3)
    assert faces[:, 5, 13].mean(1) == pytest.approx([25 * GREY, 39 * GREY], abs=3)
    red, green, blue = faces[0, 10, 3].astype(int)
    assert red > 200 and green < 60 and blue < 60
    sound = late.audio()
    assert len(sound) == 15 * 640
    assert sound[[0, -1]] * 32768 == pytest.approx([25 * 640, 40 * 640 - 1])


def test_lists_may_lie_beside_the_set_or_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "filelists").rename(tmp_path / "filelists")
    assert len(read_face_clips(root)) == 5
    (tmp_path / "filelists").rename(tmp_path / "lists")
    with pytest.raises(InputError, match="no training set"):
        read_face_clips(root)
    assert len(read_lrs_layout(root, tmp_path / "lists")) == 5


def test_no_file_is_opened_before_it_is_needed(root: Path) -> None:
    (root / "ann" / "00001" / "7.jpg").write_bytes(b"not a picture")
    (root / "ann" / "00001" / "audio.wav").write_bytes(b"not a sound")
    clip = read_face_clips(root)[0]
    with pytest.raises(MediaError, match=r"7\.jpg"):
        clip.faces(np.array([7]), (96, 96))
    with pytest.raises(MediaError, match=r"audio\.wav"):
        clip.audio()


def test_other_sounds_than_the_original_s(root: Path) -> None:
    folder = root / "ann" / "00001"
    run_ffmpeg("-i", folder / "audio.wav", "-ar", "48000", folder / "other.wav")
    (folder / "other.wav").replace(folder / "audio.wav")
    sound = read_face_clips(root)[0].audio()
    assert len(sound) == 50 * 640 and sound[10_000] == pytest.approx(10_000 / 32768, abs=0.01)
    write_wave(folder / "audio.wav", np.full(640, 1000))
    sound = read_face_clips(root)[0].audio()
    assert len(sound) == 50 * 640 and sound[639] > 0 and not sound[640:].any()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write_lists(tmp_path / "filelists", train="ann/00001\n")
    with pytest.raises(InputError, match="None of the clips"):
        read_face_clips(tmp_path)
    with pytest.raises(InputError, match=r"filelists/train\.txt"):
        read_lrs_layout(tmp_path / "nowhere" / "deep")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    head = make_head(folder / "head.mp4", parts=[2.0])
    voice = make_voice(folder / "voice.wav", seconds=2.0)
    video = folder / "talk.mp4"
    run_ffmpeg("-i", head, "-i", voice, "-c:v", "copy", "-r", "25", video)
    other = folder / "other.mp4"
    run_ffmpeg("-i", video, "-c", "copy", other)
    sources = [SourceVideo(video, "ann lee"), SourceVideo(other, "bob")]
    prepare(sources, folder / "set", PrepareOptions(workers=1, val_people=("bob",)), tools=no_landmarks)
    return folder / "set"


def test_a_prepared_set_is_written_in_that_layout(prepared: Path, tmp_path: Path) -> None:
    rows = read_manifest(prepared)
    root = tmp_path / "root"
    assert write_lrs_layout(prepared, root) == 2
    lists = {path.name: path.read_text() for path in (root / "filelists").iterdir()}
    assert lists == {"train.txt": "ann_lee/talk_00\n", "val.txt": "bob/other_00\n", "test.txt": ""}
    folder = root / "ann_lee" / "talk_00"
    (row,) = [row for row in rows if row.name == "talk_00"]
    names = {f"{number}.jpg" for number in range(row.frames)} | {"audio.wav"}
    assert {path.name for path in folder.iterdir()} == names
    assert sorted(path.name for path in root.iterdir()) == ["ann_lee", "bob", "filelists"]

    before, after = (
        {clip.person[:3]: clip for clip in read_face_clips(place)}["ann"] for place in (prepared, root)
    )
    assert (len(before), before.split) == (len(after), after.split)
    frames = np.array([0, len(before) - 1])
    pictures = [clip.faces(frames, (128, 128)).astype(int) for clip in (before, after)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 2  # JPEG, and the same colour order
    heard = [clip.audio()[: len(before) * 640 - 1024] for clip in (before, after)]
    assert np.abs(heard[0] - heard[1]).max() < 1e-3
    with pytest.raises(OutputError, match="a complete set already"):
        write_lrs_layout(prepared, root)


@pytest.mark.parametrize("delay", [0.08, -0.04])
def test_a_known_delay_is_removed_from_the_audio(prepared: Path, tmp_path: Path, delay: float) -> None:
    rows = read_manifest(prepared)
    write_manifest(prepared, [dataclasses.replace(row, audio_delay=delay) for row in rows])
    try:
        write_lrs_layout(prepared, tmp_path)
        before, after = (read_face_clips(place)[0].audio() for place in (prepared, tmp_path))
    finally:
        write_manifest(prepared, rows)
    late = round(delay * 16_000)
    middle = np.arange(4000, 20_000)
    assert np.abs(after[middle] - before[middle + late]).max() < 1e-3


def test_a_stopped_export_goes_on(prepared: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        write_lrs_layout(prepared, tmp_path, lambda progress: progress.done and cancel.cancel(), cancel)
    (first,) = tmp_path.glob("*/*")
    with pytest.raises(InputError):
        read_face_clips(tmp_path)
    write_lrs_layout(prepared, tmp_path)
    assert len(read_face_clips(tmp_path)) == 2 and first.exists()
