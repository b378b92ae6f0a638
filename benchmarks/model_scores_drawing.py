"""Drawing and locating of mouths for `benchmarks.model_scores`, by the stages of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from benchmarks.model_scores_clips import FPS, RATE, Person, Take
from lipsync.context import RunContext
from lipsync.generators import GENERATORS, AudioRows, LipGenerator
from lipsync.metrics.lips import LipTrack
from lipsync.options import SyncOptions
from lipsync.pipeline import stages
from lipsync.pipeline.audio_conditioning import SpeakerAudio
from lipsync.pipeline.blend_stage import blend
from lipsync.pipeline.model_provider import FreshModels
from lipsync.pipeline.stages import RenderPlan, Speaker
from lipsync.sync_score import SyncExpert, crop_lower_face, estimate_sync
from lipsync.sync_score.streaming_embed import AudioEmbedder, FaceEmbedder
from lipsync.training.data.landmarks import MediaPipeLandmarker
from lipsync.training.data.mouth_shapes import MOUTH
from lipsync.types import AudioClip, FloatArray, Frame
from lipsync.weights import create_model

NOISE_DB = (-40.0, -50.0, -60.0)
"""RMS levels of the noise, dB of full scale; each for a third of a clip."""
_LONGEST = 640
"""Side of the images that MediaPipe gets, pixels; it works at 256 itself."""
_EYES = (33, 263)


def load_generator(path: Path) -> LipGenerator:
    """A built-in model or a Wav2Lip checkpoint, on the CPU.

    Raises:
        WeightsError: it is neither.
    """
    return create_model(GENERATORS, variant_of(path), weights=path, device="cpu")


def variant_of(path: Path) -> str:
    """Name of the generator that a file belongs to, by its header."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError):
        return "wav2lip"
    return "builtin" if str(header.get("format", "")).startswith("lipsync-builtin") else "wav2lip"


class MouthReader:
    """Mouths of consecutive frames, by MediaPipe's face landmarker.

    Args:
        model: the file face_landmarker.task.

    Raises:
        ToolError: the package or the file is missing.
    """

    def __init__(self, model: Path) -> None:
        self._landmarker = MediaPipeLandmarker(model)

    def __call__(self, frames: Sequence[Frame]) -> LipTrack:
        """The lips in pixels of the frames, which are windows around the head at 25 fps."""
        scale = min(1.0, _LONGEST / max(frames[0].shape[:2]))
        reduced = (
            np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            for frame in frames
        )
        points = self._landmarker(reduced) / np.float32(scale)
        unit = np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=1)
        return LipTrack(np.asarray(points[:, list(MOUTH), :2], np.float32), np.asarray(unit, np.float32))


@dataclass
class Rendering:
    """All clips of a person with one voice.

    Attributes:
        frames: windows around the head; empty where only the mouth counts.
        lips: their mouths.
        margin: confidence of the sync expert; NaN where it was not asked.
    """

    frames: list[Frame]
    lips: LipTrack
    margin: float = float("nan")


@dataclass
class Drawn:
    """What one model made of a person."""

    own: Rendering
    others: list[Rendering]
    silence: Rendering
    noise: Rendering


