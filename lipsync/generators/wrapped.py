"""Base class of generators that draw by way of another one."""

from __future__ import annotations

from fractions import Fraction

from lipsync.generators.base import AudioRows, GeneratorSpec, LipGenerator
from lipsync.progress import CancelToken
from lipsync.types import AudioClip


class WrappedGenerator:
    """Spec and audio features of a wrapped `LipGenerator`; subclasses draw.

    Attributes:
        wrapped: the other generator.
    """

    def __init__(self, wrapped: LipGenerator) -> None:
        self.wrapped = wrapped

    @property
    def spec(self) -> GeneratorSpec:
        """See `LipGenerator`."""
        return self.wrapped.spec

    def encode_audio(
        self,
        audio: AudioClip,
        fps: Fraction | float,
        frames: int,
        lead: int = 0,
        cancel: CancelToken | None = None,
    ) -> AudioRows:
        """See `LipGenerator`."""
        return self.wrapped.encode_audio(audio, fps, frames, lead, cancel)
