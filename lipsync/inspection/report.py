"""Inspection report of a media file.

It covers metadata, video, audio, faces, lip sync, transcript and advice.

    path -> inspect_media -> MediaReport -> text, HTML (`render`) or JSON (`as_dict`)

The parts are independent: if a part lacks a package, weights or a stream, `missing` gives the reason, and
the others are still made.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lipsync.errors import Cancelled, LipsyncError, MediaError, NoAudioError, NoVideoError
from lipsync.inspection.advice import Advice, give_advice
from lipsync.inspection.audio import AudioReport, analyse_audio
from lipsync.inspection.faces import FaceAnalysis, FaceReport, analyse_faces
from lipsync.inspection.options import InspectOptions as InspectOptions
from lipsync.media import AudioReader, VideoReader, open_audio, open_video
from lipsync.media.metadata import FileMetadata, read_metadata
from lipsync.media.provenance import ProvenanceReport, read_provenance
from lipsync.options import FaceOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech import Transcript, identify_language, transcribe
from lipsync.sync_score.meter import SyncMeter, with_default_pads
from lipsync.types import AudioClip, FaceTrack, SyncScore, VideoInfo
from lipsync.weights import require

PartT = TypeVar("PartT")
_MIN_LETTERS = 40
"""The language of shorter texts is not identified reliably."""


@dataclass(frozen=True)
class Language:
    """Spoken language.

    Attributes:
        code: ISO 639, such as "en".
        probability: from the speech recognition model; None if it did not detect the language.
        by_text: code and probability by the letters of the transcript; None for a short text.
    """

    code: str
    probability: float | None
    by_text: tuple[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "code": self.code,
            "probability": None if self.probability is None else round(self.probability, 4),
            "by_text": None if self.by_text is None else [self.by_text[0], round(self.by_text[1], 4)],
        }


@dataclass(frozen=True)
class MediaReport:
    """Report of one file; missing or deselected parts are None.

    Attributes:
        path: the file.
        file: container, codecs, size.
        video: size, frame rate, length, colours.
        audio: length, loudness, silence, speech.
        faces: faces over time, people, cuts.
        sync: score of the lips against the file's own audio.
        transcript: the speech, with times.
        language: the spoken language.
        advice: for syncing the file, warnings first.
        missing: parts that could not be made, with the reason.
        provenance: whether it is marked as AI-made, by whom it is signed, and if it is whole.
    """

    path: Path
    file: FileMetadata
    video: VideoInfo | None = None
    audio: AudioReport | None = None
    faces: FaceReport | None = None
    sync: SyncScore | None = None
    transcript: Transcript | None = None
    language: Language | None = None
    advice: tuple[Advice, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    provenance: ProvenanceReport | None = None

    @property
    def duration(self) -> float:
        """Length in seconds: of the video, or of the audio without moving video."""
        if self.video and not self.video.is_still:
            return self.video.duration
        return self.audio.info.duration if self.audio else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON form, without thumbnails."""
        return {
            "path": str(self.path),
            "file": vars(self.file),
            "picture": _video_as_dict(self.video) if self.video else None,
            "sound": self.audio.as_dict() if self.audio else None,
            "faces": self.faces.as_dict() if self.faces else None,
            "sync": self.sync.as_dict() if self.sync else None,
            "transcript": _transcript_as_dict(self.transcript) if self.transcript else None,
            "language": self.language.as_dict() if self.language else None,
            "expectations": [{"text": advice.text, "warns": advice.is_warning} for advice in self.advice],
            "missing": dict(self.missing),
            "provenance": self.provenance.as_dict() if self.provenance else None,
        }


def _video_as_dict(info: VideoInfo) -> dict[str, Any]:
    values = {name: value for name, value in vars(info).items() if name != "path"}
    fractions = {name: str(values[name]) for name in ("fps", "sample_aspect_ratio")}
    return values | fractions | {"duration": round(info.duration, 3)}


def _transcript_as_dict(transcript: Transcript) -> dict[str, Any]:
    return {
        "model": transcript.model,
        "text": transcript.text,
        "segments": [
            {
                "start": round(segment.start, 3),
                "end": round(segment.end, 3),
                "text": segment.text,
                "words": [
                    [round(word.start, 3), round(word.end, 3), word.text, round(word.probability, 3)]
                    for word in segment.words
                ],
            }
            for segment in transcript.segments
        ],
    }


