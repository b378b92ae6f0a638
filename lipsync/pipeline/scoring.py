"""Streaming sync scores of the result, and of the source with its own audio."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from lipsync.context import RunContext
from lipsync.devices import ThreadLimit, frames_at_a_time
from lipsync.errors import LipsyncError
from lipsync.media import AudioReader
from lipsync.media.audio.mix import mix_segments
from lipsync.metrics.lip_locator import LipLocator
from lipsync.pipeline.job import Job
from lipsync.pipeline.lip_scoring import LipScorer
from lipsync.pipeline.preparation import Prepared
from lipsync.pipeline.stages import Chunk, Speaker
from lipsync.progress import CancelToken
from lipsync.speech.vad import SAMPLE_RATE
from lipsync.sync_score import SyncMeter
from lipsync.types import AudioClip, FloatArray, ScoreCard
from lipsync.utils.mapped_array import copy_samples, large_zeros
from lipsync.utils.prefetch import ordered_map

_Speakers: TypeAlias = Sequence[tuple[int, int]]
"""For each frame of a chunk, as `SyncScorer._speakers_shown`."""
_AROUND_SECONDS = 12.0
"""Audio that is read around the frames that are measured: a block of windows, and their offsets."""
_Update: TypeAlias = Callable[[Chunk, _Speakers], None]


class SyncScorer:
    """Sync meters of result and source, updated chunk by chunk in order.

    Args:
        job: inputs of the run.
        speakers: the speakers to measure.
        meters: of the result, and of the source; None if not scored.
        no_source: why the source is not scored, for the user.
        context: its timer measures the work.
        lips: measures the lips of a single speaker; None if they are not measured.
    """

    def __init__(
        self,
        job: Job,
        speakers: Sequence[Speaker],
        meters: tuple[SyncMeter | None, SyncMeter | None],
        no_source: str,
        context: RunContext,
        lips: LipScorer | None = None,
    ) -> None:
        self._fps, self._speakers, self._timer = job.video.fps, speakers, context.timer
        self._of_result, self._of_source = meters
        self._no_source, self._lips = no_source, lips
        self._cores, self._apart = ThreadLimit(), frames_at_a_time() > 1
        self._last_source_frame = self._last_speaker = self._last_number = -1

    @classmethod
    def for_job(
        cls,
        job: Job,
        speakers: Sequence[Speaker],
        prepared: Prepared,
        context: RunContext,
        measured: range | None = None,
    ) -> SyncScorer:
        """Meters for all that can be scored of `job`; none without an expert.

        Args:
            measured: frames of the result to which those that are measured belong; None for all.
        """
        if prepared.expert is None:
            return cls(job, speakers, (None, None), "", context)
        video = job.video
        of_result = SyncMeter(prepared.expert, prepared.audio.voice, video.fps)
        lips = _lip_scorer(speakers, prepared, video.fps)
        if video.is_still:
            return cls(job, speakers, (of_result, None), "a photo has no voice of its own", context, lips)
        if not video.info.has_audio:
            return cls(job, speakers, (of_result, None), "the video has no sound of its own", context, lips)
        seconds = float(video.frame_count / video.fps)
        shown = job.timeline[measured.start : measured.stop] if measured else job.timeline
        part = (float(shown.min() / video.fps), float(shown.max() / video.fps))
        own = _read_part(mix_segments((), job.voices, seconds, video), part, context.cancel)
        of_source = SyncMeter(prepared.expert, own, video.fps)
        return cls(job, speakers, (of_result, of_source), "", context, lips)

    def update(self, chunk: Chunk) -> None:
        """Measure the speaker in each frame of the result, and of the source where it plays forwards.

        The meters do not depend on each other: where there are cores to spare, each has a thread.
        """
        if self._of_result is None and self._of_source is None:
            return
        meters = (self._update_result, self._update_source, self._update_lips)
        with self._timer("measure"):
            speakers = self._speakers_shown(chunk)

            def work(update: _Update) -> None:
                with self._cores.limit(1):  # on all cores these small networks would slow the generator down
                    update(chunk, speakers)

            done = ordered_map(work, meters, len(meters), "measure") if self._apart else map(work, meters)
            deque(done, maxlen=0)

    def _speakers_shown(self, chunk: Chunk) -> list[tuple[int, int]]:
        """Index of the speaker in each frame, and of the one who is in the frame before too; -1 if none."""
        found = []
        for number, shown in enumerate(chunk.shown, chunk.first):
            if number != self._last_number + 1:  # frames between were copied: no window spans them
                self._last_speaker, speaker = -1, -1
            else:
                speaker = self._speaker(number, shown)
            found.append((speaker, speaker if speaker == self._last_speaker else -1))
            self._last_number, self._last_speaker = number, speaker
        return found

    def _update_result(self, chunk: Chunk, speakers: _Speakers) -> None:
        if self._of_result is None:
            return
        # The first frame of another speaker is left out, so that no window mixes two speakers.
        frames = zip(chunk.shown, chunk.results, speakers, strict=True)
        for number, (shown, result, (_, same)) in enumerate(frames, chunk.first):
            self._of_result.update(float(number / self._fps), result, *self._face(same, shown))

    def _update_source(self, chunk: Chunk, speakers: _Speakers) -> None:
        if self._of_source is None:
            return
        for shown, frame, (speaker, _) in zip(chunk.shown, chunk.frames, speakers, strict=True):
            if shown > self._last_source_frame:
                self._of_source.update(float(shown / self._fps), frame, *self._face(speaker, shown))
                self._last_source_frame = shown

    def _update_lips(self, chunk: Chunk, speakers: _Speakers) -> None:
        if self._lips is None:
            return
        frames = zip(chunk.shown, chunk.results, chunk.frames, speakers, strict=True)
        for number, (shown, result, frame, (speaker, _)) in enumerate(frames, chunk.first):
            self._lips.update(number, (result, frame), *self._face(speaker, shown))

    def card(self) -> ScoreCard | None:
        """The scores of all frames so far; None if not scored."""
        if self._of_result is None:
            return None
        source = self._of_source.result() if self._of_source else None
        lips = self._lips.values() if self._lips else {}
        return ScoreCard(self._of_result.result(), source, self._no_source, lips)

    def _speaker(self, number: int, shown: int) -> int:
        """Index of the speaker who is measured in frame `number`; -1 if none.

        A single speaker is measured in pauses too: lips that move there are an error.
        """
        for index, speaker in enumerate(self._speakers):
            measured = len(self._speakers) == 1 or speaker.audio.weights[number] > 0
            if measured and not np.isnan(speaker.track.boxes[shown, 0]):
                return index
        return -1

    def _face(self, speaker: int, shown: int) -> tuple[FloatArray | None, FloatArray | None]:
        """Box and points of the speaker's face; None without one."""
        if speaker < 0:
            return None, None
        return self._speakers[speaker].score_boxes[shown], self._speakers[speaker].track.points[shown]


def _lip_scorer(speakers: Sequence[Speaker], prepared: Prepared, fps: Fraction) -> LipScorer | None:
    """Measures the lips of a single speaker; None for several, and without the built-in model's file."""
    if len(speakers) != 1:  # the lips of several people have no movement of their own
        return None
    try:
        return LipScorer(LipLocator(), prepared.audio.voice, fps)
    except LipsyncError:
        return None


def _read_part(audio: AudioReader, part: tuple[float, float], cancel: CancelToken) -> AudioClip:
    """The audio around a part, between silence, mono at 16 kHz.

    It begins with a whole second, so that resampling gives the samples of the whole.
    """
    first, last = max(0, math.floor(part[0] - _AROUND_SECONDS)), part[1] + _AROUND_SECONDS
    clip = audio.read(SAMPLE_RATE, start=first, seconds=last - first, cancel=cancel)
    if not first and len(clip.samples) == round(audio.duration * SAMPLE_RATE):
        return clip
    samples = large_zeros(round(audio.duration * SAMPLE_RATE))
    heard = samples[first * SAMPLE_RATE :][: len(clip.samples)]
    copy_samples(clip.samples[: len(heard)], heard)
    return AudioClip(samples, SAMPLE_RATE)
