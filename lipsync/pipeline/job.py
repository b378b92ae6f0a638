"""Job: the inputs of a run, opened and checked without decoding, and its plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lipsync.errors import InputError, NoAudioError, OptionError, ToolError
from lipsync.media import AudioReader, VideoReader, open_audio, open_video, plan_timeline
from lipsync.media.audio import channels
from lipsync.media.audio.mix import mix_segments
from lipsync.media.clock import DEFAULT_TRACK
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.options import FaceOptions, SyncOptions
from lipsync.pipeline.arguments import JobArguments
from lipsync.pipeline.output_limits import check_layer
from lipsync.segments import FaceChoice, PlacedSegment, Segment, place_segments
from lipsync.types import IntArray
from lipsync.utils.file_names import fitting_name

SPEAKING = "speaking"
"""Choice of the face by who speaks in the source; `lipsync.pipeline.active_speakers` finds the segments."""

KEEP = "keep"
"""Choice of the background; `lipsync.pipeline.background` mixes it."""


@dataclass(frozen=True, eq=False)
class Job:
    """Inputs of one run, opened and checked.

    Attributes:
        video: the video or photo.
        voices: the voice, and the further voices that segments name by index.
        segments: with times resolved; empty if one person speaks the whole voice.
        audio: the audio track of the result.
        timeline: int64 (T,), the video frame shown in each frame of the result.
        part: frames of the whole result that the timeline has, for a preview; None for all of them.
    """

    video: VideoReader
    voices: list[AudioReader]
    segments: tuple[PlacedSegment, ...]
    audio: AudioReader
    timeline: IntArray
    part: range | None = None

    @property
    def first(self) -> int:
        """Number of the timeline's first frame in the whole result."""
        return self.part.start if self.part else 0

    def around(self, number: int, seconds: float) -> Job:
        """The job reduced to what a preview of frame `number` needs: `seconds` before and after it.

        Times of its segments are those of the part; without one there, the nearest remains.
        """
        reach, count = round(seconds * self.video.fps), len(self.timeline)
        part = range(max(0, number - reach), min(count, number + reach + 1))
        near = _segments_within(
            self.segments, float(part.start / self.video.fps), float(part.stop / self.video.fps)
        )
        return replace(self, timeline=self.timeline[part.start : part.stop], part=part, segments=near)

    @property
    def seconds(self) -> float:
        """Length of the result."""
        return float(len(self.timeline) / self.video.fps)

    def face_options(self, options: SyncOptions) -> list[FaceOptions]:
        """Face selection of each speaker."""
        if not self.segments:
            return [options.faces]
        speaking = {one.segment.face: one.segment for one in self.segments}
        return [speaking[face].face_options(options.faces) for face in speaking_faces(self.segments)]


def _segments_within(
    segments: Sequence[PlacedSegment], start: float, end: float
) -> tuple[PlacedSegment, ...]:
    """The segments from `start` to `end`, cut there and with times from `start` on.

    Without one there, an empty one of the nearest, so that the job remains one with segments.
    """
    cut = [(max(one.start, start), min(one.end, end), one) for one in segments]
    near = [(first, last, one) for first, last, one in cut if first < last]
    if cut and not near:
        _, _, one = min(cut, key=lambda each: each[0] - each[1])
        at = min(max(one.start, start), end)
        near = [(at, at, one)]
    return tuple(
        replace(
            one,
            start=first - start,
            end=last - start,
            voice_start=one.voice_start + max(0.0, first - one.start),
        )
        for first, last, one in near
    )


def speaking_faces(segments: Sequence[PlacedSegment]) -> tuple[FaceChoice, ...]:
    """The distinct faces of the segments, in the order of their first segments."""
    return tuple(dict.fromkeys(one.segment.face for one in segments))


def open_job(given: JobArguments) -> Job:
    """Open and check the inputs of `sync`, without decoding.

    Raises:
        LipsyncError: as `sync`, if files, time ranges, segments or settings are invalid, or a package that
            they need is missing.
    """
    job = _opened(given)
    check_layer(job.video, given.options)
    _check_separation(job, given)
    return job


