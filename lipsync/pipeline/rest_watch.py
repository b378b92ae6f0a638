"""Watch for mouths that stay open while the voice rests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from lipsync.context import RunContext
from lipsync.devices import ThreadLimit
from lipsync.errors import LipsyncError
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lip_meter import LipMeter
from lipsync.pipeline.audio_conditioning import BoolArray, SpeakerAudio
from lipsync.pipeline.lip_scoring import face_views
from lipsync.pipeline.stages import Chunk, Speaker

STAYS_OPEN = (
    "While the voice rests, the mouth stays open for about {seconds:.1f} s: there it is wide open in the "
    "source, which cannot be closed well. Use other parts of the video there, or set in_silence=keep."
)
_RATE = 3.0
"""Frames a second that are looked at."""
_MARGIN_SECONDS = 0.25
"""Seconds at both ends of a rest in which lips close and open."""
_OPEN_RESULT, _OPEN_SOURCE = 0.06, 0.1
"""Openings in distances between the eyes (see `LipTrack`) from which on a mouth counts: shouting mouths have
0.3, closed ones less than 0.02. A smaller opening is one that talking sources leave, and is hardly seen."""
_LONG_SECONDS = 0.6
"""Seconds in all that are worth a warning."""


class RestWatch:
    """Looks for open mouths of the result while their voice rests.

    Args:
        speakers: those of the run.
        fps: of the result.
        context: its timer measures the work.
    """

    def __init__(self, speakers: Sequence[Speaker], fps: Fraction, context: RunContext) -> None:
        self._speakers, self._timer = speakers, context.timer
        self._step = max(1, round(float(fps) / _RATE))
        self._step_seconds = float(self._step / fps)
        margin = round(_MARGIN_SECONDS * fps)
        self._resting = [_inner(speaker.audio, margin) for speaker in speakers]
        self._cores = ThreadLimit()
        self._meter: LipMeter | None = None
        if any(resting.any() for resting in self._resting):
            self._meter = _meter()

    def update(self, chunk: Chunk) -> None:
        """Look at the frames of a chunk, of most of which nothing is to be seen."""
        if self._meter is None:
            return
        with self._timer("measure"), self._cores.limit(1):
            frames = zip(chunk.shown, chunk.frames, chunk.results, strict=True)
            for number, (shown, source, result) in enumerate(frames, chunk.first):
                if number % self._step or (result.width, result.height) != (source.width, source.height):
                    continue
                for speaker, resting in zip(self._speakers, self._resting, strict=True):
                    box, points = speaker.score_boxes[shown], speaker.track.points[shown]
                    if resting[number] and not np.isnan(speaker.track.boxes[shown, 0]):
                        self._meter.update(*face_views(result, source, box, points))

    def warnings(self) -> tuple[str, ...]:
        """A sentence for the user, where a mouth was open for long enough to be seen."""
        if self._meter is None:
            return ()
        seen = self._meter.openings
        seconds = self._step_seconds * int((seen[0] >= _OPEN_RESULT)[seen[1] >= _OPEN_SOURCE].sum())
        return (STAYS_OPEN.format(seconds=seconds),) if seconds >= _LONG_SECONDS else ()


def _inner(audio: SpeakerAudio, margin: int) -> BoolArray:
    """Frames of a rest, without its ends, in which a mouth is drawn; bool (T,)."""
    drawn = audio.weights > 0
    if audio.resting is None:
        return np.zeros_like(drawn)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(audio.resting, margin, mode="edge"), 2 * margin + 1
    )
    return np.asarray(windows.all(axis=1) & drawn)


def _meter() -> LipMeter | None:
    """Measures openings; None without the built-in model's file."""
    try:
        return LipMeter(LipLocator(), images=False)
    except LipsyncError:
        return None