class Drawer:
    """Renders people with voices, and locates the mouths of the result."""

    def __init__(self, reader: MouthReader, expert: SyncExpert) -> None:
        self._reader, self._expert = reader, expert
        self._context = RunContext(FreshModels(), SyncOptions())

    def source(self, person: Person, voices: Sequence[FloatArray]) -> Drawn:
        """The video as it is, whatever the voice."""
        clips = [take.audio for take in person.takes]
        frames, windows = person.frames, [take.frames for take in person.takes]

        def with_voice(audio: Sequence[FloatArray]) -> Rendering:
            return Rendering(frames, person.lips, self._margin(person, windows, audio))

        same = Rendering(frames, person.lips)
        return Drawn(with_voice(clips), [with_voice(cut_voice(one, clips)) for one in voices], same, same)

    def draw(self, person: Person, generator: LipGenerator, voices: Sequence[FloatArray]) -> Drawn:
        """All renderings of one model."""
        clips = [take.audio for take in person.takes]
        silence = [np.zeros_like(audio) for audio in clips]
        return Drawn(
            self._render(person, generator, clips),
            [self._render(person, generator, cut_voice(voice, clips)) for voice in voices],
            self._render(person, generator, silence),
            self._render(person, generator, None),
        )

    def _render(
        self, person: Person, generator: LipGenerator, audio: Sequence[FloatArray] | None
    ) -> Rendering:
        """With one voice a clip; None is noise."""
        windows, lips = [], []
        for number, take in enumerate(person.takes):
            rows = (
                _encode(generator, audio[number], len(take.frames))
                if audio is not None
                else _noise_rows(generator, len(take.frames))
            )
            windows.append(self._draw_take(take, generator, rows))
            lips.append(self._reader(windows[-1]))
        margin = self._margin(person, windows, audio) if audio is not None else float("nan")
        return Rendering([frame for clip in windows for frame in clip], LipTrack.join(lips), margin)

    def _draw_take(self, take: Take, generator: LipGenerator, rows: AudioRows) -> list[Frame]:
        count = len(take.frames)
        audio = SpeakerAudio(rows, np.ones(count, np.float32))
        speaker = Speaker(take.track, (), audio, take.track.boxes)
        plan = RenderPlan(take.video, np.arange(count), (speaker,), generator)
        chunks = stages.read_chunks(plan, range(count), self._context)
        drawn = blend(stages.draw(chunks, plan, self._context), plan, self._context)
        return [frame.to_rgb(take.window) for chunk in drawn for frame in chunk.results]

    def _margin(
        self, person: Person, windows: Sequence[Sequence[Frame]], audio: Sequence[FloatArray]
    ) -> float:
        """Confidence of the sync expert over all clips of a person."""
        rows = []
        for take, frames, voice in zip(person.takes, windows, audio, strict=True):
            if not np.any(voice):
                continue
            embedder = AudioEmbedder(self._expert, AudioClip(np.ascontiguousarray(voice)))
            faces, corner = FaceEmbedder(self._expert), np.array([take.window.x1, take.window.y1] * 2)
            found = [
                faces.push(number, crop_lower_face(frame, take.track.boxes[number] - corner))
                for number, frame in enumerate(frames)
                if take.track.present[number]
            ]
            rows += [embedder.similarity(*part) for part in (*found, faces.flush()) if part is not None]
        estimate = estimate_sync(np.concatenate(rows)) if rows else None
        return estimate.confidence if estimate is not None else float("nan")


def cut_voice(voice: FloatArray, clips: Sequence[FloatArray]) -> list[FloatArray]:
    """Consecutive parts of a voice, as long as the clips; repeated where it is shorter."""
    whole = np.resize(voice, sum(map(len, clips)))
    return [
        np.ascontiguousarray(part) for part in np.split(whole, np.cumsum([len(clip) for clip in clips])[:-1])
    ]


def _encode(generator: LipGenerator, audio: FloatArray, frames: int) -> AudioRows:
    return generator.encode_audio(AudioClip(np.ascontiguousarray(audio, np.float32)), FPS, frames)


def _noise_rows(generator: LipGenerator, frames: int) -> FloatArray:
    """Rows of white noise, a third of the frames at each level."""
    random = np.random.default_rng(0)
    noise = random.normal(size=frames * RATE // FPS).astype(np.float32)
    edges = np.linspace(0, frames, len(NOISE_DB) + 1).astype(int)
    parts = [
        _encode(generator, noise * np.float32(10 ** (level / 20)), frames)[np.arange(first, last)]
        for level, first, last in zip(NOISE_DB, edges[:-1], edges[1:], strict=True)
    ]
    return np.concatenate(parts)
