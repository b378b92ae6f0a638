"""The page's jobs without a browser, with the built-in model."""

from __future__ import annotations

import dataclasses
import json
import queue
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import DownloadError, InputError, MediaError
from lipsync.media import probe_video
from lipsync.media.provenance import read_provenance
from lipsync.options import SyncOptions
from lipsync.pipeline.model_provider import CachedModels
from lipsync.pipeline.preview import preview
from lipsync.progress import CancelToken, Progress
from lipsync.ui.background import Done, _newest_reports, run_in_thread
from lipsync.ui.components.score_card import score_html
from lipsync.ui.handlers import frame_pair, range_error, render_preview, run_batch, run_sync
from lipsync.ui.request import SyncRequest
from lipsync.ui.zerogpu.dispatch import estimate_gpu_seconds
from lipsync.weights import find
from tests.make_media import make_video, run_ffmpeg
from tests.material import FACE, make_head, make_voice

BUILTIN = SyncOptions.from_flat(variant="builtin")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


def test_two_models_in_one_run_end_side_by_side(tmp_path: Path, voice: Path) -> None:
    *stages, done = run_sync(
        SyncRequest(str(FACE), str(voice), BUILTIN), "builtin", tmp_path, CancelToken(), CachedModels()
    )
    assert isinstance(done, Done)
    made = done.value
    assert [result.frames for result in made.results] == [10, 10]
    assert len({result.path for result in made.results}) == 2
    assert made.side_by_side and probe_video(made.side_by_side).width == 3 * 512
    compared = read_provenance(made.side_by_side)
    assert compared.state == "whole" and len(compared.ingredients) == 3
    assert all("signed by lipsync" in one for one in compared.ingredients[1:])
    assert {what for what, _ in stages} == {"1 of 2: builtin", "2 of 2: builtin", ""}  # type: ignore[misc]
    assert json.loads(made.settings.read_text())["variant"] == "builtin"
    assert made.scores
    told = json.loads(made.scores.read_text())
    assert [card["result"]["verdict"] for card in told] == ["too short to judge"] * 2
    assert score_html(made.results).count("Lip sync · builtin · too short") == 2
    before, after = frame_pair(made, 0.2)
    assert before.shape == after.shape == (512, 512, 3)


def test_files_have_the_name_of_their_video_and_settings_the_model_that_was_taken(
    tmp_path: Path, voice: Path
) -> None:
    photo = tmp_path / "My photo.jpg"
    shutil.copy(FACE, photo)
    request = SyncRequest(str(photo), str(voice), SyncOptions.from_flat(variant="auto"))
    *_, done = run_sync(request, "", tmp_path / "run", CancelToken(), CachedModels())
    assert isinstance(done, Done)
    made = done.value
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == [
        "My photo_synced.mp4",
        "My photo_synced.score.json",
        "My photo_synced.settings.json",
    ]
    assert json.loads(made.settings.read_text())["variant"] == made.results[0].variant != "auto"


def test_an_image_sequence_is_downloaded_as_a_zip_file_and_shown_as_a_video(
    tmp_path: Path, voice: Path
) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="png")
    request = SyncRequest(str(FACE), str(voice), options)
    *_, done = run_sync(request, "", tmp_path / "run", CancelToken(), CachedModels())
    assert isinstance(done, Done)
    made = done.value
    [result], [archive] = made.results, made.downloads
    assert probe_video(result.path).frame_count == 10 and "copy" in result.warnings[-1]
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    assert read_provenance(tmp_path / "unpacked" / "face_synced").state == "whole"
    assert not (tmp_path / "run" / "face_synced").exists()
    before, after = frame_pair(made, 0.2)
    assert before.shape == after.shape == (512, 512, 3)


