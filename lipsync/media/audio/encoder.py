"""Encoding of an audio track as AAC or WAV: rates, channel layout, exact length."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.errors import OutputError
from lipsync.media.audio import channels
from lipsync.media.audio.blocks import equal_blocks, silence
from lipsync.media.audio.mix import MixedAudio
from lipsync.media.audio.mono import to_mono
from lipsync.media.audio.reader import AudioReader, fitting_matrix, resampled
from lipsync.media.audio.smart_copy import copy_sound, unchanged_seconds
from lipsync.media.video.parameter_sets import NotCopyableError
from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from lipsync.utils.disk_errors import write_error

SPEECH_RATE = 16_000
_SPEECH_BITS = 48_000  # a second, of training sets
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_BLOCK = 1 << 14
SOUND_AGAIN = "The video's own sound is encoded again, too, where it does not change: {reason}."
_WORTH_SECONDS = 10.0
"""What is encoded again although it does not change is worth a warning from this length on."""


def aac_rate(rate: int) -> int:
    """AAC sample rate for `rate` Hz: the same, else a divisor, else the next higher."""
    divisors = [known for known in _AAC_RATES if rate % known == 0 and rate // known <= 4]
    higher = [known for known in _AAC_RATES if known >= rate]
    return divisors[0] if divisors else min(higher, default=48_000)


def bit_rate(rate: int, count: int) -> int:
    """Bits per second: 128 kbit/s a channel, but at most 6 bits a sample, AAC's limit, and 640 kbit/s."""
    return min(min(128_000, 6 * rate) * count, 640_000)


class EncodedTrack:
    """Audio track in a file of its own, encoded in the background; a context manager.

    The file is AAC in MP4, or WAV of 24 bits where `path` ends so. Leaving the context ends the encoding;
    whoever owns the folder removes the file.

    Args:
        audio: the audio to encode, at its own rate and channels.
        seconds: exact length; longer audio is trimmed, shorter audio is padded with silence.
        path: the file to write.
        compact: mono at `SPEECH_RATE`, for training sets.
        cancel: polled all the time.
        own: file whose packets are copied where its sound does not change, if they can be; None for none.

    Attributes:
        not_copied: why what does not change is encoded, once the file is there; "" where that is not so.
        unchanged_seconds: how much of the audio does not change.
    """

    def __init__(
        self,
        audio: AudioReader,
        seconds: Fraction,
        path: Path,
        compact: bool,
        cancel: CancelToken,
        own: Path | None = None,
    ) -> None:
        self._audio, self._seconds, self._compact, self._cancel = audio, seconds, compact, cancel
        self._path, self._own = path, own
        self.not_copied, self.unchanged_seconds = "", 0.0
        self._stop = CancelToken()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lipsync audio", daemon=True)

    def __enter__(self) -> EncodedTrack:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.cancel()
        self._thread.join()

    def path(self) -> Path:
        """The encoded file; waits for it.

        Raises:
            MediaError: the audio cannot be decoded.
            OutputError, DiskFullError: it cannot be written.
            Cancelled: the token was cancelled.
        """
        while self._thread.is_alive():
            self._thread.join(CancelToken.POLL_SECONDS)
            self._cancel.check("writing")
        if self._error is not None:
            raise self._error
        return self._path

    def warnings(self, always: bool) -> tuple[str, ...]:
        """A sentence for the user where much of the audio does not change and is encoded all the same.

        Args:
            always: also where it is little.
        """
        worth = max(_WORTH_SECONDS, float(self._seconds) / 2)
        if not self.not_copied or not (always or self.unchanged_seconds >= worth):
            return ()
        return (SOUND_AGAIN.format(reason=self.not_copied),)

    def _run(self) -> None:
        try:
            if not self._copy_unchanged():
                encode_audio(self._audio, self._seconds, self._path, self._compact, self._stop)
        except BaseException as error:  # raised where the file is needed
            self._error = error

    def _copy_unchanged(self) -> bool:
        """Write the file with packets of what does not change; False where none can be copied."""
        if self._own is None or self._compact or self._path.suffix == ".wav":
            return False
        if not isinstance(self._audio, MixedAudio):
            return False
        self.unchanged_seconds = unchanged_seconds(self._audio, self._own)
        if not self.unchanged_seconds:
            return False
        layout = channels.aac_layout(self._audio.layout)
        count = len(channels.AAC_LAYOUTS[layout])

        def encode(blocks: Iterable[FloatArray], path: Path, rate: int) -> None:
            _write(blocks, path, {"rate": rate, "layout": layout}, bit_rate(rate, count))

        try:
            with _written(self._path):
                copy_sound(self._audio, self._own, self._seconds, self._path, encode, self._stop)
        except NotCopyableError as error:
            self.not_copied = error.what[:1].lower() + error.what[1:]
            return False
        return True


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Context that tells why an audio file cannot be written."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise write_error(error, path.parent, "The audio cannot be written there") from error
        raise OutputError("The audio could not be encoded", given=f"{path.name} ({error})") from error


