"""Active speaker detection: which visible face speaks when, by lips and sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from lipsync.devices import choose_device
from lipsync.dubbing.speaker_evidence import Networks, TrackEvidence, expected_opening, gather_evidence
from lipsync.errors import InputError
from lipsync.generators.builtin.adapter import Builtin
from lipsync.media import open_audio, open_video
from lipsync.media.audio.mix import mix_segments
from lipsync.metrics.lip_locator import LipLocator
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import DETECTORS
from lipsync.segments import FacePoint, Segment
from lipsync.speech import SpeechSpans, detect_speech, even_level
from lipsync.sync_score import load_expert
from lipsync.sync_score.base import EXPERT_FPS
from lipsync.sync_score.offset import MAX_OFFSET
from lipsync.types import Bools, FloatArray, IntArray, TimeRange
from lipsync.weights import require

_SAMPLE_RATE = 16_000
_WINDOW = 51
"""Frames over which likeness is averaged and openings are compared: two seconds say enough words."""
_OFFSETS = 1
"""Frames around the clip's own offset at which likeness counts."""
_WEIGHTS = (15.0, 3.0, -2.0)
"""Of likeness and of the openings' correlation in the log odds that a face speaks, and their constant."""
_SWITCH = 8.0
"""Log odds that a change of speaker costs: people speak for longer than a syllable."""
_SHORTEST = 0.3
"""Seconds; a shorter turn is its neighbour's."""


@dataclass(frozen=True)
class SpeakerTurn:
    """A stretch of speech and who speaks it.

    Attributes:
        start, end: seconds.
        face: number of the face among those of the video; None where nobody in the picture speaks.
        point: where that face is, as segments choose it.
        confidence: probability of the choice, 0 to 1, mean over its frames.
    """

    start: float
    end: float
    face: int | None
    point: FacePoint | None
    confidence: float

    def segment(self) -> Segment | None:
        """The segment that gives this stretch of a dubbed track to the face; None without a face."""
        if self.point is None:
            return None
        time = TimeRange(self.start, self.end)
        return Segment(time, self.point, time)


