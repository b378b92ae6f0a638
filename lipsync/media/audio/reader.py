"""Audio reader: mono samples for the networks, the original audio for the result."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from lipsync.errors import MediaError, RangeError
from lipsync.media.audio import channels
from lipsync.media.audio.blocks import equal_blocks, faded, silence, without_start
from lipsync.media.audio.decoder import Resampler, decode_audio
from lipsync.media.audio.mono import to_mono
from lipsync.media.audio.probe import AudioStream, scan_audio
from lipsync.media.clock import DEFAULT_TRACK
from lipsync.media.video.timeline import resolve_ranges
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, AudioInfo, FloatArray, TimeRange
from lipsync.utils.mapped_array import PIECE, large_zeros, pieces, release

SILENCE = 10 ** (-60 / 20)
"""Peak amplitude below which audio counts as silence: -60 dBFS."""
RAMP_SECONDS = 0.01
"""Fade at both sides of a cut, so that it makes no click."""
_MAX_BLOCK_CHANNELS = 2
_MISSING_SECONDS = 1.0  # a decoder that stops this much early has failed


def open_audio(
    path: Path | str,
    ranges: Sequence[TimeRange] = (),
    shift: float = 0.0,
    track: int = DEFAULT_TRACK,
    video_track: int = DEFAULT_TRACK,
) -> AudioReader:
    """Open an audio file, or an audio track of a video.

    Args:
        path: a file that ffmpeg reads.
        ranges: parts of the file, joined in this order; all of it if empty.
        shift: seconds of silence before the joined ranges; a negative shift drops as much of their
            beginning instead. The end moves too, so the length changes by `shift`.
        track: index among the audio tracks; by default the one that the file marks as default, else the
            first that can be decoded.
        video_track: index of the video track that is shown with it, whose first frame is time 0.

    Raises:
        NoAudioError: there is no audio track, or none that can be decoded.
        MediaError: the file is missing or not media.
        OptionError: there is no track of this index.
        RangeError: a range ends past the end of the file, or a negative shift leaves nothing; the
            message has the length.
    """
    info, source = scan_audio(path, track, video_track)
    return AudioReader(info, source, ranges, shift)


class AudioReader:
    """Audio file opened for reading; made by `open_audio`.

    Its time 0 is that of the file's video: an audio stream that starts later is preceded by silence, and
    what lies before the first frame is left out, so that a video's audio stays in sync with its frames.

    Attributes:
        info: properties of the file.
        layout: loudspeakers of its channels.
        language: of its track, ISO 639-2; "" if unknown.
        paths: the files that are read.
        ranges: start and end of each range, seconds.
        shift: seconds of silence before the first range; negative where its beginning is dropped.
            Exact to a sample of the file.
        duration: seconds of all ranges together plus the shift.
    """

    def __init__(
        self, info: AudioInfo, source: AudioStream, ranges: Sequence[TimeRange], shift: float = 0.0
    ) -> None:
        self.info, self._source, self.layout = info, source, source.layout
        self.language = source.language
        self.paths: tuple[Path, ...] = (info.path,)
        self.ranges = resolve_ranges(ranges, info.duration, info.path)
        length = sum(end - start for start, end in self.ranges)
        self.shift = round(shift * info.sample_rate) / info.sample_rate
        if length + self.shift <= 0:
            raise RangeError(
                "The voice is shifted so far forward that nothing is left of it",
                given=f"{shift:g} s",
                hint=f"It lasts {length:.2f} s; shift it by less ('voice_shift').",
            )
        self.duration = length + self.shift

    @property
    def stream(self) -> AudioStream | None:
        """The stream, if the recording is all of it from the file's time 0 on; else None."""
        whole = type(self) is AudioReader and self.ranges == ((0.0, self.info.duration),) and not self.shift
        return self._source if whole else None

    @property
    def mixed_down(self) -> tuple[AudioReader, ...]:
        """The recordings in it whose channels a result cannot all hold as channels of their own."""
        return () if channels.is_lossless(self.layout) else (self,)

    def read(
        self,
        sample_rate: int = 16_000,
        *,
        start: float = 0.0,
        seconds: float | None = None,
        cancel: CancelToken | None = None,
    ) -> AudioClip:
        """The joined ranges as mono samples.

        Two channels are averaged, more are mixed down to two before. Where channels cancel each other out
        in the mean, the loudest one is taken.

        Args:
            start: seconds from the beginning that are left out.
            seconds: read no more than this from there; None reads all.

        Returns:
            float32 (n,) in [-1, 1] at `sample_rate` Hz; n is what is left of `duration`, or `seconds` where
            that is less, to the nearest sample.

        Raises:
            MediaError: the audio cannot be decoded, or decoding stopped early.
            Cancelled: the token was cancelled.
        """
        # Filled in place: an hour is 230 MB, which lie in a temporary file.
        rest = max(0.0, self.duration - start)
        wanted = rest if seconds is None else min(seconds, rest)
        samples = large_zeros(max(1, round(wanted * sample_rate)))
        count = 0
        with closing(self.blocks(cancel=cancel)) as blocks:
            later = without_start(blocks, round(start * self.info.sample_rate))
            for block in resampled(to_mono(later, self.layout, self.info.sample_rate), self, sample_rate, 1):
                values = block[: len(samples) - count, 0]
                np.clip(values, -1.0, 1.0, out=samples[count : count + len(values)])
                if count // PIECE != (count + len(values)) // PIECE:
                    release(samples)
                count += len(values)
                if wanted < rest and count == len(samples):
                    break
        return AudioClip(samples, sample_rate)

    def read_blocks(
        self, seconds: float = 1.0, *, cancel: CancelToken | None = None
    ) -> Generator[FloatArray, None, None]:
        """The joined ranges at the file's own rate, in blocks of `seconds`.

        For measuring the audio of the file. One block is in memory at a time; the last one is shorter.

        Yields:
            float32 (n, channels) at `info.sample_rate` Hz; more than two channels are mixed down to two.

        Raises:
            MediaError: the audio cannot be decoded.
            Cancelled: the token was cancelled.
        """
        matrix = None
        if len(self.layout) > _MAX_BLOCK_CHANNELS:
            matrix = channels.mixing_matrix(self.layout, channels.STEREO)
            matrix /= matrix.sum(1).max()
        with closing(self.blocks(cancel=cancel)) as blocks:
            for block in equal_blocks(blocks, max(1, round(seconds * self.info.sample_rate))):
                yield block if matrix is None else channels.mix_channels(block, matrix)

    @staticmethod
    def is_silent(clip: AudioClip) -> bool:
        """Whether the peak is below -60 dBFS, so that there is no speech to sync to."""
        return all(max(part.max(), -part.min()) < SILENCE for part in pieces(clip.samples))

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The joined ranges with the shift, in the file's own rate and channels.

        Where two ranges are joined that do not follow each other in the file, the first fades out and the
        second fades in.

        Yields:
            float32 (n, channels) of any length; `duration` in all, to the sample.

        Raises:
            MediaError: the audio cannot be decoded, or decoding stopped early.
            Cancelled: the token was cancelled.
        """
        rate = self.info.sample_rate
        spans = [(round(start * rate), round(end * rate)) for start, end in self.ranges]
        shift = round(self.shift * rate)
        if shift > 0:
            yield from silence(shift, len(self.layout), rate)
        with closing(SampleCursor(self, cancel or CancelToken())) as cursor:
            yield from without_start(self._joined(spans, cursor), max(0, -shift))

    def _joined(self, spans: Sequence[tuple[int, int]], cursor: SampleCursor) -> Iterator[FloatArray]:
        """The ranges, given in samples."""
        for number, (start, end) in enumerate(spans):
            cut_before = number > 0 and spans[number - 1][1] != start
            cut_after = number + 1 < len(spans) and spans[number + 1][0] != end
            ramps = (RAMP_SECONDS * cut_before, RAMP_SECONDS * cut_after)
            yield from faded(cursor.read(start, end), end - start, self.info.sample_rate, *ramps)

    def whole_file(self, cancel: CancelToken) -> Generator[FloatArray, None, None]:
        """The file from its time 0 on; see `decode_audio`."""
        return decode_audio(self.info.path, self._source, cancel)

    def decode_error(self, seconds: float) -> MediaError:
        """The error for audio that ends after `seconds`."""
        if not seconds:
            hint = "It is damaged; try another copy of it."
            return MediaError("The file cannot be decoded", given=self.info.path, hint=hint)
        return MediaError(
            f"The audio breaks off after {seconds:.1f} of {self.info.duration:.1f} s",
            given=self.info.path,
            hint="The file is damaged there; use ranges before it, or another copy of the file.",
        )


class SampleCursor:
    """Position in the samples of a file; spans in order take one pass.

    Every pass decodes from the start of the file: only that is exact to the sample in every container.
    """

    def __init__(self, audio: AudioReader, cancel: CancelToken) -> None:
        self._audio, self._cancel = audio, cancel
        self._blocks: Generator[FloatArray, None, None] | None = None
        self._rest = np.zeros((0, len(audio.layout)), np.float32)
        self._at = 0  # sample of the file at which `_rest` begins

    def read(self, start: int, end: int) -> Iterator[FloatArray]:
        """Samples `start` to `end` of the file, float32 (n, channels) in blocks of any length.

        Up to a second that is missing at the end of the file is silence.

        Raises:
            MediaError: more is missing.
        """
        if self._blocks is None or start < self._at:
            self.close()
            self._blocks = self._audio.whole_file(self._cancel)
            self._rest, self._at = self._rest[:0], 0
        at = start
        while at < end:
            if self._at + len(self._rest) <= at:
                self._at += len(self._rest)
                following = next(self._blocks, None)
                if following is None:
                    self._rest = self._rest[:0]
                    break
                self._rest = following
                continue
            block = self._rest[at - self._at : end - self._at]
            at += len(block)
            yield block
        if at < end:
            rate = self._audio.info.sample_rate
            if not self._at or (end - self._at) / rate > _MISSING_SECONDS:
                raise self._audio.decode_error(self._at / rate)
            yield from silence(end - at, len(self._audio.layout), rate)

    def close(self) -> None:
        """Stop decoding."""
        if self._blocks is not None:
            self._blocks.close()


def resampled(
    blocks: Iterator[FloatArray], audio: AudioReader, rate: int, width: int
) -> Iterator[FloatArray]:
    """Blocks of the reader at another sample rate, float32 (n, width)."""
    resampler = Resampler(audio.info.sample_rate, rate, width)
    for block in blocks:
        yield from resampler.convert(block)
    yield from resampler.flush()


def fitting_matrix(audio: AudioReader, target: channels.Layout, cancel: CancelToken) -> channels.Matrix:
    """Mixing matrix from the reader's layout; where channels are added up, scaled so that nothing clips."""
    matrix = channels.mixing_matrix(audio.layout, target)
    if (matrix != 0).sum(1).max(initial=0) <= 1:
        return matrix
    peak = 0.0
    with closing(audio.blocks(cancel=cancel)) as blocks:
        for block in blocks:
            peak = max(peak, float(np.abs(channels.mix_channels(block, matrix)).max(initial=0)))
    return np.asarray(matrix / max(1.0, peak), np.float32)
