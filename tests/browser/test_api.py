"""The page used by a program: submit, watch, cancel, download."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from lipsync.media import probe_video
from lipsync.ui.settings_file import PAGE_SETTINGS, RANGE_SETTINGS
from tests.material import FACE, make_voice
from tests.waiting import found, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


def test_submit_watch_download(client: Client, short_voice: Path) -> None:
    settings = {"pad_bottom": 20, "fps": 20}
    job = client.submit(
        video=handle_file(FACE),
        voice=handle_file(short_voice),
        agreed=True,
        voice_ranges="0-0.5",
        settings=settings,
        api_name="/sync",
    )
    job.result(timeout=60)
    *stages, (path, report) = job.outputs()
    assert {told["stage"] for _, told in stages} >= {"Finding faces"}
    assert probe_video(path).frame_count == report["frames"] == 10
    assert report["settings"]["pad_bottom"] == 20
    assert report["settings"]["voice_ranges"] == ["0-0.5"]


def test_cancel(client: Client, cache: Path, tmp_path: Path) -> None:
    voice = make_voice(tmp_path / "voice.mp3", seconds=6)
    job = client.submit(handle_file(FACE), handle_file(voice), True, settings={"fps": 200}, api_name="/sync")
    wait_until(lambda: bool(drawing(cache)), 60)
    wait_until(lambda: any(unit.length == 1200 for unit in job.status().progress_data or []), 60)
    job.cancel()
    wait_until(lambda: not drawing(cache))


def drawing(cache: Path) -> list[Path]:
    """Results that are being written."""
    return found(cache, "*.part.mp4")


def test_errors_are_reported_as_text(client: Client, short_voice: Path) -> None:
    face, voice = handle_file(FACE), handle_file(short_voice)
    with pytest.raises(AppError, match="agreed=true"):
        client.predict(face, voice, False, api_name="/sync")
    with pytest.raises(AppError, match="no such settings: 'no_such'"):
        client.predict(face, voice, True, settings={"no_such": 1}, api_name="/sync")
    with pytest.raises(AppError, match="past the end"):
        client.predict(face, voice, 0.0, voice_ranges="8-9", api_name="/preview")


def test_preview_and_plan(client: Client, short_voice: Path) -> None:
    face, voice = handle_file(FACE), handle_file(short_voice)
    overlay, result, report = client.predict(face, voice, 0.3, api_name="/preview")
    assert Path(overlay).stat().st_size and Path(result).stat().st_size
    assert len(report["box"]) == 4
    assert client.predict(face, voice, api_name="/plan") == {
        "seconds": 0.6,
        "frames": 15,
        "fps": 25.0,
        "width": 512,
        "height": 512,
    }


def test_batch(client: Client, short_voice: Path) -> None:
    job = client.submit([handle_file(FACE)] * 2, [handle_file(short_voice)], True, api_name="/batch")
    job.result(timeout=60)
    archive, report = job.outputs()[-1]
    with zipfile.ZipFile(archive) as file:
        assert len(file.namelist()) == 3
    assert [video["made"] for video in report["videos"]] == [True, True]


def test_segments_and_presets(client: Client, short_voice: Path) -> None:
    face, voice = handle_file(FACE), handle_file(short_voice)
    told = client.predict(
        face,
        voice,
        segments="0-0.4 face=0 voice=0-0.4; 0.4-0.8 face=0 file=1 voice=0-0.4",
        more_voices=[voice],
        settings={"quality": 20},
        preset="draft",
        api_name="/plan",
    )
    assert (told["frames"], told["width"]) == (20, 256)  # the preset halves the size
    with pytest.raises(AppError, match="Did you mean 'draft'"):
        client.predict(face, voice, preset="drift", api_name="/plan")
    with pytest.raises(AppError, match="segment"):
        client.predict(face, voice, segments="nonsense", api_name="/preview")


def test_comparing_keeps_the_first_result_where_the_second_cannot_be_had(
    client: Client, short_voice: Path
) -> None:
    job = client.submit(
        handle_file(FACE), handle_file(short_voice), "wav2lip", True, preset="draft", api_name="/compare"
    )
    job.result(timeout=120)
    *stages, (first, second, side_by_side, report) = job.outputs()
    assert probe_video(first).frame_count == 15 and second is None and side_by_side is None
    assert report["failed"].startswith("wav2lip: ")
    assert [one["settings"]["variant"] for one in report["results"]] == ["builtin"]
    assert Path(first).name.endswith("_builtin.mp4") or "synced" in Path(first).name
    assert all(set(told) >= {"stage", "done", "total", "seconds_left"} for *_, told in stages)
    with pytest.raises(AppError, match="Did you mean 'wav2lip'"):
        client.predict(handle_file(FACE), handle_file(short_voice), "wav2lop", True, api_name="/compare")


def test_every_argument_is_described(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/sync", "/compare", "/preview", "/batch", "/plan", "/inspect"}
    for name, endpoint in endpoints.items():
        for parameter in endpoint["parameters"]:
            assert len(parameter["type"]["description"]) > 10, (name, parameter["parameter_name"])
    names = [parameter["parameter_name"] for parameter in endpoints["/sync"]["parameters"]]
    assert names[:6] == ["video", "voice", "agreed", "video_ranges", "voice_ranges", "settings"]
    assert names[6:] == ["segments", "more_voices", "preset"]
    settings = endpoints["/sync"]["parameters"][5]["type"]["properties"]
    assert set(settings) == {*PAGE_SETTINGS, *RANGE_SETTINGS}
    assert all(one["description"] and one["type"] for one in settings.values())
    assert settings["mask"]["enum"] == ["mouth", "box"]
