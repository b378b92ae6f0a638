"""Picture and length of a link, before its media is fetched."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lipsync.progress import CancelToken
from lipsync.sources import LinkInfo, LinkSource
from lipsync.sources.sample import HEAD_BYTES, index_position
from tests.make_media import read_number, run_ffmpeg
from tests.sources import serving
from tests.sources.serving import HERE, Site


def probe(site: Site, path: str) -> LinkInfo:
    return LinkSource(site.url(path), allow=HERE).probe(CancelToken())


def picture_of(info: LinkInfo) -> np.ndarray:
    assert info.picture is not None
    with Image.open(io.BytesIO(info.picture)) as image:
        return np.asarray(image.convert("RGB"))


def page_with(site: Site, thumbnail: str) -> str:
    """A page whose video has this picture."""
    text = f"<html><title>A clip</title><video src='/clip.mp4' poster='{thumbnail}'></video></html>"
    site.answers["/page"] = serving.send(text.encode())
    return "/page"


def test_the_picture_of_the_site_is_fetched_by_the_server(site: Site, tmp_path: Path) -> None:
    Image.new("RGB", (1600, 900), (200, 30, 30)).save(tmp_path / "red.png")
    site.answers["/red.png"] = serving.send((tmp_path / "red.png").read_bytes(), "image/png")
    info = probe(site, page_with(site, "/red.png"))
    shown = picture_of(info)
    assert shown.shape == (270, 480, 3)
    assert abs(shown.astype(int) - (200, 30, 30)).max() < 12
    assert info.seconds == pytest.approx(10, abs=0.1)  # which the page does not say


@pytest.mark.parametrize("kind", ["private", "endless", "no picture"])
def test_a_picture_that_may_not_be_fetched_gives_way_to_the_first_frame(site: Site, kind: str) -> None:
    thumbnail = "/bad.jpg"
    if kind == "private":  # also after a redirect
        elsewhere = site.url("/elsewhere.jpg").replace("127.0.0.1", "127.0.0.2")
        site.answers["/bad.jpg"] = serving.redirect(elsewhere)
    elif kind == "endless":
        site.answers["/bad.jpg"] = serving.endless(site)
    else:
        site.answers["/bad.jpg"] = serving.send(b"<html>no picture</html>")
    info = probe(site, page_with(site, thumbnail))
    assert read_number(picture_of(info)) == 0
    assert "/elsewhere.jpg" not in site.hits


def test_the_index_at_the_end_of_a_large_file_is_found(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    noise = "color=gray:s=320x240:d=4,noise=alls=100:allf=t"
    run_ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "1", path)
    data = path.read_bytes()
    assert len(data) > 3 * HEAD_BYTES
    assert data[index_position(data[:HEAD_BYTES]) + 4 :][:4] == b"moov"
    site.answers["/large.mp4"] = serving.ranged(data)
    info = probe(site, "/large.mp4")
    assert info.seconds == pytest.approx(4, abs=0.1)
    assert picture_of(info).shape == (240, 320, 3)


@pytest.mark.parametrize(
    "head", [b"", b"RIFF0000WAVEfmt 00000000", bytes(64), b"\0\0\0\x04ftypisom" + bytes(20)]
)
def test_other_files_have_no_index_to_look_for(head: bytes) -> None:
    assert index_position(head) == 0
