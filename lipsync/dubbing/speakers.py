"""Active speaker detection: which visible face speaks when, by lips and sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipsync.devices import choose_device
from lipsync.dubbing.joined_faces import join_tracks
from lipsync.dubbing.speech_odds import NARROW, WIDE, FaceEvidence, join_evidence, speech_odds
from lipsync.dubbing.voice_pooling import Voices, hear_voices, pool_by_voice
from lipsync.errors import InputError
from lipsync.faces.recognition import choose_similarity
from lipsync.media import open_audio, open_video
from lipsync.media.audio.mix import mix_segments
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import DETECTORS
from lipsync.segments import FacePoint, Segment
from lipsync.speech import SpeechSpans, detect_speech, even_level
from lipsync.sync_score.base import EXPERT_FPS
from lipsync.types import FloatArray, IntArray, TimeRange
from lipsync.weights import require

if TYPE_CHECKING:
    from lipsync.dubbing.speaker_evidence import Networks, TrackEvidence

_SAMPLE_RATE = 16_000
_SWITCH = 12.0
"""Log odds that a change of speaker costs: people speak for longer than a syllable."""
_REFINED = 15
"""Frames by which a border is moved to where the narrow window sees the change."""
_SHORTEST = 0.3
"""Seconds; a shorter turn is its neighbour's."""
_SHORTEST_SIDE = 4
"""Frames that remain of a turn whose border is moved."""


@dataclass(frozen=True)
class SpeakerTurn:
    """A stretch of speech and who speaks it.

    Attributes:
        start, end: seconds.
        face: number of the face among those of the video; None where nobody in the picture speaks. A
            person who is recognised in another shot keeps the number.
        point: where that face is, as segments choose it.
        confidence: probability of the choice, 0 to 1, mean over its frames.
        track: number of the stretch without a cut in which the face is seen.
    """

    start: float
    end: float
    face: int | None
    point: FacePoint | None
    confidence: float
    track: int = 0

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
    # Imported here, and torch with it, when there is something to find.
    from lipsync.dubbing.speaker_evidence import expected_opening, gather_evidence
    from lipsync.speech.voice_embedding import load_voice_encoder

    networks = _load_networks()
    evidence = gather_evidence(reader, audio, networks, progress, cancel)
    expected = expected_opening(networks.builtin, audio, reader.frame_count, cancel)
    people = join_tracks([one.track for one in evidence], choose_similarity())
    encoder = load_voice_encoder(require("speaker"))
    voices = hear_voices(encoder, audio, spans, reader.frame_count, cancel)
    size = (reader.width, reader.height)
    return decide_turns(evidence, expected, spans, reader.frame_count, size, people, voices)


def _load_networks() -> Networks:
    from lipsync.dubbing.speaker_evidence import Networks
    from lipsync.generators.builtin.adapter import Builtin
    from lipsync.metrics.lip_locator import LipLocator
    from lipsync.sync_score.loading import load_expert

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
    people: Sequence[Sequence[int]] | None = None,
    voices: Voices | None = None,
) -> tuple[SpeakerTurn, ...]:
    """Turns from the evidence of all tracks.

    Args:
        expected: float32 (frames,) opening that the sound lets expect.
        spans: speech of the sound.
        size: width and height of the picture.
        people: numbers of the tracks of each person; None where each track is another.
        voices: over which evidence is pooled; None for two seconds around each frame alone.
    """
    joined = [[number] for number in range(len(evidence))] if people is None else people
    faces = join_evidence(evidence, joined, frames)
    odds, narrow = (speech_odds(faces, expected, window) for window in (WIDE, NARROW))
    if voices is not None:
        odds = pool_by_voice(odds, voices)
    turns: list[SpeakerTurn] = []
    for start, end in spans.spans.tolist():
        first, last = round(start * EXPERT_FPS), min(frames, round(end * EXPERT_FPS))
        if last > first:
            path, confidence = _decided(odds[:, first:last], narrow[:, first:last])
            for begin, stop, face, track in _stretches(path, faces, first):
                point = None if face is None else _point(evidence[track], first + begin, first + stop, size)
                begin_time = start if begin == 0 else (first + begin) / EXPERT_FPS
                end_time = end if stop == len(path) else (first + stop) / EXPERT_FPS
                sure = float(confidence[begin:stop].mean())
                turns.append(SpeakerTurn(begin_time, end_time, face, point, sure, track))
    return tuple(turns)


def _decided(odds: FloatArray, narrow: FloatArray) -> tuple[IntArray, FloatArray]:
    """State of each frame of a stretch of speech, 0 for nobody in the picture, and its probability.

    Args:
        odds, narrow: (faces, T), by the wide and the narrow window.
    """
    states, close = (np.vstack([np.zeros(part.shape[1], np.float32), part]) for part in (odds, narrow))
    path = _smoothed(_refined(_smoothed(_best_path(states)), close))
    places = np.arange(len(path))
    path = np.where(np.isfinite(states[path, places]), path, 0)  # who is not seen does not speak
    return path, _probabilities(states)[path, places]


def _stretches(
    path: IntArray, faces: Sequence[FaceEvidence], first: int
) -> Iterator[tuple[int, int, int | None, int]]:
    """Start and end of each turn, its face, and the track that shows it, of which each shot has another."""
    tracks = np.full(len(path), -1, np.int64)
    for number, one in enumerate(faces):
        here = path == number + 1
        tracks[here] = one.track[first : first + len(path)][here]
    for begin, end in _runs(np.where(path > 0, tracks + 1, 0)):
        face = int(path[begin]) - 1
        yield begin, end, (face if face >= 0 else None), max(0, int(tracks[begin]))


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


def _refined(path: IntArray, narrow: FloatArray) -> IntArray:
    """The path with each border where the evidence of half a second changes sides.

    Args:
        narrow: (states, T) log odds by the narrow window.
    """
    out, scores = path.copy(), np.maximum(narrow, -1e3)
    edges = [0, *(end for _, end in _runs(path))]
    for number in range(1, len(edges) - 1):
        before, after = out[edges[number] - 1], out[edges[number]]
        low = max(edges[number - 1] + _SHORTEST_SIDE, edges[number] - _REFINED)
        high = min(edges[number + 1] - _SHORTEST_SIDE, edges[number] + _REFINED)
        if low < high:
            gain = np.cumsum(scores[before, low:high] - scores[after, low:high])
            moved = low + int(np.append(0, gain).argmax())
            out[edges[number - 1] : moved], out[moved : edges[number + 1]] = before, after
            edges[number] = moved
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
