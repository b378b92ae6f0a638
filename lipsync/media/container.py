"""Opening a media file by its content, and the timestamps of its packets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av

from lipsync.errors import MediaError

# Containers and raw streams that hold their media themselves. Playlists (hls, concat, dash, ...)
# are left out on purpose: a "video" must not make us read other files or the network.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,apng,asf,au,av1,avi,caf,dts,dv,eac3,flac,flv,gif,gxf,h264,hevc,ivf,m4v,"
    "matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,tta,vc1,voc,w64,wav,webp_anim,wtv,wv,y4m,yuv4mpegpipe"
)

# Titles in an odd encoding are no reason to refuse a file. From 19 on PyAV is lenient by itself and
# knows no such argument.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

BROADCAST_DEMUXERS = ("mpegts", "mpeg")  # the only ones whose clock may jump in the middle
_JUMP_SECONDS = 10


def checked_file(path: Path | str) -> Path:
    """The absolute path of a file that is there, is a file and is not empty; else `MediaError`."""
    path = Path(path).absolute()
    try:
        if not path.exists():
            raise MediaError("The file does not exist", given=path, hint="Check the name and the folder.")
        if not path.is_file():
            raise MediaError("This is a folder or a device, not a media file", given=path)
        if path.stat().st_size == 0:
            raise MediaError("The file is empty", given=path, hint="Copy or download it again.")
        path.open("rb").close()
    except (OSError, ValueError) as error:
        raise MediaError("The file cannot be opened", given=f"{path} ({error})") from error
    return path


class _Nameless:
    """An open file that does not tell its name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container; whatever PyAV dislikes about it becomes a `MediaError`.

    It gets the open file without its name, so that names have no meaning (`a%d.png`, `x:y`).
    """
    options = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
    try:
        with (
            path.open("rb") as file,
            av.open(_Nameless(file), options=options, **_LENIENT) as container,
        ):
            yield container
    except (av.FFmpegError, EOFError) as error:
        raise MediaError(
            "The file is not a video, photo or sound that can be read",
            given=path,
            hint="It is cut off, damaged, or something else under a media name; try another copy of it.",
        ) from error


@dataclass
class Packets:
    """Timestamps of one stream while they are collected, in ticks; an end is pts plus duration."""

    pts: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    count: int = 0
    last: tuple[int, int] = (-(2**62), 0)  # pts and duration of what is shown last
    last_dts: int | None = None
    jumps: bool = False

    def add(self, packet: Any) -> None:
        """Take note of one packet."""
        self.count += 1
        if packet.dts is not None:
            step = 0 if self.last_dts is None else packet.dts - self.last_dts
            self.jumps |= not 0 <= step * packet.time_base <= _JUMP_SECONDS
            self.last_dts = packet.dts
        if packet.pts is None:
            return
        self.pts.append(packet.pts)
        if packet.is_keyframe:
            self.keys.append(packet.pts)
        self.last = max(self.last, (packet.pts, packet.duration or 0))

    @property
    def end(self) -> int:
        """When the last frame ends."""
        return sum(self.last)


def demux(container: Any) -> dict[int, Packets]:
    """The timestamps of every stream. A broken end simply ends it; the caller looks at the length."""
    packets = {stream.index: Packets() for stream in container.streams}
    try:
        for packet in container.demux():
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                packets[packet.stream.index].add(packet)
    except av.FFmpegError:
        pass
    except IndexError:  # PyAV stumbles at the very end over streams that appeared on the way
        pass
    return packets


def with_packets(container: Any, packets: dict[int, Packets]) -> list[tuple[Any, Packets]]:
    """The streams that have timestamps, with them."""
    return [(s, packets[s.index]) for s in container.streams if packets[s.index].pts]
