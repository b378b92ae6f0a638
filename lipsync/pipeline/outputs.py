"""Outputs of a run: writer, resume, subtitles, frame counts, warnings."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lipsync.context import RunContext
from lipsync.enhancers import Upscaler
from lipsync.errors import DownloadError, MediaError, OptionError, RangeError, ToolError, WeightsError
from lipsync.faces import UnusedReason
from lipsync.media import FrameWriter, OutputSpec, ResumableWriter, YuvFrame
from lipsync.media.output_formats import VIDEO_CODECS, check_codec, output_format
from lipsync.media.provenance import Edit, Marked, Marks, mark_and_move, sidecar_path
from lipsync.media.subtitle_formats import Cue, format_srt
from lipsync.media.subtitles import add_subtitles
from lipsync.media.video.deep import DeepResult
from lipsync.media.video.mouth_layer import LayerResult, alpha_levels
from lipsync.media.video.smart_copy import Copied, NotCopyableError, PictureGroups
from lipsync.media.video.smart_copy_writer import SmartCopy, SmartCopyWriter
from lipsync.media.video.visible_label import VisibleLabel
from lipsync.media.video.writer import check_target_free
from lipsync.options import SyncOptions
from lipsync.pipeline.arguments import Redraw, SyncArguments
from lipsync.pipeline.blend_stage import BlendState
from lipsync.pipeline.job import Job
from lipsync.pipeline.output_limits import keeps_depth, kept_tags, kept_tracks
from lipsync.pipeline.preparation import choose_weights
from lipsync.pipeline.provenance import Signing, describe_run
from lipsync.pipeline.shared_parts import PartFile
from lipsync.pipeline.stages import RenderPlan
from lipsync.progress import CancelToken
from lipsync.segments import PlacedSegment
from lipsync.speech import transcribe
from lipsync.speech.subtitles import to_cues
from lipsync.types import Bools
from lipsync.utils.atomic_write import check_not_there, working_path, write_text
from lipsync.utils.disk_errors import write_error
from lipsync.utils.file_digest import content_hash
from lipsync.utils.file_names import fitting_name
from lipsync.utils.owned_folder import remove_abandoned, remove_unlocked

_FADE_SECONDS = 0.3
"""A mouth begins to open before its line, and closes after it."""


Writer: TypeAlias = FrameWriter | ResumableWriter | SmartCopy


class Output:
    """Result file being written, and the frames that remain to be made.

    Attributes:
        made: ranges of frames that an earlier run has written, and that are measured again.
        remaining: ranges of frames still to be made, encoded independently of each other. What is smoothed
            over time goes on from one to the next, and is kept with them for a run that is resumed.

    Args:
        measured: frames that are copied from an earlier result are measured.
    """

    def __init__(
        self, writer: Writer, frames: int, label: VisibleLabel | None = None, measured: bool = True
    ) -> None:
        self._writer, self._label = writer, label
        self._closing = ExitStack()
        self.made: list[range] = []
        self.remaining: list[range] = [range(frames)]
        if isinstance(writer, SmartCopyWriter):
            self.made, self.remaining = writer.kept if measured else [], writer.remaining
        elif isinstance(writer, ResumableWriter):
            step = writer.part_frames
            starts = range(writer.finished, frames, step)
            self.made = [range(writer.finished)]
            self.remaining = [range(start, min(start + step, frames)) for start in starts]

    @property
    def writer(self) -> Writer:
        """The file's writer."""
        return self._writer

    def copy(self, groups: PictureGroups, copied: Sequence[Copied], cancel: CancelToken) -> str:
        """Copy stretches of the source, before the first frame; only the others remain to be made.

        Args:
            groups: of the source.
            copied: from `PictureGroups.copyable`.

        Returns:
            Why that cannot be done; "" if it can.
        """
        assert isinstance(self._writer, FrameWriter)
        try:
            writer = self._closing.enter_context(SmartCopy(self._writer, groups, copied, cancel))
        except NotCopyableError as error:
            return error.what
        self._writer, self.remaining = writer, writer.remaining
        return ""

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *error: Any) -> None:
        self._closing.__exit__(*error)

    def cut(self, starts: Sequence[int]) -> list[PartFile]:
        """Cut a result whose parts are shared; the parts as files."""
        assert isinstance(self._writer, ResumableWriter)
        self._writer.cut(starts)
        writer = self._writer
        return [
            PartFile(part, writer.part_path(number), writer.part_spec(number))
            for number, part in enumerate(writer.parts)
        ]

    def made_parts(self) -> set[int]:
        """Numbers of the shared parts that are there."""
        assert isinstance(self._writer, ResumableWriter)
        return {number for number in range(len(self._writer.parts)) if self._writer.is_complete(number)}

    def part_frames(self, number: int) -> Generator[YuvFrame, None, None]:
        """The frames of a shared part, read back."""
        assert isinstance(self._writer, ResumableWriter)
        yield from self._writer.part_frames_of(number)

    def goes_on_at(self, frame: int) -> bool:
        """Whether an earlier run has made all frames before this one."""
        return isinstance(self._writer, ResumableWriter) and 0 < frame == self._writer.finished

    def save_state(self, frame: int, state: BlendState) -> None:
        """Keep the state of the smoothing before a frame with the parts, if the result is written in parts.

        Raises:
            OutputError, DiskFullError: it cannot be written.
        """
        if isinstance(self._writer, ResumableWriter) and frame < self._writer.spec.frames:
            self._writer.save_state(frame, state.to_arrays())

    def restore_state(self, frame: int, state: BlendState) -> bool:
        """Bring the state to what it was before a frame; False where that was not kept."""
        assert isinstance(self._writer, ResumableWriter)
        arrays = self._writer.read_state(frame)
        with suppress(KeyError, ValueError):
            if arrays is not None:
                state.restore(arrays)
                return True
        return False

    def skip(self, number: int) -> None:
        """Take a shared part as another process has written it."""
        assert isinstance(self._writer, ResumableWriter)
        self._writer.skip(number)

    @property
    def finished(self) -> int:
        """How many frames need not be made."""
        return self._writer.spec.frames - sum(map(len, self.remaining))

    def pieces(self) -> list[tuple[range, bool]]:
        """All ranges in order, and whether an earlier run has made them; empty ones are left out."""
        both = [*((part, True) for part in self.made), *((part, False) for part in self.remaining)]
        return sorted((one for one in both if one[0]), key=lambda one: one[0].start)

    @property
    def shown(self) -> range:
        """From the first to the last frame that is made, or measured."""
        pieces = [one for one, _ in self.pieces()]
        return range(pieces[0].start, max(one.stop for one in pieces)) if pieces else range(0)

    @property
    def encoded_size(self) -> tuple[int, int]:
        """Width and height of the file in pixels."""
        return self._writer.spec.encoded_size

    @property
    def path(self) -> Path:
        """The file; at the end under the name that it has got, see `OutputSpec.overwrite`."""
        return self._writer.path

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user about the encoder and the marks."""
        return self._writer.warnings

    @property
    def signed(self) -> bool:
        """Whether the finished file has a signed manifest."""
        return self._writer.signed

    @property
    def marks(self) -> Marks | None:
        """How the file is marked as AI-made."""
        return self._writer.spec.marks

    def made_frames(self, part: range) -> Generator[YuvFrame, None, None]:
        """The frames of one range of `made`, read back."""
        if isinstance(self._writer, ResumableWriter):
            yield from self._writer.earlier_frames()
        elif isinstance(self._writer, SmartCopy):
            yield from self._writer.kept_frames(part)

    def write(self, frame: YuvFrame | DeepResult | LayerResult) -> None:
        """Append one frame.

        Raises:
            OutputError, DiskFullError, Cancelled: as the writer.
        """
        shown = in_8_bits(frame)
        if self._label is not None:
            shown = self._label.draw(shown)
        if isinstance(frame, LayerResult):
            assert isinstance(self._writer, FrameWriter)  # `check_free` refuses the others
            levels = alpha_levels(self._writer.spec.alpha_format)
            self._writer.write(frame.layer(shown, levels))
            return
        deep = frame if isinstance(frame, DeepResult) else None
        self._writer.write(deep.original.with_changes(deep.before, shown) if deep else shown)

    @property
    def chroma(self) -> str:
        """How chroma of frames with more than 8 bits is sampled; "" where frames have 8."""
        return self._writer.spec.deep_format.removeprefix("yuv")[:3]


class Target(NamedTuple):
    """Where the result goes.

    Attributes:
        path: its name.
        resume: keep the finished part of an interrupted run.
        overwrite: replace a file of this name.
        signing: how it is marked as AI-made.
        redraw: parts of an earlier result that alone are drawn; None for all.
        shared: other processes draw parts.
    """

    path: Path
    resume: bool
    overwrite: bool
    signing: Signing
    redraw: Redraw | None = None
    shared: bool = False


def has_parts(options: SyncOptions) -> bool:
    """Whether a result can be written in parts, so that it can be resumed and others can draw some."""
    return not VIDEO_CODECS[options.media.codec].is_sequence and options.media.layer == "none"


def check_free(given: SyncArguments) -> None:
    """Check that the result replaces nothing that it must not, before any work.

    A run to be resumed is left to the writer, which knows whether it has begun.

    Raises:
        OutputError: there is a file of that name.
        OptionError: a run cannot be resumed that draws parts alone.
    """
    if given.resume and given.redraw is not None:
        raise OptionError("Parts that are drawn alone cannot be resumed", hint="Leave out 'resume'.")
    codec = given.options.media.codec
    if given.options.media.layer != "none" and (given.resume or given.redraw is not None):
        what = "A mouth layer cannot be resumed, nor parts of it drawn alone"
        raise OptionError(what, hint="Make the whole of it, or leave out 'layer'.")
    is_sequence = VIDEO_CODECS[codec].is_sequence
    if is_sequence and (given.resume or given.redraw is not None):
        what = "An image sequence cannot be resumed, nor parts of it drawn alone"
        raise OptionError(
            what, given=f"codec={codec}", hint="Make the whole of it, or choose another 'codec'."
        )
    if given.output is None:
        return
    check_codec(given.output, codec)
    if given.resume:
        return
    check_target_free(given.output, codec, overwrite=given.overwrite)
    if given.options.report.subtitles != "none":
        check_not_there(_subtitle_path(given.output, codec), overwrite=given.overwrite)
    beside = not is_sequence and not output_format(given.output).xmp
    if given.options.report.provenance == "signed" and beside:
        check_not_there(sidecar_path(given.output), overwrite=given.overwrite)


def _subtitle_path(target: Path, codec: str) -> Path:
    """Where the subtitles of a result go."""
    if VIDEO_CODECS[codec].is_sequence:
        return target.with_name(fitting_name("", target.name, ".srt"))
    return target.with_suffix(".srt")


@contextmanager
def open_output(job: Job, target: Target, upscaler: Upscaler | None, context: RunContext) -> Iterator[Output]:
    """Context with the result's writer; the file appears when the block ends without an exception.

    Raises:
        OutputError: the path cannot be written to, or is one of the inputs.
        DiskFullError: no space is left.
        NotCopyableError: the earlier result of `target.redraw` cannot be used.
    """
    scale = upscaler.spec.scale if upscaler else 1
    deep = keeps_depth(job.video, upscaler is not None, context.options)
    spec = OutputSpec(
        width=job.video.width * scale,
        height=job.video.height * scale,
        fps=job.video.fps,
        frames=len(job.timeline),
        audio=job.audio,
        source=(deep and job.video.original) or job.video.info,
        deep=deep,
        layer=context.options.media.layer != "none",
        kept=kept_tracks(job.video, job.timeline, target.path, context.options)[0],
        quality=context.options.media.quality,
        encoder=context.options.media.encoder,
        codec=context.options.media.codec,
        tags=kept_tags(job.video, job.timeline, context.options.media),
        marks=target.signing.marks(_edit(job, context)),
        smart_copy=context.options.media.smart_copy,
        overwrite=target.overwrite,
    )
    remove_abandoned(target.path.absolute().parent)
    remove_unlocked(target.path.absolute().parent)
    writer: Writer
    if target.redraw is not None:
        changed = _changed_frames(target.redraw, job)
        earlier = target.redraw.result
        writer = SmartCopyWriter(target.path, spec, earlier, changed, cancel=context.cancel)
    elif target.resume or target.shared:
        writer = ResumableWriter(
            target.path,
            spec,
            key=_resume_key(job, context),
            shared=target.shared,
            cancel=context.cancel,
        )
    else:
        writer = FrameWriter(target.path, spec, cancel=context.cancel)
    with writer:
        label = make_label(context.options, spec.width, spec.height)
        with Output(writer, len(job.timeline), label, context.options.report.score) as out:
            yield out


def _changed_frames(redraw: Redraw, job: Job) -> list[range]:
    """The frames of the parts, and those around them that neighbouring lines fade into.

    Raises:
        RangeError: a part begins after the end.
    """
    fps, frames, ranges = float(job.video.fps), len(job.timeline), []
    for part in redraw.parts:
        first = math.floor((part.start - _FADE_SECONDS) * fps)
        last = frames if part.end is None else math.ceil((part.end + _FADE_SECONDS) * fps)
        if part.start * fps >= frames:
            hint = f"It lasts {frames / fps:.2f} s."
            raise RangeError("A part begins after the end of the result", given=part, hint=hint)
        ranges.append(range(max(0, first), min(frames, last)))
    return ranges


def in_8_bits(frame: YuvFrame | DeepResult | LayerResult) -> YuvFrame:
    """A result frame for display."""
    return frame if isinstance(frame, YuvFrame) else frame.frame


def make_label(options: SyncOptions, width: int, height: int) -> VisibleLabel | None:
    """The visible label of frames of that size; None if it is off."""
    return None if options.report.ai_label == "none" else VisibleLabel(options.report, width, height)


def _edit(job: Job, context: RunContext) -> Edit:
    model = choose_weights(context)
    voices = [voice.info.path for voice in job.voices]
    return describe_run(job.video.info.path, voices, job.video.is_still, model, context.options)


def _resume_key(job: Job, context: RunContext) -> str:
    _, weights = choose_weights(context)
    files = [job.video.info.path, *(voice.info.path for voice in job.voices)]
    return resume_key([*files, *([weights] if weights else [])], context.options, job.segments)


def resume_key(files: Sequence[Path], options: SyncOptions, segments: Sequence[PlacedSegment]) -> str:
    """SHA-256 of all that a job depends on: contents of its files, settings and segments."""
    parts = [repr(options), *map(str, segments), *map(content_hash, files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Subtitles(NamedTuple):
    """Cues of the result's subtitles.

    Attributes:
        cues: in order.
        language: ISO 639 code; "" if it is not known.
    """

    cues: Sequence[Cue]
    language: str = ""


def make_subtitles(job: Job, given: Sequence[Cue], context: RunContext) -> tuple[Subtitles | None, list[str]]:
    """Subtitles of the result, if they are on: as given, else by transcription; and warnings.

    A failed transcription does not fail the run: there are no subtitles then, but a warning.
    """
    if context.options.report.subtitles == "none":
        return None, []
    if given:
        return Subtitles(given), []
    try:
        clip = job.audio.read(seconds=job.seconds, cancel=context.cancel)
        transcript = transcribe(clip, context.options.transcript, context.progress, context.cancel)
    except (ToolError, DownloadError, WeightsError, OptionError) as error:
        return None, [f"There are no subtitles: {error}"]
    return Subtitles(to_cues(transcript), transcript.language), []


def write_subtitles(
    out: Output, subtitles: Subtitles | None, overwrite: bool, options: SyncOptions
) -> tuple[Path | None, Marked]:
    """Write subtitles as .srt next to the result, and as its subtitle track if set.

    Returns:
        The .srt file, None without subtitles; and the result, which with a track is marked anew.
    """
    target, marked = out.path, Marked(out.path, out.signed, ())
    if subtitles is None or not subtitles.cues:
        return None, marked
    codec = options.media.codec
    path = write_text(_subtitle_path(target, codec), format_srt(subtitles.cues), overwrite=overwrite)
    if options.report.subtitles == "track" and not VIDEO_CODECS[codec].is_sequence:
        try:
            with working_path(target) as new:
                add_subtitles(target, path, subtitles.language, target=new)
                marked = mark_and_move(new, target, out.marks, overwrite=True)
        except OSError as error:
            raise write_error(error, target) from error
    return path, marked


def input_sizes(job: Job) -> dict[Path, int]:
    """Bytes of every file that the job reads."""
    return {path: path.stat().st_size for path in {job.video.info.path, *job.audio.paths}}


def check_not_cut_short(sizes: dict[Path, int]) -> None:
    """Check that no input has become shorter since `input_sizes`: its rest would be missing in the result.

    Raises:
        MediaError: one has.
    """
    for path, size in sizes.items():
        with suppress(OSError):  # removed meanwhile, but whoever had it open read all of it
            if path.stat().st_size < size:
                hint = "Run it again when nothing writes to the file any more."
                raise MediaError("An input was cut short during the run", given=path, hint=hint)


def pass_through_warnings(plan: RenderPlan, searched: Bools | None = None) -> list[str]:
    """Warnings with the number of frames without a face to use, and why, if there are any.

    Args:
        searched: bool (N,), video frames in which faces were searched; None for all.
    """
    looked_at = np.ones(len(plan.timeline), np.bool_) if searched is None else searched[plan.timeline]
    faceless = ~np.any([speaker.track.present[plan.timeline] for speaker in plan.speakers], axis=0)
    faceless &= looked_at
    if not faceless.any():
        return []
    count, total = int(faceless.sum()), int(looked_at.sum())
    return [
        f"{count} of {total} frames ({100 * count / total:.0f} %) have no face to use and passed "
        "through unchanged.",
        *_unused_face_warnings(plan, faceless),
    ]


_UNUSED_FACES = {
    UnusedReason.OTHER_PERSON: "only people other than the chosen one are seen. Choose somebody for each "
    "shot with segments, or the person by an image (which_face=reference).",
    UnusedReason.CUT_OFF: "the border of the picture cuts off the eyes or the mouth of the face. A fixed "
    "face box ('box') draws there nevertheless.",
    UnusedReason.COVERED: "something covers the mouth, such as text, a mask or a microphone. Without the "
    "setting 'occlusion' it is drawn over.",
}


def _unused_face_warnings(plan: RenderPlan, faceless: Bools) -> list[str]:
    """One warning for each reason why faces are not drawn in the frames `faceless`, bool (T,)."""
    warnings = []
    for reason, text in _UNUSED_FACES.items():
        frames = np.zeros(len(plan.timeline), np.bool_)
        for unused in (one for speaker in plan.speakers for one in speaker.unused if one.reason is reason):
            frames |= unused.frames[plan.timeline]
        count = int((frames & faceless).sum())
        if count:
            warnings.append(f"In {count} of these frames {text}")
    return warnings
