"""Audio readers made of others: at another level, or of samples in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from lipsync.media.audio.reader import AudioReader
from lipsync.progress import CancelToken
from lipsync.types import AudioInfo, FloatArray
from lipsync.utils.mapped_array import pieces


class DerivedAudio(AudioReader):
    """A recording whose samples are changed on the way.

    Args:
        audio: the recording.
    """

    def __init__(self, audio: AudioReader) -> None:
        self.audio, self.info, self.layout = audio, audio.info, audio.layout
        self.language, self.paths = audio.language, audio.paths
        self.ranges, self.shift, self.duration = ((0.0, audio.duration),), 0.0, audio.duration

    @property
    def mixed_down(self) -> tuple[AudioReader, ...]:
        """As of an `AudioReader`."""
        return self.audio.mixed_down


class ScaledAudio(DerivedAudio):
    """A recording at another level.

    Args:
        gain: factor of its samples.
    """

    def __init__(self, audio: AudioReader, gain: float) -> None:
        super().__init__(audio)
        self.gain = gain

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The samples times the gain; see `AudioReader.blocks`."""
        with closing(self.audio.blocks(cancel=cancel)) as blocks:
            for block in blocks:
                yield block * self.gain


class SampledAudio(DerivedAudio):
    """Samples in memory, or in a temporary file, in the form of a recording.

    Args:
        audio: the recording that errors name.
        samples: float32 (n, channels) of this layout.
        layout, rate: of the samples.
    """

    def __init__(self, audio: AudioReader, samples: FloatArray, layout: tuple[str, ...], rate: int) -> None:
        super().__init__(audio)
        self._samples, self.layout = samples, layout
        self.duration = len(samples) / rate
        self.info = AudioInfo(audio.info.path, rate, len(layout), self.duration)
        self.ranges = ((0.0, self.duration),)

    @property
    def mixed_down(self) -> tuple[AudioReader, ...]:
        """As of an `AudioReader`."""
        return ()

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The samples in blocks of a second; see `AudioReader.blocks`."""
        cancel = cancel or CancelToken()
        for block in pieces(self._samples, self.info.sample_rate):
            cancel.check("reading audio")
            yield block.copy()