def test_a_batch_of_image_sequences_has_a_folder_for_each(tmp_path: Path, voice: Path) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="png")
    given = [str(FACE)] * 2, [str(voice)]
    *_, done = run_batch(*given, options, tmp_path, CancelToken(), CachedModels())
    assert isinstance(done, Done)
    with zipfile.ZipFile(done.value.archive) as packed:
        folders = {Path(name).parent.name for name in packed.namelist()}
        packed.extractall(tmp_path / "unpacked")
    for folder in sorted(folders - {""}):
        unpacked = tmp_path / "unpacked" / folder
        assert read_provenance(unpacked).state == "whole"
        (unpacked / "audio.wav").write_bytes(b"another")
        assert read_provenance(unpacked).state == "tampered"
    assert folders == {"face_synced", "face_synced_2", ""}


@pytest.mark.parametrize("when", ["fetched", "run"])
def test_a_second_model_that_fails_leaves_the_first_result(
    when: str, tmp_path: Path, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, **_: object) -> None:
        raise DownloadError("There is no way to it", given=name)

    happened: list[str] = []
    if when == "fetched":
        monkeypatch.setattr("lipsync.ui.handlers.model_weights", fail)
    else:
        monkeypatch.setattr("lipsync.ui.handlers.model_weights", lambda name, **_: happened.append(name))
        monkeypatch.setattr("lipsync.pipeline.preparation.model_weights", fail)
        monkeypatch.setattr("lipsync.pipeline.preparation.choose_variant", lambda name: name)
    options = SyncOptions.from_flat(variant="builtin", weights=find("builtin"))
    if when == "run":
        real = SyncRequest.with_variant

        def without_weights(self: SyncRequest, variant: str) -> SyncRequest:
            changed = real(self, variant)
            if variant == "builtin":
                return changed
            generator = dataclasses.replace(changed.options.generator, weights=None)
            return dataclasses.replace(
                changed, options=dataclasses.replace(changed.options, generator=generator)
            )

        monkeypatch.setattr(SyncRequest, "with_variant", without_weights)
    request = SyncRequest(str(FACE), str(voice), options)
    *_, done = run_sync(request, "wav2lip", tmp_path, CancelToken(), CachedModels())
    assert isinstance(done, Done)
    [kept] = done.value.results
    assert probe_video(kept.path).frame_count == 10 and done.value.side_by_side is None
    assert done.value.failed == "wav2lip: There is no way to it: wav2lip."
    assert happened == (["wav2lip"] if when == "run" else [])  # before the first frame


def test_a_cancelled_batch_offers_what_is_made(tmp_path: Path, voice: Path) -> None:
    videos = [make_head(tmp_path / f"{name}.mp4", parts=(0.2,)) for name in ("one", "two")]
    shutil.copy(videos[0], tmp_path / "copy.mp4")
    (tmp_path / "other").mkdir()
    shutil.copy(videos[0], tmp_path / "other" / "one.mp4")
    given = [str(videos[0]), str(tmp_path / "other" / "one.mp4"), str(videos[1])]
    cancel, folder, last = CancelToken(), tmp_path / "made", None
    folder.mkdir()
    for last in run_batch(given, [str(voice)], BUILTIN, folder, cancel, CachedModels()):
        if not isinstance(last, Done) and last[0].startswith("3 of 3"):
            cancel.cancel()
    assert isinstance(last, Done)
    assert [(one.video, one.made) for one in last.value.items] == [
        ("one.mp4", True),
        ("one.mp4", True),
        ("two.mp4", False),
    ]
    with zipfile.ZipFile(last.value.archive) as archive:
        assert sorted(archive.namelist()) == [
            "lipsync_results.settings.json",
            "one_synced.mp4",
            "one_synced_2.mp4",
        ]


