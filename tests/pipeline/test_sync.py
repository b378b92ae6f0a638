"""The whole road with real media, the real detector and Wav2Lip, thin and with random weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

import lipsync
from lipsync.errors import Cancelled, LipsyncError, NoFaceError, RangeError, WeightsError
from lipsync.media import open_audio, open_video, probe_audio, probe_video
from lipsync.options import MediaOptions, SyncOptions
from lipsync.progress import CancelToken, Progress
from lipsync.types import Frame
from tests.material import FACE, VOICE, make_head, make_voice
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def nothing_outlives_a_job() -> Iterator[None]:
    """No thread of a pipeline and no ffmpeg may be left after any test here."""
    yield
    wait_until(lambda: not _threads() and not _children())


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lipsync")]


def _children() -> list[str]:
    return [child.name() for child in psutil.Process().children() if "ffmpeg" in child.name()]


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.2 s with a face, 0.8 s without, 0.8 s with it again; 320x240 at 25 frames/s."""
    return make_head(tmp_path_factory.mktemp("head") / "head.mp4", parts=(1.2, -0.8, 0.8))


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.8 s of speech, 44.1 kHz stereo."""
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=2.8)


def options(checkpoint: Path, **settings: object) -> SyncOptions:
    return SyncOptions.from_flat(variant="wav2lip", weights=checkpoint, **settings)


def frames_of(path: Path) -> list[Frame]:
    picture = open_video(path, MediaOptions())
    return list(picture.read(np.arange(picture.frame_count), cancel=CancelToken()))


def test_the_result_has_the_right_length_video_and_audio(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    output = tmp_path / "out.mp4"
    result = lipsync.sync(head, voice, options(checkpoint), seen.append, output=output)

    assert result.path == output
    assert (result.frames, result.width, result.height, result.fps) == (70, 320, 240, 25)
    assert 45 <= result.frames_synced <= 52  # 50 have a face, found to a frame or two at the ends
    assert any("passed through" in warning for warning in result.warnings)
    made, sound = probe_video(output), probe_audio(output)
    assert (made.width, made.height, made.fps, made.frame_count) == (320, 240, 25, 70)
    assert (sound.sample_rate, sound.channels) == (44_100, 2)
    given, kept = (open_audio(path, ()).read(cancel=CancelToken()).samples for path in (voice, output))
    count = min(len(given), len(kept))
    assert abs(len(given) - len(kept)) <= 16_000 / 25
    assert np.corrcoef(given[:count], kept[:count])[0, 1] > 0.99

    assert {report.stage for report in seen} == {"Finding faces", "Drawing lips"}
    assert seen[-1].done == seen[-1].total == 70


def test_only_the_mouth_changes_and_frames_without_a_face_not_at_all(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Written without loss, so any difference from the source was made on the way."""
    output = tmp_path / "out.mp4"
    lipsync.sync(head, voice, options(checkpoint, quality=0), output=output)
    differences = [
        np.abs(made.astype(int) - source.astype(int)).max(axis=-1)
        for made, source in zip(frames_of(output), frames_of(head), strict=True)
    ]
    assert all(difference.max() == 0 for difference in differences[33:47])  # the stretch without a face
    for difference in (differences[10], differences[60]):
        ys, xs = np.nonzero(difference)
        assert difference.max() > 30  # random weights paint noise
        assert np.ptp(xs) < 120  # and only on the lower face
        assert np.ptp(ys) < 120


@pytest.mark.slow
@pytest.mark.parametrize("number_format", ["fp32", "auto"])
def test_a_run_at_full_width(
    head: Path, voice: Path, full_checkpoint: Path, tmp_path: Path, number_format: str
) -> None:
    """As large as the official weights; all other runs here are thin."""
    chosen = options(full_checkpoint, quality=0, number_format=number_format)
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    assert (result.frames, result.width, result.height) == (70, 320, 240)
    assert 45 <= result.frames_synced <= 52
    made, given = frames_of(result.path), frames_of(head)
    changed = [np.abs(a.astype(int) - b).max() for a, b in zip(made, given, strict=True)]
    assert max(changed[33:47]) == 0  # without a face
    assert min(changed[3:27] + changed[53:67]) > 30
    # The same frame of the photo, half a second later: what is drawn depends on the voice.
    photo = lipsync.sync(FACE, voice, chosen, output=tmp_path / "photo.mp4")
    frames = frames_of(photo.path)
    assert np.abs(frames[20].astype(int) - frames[40].astype(int)).max() > 10