def inspect_media(
    path: Path | str,
    options: InspectOptions | None = None,
    *,
    run: SyncOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> MediaReport:
    """Inspect a video, photo or audio file.

    Frames are streamed; the audio at 16 kHz and a few numbers per frame are kept.

    Args:
        options: which parts to make.
        run: settings of the run that the file is inspected for: face detection and selection, speech
            recognition, and the device of the face detector.

    Raises:
        MediaError: the file is missing, broken, or has neither video nor audio.
        Cancelled: the token was cancelled.
    """
    path, options, cancel = Path(path), options or InspectOptions(), cancel or CancelToken()
    run = run or SyncOptions()
    device = run.generator.device
    missing: dict[str, str] = {}

    def attempt(part: str, make: Callable[[], PartT]) -> PartT | None:
        """Result of `make`; None on an error, which is noted in `missing`."""
        try:
            return make()
        except Cancelled:
            raise
        except LipsyncError as error:
            missing[part] = str(error)
            return None

    # 1. Metadata
    metadata = read_metadata(path)
    video, reader = _open(path)

    # 2. Audio
    clip = attempt("sound", lambda: reader.read(cancel=cancel)) if reader else None
    audio = None
    if reader and clip:
        audio, lacking = analyse_audio(reader, clip, progress, cancel)
        if lacking:
            missing["sound"] = lacking

    # 3. Faces
    analysis: FaceAnalysis | None = None
    if video and options.faces:
        analysis = attempt("faces", lambda: analyse_faces(video, run.faces, device, progress, cancel))

    # 4. Lip sync
    score = None
    if options.sync and video and not video.is_still and clip and analysis and analysis.track:
        track = analysis.track
        score = attempt("sync", lambda: measure_sync(video, clip, track, run.faces, progress, cancel))

    # 5. Transcript
    transcript = language = None
    if options.transcript and clip and not AudioReader.is_silent(clip):
        transcript = attempt("transcript", lambda: transcribe(clip, run.transcript, progress, cancel))
        language = attempt("language", lambda: _language(transcript)) if transcript else None

    report = MediaReport(
        path=path,
        file=metadata,
        video=video.info if video else None,
        audio=audio,
        faces=analysis.report if analysis else None,
        sync=score,
        transcript=transcript,
        language=language,
        missing=missing,
        provenance=read_provenance(path),
    )
    return _with_advice(report, clip)


def _open(path: Path) -> tuple[VideoReader | None, AudioReader | None]:
    """Readers of the video and the audio, where there are any.

    Raises:
        MediaError: there is neither.
    """
    video = audio = None
    with suppress(NoVideoError):
        video = open_video(path)
    try:
        audio = open_audio(path)
    except NoAudioError as error:
        if video is None:
            raise MediaError("The file has neither video nor audio", given=path) from error
    return video, audio


def measure_sync(
    video: VideoReader,
    audio: AudioClip,
    track: FaceTrack,
    options: FaceOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> SyncScore:
    """Sync score of the tracked face against an audio clip, by the shipped expert.

    Args:
        audio: 16 kHz; both begin at time 0.
        track: from `track_faces` over all frames of `video` with `options`.

    Raises:
        WeightsError: the expert's weights are missing.
        MediaError: the video cannot be read.
        Cancelled: the token was cancelled.
    """
    from lipsync.sync_score.loading import load_expert  # and torch with it

    cancel = cancel or CancelToken()
    meter = SyncMeter(load_expert(require("expert")), audio, video.fps)
    boxes = with_default_pads(track.boxes, (video.width, video.height), options, track.points)
    numbers = np.flatnonzero(track.present)
    stage = StageProgress("Measuring lip sync", len(numbers), progress, cancel)
    with closing(video.read_yuv(numbers, cancel=cancel)) as frames:
        for number, frame in zip(numbers.tolist(), frames, strict=True):
            meter.update(number / float(video.fps), frame, boxes[number], track.points[number])
            stage.advance()
    return meter.result()


def _language(transcript: Transcript) -> Language | None:
    if not transcript.language:
        return None
    text = transcript.text
    by_text = identify_language(text) if sum(map(str.isalpha, text)) >= _MIN_LETTERS else None
    return Language(transcript.language, transcript.language_probability, by_text)


def _with_advice(report: MediaReport, clip: AudioClip | None) -> MediaReport:
    silent = clip is not None and AudioReader.is_silent(clip)
    advice = give_advice(
        report.video, report.audio, report.faces, report.sync, comment=report.file.comment, silent=silent
    )
    return replace(report, advice=advice)