def test_every_face_in_the_frame_is_offered(tmp_path: Path, voice: Path) -> None:
    pair = tmp_path / "pair.png"
    run_ffmpeg("-i", FACE, "-filter_complex", "[0]split[a][b];[a][b]hstack", pair)
    files = render_preview(
        SyncRequest(str(pair), str(voice), BUILTIN), 0.1, tmp_path, CancelToken(), CachedModels()
    )
    assert len(files.faces) == len(files.preview.people) == 2
    left, right = files.preview.people
    assert left.x == pytest.approx(right.x - 0.5, abs=0.01)
    chosen = SyncOptions.from_flat(variant="builtin", which_face="point", face_x=right.x, face_y=right.y)
    drawn = preview(pair, voice, 0.1, chosen)
    assert [person.selected for person in drawn.people] == [False, True]
    assert drawn.box and drawn.box[0] > 512


def test_the_time_of_a_chosen_face_is_that_of_the_picture(tmp_path: Path) -> None:
    head = make_head(tmp_path / "head.mp4", parts=[1])
    voice = make_voice(tmp_path / "voice.wav", seconds=2)
    assert preview(head, voice, 0.4, BUILTIN).video_time == pytest.approx(0.4)
    assert preview(head, voice, 1.4, BUILTIN).video_time == pytest.approx(0.56, abs=0.05)  # on the way back


def test_a_plan_is_what_a_run_makes(tmp_path: Path, voice: Path) -> None:
    request = SyncRequest(str(FACE), str(voice), BUILTIN)
    foreseen = request.plan()
    assert (foreseen.frames, foreseen.seconds, foreseen.video_seconds) == (10, 0.4, 0)
    assert 15 <= estimate_gpu_seconds(request) <= 20


def test_a_failed_video_does_not_stop_the_batch(tmp_path: Path, voice: Path) -> None:
    no_face = make_video(tmp_path / "stripes.mp4")
    *_, done = run_batch(
        [str(no_face), str(FACE)], [str(voice)], BUILTIN, tmp_path / "out", CancelToken(), CachedModels()
    )
    assert isinstance(done, Done)
    assert [item.made for item in done.value.items] == [False, True]
    assert "No face was found" in done.value.items[0].notes
    assert [path.name for path in (tmp_path / "out").iterdir()] == [done.value.archive.name]


def test_a_batch_with_mismatched_counts_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not match"):
        list(run_batch(["a", "b", "c"], ["d", "e"], BUILTIN, tmp_path, CancelToken(), CachedModels()))


def test_a_removed_file_is_reported(tmp_path: Path, voice: Path) -> None:
    with pytest.raises(MediaError, match="no longer here"):
        SyncRequest(str(tmp_path / "gone.mp4"), str(voice)).files()


def test_work_that_is_left_is_cancelled_and_finished_work_is_not() -> None:
    cancel = CancelToken()
    assert list(run_in_thread(lambda _: 7, cancel)) == [Done(7)]
    assert not cancel.cancelled

    def endless(_: object) -> None:
        while not cancel.cancelled:
            pass

    steps = run_in_thread(lambda report: [report(Progress("", 0, 0)), endless(report)], cancel)  # type: ignore[func-returns-value]
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert cancel.cancelled


def test_a_preview_frame_survives_newer_reports_without_one() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    told = [Progress("Drawing", 1, 9, preview=picture), Progress("Drawing", 2, 9), Progress("Drawing", 3, 9)]
    reports: queue.Queue[Progress] = queue.Queue()
    for one in told:
        reports.put(one)
    assert [(one.done, one.preview is picture) for one in _newest_reports(reports)] == [(3, True)]


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("", "", ""),
        ("0", "1", ""),
        ("1", "", ""),
        ("1", "0:00.5", "backwards"),
        ("2", "", "past the end"),
        ("x", "", "read"),
    ],
)
def test_ranges_are_checked_one_by_one(tmp_path: Path, start: str, end: str, words: str) -> None:
    video = make_video(tmp_path / "a.mp4", frames=50)
    problem = range_error(start, end, str(video), audio=False)
    assert words in problem
    assert bool(words) == bool(problem)
