"""What every registered source promises; a new one is held to it by being registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lipsync.errors import Cancelled, InputError, LinkError
from lipsync.media import open_video
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken, Progress, ignore_progress
from lipsync.sources import SOURCES, FetchedMedia, LinkSource, LocalFile, Source, is_link, open_source
from lipsync.types import TimeRange
from tests.make_media import make_video, read_number
from tests.sources import serving
from tests.sources.serving import HERE, Site


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=50, fps=25)


@pytest.fixture
def site(clip: Path) -> Iterator[Site]:
    with serving.serve() as running:
        running.add_folder(clip.parent)
        yield running


@pytest.fixture(params=list(SOURCES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(kind: str, clip: Path, site: Site, name: str = "clip.mp4") -> Source:
    if kind == "link":
        return SOURCES.create("link", url=site.url(f"/{name}"), allow=HERE)
    return SOURCES.create(kind, path=clip.with_name(name))


def test_what_is_fetched_can_be_read(kind: str, clip: Path, site: Site, tmp_path: Path) -> None:
    seen: list[Progress] = []
    ranges = (TimeRange(0.4, 0.8), TimeRange(1.2, 1.6))
    fetched = make(kind, clip, site).fetch(tmp_path / "new", seen.append, CancelToken(), ranges)
    assert isinstance(fetched, FetchedMedia)
    picture = open_video(fetched.path, MediaOptions(video_ranges=fetched.to_file_time(ranges)))
    numbers = [read_number(frame) for frame in picture.read(range(picture.frame_count))]
    assert numbers == [*range(10, 20), *range(30, 40)]
    assert all(0 <= progress.fraction <= 1 for progress in seen)


def test_what_is_not_there_is_an_input_error(kind: str, clip: Path, site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        make(kind, clip, site, "none.mp4").fetch(tmp_path, ignore_progress, CancelToken())
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_leaves_nothing(kind: str, clip: Path, site: Site, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        make(kind, clip, site).fetch(tmp_path, ignore_progress, cancel)
    assert list(tmp_path.iterdir()) == []
    assert clip.exists()


def test_links_and_files_are_told_apart() -> None:
    assert isinstance(open_source(" https://example.com/a.mp4"), LinkSource)
    assert isinstance(open_source("a.mp4"), LocalFile)
    assert isinstance(open_source(Path("C:/a.mp4")), LocalFile)
    assert not is_link("C:\\videos\\a.mp4")
    with pytest.raises(LinkError):
        open_source("ftp://example.com/a.mp4")
