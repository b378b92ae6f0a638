"""Audio reader: mono samples for the networks, the original audio for the result."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from lipsync.errors import MediaError, RangeError
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, media_input, read_stdout
from lipsync.media.probe import AudioStream, scan_audio
from lipsync.media.video.timeline import resolve_ranges
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, AudioInfo, FloatArray, TimeRange

SILENCE = 10 ** (-60 / 20)
"""Peak amplitude below which audio counts as silence: -60 dBFS."""
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_CHANNELS = 2
_MISSING_SECONDS = 1.0  # a decoder that stops this much early has failed


def open_audio(path: Path | str, ranges: Sequence[TimeRange] = (), shift: float = 0.0) -> AudioReader:
    """Open an audio file, or the first audio stream of a video.

    Args:
        path: a file that ffmpeg reads.
        ranges: parts of the file, joined in this order; all of it if empty.
        shift: seconds of silence before the joined ranges; a negative shift drops as much of their
            beginning instead. The end moves too, so the length changes by `shift`.

    Raises:
        NoAudioError: there is no audio stream.
        MediaError: the file is missing or not media.
        RangeError: a range ends past the end of the file, or a negative shift leaves nothing; the
            message has the length.
    """
    info, source = scan_audio(path)
    return AudioReader(info, source, ranges, shift)


class AudioReader:
    """Audio file opened for reading; made by `open_audio`.

    Its time 0 is the start of the file: an audio stream that starts later is preceded by silence, so
    that a video's audio stays in sync with its frames.

    Attributes:
        info: properties of the file.
        paths: the files that are read.
        ranges: start and end of each range, seconds.
        shift: seconds of silence before the first range; negative where its beginning is dropped.
            Exact to a sample of the file.
        duration: seconds of all ranges together plus the shift.
    """

    def __init__(
        self, info: AudioInfo, source: AudioStream, ranges: Sequence[TimeRange], shift: float = 0.0
    ) -> None:
        self.info, self._source = info, source
        self.paths: tuple[Path, ...] = (info.path,)
        self.ranges = resolve_ranges(ranges, info.duration, info.path)
        length = sum(end - start for start, end in self.ranges)
        self.shift = round(shift * info.sample_rate) / info.sample_rate
        if length + self.shift <= 0:
            raise RangeError(
                "The voice is shifted so far forward that nothing is left of it",
                given=f"{shift:g} s",
                hint=f"It lasts {length:.2f} s; shift it by less (voice_shift).",
            )
        self.duration = length + self.shift

    def read(self, sample_rate: int = 16_000, *, cancel: CancelToken | None = None) -> AudioClip:
        """The joined ranges as mono samples.

        Two channels are averaged. More are downmixed with ffmpeg's matrix, which keeps the centre
        channel, where speech is.

        Returns:
            float32 (n,) in [-1, 1] at `sample_rate` Hz; n is `duration` to the nearest sample.

        Raises:
            MediaError: the audio cannot be decoded, or decoding stopped early.
            Cancelled: the token was cancelled.
        """
        token = cancel or CancelToken()
        mono = self.mono_stream().filter("aresample", sample_rate)
        graph = mono.output("pipe:", f="f32le", acodec="pcm_f32le", ac=1, ar=sample_rate)
        # Filled in place: an hour is 230 MB, and every copy would be as much again.
        samples = np.zeros(max(1, round(self.duration * sample_rate)), np.float32)
        count = 0
        with FFmpegProcess(graph) as running:
            with closing(read_stdout(running, _BLOCK_BYTES, token)) as blocks:
                for block in blocks:
                    values = np.frombuffer(block, "<f4", count=len(block) // 4)[: len(samples) - count]
                    samples[count : count + len(values)] = values
                    count += len(values)
            running.wait(token)
            stderr = running.stderr_tail()
        if not count or (len(samples) - count) / sample_rate > _MISSING_SECONDS:
            self._raise_decode_error(count / sample_rate, stderr)
        np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.clip(samples, -1.0, 1.0, out=samples)
        return AudioClip(samples, sample_rate)

    def read_blocks(
        self, seconds: float = 1.0, *, cancel: CancelToken | None = None
    ) -> Generator[FloatArray, None, None]:
        """The joined ranges at the file's own rate, in blocks of `seconds`.

        For measuring the audio of the file. One block is in memory at a time; the last one is shorter.

        Yields:
            float32 (n, channels) at `info.sample_rate` Hz; more than two channels are downmixed to two.

        Raises:
            MediaError: the audio cannot be decoded.
            Cancelled: the token was cancelled.
        """
        cancel = cancel or CancelToken()
        rate, channels = self.info.sample_rate, min(self.info.channels, _MAX_BLOCK_CHANNELS)
        stream = self.stream()
        if self.info.channels > _MAX_BLOCK_CHANNELS:
            stream = stream.filter("aformat", channel_layouts="stereo")
        graph = stream.output("pipe:", f="f32le", acodec="pcm_f32le", ac=channels, ar=rate)
        any_samples = False
        with FFmpegProcess(graph) as running:
            size = max(1, round(seconds * rate)) * channels * 4
            with closing(read_stdout(running, size, cancel)) as blocks:
                for block in blocks:
                    values = np.frombuffer(block, "<f4", count=len(block) // (4 * channels) * channels)
                    any_samples = any_samples or len(values) > 0
                    yield np.nan_to_num(values.reshape(-1, channels), nan=0.0, posinf=0.0, neginf=0.0)
            if running.wait(cancel) or not any_samples:
                raise error_from_stderr(running.stderr_tail(), self.info.path, writing=False)

    @staticmethod
    def is_silent(clip: AudioClip) -> bool:
        """Whether the peak is below -60 dBFS, so that there is no speech to sync to."""
        peak = max(clip.samples.max(initial=0.0), -clip.samples.min(initial=0.0))
        return bool(peak < SILENCE)

    def mono_stream(self) -> Any:
        """The joined ranges in mono at the file's own rate, as an ffmpeg-python stream."""
        return _to_mono(self.stream(), self.info.channels)

    def stream(self, first: int = 0) -> Any:
        """The joined ranges in the file's own format, as an ffmpeg-python stream.

        Args:
            first: number of this reader's first range among all ranges of the file in one graph.
        """
        parts = [self._range(number, start, end) for number, (start, end) in enumerate(self.ranges, first)]
        return self._shifted(parts[0] if len(parts) == 1 else ffmpeg.concat(*parts, v=0, a=1))

    def _shifted(self, stream: Any) -> Any:
        samples = round(self.shift * self.info.sample_rate)
        if samples > 0:
            return stream.filter("adelay", f"{samples}S", all=1)
        if samples < 0:
            return stream.filter("atrim", start_sample=-samples).filter("asetpts", "PTS-STARTPTS")
        return stream

    def _range(self, number: int, start: float, end: float) -> Any:
        """One range, decoded from the start of the file: only that is sample-exact in every container.

        Each range is an input of its own, which ffmpeg reads when its turn comes; a single input would
        have to buffer what later ranges need. ffmpeg-python merges equal inputs, so each range reads
        to a slightly different end.
        """
        source = media_input(
            self.info.path, self._source.demuxer, vn=None, t=round(end + 1 + number / 1000, 3)
        )
        # Timestamps are reset to the start of the audio and its delay is put back afterwards, because
        # ffmpeg counts from the start of the file in some containers and of the stream in others.
        stream = source[str(self._source.index)].filter("asetpts", "PTS-STARTPTS")
        stream = stream.filter("aresample", **{"async": 1, "first_pts": 0})
        if delay := round(self._source.delay * self.info.sample_rate):
            stream = stream.filter("adelay", f"{delay}S", all=1)
        stream = stream.filter("atrim", start=f"{start:.9f}", end=f"{end:.9f}")
        return stream.filter("asetpts", "PTS-STARTPTS")

    def _raise_decode_error(self, seconds: float, stderr: str) -> None:
        reason = error_from_stderr(stderr, self.info.path, writing=False)
        if not isinstance(reason, MediaError) or not seconds:
            raise reason
        raise MediaError(
            f"The audio breaks off after {seconds:.1f} of {self.duration:.1f} s",
            given=self.info.path,
            hint="The file is damaged there; use ranges before it, or another copy of the file.",
        )


def _to_mono(stream: Any, channels: int) -> Any:
    if channels == 1:
        return stream
    if 2 < channels <= 8:  # layouts that ffmpeg has a downmix matrix for
        stream, channels = stream.filter("aformat", channel_layouts="stereo"), 2
    return stream.filter("pan", "mono|c0<" + "+".join(f"c{n}" for n in range(channels)))  # "<" is the mean
