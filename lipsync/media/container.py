"""Media containers: opening by content, and packet timestamps without decoding."""

from __future__ import annotations

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
_JUMP_SECONDS = 10
_DOCUMENTS = (b"%PDF", b"%!PS", b"PK\3\4", b"{\\rtf", b"\xd0\xcf\x11\xe0", b"8BPS")
"""First bytes of PDF, PostScript, zip, Office and Photoshop files, inside which ffmpeg would find images."""
_JPEG_START = b"\xff\xd8"


def checked_file(path: Path | str) -> Path:
    """The absolute path of an existing, readable, non-empty file.

    Raises:
        MediaError: it is missing, a folder, a device, empty, unreadable, or a document.
    """
    path = Path(path).absolute()
    try:
        if not path.exists():
            raise MediaError("The file does not exist", given=path, hint="Check the name and the folder.")
        if not path.is_file():
            raise MediaError("This is a folder or a device, not a media file", given=path)
        if path.stat().st_size == 0:
            raise MediaError("The file is empty", given=path, hint="Copy or download it again.")
        with path.open("rb") as file:
            head = file.read(max(map(len, _DOCUMENTS)))
    except (OSError, ValueError) as error:
        raise MediaError("The file cannot be opened", given=f"{path} ({error})") from error
    if head.startswith(_DOCUMENTS):
        raise MediaError(
            "This is a document or an archive, not a media file",
            given=path,
            hint="Save what it holds as a video, an audio file or an image first.",
        )
    return path


class _UnnamedFile:
    """A file object without a name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


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
        last: timestamp and duration of the packet that is presented last.
        last_dts: decoding timestamp of the newest packet.
        jumps: decoding timestamps went back, or forward by more than 10 s.
    """

    pts: list[int] = field(default_factory=list)
    key_pts: list[int] = field(default_factory=list)
    count: int = 0
    last: tuple[int, int] = (-(2**62), 0)
    last_dts: int | None = None
    jumps: bool = False

    def add(self, packet: Any) -> None:
        """Record one packet of PyAV."""
        self.count += 1
        if packet.dts is not None:
            step = 0 if self.last_dts is None else packet.dts - self.last_dts
            self.jumps |= not 0 <= step * packet.time_base <= _JUMP_SECONDS
            self.last_dts = packet.dts
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


def read_packets(container: Any) -> dict[int, StreamPackets]:
    """Packet timestamps of every stream, by stream index.

    Reading stops quietly at a damaged end; the caller compares the length with the header's.
    """
    packets = {stream.index: StreamPackets() for stream in container.streams}
    try:
        for packet in container.demux():
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                packets[packet.stream.index].add(packet)
    except av.FFmpegError:
        pass
    except IndexError:  # raised by PyAV at the end of the file for streams that appeared on the way
        pass
    return packets


def timed_streams(container: Any, packets: dict[int, StreamPackets]) -> list[tuple[Any, StreamPackets]]:
    """The streams that have timestamps, each with its packets."""
    return [(s, packets[s.index]) for s in container.streams if packets[s.index].pts]
