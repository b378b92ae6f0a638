"""Look and movement of a result's lips, beside the source and with the voice."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np

from lipsync.blending import make_mask
from lipsync.errors import InputError
from lipsync.faces import UprightView, pixel_box
from lipsync.inspection.faces import track_video_faces
from lipsync.media import VideoReader
from lipsync.metrics.bilabials import bilabial_spans
from lipsync.metrics.closure_rate import real_closures
from lipsync.metrics.lip_base import LipObservation
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.metrics.voice_frames import frame_levels, pause_frames
from lipsync.options import BlendOptions, FaceOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.speech import Transcript
from lipsync.sync_score.meter import with_default_pads
from lipsync.types import AudioClip, FaceTrack, Frame, IntArray


@dataclass(frozen=True, eq=False)
class LipMaterial:
    """A result, and what its lips are compared with.

    Attributes:
        result: the video.
        source: the video that it was made from; None without one.
        matches: (T,) the source frame behind each frame of the result, from `match_frames`; without a
            source the frames of the result.
        faces: settings by which the face is found in the source, or in the result without one.
        blend: how the mouths were blended in, for the seam.
        own_voice: the voice is the source's own.
    """

    result: VideoReader
    source: VideoReader | None
    matches: IntArray
    faces: FaceOptions
    blend: BlendOptions
    own_voice: bool


def observe_lips(
    material: LipMaterial,
    audio: AudioClip,
    locator: LipLocator,
    transcript: Transcript | None = None,
    *,
    device: str = "auto",
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> LipObservation:
    """Observe the lips in all frames of the result, which are read once.

    Args:
        audio: what is heard in the result, 16 kHz.
        transcript: of that, with word times; without it closures are known for own voices only.
        device: that the face detector runs on.

    Raises:
        InputError: result and source differ in size.
        NoFaceError: no face was found.
        ToolError: the package silero-vad, which finds the pauses, is missing.
        MediaError: a file cannot be read.
        Cancelled: the token was cancelled.
    """
    meter, result, source = LipMeter(locator), material.result, material.source
    if source is not None and (result.width, result.height) != (source.width, source.height):
        sizes = f"{result.width}x{result.height} and {source.width}x{source.height}"
        raise InputError("Lips in frames of different sizes cannot be compared", given=sizes)
    cancel = cancel or CancelToken()
    fps, count = float(result.fps), len(material.matches)
    track = _face_track(material, device, progress, cancel)
    stage = StageProgress("Measuring lips", count, progress, cancel)
    pauses = pause_frames(audio, fps, count)
    with ExitStack() as files:
        drawn = files.enter_context(closing(result.read(np.arange(count), cancel=cancel)))
        real = (
            files.enter_context(closing(source.read(material.matches, cancel=cancel)))
            if source is not None
            else (None,) * count
        )
        for number, frame, behind in zip(material.matches.tolist(), drawn, real, strict=True):
            _observe_frame(meter, (frame, behind), number, track, material.blend)
            stage.advance()
    level = frame_levels(audio, fps, count)
    closures = bilabial_spans(transcript, fps, count) if transcript is not None else None
    if material.own_voice and source is not None:
        closures = real_closures(meter.source_opening, pauses)
    return meter.observation(level, pauses, closures, own_voice=material.own_voice)


def _face_track(
    material: LipMaterial, device: str, progress: ProgressCallback, cancel: CancelToken
) -> FaceTrack:
    """The face of the source, or of the result without one, in boxes with the default pads."""
    video = material.source if material.source is not None else material.result
    track = track_video_faces(video, material.faces, device, progress, cancel).track
    size = (video.width, video.height)
    return replace(track, boxes=with_default_pads(track.boxes, size, material.faces, track.points))


def _observe_frame(
    meter: LipMeter, frames: tuple[Frame, Frame | None], number: int, track: FaceTrack, blend: BlendOptions
) -> None:
    drawn, real = frames
    if number >= len(track) or not track.present[number]:
        meter.update(drawn, real)
        return
    size, points = (drawn.shape[1], drawn.shape[0]), track.points[number]
    view = UprightView.of(track.boxes[number], points, size)
    box = pixel_box(track.boxes[number], *size) if view is None else view.box
    if view is not None:
        drawn, points = view.read(drawn, (0, 0)), view.points(points)
        real = None if real is None else view.read(real, (0, 0))
    mask = None if real is None else make_mask(real, box, points, blend)
    meter.update(drawn, real, box, mask)