@pytest.mark.parametrize("stage", ["Finding faces", "Drawing lips"])
@pytest.mark.parametrize("after", [0, 20])
def test_a_cancel_at_any_moment_leaves_nothing(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path, stage: str, after: int
) -> None:
    cancel = CancelToken()
    later: list[Progress] = []

    def stop(progress: Progress) -> None:
        if cancel.cancelled:
            later.append(progress)
        if progress.stage == stage and progress.done >= after:
            cancel.cancel()

    with pytest.raises(Cancelled):
        lipsync.sync(head, voice, options(checkpoint), stop, cancel, output=tmp_path / "out.mp4")
    assert later == []
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there_before(head: Path, voice: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"an earlier result")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a network")
    with pytest.raises(WeightsError):
        lipsync.sync(head, voice, options(broken), output=output)
    assert output.read_bytes() == b"an earlier result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.pth", "out.mp4"]


def test_no_face_anywhere_is_an_error_with_a_way_out(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    faceless = make_head(tmp_path / "faceless.mp4", parts=(-1.0,))
    with pytest.raises(NoFaceError, match=r"position \('box'\)"):
        lipsync.sync(faceless, voice, options(checkpoint), output=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    boxed = options(checkpoint, box=(40, 140, 100, 200))
    result = lipsync.sync(faceless, voice, boxed, output=tmp_path / "out.mp4")
    assert result.frames_synced == result.frames


def test_a_photo_speaks_as_long_as_the_voice(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    result = lipsync.sync(FACE, voice, options(checkpoint), output=tmp_path / "out.mp4")
    assert (result.frames, result.frames_synced, result.fps) == (70, 70, 25)
    frames = frames_of(result.path)
    assert np.abs(frames[20].astype(int) - frames[40].astype(int)).max() > 10  # the mouth moves


def test_ranges_pick_parts_of_video_and_voice(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path
) -> None:
    chosen = options(
        checkpoint,
        video_ranges=lipsync.TimeRange.parse_list("2.4-2.8,0-0.4"),
        voice_ranges=lipsync.TimeRange.parse_list("1-1.8"),
    )
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    assert (result.frames, result.frames_synced) == (20, 20)


@pytest.mark.parametrize(
    ("mode", "frames"), [("shorter", 20), ("picture", 70), ("stretch", 20), ("hold", 20)]
)
def test_a_short_voice_on_a_long_video(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path, mode: str, frames: int
) -> None:
    chosen = options(checkpoint, length_mode=mode, voice_ranges=lipsync.TimeRange.parse_list("0-0.8"))
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    assert result.frames == frames
    assert any(mode in warning for warning in result.warnings)
    assert probe_audio(result.path).duration == pytest.approx(frames / 25, abs=0.04)


def test_one_frame_and_a_tenth_of_a_second_of_voice(checkpoint: Path, voice: Path, tmp_path: Path) -> None:
    chosen = options(checkpoint, voice_ranges=lipsync.TimeRange.parse_list("0.5-0.54"))
    result = lipsync.sync(FACE, voice, chosen, output=tmp_path / "out.mp4")
    assert (result.frames, result.frames_synced) == (1, 1)


def test_a_silent_voice_is_named(checkpoint: Path, tmp_path: Path) -> None:
    silence = make_voice(tmp_path / "silence.wav", seconds=0.4, volume=0)
    result = lipsync.sync(FACE, silence, options(checkpoint), output=tmp_path / "out.mp4")
    assert any("silent" in warning for warning in result.warnings)


def test_the_preview_shows_the_frame_that_the_run_makes(
    head: Path, voice: Path, checkpoint: Path, tmp_path: Path
) -> None:
    chosen = options(checkpoint, quality=0)
    result = lipsync.sync(head, voice, chosen, output=tmp_path / "out.mp4")
    made = frames_of(result.path)
    shown = lipsync.preview(head, voice, 0.4, chosen)
    assert shown.box is not None
    assert shown.mask is not None
    error = np.abs(made[10].astype(int) - shown.result.astype(int))
    changed = np.abs(shown.source.astype(int) - shown.result.astype(int))
    assert changed.max() > 30
    assert error.mean() < 2  # what 4:2:0 colour costs
    gap = lipsync.preview(head, voice, 1.6, chosen)
    assert gap.box is None
    assert np.array_equal(gap.source, gap.result)
    with pytest.raises(RangeError, match="outside"):
        lipsync.preview(head, voice, 3.0, chosen)


def test_concurrent_jobs_do_not_interfere(head: Path, voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    chosen = options(checkpoint, quality=0)
    alone = frames_of(lipsync.sync(head, voice, chosen, output=tmp_path / "alone.mp4").path)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(lipsync.sync, head, voice, chosen, output=tmp_path / f"{number}.mp4")
            for number in range(2)
        ]
        results = [job.result() for job in jobs]
    for result in results:
        for frame, expected in zip(frames_of(result.path), alone, strict=True):
            assert np.abs(frame.astype(int) - expected.astype(int)).max() <= 2  # threads change rounding
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.mp4", "1.mp4", "alone.mp4"]


def test_the_default_output_is_new_and_next_to_the_video(
    checkpoint: Path, voice: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "my face.jpg"
    photo.write_bytes(FACE.read_bytes())
    chosen = options(checkpoint, voice_ranges=lipsync.TimeRange.parse_list("0-0.1"))
    names = [lipsync.sync(photo, voice, chosen).path.name for _ in range(2)]
    assert names == ["my face_synced.mp4", "my face_synced_2.mp4"]


def test_errors_come_before_any_work(head: Path, checkpoint: Path, tmp_path: Path) -> None:
    """A missing voice, a bad range or an output that can't be written must not cost a minute."""
    seen: list[Progress] = []
    cases = [
        (tmp_path / "nowhere.wav", options(checkpoint), tmp_path / "out.mp4"),
        (VOICE, options(checkpoint, video_ranges=(lipsync.TimeRange(90, 95),)), tmp_path / "out.mp4"),
        (VOICE, options(checkpoint), head / "not a folder" / "out.mp4"),
        (VOICE, options(checkpoint), tmp_path / "out.txt"),
    ]
    for given, chosen, output in cases:
        with pytest.raises(LipsyncError):
            lipsync.sync(head, given, chosen, seen.append, output=output)
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_two_pixels_are_no_face_and_no_crash(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (2, 2), "red").save(tiny)
    with pytest.raises(NoFaceError):
        lipsync.sync(tiny, voice, options(checkpoint), output=tmp_path / "out.mp4")
    boxed = options(checkpoint, box=(0, 2, 0, 2), voice_ranges=lipsync.TimeRange.parse_list("0-0.1"))
    result = lipsync.sync(tiny, voice, boxed, output=tmp_path / "out.mp4")
    assert (result.width, result.height, result.frames_synced) == (2, 2, result.frames)


def test_an_8k_photo_passes_through_the_whole_road(voice: Path, checkpoint: Path, tmp_path: Path) -> None:
    large = tmp_path / "8k.png"
    with Image.open(FACE) as face:
        face.crop((0, 0, 512, 288)).resize((7680, 4320)).save(large, compress_level=1)
    chosen = options(checkpoint, voice_ranges=lipsync.TimeRange.parse_list("0-0.12"))
    result = lipsync.sync(large, voice, chosen, output=tmp_path / "out.mp4")
    assert (result.width, result.height, result.frames_synced) == (7680, 4320, 3)
    assert probe_video(result.path).frame_count == 3


def test_the_built_in_model_speaks_at_once_and_rests_in_silence(voice: Path, tmp_path: Path) -> None:
    """No checkpoint, no network: the mouth of the sample photo moves with the voice, not without."""
    silence = make_voice(tmp_path / "silence.wav", seconds=1.6, volume=0)
    chosen = SyncOptions.from_flat(variant="builtin", quality=0)
    movement = []
    for sound in (voice, silence):
        result = lipsync.sync(FACE, sound, chosen, output=tmp_path / "out.mp4")
        assert result.frames_synced == result.frames
        mouth = np.stack([frame[140:160, 205:245].astype(float) for frame in frames_of(result.path)])
        movement.append(mouth.std(axis=0).mean())
    assert movement[0] > 5
    assert movement[1] < movement[0] / 3


def test_odd_sizes_are_reported_as_they_are_in_the_file(
    voice: Path, checkpoint: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.png"
    with Image.open(FACE) as face:
        face.resize((301, 303)).save(odd)
    chosen = options(checkpoint, voice_ranges=lipsync.TimeRange.parse_list("0-0.1"))
    result = lipsync.sync(odd, voice, chosen, output=tmp_path / "out.mp4")
    made = probe_video(result.path)
    assert (result.width, result.height) == (made.width, made.height) == (302, 304)


def test_a_damaged_checkpoint_fails_before_detection_ends(voice: Path, tmp_path: Path) -> None:
    video = make_head(tmp_path / "long.mp4", parts=(40.0,))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"not a network")
    seen: list[Progress] = []
    chosen = options(broken, length_mode="picture")
    with pytest.raises(WeightsError):
        lipsync.sync(video, voice, chosen, seen.append, output=tmp_path / "out.mp4")
    assert seen[-1].done < seen[-1].total / 2


def test_the_sample_video_can_be_given_another_voice(tmp_path: Path) -> None:
    sample = Path(lipsync.__file__).parent / "samples" / "talk.mp4"
    voice = make_voice(tmp_path / "voice.wav", seconds=1)
    result = lipsync.sync(
        sample, voice, SyncOptions.from_flat(variant="builtin"), output=tmp_path / "out.mp4"
    )
    assert result.frames == result.frames_synced == 25
