"""Results for editors: more bits and HDR through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import lipsync
from lipsync.errors import OptionError
from lipsync.media import YuvFrame, open_video, probe_audio
from lipsync.media.ffmpeg import has_part
from lipsync.media.metadata import read_metadata
from lipsync.media.provenance import read_provenance
from lipsync.media.subtitle_formats import Cue
from lipsync.media.video.image_sequence import frames_of
from lipsync.media.video.mouth_layer import LayerFrame, LayerResult
from lipsync.options import MediaOptions, SyncOptions
from lipsync.types import TimeRange
from tests.make_media import run_ffmpeg
from tests.material import make_head, make_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=0.4)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.4 s of a face in 10 bits and HLG; 320x240."""
    if not has_part("filter", "zscale"):
        pytest.skip("this ffmpeg has no zscale")
    folder = tmp_path_factory.mktemp("head")
    plain = make_head(folder / "head.mp4", parts=[0.4])
    deepened = (
        "format=gbrpf32le,zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:"
        "t=arib-std-b67:p=bt2020:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    )
    run_ffmpeg("-i", plain, "-vf", deepened, "-c:v", "ffv1", folder / "deep.mkv")
    return folder / "deep.mkv"


@pytest.mark.parametrize("resume", [False, True])
def test_hdr_stays_hdr_and_changes_around_the_mouth_alone(
    head: Path, voice: Path, tmp_path: Path, resume: bool
) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="ffv1")
    result = lipsync.sync(head, voice, options, output=tmp_path / "out.mkv", resume=resume)
    assert result.warnings == ()
    assert result.frames_synced == result.frames == 10
    before, after = (open_video(path, MediaOptions(codec="ffv1")) for path in (head, result.path))
    assert after.original is not None
    assert (after.original.bit_depth, after.original.color_transfer) == (10, "arib-std-b67")
    moved = np.zeros((240, 320))
    for old, new in zip(before.read_deep(range(10), "420"), after.read_deep(range(10), "420"), strict=True):
        moved += old.y != new.y
        assert np.array_equal(old.u[:40], new.u[:40])
    rows, columns = np.nonzero(moved)
    assert rows.min() > 60 and np.ptp(columns) < 160  # mouth and chin
    assert (moved > 0).mean() < 0.2
    assert read_provenance(result.path).state == "whole"


def test_what_h264_loses_is_said(head: Path, voice: Path, tmp_path: Path) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False)
    result = lipsync.sync(head, voice, options, output=tmp_path / "out.mp4")
    assert "converted to standard range" in result.warnings[0] and "'codec'" in result.warnings[0]


def test_kept_tracks_go_through_a_run_or_it_is_said(voice: Path, tmp_path: Path) -> None:
    head, film = make_head(tmp_path / "head.mp4", parts=[0.4]), tmp_path / "film.mkv"
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    maps = ("-map", "0:v", "-map", "1:a", "-map", 2, "-c:v", "copy", "-c:a", "aac", "-c:s", "subrip")
    run_ffmpeg("-i", head, "-i", voice, "-i", tmp_path / "a.srt", *maps, film)
    made = {}
    for name, settings in (
        ("all", {"length_mode": "picture"}),
        ("own", {"length_mode": "picture", "subtitles": "track"}),
        ("part", {"fps": 12.5}),
    ):
        options = SyncOptions.from_flat(variant="builtin", score=False, keep_tracks=True, **settings)
        made[name] = lipsync.sync(
            film, voice, options, output=tmp_path / f"{name}.mp4", cues=[Cue(0.0, 0.2, "Said")]
        )
    kinds = {name: read_metadata(result.path) for name, result in made.items()}
    assert {name: (len(about.audio_tracks), about.subtitles) for name, about in kinds.items()} == {
        "all": (2, 1), "own": (2, 1), "part": (0, 0),
    }  # fmt: skip
    assert made["all"].warnings == ()
    assert "own subtitles are not kept" in made["own"].warnings[0]
    assert "not show all of it" in made["part"].warnings[0]
    assert all(read_provenance(result.path).state == "whole" for result in made.values())


