"""The voice: mono samples for the network, and the original sound for the result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from lipsync.errors import MediaError, RangeError
from lipsync.media.ffmpeg import FFmpeg, explain, media_input, read_chunks
from lipsync.media.probe import AudioSource, scan_audio
from lipsync.media.video.timeline import resolve_ranges
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, AudioInfo, TimeRange

SILENCE = 10 ** (-60 / 20)
"""Peak below which sound counts as silence: -60 dBFS."""
_CHUNK_BYTES = 1 << 20
_MISSING_SECONDS = 1.0  # a decoder that stops this much early has failed


def open_audio(path: Path | str, ranges: Sequence[TimeRange] = (), shift: float = 0.0) -> AudioReader:
    """Look into a sound file, or the sound track of a video; `ranges` are joined in their order.

    Args:
        shift: seconds by which the joined ranges come later, after silence; negative drops as much
            of their beginning. The end moves with them, so the length changes by as much.

    Raises:
        NoAudioError: there is no sound in it.
        MediaError: no such file, or no media.
        RangeError: a range goes past the end, or a negative shift leaves nothing; the message has
            the length.
    """
    info, source = scan_audio(path)
    return AudioReader(info, source, ranges, shift)


class AudioReader:
    """A sound source ready to be read; made by `open_audio`.

    Its time 0 is the file's start: sound that starts later is preceded by silence, so that the
    track of a video stays in step with its picture.

    Attributes:
        info: what is known of the file.
        paths: the files that are read.
        ranges: start and end of each range, seconds.
        shift: seconds of silence before the first range; negative where its beginning is dropped.
            Right to a sample of the file.
        duration: seconds of all ranges together, and of the shift.
    """

    def __init__(
        self, info: AudioInfo, source: AudioSource, ranges: Sequence[TimeRange], shift: float = 0.0
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
        """The joined ranges as one channel.

        Two channels are averaged; more are mixed down so that the centre, where people speak,
        is kept.

        Returns:
            float32 (n,) in [-1, 1] at `sample_rate` Hz, n right to the sample for `duration`.

        Raises:
            MediaError: the sound cannot be decoded, or decoding broke off.
            Cancelled: the token was thrown.
        """
        token = cancel or CancelToken()
        mono = self.mono().filter("aresample", sample_rate)
        graph = mono.output("pipe:", f="f32le", acodec="pcm_f32le", ac=1, ar=sample_rate)
        # Filled in place: an hour is 230 MB, and every copy would be as much again.
        samples = np.zeros(max(1, round(self.duration * sample_rate)), np.float32)
        got = 0
        with FFmpeg(graph) as running:
            with closing(read_chunks(running, _CHUNK_BYTES, token)) as pieces:
                for piece in pieces:
                    values = np.frombuffer(piece, "<f4", count=len(piece) // 4)[: len(samples) - got]
                    samples[got : got + len(values)] = values
                    got += len(values)
            running.wait(token)
            complaint = running.complaint()
        if not got or (len(samples) - got) / sample_rate > _MISSING_SECONDS:
            self._refuse(got / sample_rate, complaint)
        np.nan_to_num(samples, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.clip(samples, -1.0, 1.0, out=samples)
        return AudioClip(samples, sample_rate)

    @staticmethod
    def is_silent(clip: AudioClip) -> bool:
        """Whether nothing in `clip` is as loud as -60 dBFS, so that no lips can follow it."""
        loudest = max(clip.samples.max(initial=0.0), -clip.samples.min(initial=0.0))
        return bool(loudest < SILENCE)

    def mono(self) -> Any:
        """What `read` hears, as an audio stream of ffmpeg-python at the file's own rate."""
        return _to_mono(self.stream(), self.info.channels)

    def stream(self, first: int = 0) -> Any:
        """The joined ranges at the file's own rate and channels, as an audio stream of ffmpeg-python.

        Args:
            first: number of the first range among all those that one graph reads of this file.
        """
        parts = [self._part(number, start, end) for number, (start, end) in enumerate(self.ranges, first)]
        return self._shifted(parts[0] if len(parts) == 1 else ffmpeg.concat(*parts, v=0, a=1))

    def _shifted(self, stream: Any) -> Any:
        samples = round(self.shift * self.info.sample_rate)
        if samples > 0:
            return stream.filter("adelay", f"{samples}S", all=1)
        if samples < 0:
            return stream.filter("atrim", start_sample=-samples).filter("asetpts", "PTS-STARTPTS")
        return stream

    def _part(self, number: int, start: float, end: float) -> Any:
        """One range, decoded from the file's start because only that is right to the sample everywhere.

        Each range is an input of its own, read when its turn comes: one input for all would have
        to hold what comes too early. (ffmpeg-python would make one of equal inputs, so each
        reads a different bit too far.)
        """
        source = media_input(
            self.info.path, self._source.demuxer, vn=None, t=round(end + 1 + number / 1000, 3)
        )
        # The clock starts with the sound; then the silence before it is put back. ffmpeg's own
        # clock starts with the file in some containers and with the sound in others.
        sound = source[str(self._source.stream)].filter("asetpts", "PTS-STARTPTS")
        sound = sound.filter("aresample", **{"async": 1, "first_pts": 0})
        if lead := round(self._source.lead * self.info.sample_rate):
            sound = sound.filter("adelay", f"{lead}S", all=1)
        return sound.filter("atrim", start=f"{start:.9f}", end=f"{end:.9f}").filter("asetpts", "PTS-STARTPTS")

    def _refuse(self, seconds: float, complaint: str) -> None:
        reason = explain(complaint, self.info.path, writing=False)
        if not isinstance(reason, MediaError) or not seconds:
            raise reason
        raise MediaError(
            f"The sound breaks off after {seconds:.1f} of {self.duration:.1f} s",
            given=self.info.path,
            hint="The file is damaged there; use ranges before it, or another copy of the file.",
        )


def _to_mono(stream: Any, channels: int) -> Any:
    if channels == 1:
        return stream
    if 2 < channels <= 8:  # the layouts that ffmpeg knows how to fold
        stream, channels = stream.filter("aformat", channel_layouts="stereo"), 2
    return stream.filter("pan", "mono|c0<" + "+".join(f"c{n}" for n in range(channels)))  # "<" is the mean
