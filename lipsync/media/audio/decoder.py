"""Audio decoding on the file's own clock, in one form throughout.

packets -> frames, each where its timestamp says -> float32 blocks without gaps, from time 0 of the file

Where packets are lost there is silence of their length, so that what follows stays in sync; a stream that
changes its rate or channels is converted to its first form.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.media.audio import channels
from lipsync.media.audio.probe import AudioStream
from lipsync.media.container import open_container
from lipsync.progress import CancelToken
from lipsync.types import FloatArray

_JITTER = Fraction(3, 2000)
"""Seconds by which timestamps may be off: containers round them to a millisecond."""
_WAIT_SECONDS = 0.25
"""How long a deviation must last before the audio is moved: single timestamps are often wrong."""
_DRIFT_SECONDS = 0.005
"""Deviations up to this are those of a clock that drifts; larger ones are gaps or repetitions."""
_JUMP_BACK, _JUMP_AHEAD = Fraction(-1, 2), 10
"""Deviations in seconds beyond which the clock has started anew, as in files joined byte by byte."""
_LARGEST_RESTART = 1  # seconds between the end of a recording's audio and the start of the next one's
_SILENCE_SECONDS = 1.0  # longest block of silence


def decode_audio(path: Path, stream: AudioStream, cancel: CancelToken) -> Generator[FloatArray, None, None]:
    """The audio of the file from its time 0 on, in blocks of any length.

    Damaged packets are left out; the file then has silence in their place, or ends early.

    Yields:
        float32 (n, channels) at the stream's sample rate and layout.

    Raises:
        MediaError: the file cannot be opened.
        Cancelled: the token was cancelled.
    """
    converter = _Converter(stream.sample_rate, stream.layout)
    with open_container(path) as container:
        track = container.streams[stream.index]
        track.thread_type = "NONE"  # frame threads start again for every file and save nothing here
        frames = _frames(container, track, cancel)
        for piece in _on_clock(frames, stream):
            yield from converter.convert(piece)
        yield from converter.flush()


@dataclass
class _Piece:
    """Decoded samples in the form that the stream has there.

    Attributes:
        samples: float32 (n, channels).
        rate: samples per second.
        layout: their loudspeakers.
        time: timestamp in seconds of the file's clock; None where there is none.
    """

    samples: FloatArray
    rate: int
    layout: channels.Layout
    time: Fraction | None = None

    @property
    def seconds(self) -> Fraction:
        return Fraction(len(self.samples), self.rate)


# ------------------------------------------------------------------------------------- frames


def _frames(container: Any, track: Any, cancel: CancelToken) -> Iterator[_Piece]:
    """Decoded frames; packets that cannot be decoded are skipped, a damaged end ends the stream."""
    packets = container.demux(track)
    while True:
        cancel.check("reading")
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, IndexError):
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if frame.samples:
                yield _piece(frame)


def _piece(frame: Any) -> _Piece:
    time = None if frame.pts is None or not frame.time_base else _seconds(frame.pts, frame.time_base)
    layout = channels.layout_of(frame.layout)
    return _Piece(_samples(frame, len(layout)), frame.sample_rate, layout, time)


def _seconds(ticks: int, base: Any) -> Fraction:
    return ticks * Fraction(base.numerator, base.denominator)


def _samples(frame: Any, count: int) -> FloatArray:
    """Samples of a frame as float32 (n, channels) with full scale 1; no NaN."""
    if frame.format.is_planar and count >= 8:  # PyAV reads at most seven planes
        [frame] = av.AudioResampler(format=frame.format.packed).resample(frame)
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, count)
    if values.dtype == np.uint8:
        return np.asarray((values.astype(np.float32) - 128) / 128, np.float32)
    if values.dtype.kind == "i":
        return np.asarray(values * np.float32(2.0 ** (1 - 8 * values.dtype.itemsize)), np.float32)
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), np.float32)


# ------------------------------------------------------------------------------------- the clock


@dataclass
class _Clock:
    """Where the next sample belongs, and what to do with frames that belong elsewhere.

    Attributes:
        stream: the stream; frames of streams without timestamps follow each other.
        end: seconds, end of what has been placed.
        zero: seconds on the stream's clock that are time 0 of the file.
    """

    stream: AudioStream
    end: Fraction = Fraction(0)
    zero: Fraction = field(init=False)
    started: bool = False
    restarts: int = 0

    def __post_init__(self) -> None:
        self.zero = self.stream.zero

    def deviation(self, piece: _Piece, end: Fraction) -> Fraction:
        """Seconds by which the piece starts after `end`; 0 for deviations that do not count."""
        if piece.time is None or (self.started and not self.stream.has_clock):
            return Fraction(0)
        late = piece.time - self.zero - end
        if self.started and (late < _JUMP_BACK or (late > _JUMP_AHEAD and self.stream.may_jump)):
            late = self._start_anew(piece.time, late, end)
        return late if abs(late) > (_JITTER if self.started else 0) else Fraction(0)

    def _start_anew(self, time: Fraction, late: Fraction, end: Fraction) -> Fraction:
        """Deviation of a piece by the clock that starts with it: the video's, else one that fits."""
        later, self.restarts = self.stream.later_zeros[self.restarts :], self.restarts + 1
        if later and abs(time - later[0] - end) < _LARGEST_RESTART:
            self.zero = later[0]
            return time - self.zero - end
        self.zero += late
        return Fraction(0)


def _on_clock(frames: Iterator[_Piece], stream: AudioStream) -> Iterator[_Piece]:
    """The frames with silence in gaps, and without what was there before."""
    clock = _Clock(stream)
    for piece in frames:
        late = clock.deviation(piece, clock.end)
        pieces = [piece]
        if late and clock.started:
            pieces, late = _lasting(piece, late, frames, clock)
        clock.started = True
        for placed in _placed(pieces, late):
            clock.end += placed.seconds
            yield placed