def test_an_image_sequence_has_the_run_s_frames_and_sound_and_says_what_it_drops(
    voice: Path, tmp_path: Path
) -> None:
    head, film = make_head(tmp_path / "head.mp4", parts=[0.4]), tmp_path / "film.mov"
    run_ffmpeg("-i", head, "-c", "copy", "-timecode", "01:00:00:00", "-metadata", "title=Take", film)
    options = SyncOptions.from_flat(
        variant="builtin", score=False, codec="png", subtitles="track", keep_tracks=True
    )
    planned = lipsync.plan(film, voice, options).warnings
    assert any("no subtitle track" in one for one in planned)
    assert any("time code and title" in one for one in planned)
    result = lipsync.sync(film, voice, options, output=tmp_path / "take.v1", cues=[Cue(0.0, 0.3, "Hello")])
    assert set(planned) <= set(result.warnings) and any("other tracks" in one for one in result.warnings)
    assert result.path == tmp_path / "take.v1" and result.subtitles == tmp_path / "take.v1.srt"
    assert (result.width, result.height, result.frames_synced) == (320, 240, 10)
    assert read_provenance(result.path).state == "whole"
    images = [np.asarray(Image.open(path)).astype(int) for path in frames_of(result.path)]
    for image, frame in zip(images, open_video(film).read_yuv(range(10)), strict=True):
        difference = np.abs(image - frame.to_rgb()).max(axis=2)
        assert difference[:60].max() <= 2 and difference.max() > 20
    assert probe_audio(result.path / "audio.wav").duration == pytest.approx(0.4)


def test_hdr_becomes_images_of_sixteen_bits(head: Path, voice: Path, tmp_path: Path) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="png")
    assert lipsync.plan(head, voice, options).warnings == ()
    result = lipsync.sync(head, voice, options, output=tmp_path / "out")
    assert result.warnings == ()
    [before] = open_video(head, MediaOptions(codec="png")).read_deep([9], "420")
    with av.open(str(frames_of(result.path)[9])) as container:
        values = next(container.decode(video=0)).to_ndarray(format="rgb48le")
        assert container.streams.video[0].codec_context.color_trc == 18  # ARIB STD-B67
    difference = np.abs(values.astype(int) - before.to_rgb()).max(axis=2)
    assert not difference[:40].any() and (difference > 1000).any()


@pytest.mark.parametrize("argument", [{"resume": True}, {"redraw": True}])
def test_a_sequence_is_made_as_a_whole(
    head: Path, voice: Path, tmp_path: Path, argument: dict[str, bool]
) -> None:
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="png")
    given: dict[str, Any] = dict(argument)
    if "redraw" in given:
        given = {"redraw": lipsync.Redraw(head, (TimeRange(0, 0.1),))}
    with pytest.raises(OptionError, match="cannot be resumed"):
        lipsync.sync(head, voice, options, output=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_the_layer_of_a_run_over_its_video_is_the_result(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, real = [], LayerResult.layer

    def recorded(self: LayerResult, shown: YuvFrame, levels: int) -> LayerFrame:
        results.append(shown.to_rgb())
        return real(self, shown, levels)

    monkeypatch.setattr(LayerResult, "layer", recorded)
    head = make_head(tmp_path / "head.mp4", parts=[0.4])
    options = SyncOptions.from_flat(variant="builtin", score=False, codec="png", layer="mouth")
    made = lipsync.sync(head, voice, options, output=tmp_path / "layer")
    assert made.warnings == () and read_provenance(made.path).settings["layer"] == "mouth"
    for number, (path, result) in enumerate(zip(frames_of(made.path), results, strict=True)):
        image = Image.open(path)
        assert image.mode == "RGBA"
        alpha = np.asarray(image)[..., 3]
        assert not alpha[:60].any() and (alpha == 255).sum() > 500
        assert len(np.unique(alpha)) > 20  # a soft edge
        [before] = open_video(head).read_yuv([number])
        composed = Image.fromarray(before.to_rgb()).convert("RGBA")
        composed.alpha_composite(image)
        difference = np.abs(np.asarray(composed)[..., :3].astype(int) - result)
        assert difference.max() <= 2 and np.abs(result.astype(int) - before.to_rgb()).max() > 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"codec": "h264"}, "H.264 holds no transparency"),
        ({"codec": "png", "upscaler": "realesrgan_x2"}, "not upscaled"),
    ],
)
def test_layers_that_cannot_be_are_refused_before_the_run(
    head: Path, voice: Path, tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    options = SyncOptions.from_flat(layer="mouth", **settings)
    for refused in (lambda: lipsync.plan(head, voice, options), lambda: lipsync.sync(head, voice, options)):
        with pytest.raises(OptionError, match=words):
            refused()
    with pytest.raises(OptionError, match="cannot be resumed"):
        lipsync.sync(
            head, voice, SyncOptions.from_flat(layer="mouth", codec="prores"), resume=True,
            output=tmp_path / "a.mov",
        )  # fmt: skip


def test_a_layer_that_fits_other_frames_than_the_video_s_says_so(head: Path, voice: Path) -> None:
    def warnings(**settings: object) -> str:
        return " ".join(
            lipsync.plan(
                head, voice, SyncOptions.from_flat(layer="mouth", codec="prores", **settings)
            ).warnings
        )

    assert "layer" not in warnings()
    assert "its frames are resized." in warnings(resize_factor=2)
    assert "cropped, at another frame rate." in warnings(crop=(0, 200, 0, 200), fps=50)
    assert "in another order" in warnings(static=True)