def find_speakers(
    video: Path | str,
    *,
    media: MediaOptions | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> tuple[SpeakerTurn, ...]:
    """Who in the picture speaks when, in order of time, from lips and sound.

    Args:
        video: with the sound of the people in it.
        media: the settings by which it is read, such as its ranges; times are those of what is read.

    Raises:
        InputError: it is a photo.
        MediaError: it cannot be read, or has no sound.
        WeightsError: a network that ships is missing.
        Cancelled: the token was cancelled.
    """
    cancel = cancel or CancelToken()
    reader = open_video(video, replace(media or MediaOptions(), fps=EXPERT_FPS))
    if reader.is_still:
        raise InputError("In a photo nobody speaks", given=video, hint="Give a video with its own sound.")
    sound = open_audio(reader.info.path, video_track=reader.track)
    if media is not None and media.video_ranges:
        sound = mix_segments((), [sound], float(reader.frame_count / reader.fps), reader)
    audio = sound.read(_SAMPLE_RATE, cancel=cancel)
    spans = detect_speech(even_level(audio), cancel)
    if not spans.found:
        return ()
    networks = _load_networks()
    evidence = gather_evidence(reader, audio, networks, progress, cancel)
    expected = expected_opening(networks.builtin, audio, reader.frame_count, cancel)
    return decide_turns(evidence, expected, spans, reader.frame_count, (reader.width, reader.height))


def _load_networks() -> Networks:
    device = choose_device("auto")
    return Networks(
        DETECTORS.create("centerface", device=device),
        load_expert(require("expert")),
        Builtin(require("builtin")),
        LipLocator(),
    )


def decide_turns(
    evidence: Sequence[TrackEvidence],
    expected: FloatArray,
    spans: SpeechSpans,
    frames: int,
    size: tuple[int, int],
) -> tuple[SpeakerTurn, ...]:
    """Turns from the evidence of all tracks.

    Args:
        expected: float32 (frames,) opening that the sound lets expect.
        spans: speech of the sound.
        size: width and height of the picture.
    """
    odds = track_odds(evidence, expected, frames)
    turns: list[SpeakerTurn] = []
    for start, end in spans.spans.tolist():
        first, last = round(start * EXPERT_FPS), min(frames, round(end * EXPERT_FPS))
        if last > first:
            turns += _turns_of_span(odds[:, first:last], evidence, (start, end), first, size)
    return tuple(turns)


def track_odds(evidence: Sequence[TrackEvidence], expected: FloatArray, frames: int) -> FloatArray:
    """Log odds that each track speaks in each frame.

    Returns:
        float32 (tracks, frames); -inf where a track is not seen.
    """
    odds = np.full((len(evidence), frames), -np.inf, np.float32)
    offset = _common_offset(evidence)
    sync, opening, constant = _WEIGHTS
    for number, one in enumerate(evidence):
        likeness = _likeness(one.similarity, offset)
        follows = _following(one.opening, expected[one.track.frames.start : one.track.frames.stop])
        odds[number, one.track.frames.start : one.track.frames.stop] = (
            sync * likeness + opening * follows + constant
        )
    return odds


def _common_offset(evidence: Sequence[TrackEvidence]) -> int:
    """Offset of the video's sound, as a column of similarities: the peak over all windows that have one."""
    rows = [one.similarity[~np.isnan(one.similarity).any(1)] for one in evidence]
    if not any(map(len, rows)):
        return MAX_OFFSET
    curve = np.concatenate(rows).mean(0)
    near = slice(MAX_OFFSET - 8, MAX_OFFSET + 9)
    return int(curve[near].argmax()) + near.start


def _likeness(similarity: FloatArray, offset: int) -> FloatArray:
    """Similarity near the clip's offset over that at all, of means over a window around each frame, (T,)."""
    low, high = max(0, offset - _OFFSETS), offset + _OFFSETS + 1
    known = np.asarray(~np.isnan(similarity).any(1), np.bool_)
    means = np.stack([_windowed_mean(column, known) for column in similarity.T], axis=1)
    return np.asarray(means[:, low:high].max(1) - np.median(means, axis=1), np.float32)


def _windowed_mean(values: FloatArray, known: Bools) -> FloatArray:
    total, count = (
        np.convolve(part, np.ones(_WINDOW, np.float32), mode="full")[_WINDOW // 2 :][: len(values)]
        for part in (np.where(known, values, 0), known.astype(np.float32))
    )
    return np.asarray(total / np.maximum(count, 1), np.float32)


def _following(opening: FloatArray, expected: FloatArray) -> FloatArray:
    """How an opening follows the expected one around each frame, (T,).

    Their correlation over about two seconds, less for mouths that hardly move.
    """
    known: Bools = np.asarray(~np.isnan(opening), np.bool_)
    a, b = np.where(known, opening, 0), expected.astype(np.float32)

    def mean(values: FloatArray) -> FloatArray:
        return _windowed_mean(_windowed_mean(values, known), np.ones_like(known))

    mean_a, mean_b = mean(a), mean(b)
    covariance = mean(a * b) - mean_a * mean_b
    variance_a = np.maximum(mean(a * a) - mean_a**2, 0)
    variance_b = np.maximum(mean(b * b) - mean_b**2, 0)
    return np.asarray(covariance / (np.sqrt(variance_a * variance_b) + 2e-4), np.float32)


def _turns_of_span(
    odds: FloatArray,
    evidence: Sequence[TrackEvidence],
    span: tuple[float, float],
    first: int,
    size: tuple[int, int],
) -> list[SpeakerTurn]:
    """Turns within one stretch of speech; `odds` are those of its frames."""
    states = np.vstack([np.zeros(odds.shape[1], np.float32), odds])  # the first is nobody in the picture
    path = _smoothed(_best_path(states))
    probability = _probabilities(states)
    turns = []
    for begin, end in _runs(path):
        state = int(path[begin])
        confidence = float(probability[state, begin:end].mean())
        start_time = span[0] if begin == 0 else (first + begin) / EXPERT_FPS
        end_time = span[1] if end == len(path) else (first + end) / EXPERT_FPS
        face = state - 1 if state else None
        point = None if face is None else _point(evidence[face], first + begin, first + end, size)
        turns.append(SpeakerTurn(start_time, end_time, face, point, confidence))
    return turns


def _best_path(scores: FloatArray) -> IntArray:
    """The states (T,) of greatest sum less the price of changes (Viterbi)."""
    count, frames = scores.shape
    scores = np.maximum(scores, -1e6)
    best = scores[:, 0].copy()
    came_from = np.zeros((frames, count), np.int64)
    for frame in range(1, frames):
        leader = int(best.argmax())
        changed = best[leader] - _SWITCH > best
        came_from[frame] = np.where(changed, leader, np.arange(count))
        best = np.where(changed, best[leader] - _SWITCH, best) + scores[:, frame]
    path = np.zeros(frames, np.int64)
    path[-1] = int(best.argmax())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def _runs(path: IntArray) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal states."""
    return pairwise([0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)])


def _smoothed(path: IntArray) -> IntArray:
    """The path without runs that are too short for a turn; they are given to the one before."""
    out = path.copy()
    shortest = round(_SHORTEST * EXPERT_FPS)
    for begin, end in _runs(path):
        if end - begin < shortest and begin > 0:
            out[begin:end] = out[begin - 1]
    return out


def _probabilities(scores: FloatArray) -> FloatArray:
    """Softmax over states, (states, T)."""
    shifted = np.exp(scores - scores.max(0))
    return np.asarray(shifted / shifted.sum(0), np.float32)


def _point(one: TrackEvidence, begin: int, end: int, size: tuple[int, int]) -> FacePoint:
    """The middle of the face in the middle of a turn."""
    number = min(max((begin + end) // 2, one.track.frames.start), one.track.frames.stop - 1)
    x1, y1, x2, y2 = one.track.boxes[number - one.track.frames.start].tolist()
    x, y = (x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1]
    return FacePoint(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0), number / EXPERT_FPS)