def _lasting(
    first: _Piece, late: Fraction, frames: Iterator[_Piece], clock: _Clock
) -> tuple[list[_Piece], Fraction]:
    """The frames of the next quarter of a second, and how late all of them are; 0 if some are not."""
    pieces, end, smallest = [first], clock.end + first.seconds, late
    while end - clock.end < _WAIT_SECONDS and smallest and (piece := next(frames, None)) is not None:
        now = clock.deviation(piece, end)
        smallest = min(now, smallest, key=abs) if now * smallest > 0 else Fraction(0)
        pieces.append(piece)
        end += piece.seconds
    return pieces, smallest


def _placed(pieces: list[_Piece], late: Fraction) -> Iterator[_Piece]:
    """The pieces moved by `late` seconds: after silence, without their beginning, or stretched."""
    count = round(late * pieces[0].rate)
    if not count:
        yield from pieces
        return
    uniform = len({(piece.rate, piece.layout) for piece in pieces}) == 1
    if abs(late) <= _DRIFT_SECONDS and uniform and len(pieces) > 1:
        together = np.concatenate([piece.samples for piece in pieces])
        yield _Piece(_stretched(together, count), pieces[0].rate, pieces[0].layout)
        return
    yield from _silence(pieces[0], count)
    for piece in pieces:
        kept = piece.samples[max(0, -count) :]
        count = min(0, count + len(piece.samples))
        if len(kept):
            yield _Piece(kept, piece.rate, piece.layout)


def _silence(like: _Piece, count: int) -> Iterator[_Piece]:
    longest = round(_SILENCE_SECONDS * like.rate)
    for start in range(0, count, longest):
        zeros = np.zeros((min(longest, count - start), len(like.layout)), np.float32)
        yield _Piece(zeros, like.rate, like.layout)


def _stretched(samples: FloatArray, count: int) -> FloatArray:
    """Samples (n, channels) made `count` longer, or shorter where that is negative, by interpolation.

    Over a quarter of a second that is a change of pitch of less than two percent; a crossfade would
    cancel out some frequencies.
    """
    places = np.linspace(0, len(samples) - 1, len(samples) + count)
    columns = [np.interp(places, np.arange(len(samples)), column) for column in samples.T]
    return np.stack(columns, axis=1).astype(np.float32)


# ------------------------------------------------------------------------------------- the form


class _Converter:
    """Conversion of pieces to one sample rate and layout, where they differ."""

    def __init__(self, rate: int, layout: channels.Layout) -> None:
        self._rate, self._layout = rate, layout
        self._resampler: Resampler | None = None

    def convert(self, piece: _Piece) -> Iterator[FloatArray]:
        """What has become ready; a change of rate ends what came before."""
        samples = piece.samples
        if piece.layout != self._layout:
            samples = channels.mix_channels(samples, _downmix(piece.layout, self._layout))
        if self._resampler is None or self._resampler.rates[0] != piece.rate:
            yield from self.flush()
            self._resampler = Resampler(piece.rate, self._rate, len(self._layout))
        yield from self._resampler.convert(samples)

    def flush(self) -> Iterator[FloatArray]:
        """The rest of the last form."""
        if self._resampler is not None:
            yield from self._resampler.flush()
            self._resampler = None


def _downmix(layout: channels.Layout, target: channels.Layout) -> channels.Matrix:
    """The mixing matrix, scaled so that it cannot clip."""
    matrix = channels.mixing_matrix(layout, target)
    return np.asarray(matrix / max(1.0, float(matrix.sum(1).max(initial=0))), np.float32)


class Resampler:
    """Sample rate conversion by libswresample, for blocks of float32 (n, channels).

    Attributes:
        rates: samples per second before and after.
    """

    def __init__(self, rate: int, target: int, count: int) -> None:
        self.rates = rate, target
        # Channels are converted alike whatever loudspeakers they are for, so any layout will do.
        self._layouts = [
            "mono" if width == 1 else "stereo" for width in [2] * (count // 2) + [1] * (count % 2)
        ]
        self._parts = [
            av.AudioResampler(format="flt", layout=layout, rate=target) for layout in self._layouts
        ]

    def convert(self, samples: FloatArray) -> Iterator[FloatArray]:
        """The block at the new rate, less what later samples have an influence on."""
        if self.rates[0] == self.rates[1]:
            if len(samples):
                yield samples
            return
        if len(samples):
            yield from self._joined([self._frame(part, layout) for part, layout in self._split(samples)])

    def flush(self) -> Iterator[FloatArray]:
        """The end."""
        if self.rates[0] != self.rates[1]:
            yield from self._joined([None] * len(self._parts))

    def _split(self, samples: FloatArray) -> Iterator[tuple[FloatArray, str]]:
        start = 0
        for layout in self._layouts:
            width = 1 if layout == "mono" else 2
            yield samples[:, start : start + width], layout
            start += width

    def _frame(self, samples: FloatArray, layout: str) -> Any:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = self.rates[0]
        return frame

    def _joined(self, frames: list[Any]) -> Iterator[FloatArray]:
        columns = []
        for part, layout, frame in zip(self._parts, self._layouts, frames, strict=True):
            made = [
                out.to_ndarray().reshape(-1, 1 if layout == "mono" else 2) for out in part.resample(frame)
            ]
            columns.append(np.concatenate(made) if made else np.zeros((0, 1), np.float32))
        count = min(map(len, columns))
        if count:
            yield np.ascontiguousarray(np.hstack([column[:count] for column in columns]))
