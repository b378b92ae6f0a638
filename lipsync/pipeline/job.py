"""Job: the inputs of a run, opened and checked without decoding, and its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipsync.media import AudioReader, VideoReader, open_audio, open_video, plan_timeline
from lipsync.media.audio.mix import mix_segments
from lipsync.options import FaceOptions, SyncOptions
from lipsync.segments import FaceChoice, PlacedSegment, Segment, place_segments
from lipsync.types import IntArray, Plan


@dataclass(frozen=True, eq=False)
class Job:
    """Inputs of one run, opened and checked.

    Attributes:
        video: the video or photo.
        voices: the voice, and further ones that segments name.
        segments: who says what, with all times known; empty where one person says all of one voice.
        audio: what is heard in the result.
        timeline: int64 (T,), the video frame shown in every frame of the result.
    """

    video: VideoReader
    voices: list[AudioReader]
    segments: tuple[PlacedSegment, ...]
    audio: AudioReader
    timeline: IntArray

    def face_options(self, options: SyncOptions) -> list[FaceOptions]:
        """How the face of each speaker is selected."""
        if not self.segments:
            return [options.faces]
        speaking = {one.segment.face: one.segment for one in self.segments}
        return [speaking[face].face_options(options.faces) for face in speaking_faces(self.segments)]


def speaking_faces(segments: Sequence[PlacedSegment]) -> tuple[FaceChoice, ...]:
    """The faces that the segments name, each once, in the order of their first words."""
    return tuple(dict.fromkeys(one.segment.face for one in segments))


def open_job(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
) -> Job:
    """Open and check what is given to `sync`, without decoding.

    Raises:
        LipsyncError: as `sync` for what is wrong with the files, the ranges, the segments and settings.
    """
    media = options.media
    reader = open_video(Path(video), media)
    voices = [open_audio(Path(voice), media.voice_ranges, media.voice_shift / 1000)]
    voices += [open_audio(Path(other)) for other in more_voices]
    if not segments:
        timeline = plan_timeline(reader.frame_count, voices[0].duration, reader.fps, media.length_mode)
        return Job(reader, voices, (), voices[0], timeline)
    shown = None if reader.is_still else float(reader.frame_count / reader.fps)
    placed = place_segments(segments, shown, [one.duration for one in voices])
    seconds = shown or max(one.end for one in placed)
    timeline = plan_timeline(reader.frame_count, seconds, reader.fps, "picture")
    return Job(reader, voices, placed, mix_segments(placed, voices, seconds, reader), timeline)


def plan(
    video: str | Path,
    voice: str | Path,
    options: SyncOptions | None = None,
    *,
    segments: Sequence[Segment] = (),
    more_voices: Sequence[str | Path] = (),
) -> Plan:
    """What `sync` would make of these, from their headers: takes no network and no decoding.

    Raises:
        LipsyncError: as `sync` for what is wrong with the files, the ranges and the settings.
    """
    options = options or SyncOptions()
    job = open_job(video, voice, options, segments, more_voices)
    reader = job.video
    scale = 2 if options.enhance.upscaler != "none" else 1
    return Plan(
        frames=len(job.timeline),
        fps=reader.fps,
        width=reader.width * scale,
        height=reader.height * scale,
        picture_seconds=0.0 if reader.is_still else float(reader.frame_count / reader.fps),
        voice_seconds=job.voices[0].duration,
    )


def free_name(video: Path) -> Path:
    """A name for the result: `clip_synced.mp4` beside `clip.*`, numbered where that is taken."""
    candidate = video.with_name(f"{video.stem}_synced.mp4")
    number = 2
    while candidate.exists():
        candidate = video.with_name(f"{video.stem}_synced_{number}.mp4")
        number += 1
    return candidate


def length_warnings(job: Job, options: SyncOptions) -> list[str]:
    """What the length mode did, where voice and video differ by more than a frame."""
    video = job.video
    shown, heard = video.frame_count / video.fps, job.voices[0].duration
    length = len(job.timeline) / video.fps
    if job.segments or video.is_still or abs(shown - heard) * video.fps <= 1:
        return []
    return [
        f"The picture is {float(shown):.2f} s and the voice {heard:.2f} s; "
        f"the result is {float(length):.2f} s (length mode '{options.media.length_mode}')."
    ]
