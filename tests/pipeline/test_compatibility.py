"""What version 0.1 wrote and named is still read and understood."""

from __future__ import annotations

from pathlib import Path

import pytest

import lipsync
from lipsync.options import SyncOptions
from lipsync.pipeline.model_provider import CachedModels
from lipsync.pipeline.outputs import resume_key
from lipsync.segments import parse_segments, place_segments
from tests.material import make_head, make_voice

PUBLIC = {
    "BlendOptions", "CancelToken", "Cancelled", "EnhanceOptions", "FaceOptions", "GeneratorOptions",
    "KeptNetworks", "LipsyncError", "MediaOptions", "Plan", "Preview", "Progress", "ReportOptions",
    "ScoreCard", "Segment", "SpeechOptions", "SyncOptions", "SyncResult", "TimeRange", "__version__",
    "parse_segments", "plan", "preview", "sync",
}  # fmt: skip
"""`lipsync.__all__` of version 0.1."""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    video, voice = tmp_path / "a", tmp_path / "b"
    video.write_bytes(b"video")
    voice.write_bytes(b"voice")
    return [video, voice]


def test_public_names_still_import() -> None:
    for name in PUBLIC - {"KeptNetworks"}:
        assert name in lipsync.__all__
        assert getattr(lipsync, name) is not None
    with pytest.warns(DeprecationWarning, match="CachedModels"):
        assert lipsync.KeptNetworks is CachedModels


def test_deprecated_names_still_work(tmp_path: Path) -> None:
    head = make_head(tmp_path / "head.mp4", parts=[0.2])
    voice = make_voice(tmp_path / "voice.wav", seconds=0.2)
    options = SyncOptions.from_flat(variant="builtin", score=False)
    with pytest.warns(DeprecationWarning, match="models"):
        result = lipsync.sync(head, voice, options, output=tmp_path / "o.mp4", networks=CachedModels())
    assert result.frames == 5
    with pytest.warns(DeprecationWarning, match="models"):
        preview = lipsync.preview(head, voice, 0.1, options, networks=CachedModels())
    with pytest.warns(DeprecationWarning, match=r"Preview\.video_time"):
        assert preview.picture_time == preview.video_time
    plan = lipsync.plan(head, voice, options)
    with pytest.warns(DeprecationWarning, match=r"Plan\.video_seconds"):
        assert plan.picture_seconds == plan.video_seconds


def test_resume_keys_are_those_of_version_0_1(files: list[Path]) -> None:
    """Else a run that broke off before an update would begin anew; the values were made by 0.1."""
    assert (
        resume_key(files, SyncOptions(), ())
        == "83cb7c2a3502f586e6207268ca98a921d5205fa28e3e92ba31fc59d1f94e2598"
    )
    options = SyncOptions.from_flat(
        variant="builtin",
        pads_px=(0, 10, 0, 0),
        crop=(1, 2, 3, 4),
        video_ranges=(lipsync.TimeRange(1, 2.5),),
        weights=Path("w.pth"),
        face_reference=Path("ann.png"),
        which_face="reference",
    )
    text = "0-1 face=0 voice=0-1; 1.2-2 face=0.7,0.4@1 voice=2-2.8"
    placed = place_segments(parse_segments(text), 2.2, [4.0])
    assert (
        resume_key(files, options, placed)
        == "08e419a6942093e0aa1d30a040f55db1c6c516fc8933cbfc30b8fb36575d49be"
    )
