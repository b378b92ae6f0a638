"""Picture and length of a link before its media is fetched.

    worker: `read_sample` -> thumbnail of the site, or the first and last bytes of the media
    parent: `probe_sample` -> length, and the first frame

The worker, behind the network guard, reads; what it has read is opened in the parent, since ffmpeg's
libraries may not be loaded in the worker.
"""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lipsync.errors import LipsyncError
from lipsync.sources.base import LinkInfo
from lipsync.sources.streams import Stream, is_fragmented

THUMBNAIL_BYTES = 4 * 2**20
HEAD_BYTES, TAIL_BYTES = 2**20, 8 * 2**20
"""Read from the beginning of the media, and at most from where its index begins, if that is at the end."""
_SECONDS = 15.0
_BLOCK = 2**16
_SIDES = (480, 270)
_MOST_BYTES = 2**38
_PACKETS = 64


def read_sample(ydl: Any, info: dict[str, Any], thumbnail: str | None, stream: Stream) -> dict[str, Any]:
    """What can be shown of a link, as JSON: "picture" (a small JPEG) or "head", "tail", "tail_at", "bytes".

    Whatever fails is left out.

    Args:
        ydl: the `YoutubeDL` with limited pages.
        thumbnail: URL of the site's own picture.
        stream: of the media, of which a part is read where the site gives no picture or no length.
    """
    sample: dict[str, Any] = {}
    if thumbnail:
        with contextlib.suppress(Exception):  # yt-dlp and Pillow raise of any kind
            data, _ = _read(ydl, thumbnail, {}, THUMBNAIL_BYTES)
            sample["picture"] = _text(_small_jpeg(data))
    if (info.get("duration") and "picture" in sample) or is_fragmented(stream):
        return sample
    with contextlib.suppress(Exception):
        sample |= _read_ends(ydl, stream)
    return sample


def _read_ends(ydl: Any, stream: Stream) -> dict[str, Any]:
    url, headers = str(stream["url"]), dict(stream.get("http_headers") or {})
    head, response = _read(ydl, url, {**headers, "Range": f"bytes=0-{HEAD_BYTES - 1}"}, HEAD_BYTES)
    in_parts = response.status == 206
    size = response.headers.get("Content-Range", "").rpartition("/")[2] if in_parts else ""
    total = int(size if in_parts else response.headers.get("Content-Length") or len(head))
    ends: dict[str, Any] = {"head": _text(head), "bytes": total, "tail": "", "tail_at": total}
    index = index_position(head)
    if in_parts and HEAD_BYTES <= index < total <= index + TAIL_BYTES:
        tail, _ = _read(ydl, url, {**headers, "Range": f"bytes={index}-{total - 1}"}, TAIL_BYTES)
        ends |= {"tail": _text(tail), "tail_at": index}
    return ends


def _read(ydl: Any, url: str, headers: dict[str, str], limit: int) -> tuple[bytes, Any]:
    """The first `limit` bytes behind a URL, and the response."""
    from yt_dlp.networking import Request

    content, start = bytearray(), time.monotonic()
    with contextlib.closing(ydl.urlopen(Request(url, headers=headers))) as response:
        while len(content) < limit and time.monotonic() - start < _SECONDS:
            block = response.read(min(_BLOCK, limit - len(content)))
            if not block:
                break
            content += block
    return bytes(content), response


def index_position(head: bytes) -> int:
    """Where an MP4 file's index (its box "moov") begins; 0 for other files, and where that is not told."""
    at = 0
    while at + 16 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"moov":
            return at
        if at == 0 and kind != b"ftyp":
            return 0
        size = int.from_bytes(head[at + 8 : at + 16], "big") if size == 1 else size
        if size < 8:
            return 0
        at += size
    return at


def _small_jpeg(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", _SIDES)
        small = image.convert("RGB")
    small.thumbnail(_SIDES)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=82)
    return written.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def probe_sample(info: LinkInfo, sample: dict[str, Any]) -> LinkInfo:
    """The metadata with picture and length from what `read_sample` has read; as it is where that fails."""
    if "picture" in sample:
        info = replace(info, picture=base64.b64decode(sample["picture"]))
    if "head" not in sample or not 0 < sample["bytes"] <= _MOST_BYTES:
        return info
    with tempfile.TemporaryDirectory(prefix="lipsync-link-") as folder:
        path = Path(folder) / "sample"
        with path.open("wb") as file:  # with a hole, which takes no space
            file.write(base64.b64decode(sample["head"]))
            file.seek(sample["tail_at"])
            file.write(base64.b64decode(sample["tail"]))
            file.truncate(sample["bytes"])
        with contextlib.suppress(LipsyncError, OSError, ValueError):
            seconds, picture = _length_and_frame(path, wanted=info.picture is None)
            info = replace(info, seconds=info.seconds or seconds, picture=info.picture or picture)
    return info


def _length_and_frame(path: Path, *, wanted: bool) -> tuple[float | None, bytes | None]:
    """Length that the header of a file gives, and its first frame as a small JPEG, if `wanted`."""
    import av

    from lipsync.media.container import open_container

    with open_container(path) as container:
        seconds = container.duration / av.time_base if container.duration else None
        videos = [one for one in container.streams.video if one.codec_context is not None]
        if not wanted or not videos:
            return seconds, None
        frames = (
            frame for packet in islice(container.demux(videos[0]), _PACKETS) for frame in packet.decode()
        )
        frame = next(frames, None)
        if frame is None:
            return seconds, None
        written = io.BytesIO()
        image = frame.to_image()
        image.thumbnail(_SIDES)
        image.rotate(round(getattr(frame, "rotation", 0) or 0), expand=True).save(written, "JPEG", quality=82)
        return seconds, written.getvalue()
