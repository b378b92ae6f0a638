"""Seconds that a visitor of the page waits: page, filmstrip, preview, clip and result.

`python -m benchmarks.page` starts the page and looks at it in Chromium, with samples and built-in model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import SAMPLES
from lipsync.media.ffmpeg import ffmpeg_path

_SAMPLE_SECONDS = 6.6
WAIT = 300_000
"""Milliseconds that one step may take."""


def long_video(path: Path, minutes: int) -> Path:
    """The sample video, repeated without encoding."""
    repeats = str(round(60 * minutes / _SAMPLE_SECONDS))
    command = [ffmpeg_path(), "-v", "error", "-stream_loop", repeats, "-i", SAMPLES / "talk.mp4"]
    subprocess.run([*map(str, command), "-c", "copy", str(path)], check=True)
    return path


def measure(url: str, minutes: int, folder: Path) -> dict[str, float]:
    """Seconds of each step, by name."""
    from playwright.sync_api import expect, sync_playwright

    found: dict[str, float] = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        start = time.perf_counter()
        act()
        found[name] = round(time.perf_counter() - start, 2)

    expect.set_options(timeout=WAIT)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT)

        def open_page() -> None:
            page.goto(url)
            expect(page.locator("#run")).to_be_visible()

        timed("page ready", open_page)
        page.locator("#video input[type=file]").set_input_files(long_video(folder / "long.mp4", minutes))
        tiles = page.locator("#timeline .tl-film i")
        timed(f"filmstrip of {minutes} min", lambda: expect(tiles.first).to_be_visible())
        page.locator("#video").get_by_role("button", name="Clear").click()
        page.locator("#video input[type=file]").set_input_files(SAMPLES / "talk.mp4")
        expect(page.locator("#overlay .stage-box")).to_be_visible()
        page.locator("#voice input[type=file]").set_input_files(SAMPLES / "voice.mp3")
        timed("preview still", lambda: expect(page.locator("#previewed img")).to_be_visible())
        page.locator("#play-clip").click()
        timed("preview clip", lambda: expect(page.locator("#clip video")).to_be_visible())
        page.locator("#consent input").check()
        page.locator("#run").click()
        timed("result of the sample", lambda: expect(page.locator("#status")).to_contain_text("Done in"))
        browser.close()
    return found


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="length of the long video")
    parser.add_argument("--json", type=Path, help="write the seconds there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        from lipsync.ui import build_page, launch_settings

        page = build_page()
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_settings())
        found = measure(url, given.minutes, Path(folder))
        page.close()
    for name, seconds in found.items():
        print(f"{name:<24}{seconds:6.2f} s")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2), "utf-8")


if __name__ == "__main__":
    main()
