"""Heads that lie or hang, people in other shots, posters, cut and covered faces: whole runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lipsync
from lipsync.faces.detectors.centerface import CenterFace
from lipsync.options import SyncOptions
from lipsync.types import FloatArray, Frame
from tests.conftest import SHARED
from tests.material import FACE, make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=1.5)


@pytest.fixture(scope="module")
def fault() -> Callable[[str], Path]:
    """A file of ../shared/faults."""

    def find(name: str) -> Path:
        path = SHARED / "faults" / name
        if not path.exists():
            pytest.skip(f"{path.relative_to(SHARED.parent)} is not beside this checkout")
        return path

    return find


def drawn_at(source: Frame, result: Frame) -> FloatArray:
    """Middle of what was changed, x and y."""
    change = np.abs(source.astype(int) - result).max(axis=2) > 12
    assert change.sum() > 50
    return np.argwhere(change)[:, ::-1].mean(axis=0).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 50, 90, 140, 180, 270])
def test_the_mouth_is_drawn_on_the_mouth_at_every_tilt(degrees: int, voice: Path, tmp_path: Path) -> None:
    """0.2 of the distance of eyes and mouth from where the upright photo has it, at most."""
    photo = Image.open(FACE).convert("RGB").resize((256, 256))
    tilted = photo.rotate(-degrees, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 90, 90))
    tilted.save(tmp_path / "tilted.png")
    shown = lipsync.preview(tmp_path / "tilted.png", voice, 0.5, SyncOptions.from_flat(variant="builtin"))

    [face] = CenterFace().detect([np.asarray(photo)])[0][:1]
    assert face.points is not None and shown.mask is not None and shown.points is not None
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    mouth = (face.points[3:].mean(axis=0) - 128) @ matrix + np.array(tilted.size) / 2
    unit = float(np.linalg.norm(face.points[:2].mean(axis=0) - face.points[3:].mean(axis=0)))
    assert np.linalg.norm(shown.points[3:].mean(axis=0) - mouth) < 0.2 * unit
    assert np.linalg.norm(drawn_at(shown.source, shown.result) - mouth) < 0.5 * unit
    # The mask lies there too, and what it does not cover is as it was.
    alpha = np.zeros(shown.source.shape[:2], np.float32)
    rows, columns = shown.mask.alpha.shape
    alpha[shown.mask.y : shown.mask.y + rows, shown.mask.x : shown.mask.x + columns] = shown.mask.alpha
    outside = np.abs(shown.source.astype(int) - shown.result).max(axis=2)[alpha == 0]
    assert np.percentile(outside, 99.9) <= 12  # chroma has half the resolution


def run(source: Path, voice: Path, tmp_path: Path, **settings: object) -> lipsync.SyncResult:
    options = SyncOptions.from_flat(variant="builtin", length_mode="shorter", quality=0, **settings)
    return lipsync.sync(source, voice, options, output=tmp_path / "out.mp4")


@pytest.mark.slow
def test_upside_down_the_whole_run_is_drawn(
    fault: Callable[[str], Path], voice: Path, tmp_path: Path
) -> None:
    result = run(fault("f03_upside_down.mp4"), voice, tmp_path)
    assert result.frames_synced == result.frames


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [("f15_no_eyes.mp4", "cuts off the eyes"), ("f09_text_over_mouth.mp4", "something covers the mouth")],
)
def test_faces_that_cannot_be_drawn_pass_through_with_a_warning(
    name: str, reason: str, fault: Callable[[str], Path], voice: Path, tmp_path: Path
) -> None:
    result = run(fault(name), voice, tmp_path)
    assert result.frames_synced == 0
    assert any(reason in warning for warning in result.warnings)


@pytest.mark.slow
def test_a_covered_mouth_is_drawn_if_asked(fault: Callable[[str], Path], voice: Path, tmp_path: Path) -> None:
    result = run(fault("f09_text_over_mouth.mp4"), voice, tmp_path, occlusion=False)
    assert result.frames_synced == result.frames


@pytest.mark.slow
def test_the_woman_of_the_other_shot_passes_through(fault: Callable[[str], Path], tmp_path: Path) -> None:
    point = {"which_face": "point", "face_x": 0.5, "face_y": 0.35, "face_time": 0.5}
    result = run(fault("f04_two_people.mp4"), fault("voice.wav"), tmp_path, **point)
    assert result.frames_synced == 100
    assert any("people other than the chosen one" in warning for warning in result.warnings)


@pytest.mark.slow
def test_the_living_person_speaks_and_not_the_poster(
    fault: Callable[[str], Path], voice: Path, tmp_path: Path
) -> None:
    source = fault("f28_poster.mp4")
    result = run(source, voice, tmp_path)
    before, after = (
        np.hstack(list(lipsync.media.open_video(path).read([10, 20, 30]))) for path in (source, result.path)
    )
    width = before.shape[1] // 3
    changed = np.flatnonzero((np.abs(before.astype(int) - after) > 12).any(axis=(0, 2))) % width
    assert len(changed) > 20 and np.median(changed) > width / 2
