"""AAC-LC tracks in packets: when each is heard, and which others can follow it.

A packet holds a transform of 2048 samples, and is heard together with the one before it: the second half of
one and the first half of the next overlap by 1024 samples, and what both alias cancels out (ISO/IEC 14496-3,
4.6.11). Two packets of different encoders can therefore follow each other if both transform the same sound
there, in long windows of the same shape.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from lipsync.errors import MediaError
from lipsync.media.audio import channels
from lipsync.media.audio.probe import AudioStream
from lipsync.media.container import open_container
from lipsync.media.video.parameter_sets import HINT, NotCopyableError
from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from lipsync.utils.file_digest import file_state

FRAME = 1024
"""Samples of a packet."""
SINE, KBD = 0, 1
"""Shapes of windows."""
_LC = 2
"""Audio object type of AAC-LC."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_SINGLE, _PAIR = 0, 1
"""Syntactic elements of one channel, and of two."""
_LONG = 0
_HEAD = 8
"""Bytes of a packet in which the form of its windows stands."""
_JITTER = 0.0015
"""Seconds by which timestamps may be off, as of `lipsync.media.audio.decoder`."""


@dataclass(frozen=True)
class Window:
    """Form of a packet's windows.

    Attributes:
        long: one window over all samples, in all channels.
        shape: `SINE` or `KBD`.
        bit: of the packet, in which the shape stands.
    """

    long: bool
    shape: int
    bit: int


def window_of(packet: bytes) -> Window | None:
    """Form of the windows of a packet; None where its channels differ, or other elements come first."""
    bits = int.from_bytes(packet[:_HEAD].ljust(_HEAD, b"\0"), "big")

    def read(at: int, count: int) -> int:
        return bits >> (8 * _HEAD - at - count) & ((1 << count) - 1)

    element = read(0, 3)
    if element == _PAIR and read(7, 1):  # both channels have the same windows
        at = 9
    elif element == _SINGLE:
        at = 16
    else:
        return None
    return Window(read(at, 2) == _LONG, read(at + 2, 1), at + 2)


