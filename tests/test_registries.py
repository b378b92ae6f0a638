"""A new member of each registry is found on the command line, on the page and in a result.

The members stand in a module that is written by the test: nothing of the program knows them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lipsync import registries
from lipsync.cli.main import main
from lipsync.errors import OptionError
from lipsync.media import open_video
from lipsync.options import SyncOptions
from lipsync.utils.registry import Registry
from tests.material import make_head, make_voice

MODULE = '''
from pathlib import Path

import numpy as np

from lipsync.enhancers.base import EnhancerSpec, UpscalerSpec
from lipsync.generators.base import GeneratorSpec
from lipsync.metrics.base import MetricSpec
from lipsync.sources import FetchedMedia
from lipsync.types import Face


class MiddleDetector:
    """One face in the middle of every frame."""

    batch_size, weights = 1, Path(__file__)

    def __init__(self, device=None, weights=None, min_score=0.05):
        pass

    def detect(self, frames):
        return [[self._face(*frame.shape[:2])] for frame in frames]

    def _face(self, height, width):
        x, y, side = width / 2, height / 2, height / 3
        box = np.array([x - side, y - side, x + side, y + side], np.float32)
        places = np.array([[-0.35, -0.3], [0.35, -0.3], [0, 0.05], [-0.28, 0.4], [0.28, 0.4]], np.float32)
        return Face(box, 0.99, np.array([x, y], np.float32) + side * places)


class RedGenerator:
    """Draws red."""

    batch_size, concurrent_batches = 4, 1

    def __init__(self, weights, *, name, device, number_format, batch_size):
        assert weights is None  # the catalogue has none for it
        self.spec = GeneratorSpec(name, (32, 32), 25, ("fp32",), "none", "none")

    def encode_audio(self, audio, fps, frames, lead=0, cancel=None):
        return np.zeros((frames, 1), np.float32)

    def generate(self, crops, audio_rows):
        mouths = np.zeros((len(crops), 3, 32, 32), np.float32)
        mouths[:, 0] = 1
        return mouths


class BlueEnhancer:
    """Makes faces blue."""

    batch_size = 1

    def __init__(self, weights, *, name, device, number_format, batch_size):
        self.spec = EnhancerSpec(name, ("fp32",), "none", "none", 64)

    def enhance(self, faces, strength=1.0, cancel=None):
        blue = np.zeros_like(faces)
        blue[..., 2] = 255
        return blue


class Doubler:
    """Repeats pixels."""

    def __init__(self, weights, *, name, device, number_format, batch_size):
        self.spec = UpscalerSpec(name, ("fp32",), "none", "none", 2)

    def upscale(self, frame, cancel=None):
        return frame.repeat(2, 0).repeat(2, 1)


class MeanDifference:
    """Mean absolute difference of frames."""

    spec = MetricSpec(
        "difference", "Difference", "levels", higher_is_better=False, perfect=0.0, bounds=(0.0, 255.0),
        regional=False, digits=1, what="how far pixels are apart",
    )

    def __init__(self):
        self.values = []

    def update(self, result, reference, where=None):
        self.values.append(np.abs(result.astype(float) - reference).mean())

    def compute(self):
        return float(np.mean(self.values))


class Shelf:
    """Files by the name before their suffix."""

    def __init__(self, given, options=None, *, audio_only=False):
        self.path = Path(given.removeprefix("shelf:")).with_suffix(".mp4")

    @staticmethod
    def accepts(given):
        return given.startswith("shelf:")

    def fetch(self, into, progress, cancel, ranges=()):
        return FetchedMedia(self.path)
'''
MEMBERS: dict[str, tuple[Registry[object], str]] = {
    "middle": (registries.DETECTORS, "MiddleDetector"),  # type: ignore[dict-item]
    "red": (registries.GENERATORS, "RedGenerator"),  # type: ignore[dict-item]
    "blue": (registries.ENHANCERS, "BlueEnhancer"),  # type: ignore[dict-item]
    "doubler": (registries.UPSCALERS, "Doubler"),  # type: ignore[dict-item]
    "difference": (registries.METRICS, "MeanDifference"),  # type: ignore[dict-item]
    "shelf": (registries.SOURCES, "Shelf"),  # type: ignore[dict-item]
}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_head(tmp_path_factory.mktemp("head") / "head.mp4", parts=[0.4])


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


@pytest.fixture(autouse=True)
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module on the path, and one line a member."""
    (tmp_path / "lipsync_made_up.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, (registry, attribute) in MEMBERS.items():
        registry.add(name, f"lipsync_made_up:{attribute}")
    yield
    for name, (registry, _) in MEMBERS.items():
        registry.remove(name)
    sys.modules.pop("lipsync_made_up", None)


def colour_of_the_mouth(path: Path) -> np.ndarray:
    video = open_video(path)
    [frame] = video.read([2])
    y, x = int(frame.shape[0] * 0.62), frame.shape[1] // 2
    return np.asarray(frame[y - 4 : y + 4, x - 4 : x + 4].mean((0, 1)))


def test_the_command_line_takes_them_and_the_result_shows_them(
    head: Path, voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [
        "--color-match",
        "0",
        "--keep-detail",
        "0",
        "--no-occlusion",
        "--in-silence",
        "speak",
        "--no-score",
    ]
    chosen = ["--variant", "red", "--detector", "middle", "--no-cache", *plain, "--no-score"]
    red = tmp_path / "red.mp4"
    assert main(["run", f"shelf:{head.with_suffix('')}", str(voice), "-o", str(red), "--json", *chosen]) == 0
    assert json.loads(capsys.readouterr().out)["variant"] == "red"
    r, g, b = colour_of_the_mouth(red)
    assert r > 150 and g < 80 and b < 80
    large = tmp_path / "large.mp4"
    chosen += ["--enhancer", "blue", "--enhance-strength", "1", "--upscaler", "doubler"]
    assert main(["run", str(head), str(voice), "-o", str(large), *chosen]) == 0
    assert np.abs(colour_of_the_mouth(large) - (r, g, b)).max() > 20  # the mean colour of a face is kept
    assert open_video(large).width == 2 * open_video(head).width


def test_the_command_line_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["run", "--help-all"], ["evaluate", "--help-all"]):
        with pytest.raises(SystemExit):
            main(words)
    shown = capsys.readouterr().out
    for name in ("middle", "red", "blue", "doubler", "difference"):
        assert name in shown


def test_the_page_offers_them() -> None:
    from lipsync.ui.components.controls import setting_control

    for setting, name in (
        ("variant", "red"),
        ("enhancer", "blue"),
        ("upscaler", "doubler"),
        ("detector", "middle"),
    ):
        offered = setting_control(setting).choices  # type: ignore[attr-defined]
        assert name in [value for _, value in offered]


def test_evaluate_measures_a_new_metric(head: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = [
        "evaluate",
        str(head),
        "--reference",
        str(head),
        "--no-sync",
        "--no-lse",
        "--json-file",
        str(figures),
    ]
    assert main([*words, "--metrics", "difference,psnr"]) == 0
    found = json.loads(figures.read_text("utf-8"))
    assert found["clips"][0]["figures"]["difference"] == 0
    assert found["columns"]["difference"]["better"] == "lower"
    assert "ssim" not in found["clips"][0]["figures"]
    assert main([*words, "--overwrite"]) == 0  # by default, as its spec says
    assert "difference" in json.loads(figures.read_text("utf-8"))["clips"][0]["figures"]


def test_members_are_checked() -> None:
    with pytest.raises(OptionError, match="red"):
        SyncOptions.from_flat(variant="green")
    with pytest.raises(ValueError, match="twice"):
        registries.DETECTORS.add("middle", "lipsync_made_up:MiddleDetector")
    with pytest.raises(ValueError, match="module:attribute"):
        registries.DETECTORS.add("other", "lipsync_made_up.MiddleDetector")
