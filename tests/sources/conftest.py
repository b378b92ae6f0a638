"""The site and the media that it serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.make_media import make_video
from tests.sources.serving import Site, serve

SECONDS, FPS = 10, 25


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4, the same as HLS (hls.m3u8) and as DASH with separate audio (dash.mpd); numbered frames."""
    folder = tmp_path_factory.mktemp("served")
    sound = ("-f", "lavfi", "-i", f"sine=d={SECONDS}")
    for name, output in (
        ("clip.mp4", ()),
        ("hls.m3u8", ("-hls_time", "1", "-hls_list_size", "0", "-f", "hls")),
        ("dash.mpd", ("-seg_duration", "1", "-f", "dash")),
    ):
        make_video(folder / name, frames=SECONDS * FPS, fps=FPS, sound=sound, output=output)
    return folder


@pytest.fixture
def site(media: Path) -> Iterator[Site]:
    """A running site with the media above."""
    with serve() as running:
        running.add_folder(media)
        yield running
