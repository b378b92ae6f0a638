"""What is in a file, before anything is made of it: picture, sound, faces, words, and what to expect.

    path -> inspect_media -> MediaReport -> words, JSON, or a page (`report_media`)

Parts are independent: one that lacks a package, a network or a stream says so in `missing`, and the
rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lipsync.errors import Cancelled, LipsyncError, MediaError, NoAudioError, NoVideoError
from lipsync.inspection.advice import Expectation, what_to_expect
from lipsync.inspection.audio import SoundReport, listen
from lipsync.inspection.faces import FacesReport, Looked, look
from lipsync.media import AudioReader, VideoReader, open_audio, open_video
from lipsync.media.metadata import FileMetadata, read_metadata
from lipsync.options import FaceOptions, OptionGroup, TranscriptOptions, option
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech import Transcript, identify_language, transcribe
from lipsync.sync_score import load_expert
from lipsync.sync_score.meter import SyncMeter, with_default_pads
from lipsync.types import AudioClip, FaceTrack, SyncScore, VideoInfo
from lipsync.weights import require

Part = TypeVar("Part")
_ENOUGH_LETTERS = 40
"""Shorter texts say little about their language."""


@dataclass(frozen=True)
class InspectOptions(OptionGroup):
    """What is looked at; each part takes its time."""

    faces: bool = option(True, "look for faces and cuts")
    sync: bool = option(True, "judge how well the lips go with the file's own sound")
    transcript: bool = option(True, "write down what is said")


@dataclass(frozen=True)
class Language:
    """The language that is spoken.

    Attributes:
        code: ISO 639, such as "en".
        probability: how sure the network that listened is; None where it did not have to tell.
        by_text: code and probability by the letters of the transcript; None for a short text.
    """

    code: str
    probability: float | None
    by_text: tuple[str, float] | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "probability": None if self.probability is None else round(self.probability, 4),
            "by_text": None if self.by_text is None else [self.by_text[0], round(self.by_text[1], 4)],
        }


@dataclass(frozen=True)
class MediaReport:
    """What was found in one file. What a file does not have, or what was not looked at, is None.

    Attributes:
        path: the file.
        file: container, codecs, size.
        picture: size, frame rate, length, colours.
        sound: length, loudness, silence, speech.
        faces: who is seen when, and cuts.
        sync: how well the lips go with the file's own sound.
        transcript: what is said, with times.
        language: in which language.
        expectations: what a sync of it will be like, in words.
        missing: parts that could not be made, with the reason.
    """

    path: Path
    file: FileMetadata
    picture: VideoInfo | None = None
    sound: SoundReport | None = None
    faces: FacesReport | None = None
    sync: SyncScore | None = None
    transcript: Transcript | None = None
    language: Language | None = None
    expectations: tuple[Expectation, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Seconds; of the picture, or of the sound where there is no moving picture."""
        if self.picture and not self.picture.is_still:
            return self.picture.duration
        return self.sound.info.duration if self.sound else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without pictures."""
        return {
            "path": str(self.path),
            "file": vars(self.file),
            "picture": _picture_as_dict(self.picture) if self.picture else None,
            "sound": self.sound.as_dict() if self.sound else None,
            "faces": self.faces.as_dict() if self.faces else None,
            "sync": self.sync.as_dict() if self.sync else None,
            "transcript": _transcript_as_dict(self.transcript) if self.transcript else None,
            "language": self.language.as_dict() if self.language else None,
            "expectations": [{"text": one.text, "warns": one.warns} for one in self.expectations],
            "missing": dict(self.missing),
        }


def _picture_as_dict(info: VideoInfo) -> dict[str, Any]:
    plain = {name: value for name, value in vars(info).items() if name != "path"}
    fractions = {name: str(plain[name]) for name in ("fps", "sample_aspect_ratio")}
    return plain | fractions | {"duration": round(info.duration, 3)}


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
    faces: FaceOptions | None = None,
    transcript: TranscriptOptions | None = None,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> MediaReport:
    """Look through a video, a photo or a sound.

    Frames stream past; what stays is the sound at 16 kHz and a few numbers a frame.

    Args:
        faces: how faces are looked for.
        transcript: how what is said is written down.
        device: where networks run.

    Raises:
        MediaError: the file is missing, broken, or neither picture nor sound.
        Cancelled: the user stopped it.
    """
    path, options, cancel = Path(path), options or InspectOptions(), cancel or CancelToken()
    faces = faces or FaceOptions()
    missing: dict[str, str] = {}

    def attempt(part: str, make: Callable[[], Part]) -> Part | None:
        """What `make` gives, or None and the reason in `missing`."""
        try:
            return make()
        except Cancelled:
            raise
        except LipsyncError as error:
            missing[part] = str(error)
            return None

    # 1. What the file says of itself.
    details = read_metadata(path)
    picture, voice = _open(path)

    # 2. The sound.
    clip = attempt("sound", lambda: voice.read(cancel=cancel)) if voice else None
    sound = None
    if voice and clip:
        heard, lacking = listen(voice, clip, progress, cancel)
        sound = heard
        if lacking:
            missing["sound"] = lacking

    # 3. The picture.
    looked: Looked | None = None
    if picture and options.faces:
        looked = attempt("faces", lambda: look(picture, faces, device, progress, cancel))

    # 4. Both together.
    score = None
    if options.sync and picture and not picture.is_still and clip and looked and looked.track:
        track = looked.track
        score = attempt("sync", lambda: own_sync(picture, clip, track, faces, progress, cancel))

    # 5. The words.
    words = language = None
    if options.transcript and clip and not AudioReader.is_silent(clip):
        words = attempt("transcript", lambda: transcribe(clip, transcript, progress, cancel))
        language = attempt("language", lambda: _language(words)) if words else None

    report = MediaReport(
        path=path,
        file=details,
        picture=picture.info if picture else None,
        sound=sound,
        faces=looked.report if looked else None,
        sync=score,
        transcript=words,
        language=language,
        missing=missing,
    )
    return _with_expectations(report, clip)


def _open(path: Path) -> tuple[VideoReader | None, AudioReader | None]:
    """What there is of picture and sound.

    Raises:
        MediaError: neither.
    """
    picture = voice = None
    with suppress(NoVideoError):
        picture = open_video(path)
    try:
        voice = open_audio(path)
    except NoAudioError as error:
        if picture is None:
            raise MediaError("The file has neither picture nor sound", given=path) from error
    return picture, voice


def own_sync(
    picture: VideoReader,
    voice: AudioClip,
    track: FaceTrack,
    options: FaceOptions,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> SyncScore:
    """How well the followed face goes with a voice, by the expert that ships.

    Args:
        voice: at 16 kHz; its time 0 is the picture's.
        track: from `track_faces` over all frames of `picture` with `options`.

    Raises:
        WeightsError: the expert is absent.
        Cancelled: the user stopped it.
    """
    cancel = cancel or CancelToken()
    meter = SyncMeter(load_expert(require("expert")), voice, picture.fps)
    boxes = with_default_pads(track.boxes, (picture.width, picture.height), options)
    numbers = np.flatnonzero(track.present)
    stage = StageProgress("Measuring lip sync", len(numbers), progress, cancel)
    with closing(picture.read_yuv(numbers, cancel=cancel)) as frames:
        for number, frame in zip(numbers.tolist(), frames, strict=True):
            meter.update(number / float(picture.fps), frame, boxes[number])
            stage.advance()
    return meter.result()


def _language(transcript: Transcript) -> Language | None:
    if not transcript.language:
        return None
    text = transcript.text
    by_text = identify_language(text) if sum(map(str.isalpha, text)) >= _ENOUGH_LETTERS else None
    return Language(transcript.language, transcript.language_probability, by_text)


def _with_expectations(report: MediaReport, clip: AudioClip | None) -> MediaReport:
    silent = clip is not None and AudioReader.is_silent(clip)
    found = what_to_expect(
        report.picture, report.sound, report.faces, report.sync, comment=report.file.comment, silent=silent
    )
    return replace(report, expectations=found)
