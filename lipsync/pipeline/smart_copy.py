"""Smart copy of the source: frames without a drawn mouth are copied.

    segments -> frames that speak -> faces found around them -> frames that are drawn -> the rest is copied

What is known before faces are found is where segments speak. What is copied is decided once the faces are
there: where nobody is seen, nothing is drawn either. What is copied is neither decoded nor scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from lipsync.context import RunContext
from lipsync.errors import NoFaceError, OptionError
from lipsync.faces import DetectionCache, TrackedFaces
from lipsync.faces.detection_schedule import chunk_frames
from lipsync.media import FrameWriter, OutputSpec
from lipsync.media.video.smart_copy import (
    Copied,
    NotCopyableError,
    PictureGroups,
    read_groups,
    runs,
)
from lipsync.media.video.smart_copy_writer import ENCODERS, SmartCopy
from lipsync.options import FaceOptions, SyncOptions
from lipsync.pipeline.face_tracks import find_face_tracks
from lipsync.pipeline.job import Job, speaking_faces
from lipsync.pipeline.outputs import Output, Writer
from lipsync.pipeline.stages import RenderPlan
from lipsync.progress import CancelToken
from lipsync.speech import SpeechSpans, speech_weights
from lipsync.types import Bools, IntArray

ENCODED_AGAIN = "What is not changed is encoded again, too: {reason}."
FEW_KEY_FRAMES = "the video has few key frames, and something changes between them"
_CODECS = {"h264": "h264", "hevc": "h265"}
"""Codec of a result that sources can be joined to, by ffmpeg's name of theirs."""
_TITLES = {"h264": "H.264", "h265": "H.265"}
_LEAST_SECONDS = 1.0
"""Stretches shorter than this are not worth a joint."""
_WORTH_SECONDS = 10.0
"""What is encoded again although it does not change is worth a warning from this length on."""
_MARGIN_SECONDS = 6.0
"""Frames around those that are drawn in which faces are found, too: the confidence of a face is that of five
seconds to either side, its box is smoothed over some frames, and a short absence is bridged."""


@dataclass(frozen=True, eq=False)
class CopySource:
    """Source whose packets can be copied.

    Attributes:
        groups: of its track.
        shown: int64 (T,), the file's frame in each frame of the result.
    """

    groups: PictureGroups
    shown: IntArray

    def copyable(self, changed: Bools, least: int) -> list[Copied]:
        """Stretches that are copied if the frames of `changed`, bool (T,), are drawn."""
        unchanged = [part for one in runs(self.shown) for part in _without_changed(one, changed)]
        return [one for one in self.groups.copyable(unchanged) if len(one.frames) >= least]


def _without_changed(run: Copied, changed: Bools) -> list[Copied]:
    """The parts of a run in which nothing changes."""
    shift = run.source - run.frames.start
    return [
        Copied(part, part.start + shift)
        for part in stretches(~changed[run.frames.start : run.frames.stop], run.frames.start)
    ]