def encode_audio(
    audio: AudioReader, seconds: Fraction, path: Path, compact: bool, cancel: CancelToken
) -> None:
    """Encode the audio into a file; see `EncodedTrack`."""
    wav = path.suffix == ".wav"
    rate = SPEECH_RATE if compact else audio.info.sample_rate if wav else aac_rate(audio.info.sample_rate)
    layout = "mono" if compact else channels.aac_layout(audio.layout)
    count = len(channels.AAC_LAYOUTS[layout])
    bits = _SPEECH_BITS if compact else bit_rate(rate, count)
    with closing(audio.blocks(cancel=cancel)) as blocks:
        if compact:
            mixed = to_mono(blocks, audio.layout, audio.info.sample_rate)
        else:
            matrix = fitting_matrix(audio, channels.AAC_LAYOUTS[layout], cancel)
            mixed = (channels.mix_channels(block, matrix) for block in blocks)
        exact = _exactly(resampled(mixed, audio, rate, count), round(seconds * rate), count, rate)
        with _written(path):
            form = {"rate": rate, "layout": layout}
            if wav:
                _write_wav(equal_blocks(exact, _BLOCK), path, form)
            else:
                _write(equal_blocks(exact, _BLOCK), path, form, bits)


def _write(blocks: Iterable[FloatArray], path: Path, form: dict[str, Any], bits: int) -> None:
    """Encode blocks (n, channels) of this sample rate and layout."""
    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", **form)
        stream.bit_rate = bits
        # Packed samples: PyAV writes at most seven planes.
        planar = av.AudioResampler(format="fltp", layout=form["layout"], rate=form["rate"])
        at = 0
        for block in blocks:
            data = np.ascontiguousarray(block, np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(data, format="flt", layout=form["layout"])
            frame.sample_rate, frame.pts = form["rate"], at
            at += len(block)
            for part in planar.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def _write_wav(blocks: Iterable[FloatArray], path: Path, form: dict[str, Any]) -> None:
    """Write blocks (n, channels) as WAV of 24 bits; one of more than 4 GB as RF64 (EBU Tech 3306)."""
    with path.open("wb") as file, av.open(file, "w", format="wav", options={"rf64": "auto"}) as container:
        stream: Any = container.add_stream("pcm_s24le", **form)
        at = 0
        for block in blocks:
            values = np.clip(np.rint(block.astype(np.float64) * (1 << 23)), -(1 << 23), (1 << 23) - 1)
            data = np.ascontiguousarray(values.astype(np.int32) << 8).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(data, format="s32", layout=form["layout"])
            frame.sample_rate, frame.pts = form["rate"], at
            at += len(block)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _exactly(blocks: Iterable[FloatArray], count: int, width: int, rate: int) -> Iterator[FloatArray]:
    """`count` samples: trimmed, or padded with silence."""
    at = 0
    for block in blocks:
        kept = block[: count - at]
        at += len(kept)
        if len(kept):
            yield kept
        if at == count:
            return
    yield from silence(count - at, width, rate)
