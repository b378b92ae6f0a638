"""Results of smart copy in a real browser: it plays over the joints, and each frame is the right one."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from lipsync.media import FrameWriter, open_video
from lipsync.media.video.smart_copy_writer import SmartCopyWriter
from tests.browser.conftest import WAIT
from tests.make_media import run_ffmpeg
from tests.media.video.test_smart_copy import FRAMES, picture, spec

pytestmark = pytest.mark.browser

SHOWN = (0, 39, 40, 60, 79, 80, 119, 120, 141, 159, 160, 174)
"""Frames at joints, and within what was copied and encoded."""
PLAY = """async times => {
    const blob = await (await fetch("/result.mp4")).blob()
    const video = document.createElement("video")
    const happened = name => new Promise((done, fail) => {
        video[name] = done
        video.onerror = () => fail(video.error.message)
    })
    video.muted = true
    video.src = URL.createObjectURL(blob)
    await happened("onloadeddata")
    const canvas = document.createElement("canvas")
    canvas.width = canvas.height = 8
    const drawing = canvas.getContext("2d")
    const colors = []
    for (const time of times) {
        video.currentTime = time
        await happened("onseeked")
        drawing.drawImage(video, 0, 0, 8, 8)
        colors.push(Array.from(drawing.getImageData(0, 0, 8, 8).data))
    }
    video.currentTime = 0
    await happened("onseeked")
    video.playbackRate = 4
    await video.play()
    await happened("onended")
    return [video.duration, colors]
}"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 60 to 69 and 140 to 141 are encoded anew, in groups that begin at 40 and 120."""
    folder = tmp_path_factory.mktemp("joints")
    with FrameWriter(folder / "made.mp4", spec(None)) as writer:
        for number in range(FRAMES):
            writer.write(picture(number))
    settings = ("-c:v", "libx264", "-x264-params", "keyint=40:min-keyint=40:bframes=3:ref=4:scenecut=0")
    run_ffmpeg("-i", folder / "made.mp4", *settings, folder / "source.mp4")
    changed = [range(60, 70), range(140, 142)]
    with SmartCopyWriter(folder / "result.mp4", spec(None), folder / "source.mp4", changed) as copy:
        for number in (number for part in copy.remaining for number in part):
            copy.write(picture(number, 90))
    return folder / "result.mp4"


def test_a_browser_plays_over_the_joints(browser: Browser, result: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    page.route("**/*", lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
    page.route("**/result.mp4", lambda route: route.fulfill(path=result, content_type="video/mp4"))
    page.goto("http://joints.test/")
    duration, colors = page.evaluate(f"({PLAY})({json.dumps([(one + 0.5) / 25 for one in SHOWN])})")
    page.close()
    assert duration == pytest.approx(FRAMES / 25)
    for number, seen, frame in zip(SHOWN, colors, open_video(result).read(SHOWN), strict=True):
        wanted = cv2.resize(frame, (8, 8), interpolation=cv2.INTER_AREA)
        assert np.abs(np.array(seen).reshape(8, 8, 4)[..., :3] - wanted).mean() < 15, number