def stretches(true: Bools, first: int = 0) -> list[range]:
    """Ranges of consecutive frames that are True, counted from `first`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8))) + first
    return [range(*pair) for pair in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def spoken_frames(job: Job) -> Bools:
    """Frames in which segments may draw a mouth, bool (T,); all of them without segments."""
    frames, fps = len(job.timeline), job.video.fps
    spoken = np.full(frames, not job.segments)
    for face in speaking_faces(job.segments):
        own = [(one.start, one.end) for one in job.segments if one.segment.face == face]
        spans = SpeechSpans(np.array(own), float(frames / fps))
        spoken |= speech_weights(spans, fps, frames, lead=0.0) > 0
    return spoken


def drawn_frames(plan: RenderPlan) -> Bools:
    """Frames of the result in which a mouth is drawn, bool (T,)."""
    drawn = [speaker.track.present[plan.timeline] & (speaker.audio.weights > 0) for speaker in plan.speakers]
    return np.asarray(np.any(drawn, axis=0))


def open_source(
    job: Job, writer: Writer, options: SyncOptions, cancel: CancelToken | None = None
) -> tuple[CopySource | None, str]:
    """The source, if its packets can be copied into the result; else None and why not, for the user.

    Args:
        writer: of the result.
        cancel: polled while the source is read.
    """
    if options.media.smart_copy == "off" or job.video.is_still:
        return None, ""
    if isinstance(writer, SmartCopy):  # of an earlier result
        return None, ""
    if not isinstance(writer, FrameWriter):
        return None, "a run that can be resumed, or is shared by several workers, writes all of the result"
    if reason := _difference(job, writer.spec, options):
        return None, reason
    try:
        groups = read_groups(job.video.info.path, job.video.stream, cancel)
    except NotCopyableError as error:
        return None, _in_a_sentence(error)
    if reason := _codec_difference(groups, writer):
        return None, reason
    return CopySource(groups, job.video.file_frames()[job.timeline]), ""


def _in_a_sentence(error: NotCopyableError) -> str:
    return error.what[:1].lower() + error.what[1:]


def _difference(job: Job, spec: OutputSpec, options: SyncOptions) -> str:
    """What of the settings or the source makes frames of the result other than those of the file."""
    video = job.video
    if video.stream is None:
        return "the frames of the video have no times"
    if options.enhance.upscaler != "none" or video.is_transformed:
        return "frames of the result have another size or place than those of the video"
    if video.fps != video.info.fps:
        return "the result has another frame rate than the video"
    if options.report.ai_label != "none":
        return "all frames of the result have a label"
    if video.info.interlaced:
        return "the video is interlaced"
    if spec.is_sequence or spec.layer:
        return "the result is no video of the same kind"
    return ""


def _codec_difference(groups: PictureGroups, writer: FrameWriter) -> str:
    codec, spec = _CODECS[groups.sets.codec], writer.spec
    if spec.codec != codec:
        return f"the video is {_TITLES[codec]}, and the result is not (codec={codec} is)"
    if writer.encoder not in ENCODERS:
        return "the hardware encoder's pictures are not joined to others (encoder=software)"
    if groups.pixels != (spec.deep_format or "yuv420p") or groups.size != spec.encoded_size:
        return f"the video's pixels ({groups.pixels}) are not those of the result"
    return ""


def fallback_warnings(job: Job, reason: str, options: SyncOptions, encoded: int, copied: bool) -> list[str]:
    """A warning where much of the result is encoded again although it does not change.

    Args:
        reason: why; "" if all that can be is copied.
        encoded: frames that do not change and are encoded.
        copied: whether others are copied.
    """
    always = options.media.smart_copy == "on" and not copied
    worth = always or float(encoded / job.video.fps) >= max(_WORTH_SECONDS, job.seconds / 2)
    return [ENCODED_AGAIN.format(reason=reason)] if reason and encoded and worth else []


# --- faces -------------------------------------------------------------------------------------


def parts_to_search(job: Job, spoken: Bools, choices: Sequence[FaceOptions]) -> list[range]:
    """Video frames in which faces are found for the frames that speak, in order, with frames in between.

    Parts begin where a search of the whole makes a full pass, so that it finds the same.
    """
    step, count = chunk_frames(choices[0]), int(job.timeline.max()) + 1
    margin = math.ceil(_MARGIN_SECONDS * job.video.fps)
    wanted = np.zeros(count, np.bool_)
    spoken_video = np.zeros(count, np.bool_)
    spoken_video[job.timeline[spoken]] = True
    for part in stretches(spoken_video):
        # A person who is chosen at another time is followed from there on.
        chosen = [round(one.face_time * job.video.fps) for one in choices if one.which_face == "point"]
        first, last = min([part.start, *chosen]) - margin, max([part.stop, *chosen]) + margin
        wanted[max(0, first // step * step) : min(count, last)] = True
    return stretches(wanted)


def is_certain(tracked: Sequence[TrackedFaces]) -> bool:
    """Whether there is nothing to choose from: nobody else is in the parts that were searched.

    Who is seen in the same shot only more than `_MARGIN_SECONDS` away is not asked about: a search of the
    whole could choose that face for the shot, and would then draw nobody here.
    """
    for faces in tracked:
        shots = [one.shot for one in faces.identities]
        if len(set(shots)) != len(shots) or not all(one.selected for one in faces.identities):
            return False
    return True


class SmartCopying:
    """Choice of what of the source is searched for faces, drawn and copied.

    Attributes:
        searched: bool (N,), video frames in which faces were searched; None for all.
        warnings: sentences for the user.
    """

    def __init__(self, job: Job, out: Output, context: RunContext) -> None:
        self._job, self._out, self._context = job, out, context
        self._frames = int(job.timeline.max()) + 1  # of the video, up to the last one that is shown
        self._source: CopySource | None = None
        self._opened, self._reason = False, ""
        self.searched: Bools | None = None
        self.warnings: tuple[str, ...] = ()

    def find_faces(
        self, choices: Sequence[FaceOptions], check: Callable[[], None], cache: DetectionCache | None
    ) -> list[TrackedFaces]:
        """The track of each selected face, searched only around what is said where that is enough.

        Raises:
            LipsyncError: as `find_face_tracks`.
        """
        job, context = self._job, self._context
        numbers = np.arange(self._frames)
        if parts := self._parts(choices):
            with suppress(NoFaceError, OptionError):  # a search of the whole says what there is
                tracked = find_face_tracks(job.video, numbers, choices, check, cache, context, parts)
                if is_certain(tracked):
                    self.searched = np.zeros(self._frames, np.bool_)
                    for part in parts:
                        self.searched[part.start : part.stop] = True
                    return tracked
        return find_face_tracks(job.video, numbers, choices, check, cache, context)

    def _parts(self, choices: Sequence[FaceOptions]) -> list[range]:
        """Parts to search; none where that is the whole."""
        spoken = spoken_frames(self._job)
        if self._context.options.faces.box is not None or not self._copyable(spoken):
            return []
        parts = parts_to_search(self._job, spoken, choices)
        return parts if sum(map(len, parts)) < self._frames else []

    def decide(self, plan: RenderPlan) -> None:
        """Copy what is not drawn, where that is possible."""
        drawn = drawn_frames(plan)
        copied, reason = self._copyable(drawn), self._reason
        if copied and self._source is not None:
            reason = self._out.copy(self._source.groups, copied, self._context.cancel)
            copied = [] if reason else copied
        if self._source is not None:
            reason = reason or FEW_KEY_FRAMES
        encoded = int((~drawn).sum()) - sum(len(one.frames) for one in copied)
        options = self._context.options
        self.warnings = tuple(fallback_warnings(self._job, reason, options, encoded, bool(copied)))

    def _copyable(self, changed: Bools) -> list[Copied]:
        """What can be copied if these frames are drawn; the source is read if that may be something."""
        least = max(1, round(_LEAST_SECONDS * self._job.video.fps))
        if not any(len(one) >= least for one in stretches(~changed)):
            return []
        if not self._opened:
            self._opened = True
            self._source, self._reason = open_source(
                self._job, self._out.writer, self._context.options, self._context.cancel
            )
        return [] if self._source is None else self._source.copyable(changed, least)