def with_shape(packet: bytes, shape: int) -> bytes:
    """The packet with another shape of its windows, which its decoder then multiplies its samples by."""
    window = window_of(packet)
    assert window is not None
    changed, mask = bytearray(packet), 0x80 >> window.bit % 8
    changed[window.bit // 8] = changed[window.bit // 8] & ~mask | mask * shape
    return bytes(changed)


@dataclass(frozen=True, eq=False)
class AacTrack:
    """Packets of an AAC-LC track without gaps.

    Attributes:
        path, stream: the file, and the index of the track.
        config: AudioSpecificConfig, as the header has it.
        rate, layout: of its samples.
        start: sample of the file with which the first packet begins to be heard.
        count: packets that are heard from their first to their last sample.
        end: sample of the file after the last one; there may be one more packet that is heard in part.
        shapes: int8 (count,) shape of each packet's windows; -1 where that is not one long window.
        state: size and time of change of the file.
    """

    path: Path
    stream: int
    config: bytes
    rate: int
    layout: channels.Layout
    start: int
    count: int
    end: int
    shapes: npt.NDArray[np.int8]
    state: tuple[int, ...]

    def packets(self, cancel: CancelToken) -> Generator[bytes, None, None]:
        """All packets from the first one on.

        Raises:
            MediaError: the file cannot be read, or is another one by now.
        """
        with open_container(self.path) as container:
            if _state(self.path) != self.state:
                raise MediaError(
                    "The video changed during the run",
                    given=self.path,
                    hint="Start again when no other program writes to it.",
                )
            for packet in container.demux(container.streams[self.stream]):
                cancel.check("reading audio")
                if packet.size:
                    yield bytes(packet)


def decode_packets(track: AacTrack, packets: Iterator[bytes]) -> Iterator[FloatArray]:
    """The samples of consecutive packets of a track, float32 (1024, channels) of each.

    What the first one gives is incomplete without the one before it. A damaged packet gives silence, as
    elsewhere, so that what follows stays in its place.
    """
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.extradata, decoder.sample_rate = track.config, track.rate
    lost = np.zeros((FRAME, len(track.layout)), np.float32)
    for data in packets:
        try:
            frames = decoder.decode(av.Packet(data))
        except av.FFmpegError:
            frames = []
        block = np.asarray(frames[0].to_ndarray().T, np.float32) if len(frames) == 1 else lost
        yield block if block.shape == lost.shape else lost


def read_aac_track(path: Path, source: AudioStream, cancel: CancelToken) -> AacTrack:
    """The packets of an audio track, without decoding more than its beginning.

    Raises:
        NotCopyableError: it is no AAC-LC in mono or stereo with its configuration in the header, or there are
            gaps between its packets.
        Cancelled: the token was cancelled.
    """
    try:
        state = _state(path)
        with open_container(path) as container:
            return _read(container, container.streams[source.index], source, (path, state), cancel)
    except NotCopyableError:
        raise
    except (av.FFmpegError, OSError, MediaError, IndexError, ValueError) as error:
        raise NotCopyableError("The sound cannot be read in packets", given=path, hint=HINT) from error


def _state(path: Path) -> tuple[int, ...]:
    return file_state(path)[:2]


def _read(
    container: Any, track: Any, source: AudioStream, file: tuple[Path, tuple[int, ...]], cancel: CancelToken
) -> AacTrack:
    config = _checked_config(track, source)
    base, rate = float(track.time_base), source.sample_rate
    start: int | None = None
    shapes: list[int] = []
    length = 0
    for number, packet in enumerate(one for one in container.demux(track) if one.size):
        cancel.check("reading audio")
        if packet.pts is None or packet.is_corrupt or (packet.is_discard and start is not None):
            raise NotCopyableError("The sound is damaged or cut by the header of its file", hint=HINT)
        window = window_of(bytes(packet)[:_HEAD])
        shapes.append(window.shape if window and window.long else -1)
        if start is None:
            start = _start(packet, number, source)
        seconds = packet.pts * base - float(source.zero)
        if start is not None and abs(seconds - (start + FRAME * number) / rate) > _JITTER:
            raise NotCopyableError("The sound has gaps", hint=HINT)
        length = packet.duration or 0
    tick = base * rate  # samples
    heard = min(FRAME, round(length * tick + (tick if tick > 1 else 0)))  # of the last packet, at most
    count = len(shapes) - (heard < FRAME)
    if start is None or count < 1:
        raise NotCopyableError("The sound is empty", hint=HINT)
    end = start + FRAME * (len(shapes) - 1) + heard
    own = np.array(shapes[:count], np.int8)
    return AacTrack(file[0], source.index, config, rate, source.layout, start, count, end, own, file[1])


def _checked_config(track: Any, source: AudioStream) -> bytes:
    """The configuration of a track that can be copied (ISO/IEC 14496-3, 1.6.2.1)."""
    context = track.codec_context
    if context.name != "aac":
        raise NotCopyableError("The video's sound is no AAC", given=context.name, hint=HINT)
    config = bytes(context.extradata or b"")
    if len(config) < 2:
        raise NotCopyableError("The sound has no header of its own", hint=HINT)
    head = int.from_bytes(config[:2], "big")
    kind, rate, count, general = head >> 11, head >> 7 & 15, head >> 3 & 15, head & 7
    if kind != _LC or general or rate >= len(_RATES) or _RATES[rate] != source.sample_rate:
        raise NotCopyableError("The sound is another AAC than AAC-LC", given=context.profile, hint=HINT)
    if count not in (1, 2) or count != len(source.layout):
        raise NotCopyableError("The sound has more than two channels", given=count, hint=HINT)
    return config


def _start(packet: Any, number: int, source: AudioStream) -> int | None:
    """Where the first packet begins to be heard, by what this one gives; None if that is nothing."""
    for frame in packet.decode():
        if not frame.samples:
            continue
        if frame.sample_rate != source.sample_rate or frame.samples > FRAME or frame.pts is None:
            raise NotCopyableError("The sound is another AAC than AAC-LC", hint=HINT)
        first = round((frame.pts * frame.time_base - source.zero) * source.sample_rate)
        return int(first + frame.samples - FRAME * (number + 1))  # what is cut off is cut off before
    return None


def refolded(samples: FloatArray, window: int, wanted: int, sign: int) -> FloatArray:
    """Samples of which windows of one shape give what those of another shape would give of the given ones.

    A transform keeps of half of its window only what is left when that half is folded at its middle.

    Args:
        samples: float32 (1024, channels), of half of a window.
        window, wanted: shapes.
        sign: -1 for the first half of a window, 1 for the second.
    """
    half = FRAME // 2
    own, other = (_slope(shape)[:, None] for shape in (window, wanted))
    if sign > 0:
        own, other = own[::-1], other[::-1]
    mirrored = samples[::-1]
    lacking = ((other - own) * samples + sign * (other - own)[::-1] * mirrored)[:half]
    changed = samples.astype(np.float64)
    changed[:half] += own[:half] * lacking
    changed[half:] += sign * (own[half:] * lacking[::-1])
    return changed.astype(np.float32)


def _slope(shape: int) -> npt.NDArray[np.float64]:
    """The rising half of a window, (1024,)."""
    if shape == SINE:
        return np.asarray(np.sin(np.pi / (4 * FRAME) * (2 * np.arange(FRAME) + 1)))
    kaiser = np.kaiser(FRAME + 1, 4 * np.pi)
    return np.asarray(np.sqrt(np.cumsum(kaiser[:FRAME]) / kaiser.sum()))