def _opened(given: JobArguments) -> Job:
    media = given.options.media
    reader = open_video(given.video, media)
    shift, own = media.voice_shift / 1000, _shown_with(given)
    voices = [open_audio(given.voice, media.voice_ranges, shift, media.audio_track, own(given.voice))]
    voices += [open_audio(other, video_track=own(other)) for other in given.more_voices]
    if given.options.faces.which_face == SPEAKING:  # the segments are found later, from the frames
        _check_speaking(reader, given.video, given.segments)
        timeline = plan_timeline(reader.frame_count, voices[0].duration, reader.fps, "picture")
        return Job(reader, voices, (), voices[0], timeline)
    if not given.segments:
        timeline = plan_timeline(reader.frame_count, voices[0].duration, reader.fps, media.length_mode)
        return Job(reader, voices, (), voices[0], timeline)
    video_seconds = None if reader.is_still else float(reader.frame_count / reader.fps)
    placed = place_segments(given.segments, video_seconds, [one.duration for one in voices])
    seconds = video_seconds or max(one.end for one in placed)
    timeline = plan_timeline(reader.frame_count, seconds, reader.fps, "picture")
    return Job(reader, voices, placed, mix_segments(placed, voices, seconds, reader), timeline)


def _check_speaking(video: VideoReader, path: Path, segments: Sequence[Segment]) -> None:
    """Check that it can be found who speaks in the source.

    Raises:
        InputError: it is a photo, or segments say it already.
        NoAudioError: it has no sound.
    """
    other = "Choose the face in another way ('which_face')."
    if segments:
        hint = "Leave the segments out, or choose the face in another way ('which_face')."
        raise OptionError("Segments say who speaks already", given="which_face=speaking", hint=hint)
    if video.is_still:
        raise InputError("In a photo nobody speaks", given=path, hint=other)
    if not video.info.has_audio:
        what = "The video has no sound by which to find who speaks"
        raise NoAudioError(what, given=path, hint="Give the video with its own sound. " + other)


def _check_separation(job: Job, given: JobArguments) -> None:
    """Check that voices can be separated where the settings ask for it, and that there is a background.

    Raises:
        ToolError: a package is missing.
        InputError, NoAudioError: the source has no sound, or its sound does not go with the pictures.
    """
    options, video = given.options.speech, job.video
    if options.background == KEEP:
        hint = "Set 'background' to none."
        if video.is_still:
            raise InputError("A photo has no sound to keep", given=given.video, hint=hint)
        if not video.info.has_audio:
            raise NoAudioError("The video has no sound to keep", given=given.video, hint=hint)
        shown = job.timeline[: video.frame_count]
        if not np.array_equal(shown, np.arange(len(shown))):
            what = "The video is slowed down or sped up, and its own sound is not"
            hint = "Choose another 'length_mode', or set 'background' to none."
            raise OptionError(what, given=f"length_mode={given.options.media.length_mode}", hint=hint)
        if find_spec("pyloudnorm") is None:
            hint = "Install it with: pip install pyloudnorm, or set 'background' to none."
            raise ToolError("Matching the loudness needs the package pyloudnorm", hint=hint)
    if options.background == KEEP or options.separate_voice:
        from lipsync.speech.separation import require_separation  # imported here: it takes torch and demucs

        require_separation()


def _shown_with(given: JobArguments) -> Callable[[Path], int]:
    """The video track whose frames a voice goes with: that of the job, where it is the same file."""
    track = given.options.media.video_track

    def track_of(voice: Path) -> int:
        return track if track != DEFAULT_TRACK and voice.samefile(given.video) else DEFAULT_TRACK

    return track_of


def free_name(video: Path, codec: str = "h264", taken: Collection[Path] = ()) -> Path:
    """Default path of the result: `clip_synced.mp4` next to `clip.*`, numbered if that exists.

    Args:
        codec: its usual container gives the suffix.
        taken: paths that are not free although nothing is there yet.
    """
    suffix = VIDEO_CODECS[codec].suffixes[0]
    candidate = video.with_name(fitting_name("", video.stem, f"_synced{suffix}"))
    number = 2
    while candidate in taken or candidate.exists():
        candidate = video.with_name(fitting_name("", video.stem, f"_synced_{number}{suffix}"))
        number += 1
    return candidate


def channel_warnings(job: Job) -> list[str]:
    """A warning for each recording whose channels the result cannot hold as they are."""
    return [
        f"The result's codec does not hold the {one.info.channels} channels of {one.info.path.name} as they "
        f"are: they are mixed into {channels.kept_channels(one.layout)}, as loud as before."
        for one in job.audio.mixed_down
    ]


def length_warnings(job: Job, options: SyncOptions) -> list[str]:
    """A warning if voice and video differ in length by more than a frame."""
    video = job.video
    video_seconds, voice_seconds = video.frame_count / video.fps, job.voices[0].duration
    length = len(job.timeline) / video.fps
    if job.segments or video.is_still or abs(video_seconds - voice_seconds) * video.fps <= 1:
        return []
    return [
        f"The picture is {float(video_seconds):.2f} s and the voice {voice_seconds:.2f} s; "
        f"the result is {float(length):.2f} s (length mode '{options.media.length_mode}')."
    ]
