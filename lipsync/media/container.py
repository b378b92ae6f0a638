"""Media containers: opening by content, and packet timestamps without decoding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av

from lipsync.errors import MediaError

# Containers and raw streams that hold their media themselves. Playlists (hls, concat, dash, ...) are
# left out on purpose: a "video" must not make us read other files or the network.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,apng,asf,au,av1,avi,caf,dts,dv,eac3,flac,flv,gif,gxf,h264,hevc,ivf,m4v,"
    "matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,tta,vc1,voc,w64,wav,webp_anim,wtv,wv,y4m,yuv4mpegpipe"
)

# Metadata in an invalid encoding is no reason to refuse a file. From version 19 on PyAV ignores it by
# itself and does not take the argument.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

BROADCAST_DEMUXERS = ("mpegts", "mpeg")  # the only ones whose timestamps may jump in the middle
JUMP_SECONDS = 10
_COUNTED = ("aac", "mp3")  # whose demuxers take all frames to be as long as the first
_REORDERED = 32  # packets among which the one presented first is
_MPEG_RATES = (44_100, 48_000, 32_000)
_ADTS_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350
)  # fmt: skip
_JPEG_START = b"\xff\xd8"


class _UnnamedFile:
    """A file object without a name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell, self._file = file.read, file.tell, file

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file's; -1, which ffmpeg takes for a failure, where a header leads before the beginning.

        PyAV would raise the system's OSError from whatever is being done next, and print it.
        """
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """PyAV's input container of the file.

    PyAV is given the open file without its name, so that ffmpeg cannot interpret the name
    (`a%d.png`, `x:y`).

    Raises:
        MediaError: PyAV cannot read it, on opening or inside the block.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
    try:
        with (
            path.open("rb") as file,
            av.open(_UnnamedFile(file), options=options, **_LENIENT) as container,
        ):
            if container.format.name == "mjpeg" and not _starts_with(path, _JPEG_START):
                raise EOFError("a JPEG inside of another kind of file")
            yield container
    except (av.FFmpegError, EOFError) as error:
        raise MediaError(
            "The file is not a video, image or audio that can be read",
            given=path,
            hint="It is cut off, damaged, or not what its name says; try another copy of it.",
        ) from error


def decoded_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames of a stream.

    Without packets that hold nothing, which decoders refuse: in Theora they repeat the last frame.
    """
    for packet in container.demux(stream):
        if packet.size or packet.pts is None:  # the last one, without a timestamp, flushes the decoder
            yield from packet.decode()


def _starts_with(path: Path, magic_number: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic_number)) == magic_number


@dataclass
class StreamPackets:
    """Packet timestamps of one stream, in ticks of its time base.

    Attributes:
        pts: presentation timestamps in the order of the file.
        key_pts: those of the key frames.
        count: packets, also those without a timestamp.
        size: bytes of all packets.
        last: timestamp and duration of the packet that is presented last.
        first_dts, last_dts: decoding timestamps of the first and the newest packet.
        jumps: decoding timestamps went back, or forward by more than 10 s.
        starts: index in `pts`, and number of frames before, at which they did.
        corrupt: packets that are damaged, which a decoder may make frames of all the same.
        frames: packets by (samples, sample rate), as the headers of raw MP3 and AAC say.
        longest_step: 10 s in ticks; -1 before the first packet.
    """

    pts: list[int] = field(default_factory=list)
    key_pts: list[int] = field(default_factory=list)
    count: int = 0
    size: int = 0
    last: tuple[int, int] = (-(2**62), 0)
    first_dts: int | None = None
    last_dts: int | None = None
    jumps: bool = False
    starts: list[tuple[int, int]] = field(default_factory=list)
    corrupt: int = 0
    frames: Counter[tuple[int, int]] = field(default_factory=Counter)
    longest_step: int = -1

    def add(self, packet: Any) -> None:
        """Record one packet of PyAV."""
        self.count += 1
        self.size += packet.size
        if packet.dts is not None:
            step = 0 if self.last_dts is None else packet.dts - self.last_dts
            if self.longest_step < 0:
                self.longest_step = int(JUMP_SECONDS / packet.time_base)
            if not 0 <= step <= self.longest_step:
                self.jumps = True
                self.starts.append((len(self.pts), self.count - 1 + self.corrupt))
            self.last_dts = packet.dts
            if self.first_dts is None:
                self.first_dts = packet.dts
        if packet.pts is None:
            return
        self.pts.append(packet.pts)
        if packet.is_keyframe:
            self.key_pts.append(packet.pts)
        self.last = max(self.last, (packet.pts, packet.duration or 0))

    @property
    def end(self) -> int:
        """End of the last packet, in ticks."""
        return sum(self.last)

    def repeat_last(self, packet: Any) -> None:
        """Let the last frame last until the end of an empty packet, which repeats it."""
        shown, duration = self.last
        if self.count:
            self.last = (shown, max(duration, packet.pts + (packet.duration or 0) - shown))

    def first_from(self, start: int) -> int:
        """Timestamp of the packet that is presented first after the clock has started anew there."""
        return min(self.pts[start : start + _REORDERED])

    @property
    def first(self) -> int:
        """Timestamp of the packet that is presented first; before the clock starts anew, if it does."""
        return min(self.pts[:_REORDERED] if self.jumps else self.pts)


def _raw_frame(demuxer: str, header: bytes) -> tuple[int, int] | None:
    """Samples and sample rate of a raw frame, by its header (ISO/IEC 11172-3 and 14496-3)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    if demuxer == "aac":
        index = header[2] >> 2 & 15
        return (1024 * (1 + (header[6] & 3)), _ADTS_RATES[index]) if index < len(_ADTS_RATES) else None
    version, layer, index = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3
    if demuxer != "mp3" or index == 3 or version == 1 or not layer:
        return None
    rate = _MPEG_RATES[index] >> {3: 0, 2: 1, 0: 2}[version]
    return ({3: 384, 2: 1152, 1: 1152 if version == 3 else 576}[layer], rate)


def read_packets(container: Any) -> dict[int, StreamPackets]:
    """Packet timestamps of every stream, by stream index.

    Reading stops quietly at a damaged end; the caller compares the length with the header's.

    Raises:
        MediaError: ffmpeg cannot read on where the file changes its form.
    """
    packets = {stream.index: StreamPackets() for stream in container.streams}
    demuxer = container.format.name
    try:
        for packet in container.demux():
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                packets[packet.stream.index].add(packet)
                if demuxer in _COUNTED and (frame := _raw_frame(demuxer, bytes(memoryview(packet)[:7]))):
                    packets[packet.stream.index].frames[frame] += 1
            elif not packet.size and packet.pts is not None and packet.stream.type == "video":
                packets[packet.stream.index].repeat_last(packet)
            elif packet.size and packet.is_corrupt:
                packets[packet.stream.index].corrupt += 1
    except av.PatchWelcomeError as error:  # Ogg whose second recording has another form than the first
        raise MediaError(
            "The file is several recordings in different forms, of which only the first can be read",
            given=demuxer,
            hint="Convert it to WAV with the program that made it.",
        ) from error
    except av.FFmpegError:
        pass
    except IndexError:  # raised by PyAV at the end of the file for streams that appeared on the way
        pass
    return packets


def timed_streams(container: Any, packets: dict[int, StreamPackets]) -> list[tuple[Any, StreamPackets]]:
    """The streams that have timestamps, each with its packets."""
    return [(s, packets[s.index]) for s in container.streams if packets[s.index].pts]
