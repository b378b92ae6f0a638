"""The process that runs yt-dlp, sealed off from everything but the open internet.

It is a process of its own because only so a cancel is certain, whatever a site or a parser hangs
in; because the seal (`address.seal`) is for a whole process; and because a page that fills the
memory ends this process and no other. It starts no ffmpeg: streams are written as they come, and
put together by `lipsync.media` afterwards. It speaks to its parent in JSON, since what a site
sends passes through here and a pickle of it is not to be trusted.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lipsync.sources import streams
from lipsync.sources.address import Network, seal
from lipsync.sources.failures import lacks_javascript
from lipsync.sources.streams import Span, Stream

MEMORY_BYTES = 2 * 2**30
SOCKET_SECONDS = 15
PLAYLIST_BYTES = 16 * 2**20
_HANDLER = "Requests"
_MODULES_WITH_OWN_SOCKETS = ("curl_cffi", "websockets")
EXTENSIONS = (
    "3gp", "aac", "avi", "flac", "flv", "m4a", "m4v", "mka", "mkv", "mov", "mp3", "mp4", "mpg", "oga", "ogg",
    "ogv", "opus", "ts", "wav", "webm", "wmv",
)  # fmt: skip
_NO_JAVASCRIPT = "Without a JavaScript runtime some qualities are missing. `pip install deno` brings one."


@dataclass(frozen=True)
class Order:
    """What the process is to do.

    Attributes:
        url: a link that `check_url` has passed.
        folder: where the streams are written; None only looks at the link.
        max_height: pixels of the shorter side that the quality may have.
        max_seconds: refuse what is longer.
        span: the part that is needed; None is all.
        sound_only: take the sound without the picture where they are apart.
        cookies: text of a Netscape cookies file, or None.
        runtimes: JavaScript runtimes, yt-dlp's name and path.
        allow: networks that may be reached although they are not public; for tests.
    """

    url: str
    folder: Path | None
    max_height: int
    max_seconds: float
    span: Span | None
    sound_only: bool
    cookies: str | None
    runtimes: dict[str, str]
    allow: frozenset[Network]


class Refused(Exception):
    """We do not want what the site has; `reason` is a key of `failures.WORDS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason)


class _Listener:
    """yt-dlp's logger: keeps the warnings, prints nothing."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Ignored."""

    def warning(self, message: str) -> None:
        """Kept for the explanation of a failure."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Ignored: the same comes as an exception."""


def run(pipe: Connection, order: Order) -> None:
    """Carry out an order and tell the parent how it goes; the target of the process.

    Messages are JSON lists: ["info", {...}], ["progress", stage, bytes, total bytes, whether that is
    certain], ["done", [[file name, in pieces], ...], start or null for all, title]
    and ["failed", {...}], the last word.
    """
    listener, refused = _Listener(), list[str]()

    def tell(*message: Any) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    _become_killable()
    seal(order.allow, order.runtimes.values(), refused.append)
    for name in _MODULES_WITH_OWN_SOCKETS:
        sys.modules[name] = None  # type: ignore[assignment]  # makes importing it fail
    failure: dict[str, Any] = {}
    try:
        _serve(order, listener, tell)
        return
    except Refused as error:
        failure = {"reason": error.reason, "text": error.detail}
    except MemoryError:
        failure = {"reason": "memory"}
    except BrokenPipeError:  # the parent is gone
        return
    except Exception as error:  # yt-dlp lets any kind through, and the parent wants to hear of each
        failure = {"text": f"{error}"}
    tell("failed", failure | {"warnings": listener.warnings[-20:], "refused": refused})


def _become_killable() -> None:
    """Lead a process group, so that a kill reaches the JavaScript runtime too; bound the memory."""
    if sys.platform != "win32":
        import resource

        os.setsid()
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _serve(order: Order, listener: _Listener, tell: Callable[..., None]) -> None:
    from yt_dlp import YoutubeDL
    from yt_dlp.networking.common import _REQUEST_HANDLERS

    for name in set(_REQUEST_HANDLERS) - {_HANDLER}:
        del _REQUEST_HANDLERS[name]
    with YoutubeDL(_settings(order, listener)) as ydl:
        info = _one_video(ydl, order.url)
        chosen = streams.choose_streams(info.get("formats") or [], order.span, order.sound_only)
        _refuse_unusable(info, chosen, order.sound_only)
        tell("info", _describe(info, order.sound_only, tuple(listener.warnings)))
        if order.folder is not None:
            _check_length(info, chosen, order)
            _download(ydl, info, chosen, order, tell)


def _settings(order: Order, listener: _Listener) -> dict[str, Any]:
    return {
        "quiet": True,
        "noprogress": True,
        "logger": listener,
        # best last, by: the original language, the cap, plain colours, then what plays everywhere
        "format": "all",
        "format_sort": ["lang", f"res:{order.max_height}", "hdr:sdr", "vcodec:h264", "acodec:aac"],
        "noplaylist": True,
        "playlist_items": "1:2",
        "extract_flat": "in_playlist",
        "socket_timeout": SOCKET_SECONDS,
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "updatetime": False,
        "cachedir": False,
        "geo_bypass": False,
        "proxy": "",  # none: a proxy would resolve and connect in our place, past the seal
        "external_downloader": {"default": "native"},
        "hls_prefer_native": True,
        "fixup": "never",
        "default_search": "error",
        "enable_file_urls": False,
        "cookiefile": io.StringIO(order.cookies) if order.cookies is not None else None,
        "js_runtimes": {name: {"path": path} for name, path in order.runtimes.items()},
    }


def _one_video(ydl: Any, url: str) -> dict[str, Any]:
    """What yt-dlp finds out about a link: one video, with its streams sorted by our wishes."""
    info = ydl.extract_info(url, download=False)
    if info is None:
        raise Refused("unsupported")
    if info.get("_type", "video") != "video":
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) != 1:
            raise Refused("playlist" if entries else "unsupported")
        info = ydl.process_ie_result(entries[0], download=False)
    return dict(info)


def _describe(info: dict[str, Any], sound_only: bool, warnings: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a `LinkInfo`."""
    formats = info.get("formats") or []
    heights = {streams.height(stream) for stream in streams.usable_streams(formats)}
    for_a_part = streams.choose_streams(formats, (0.0, 1.0), sound_only)
    thumbnail = info.get("thumbnail")
    if not isinstance(thumbnail, str) or not thumbnail.startswith(("http://", "https://")):
        thumbnail = None
    return {
        "title": str(info.get("title") or "video"),
        "page": str(info.get("webpage_url") or info.get("original_url") or ""),
        "uploader": _text(info.get("uploader") or info.get("channel")),
        "licence": _text(info.get("license")),
        "thumbnail": thumbnail,
        "seconds": info.get("duration"),
        "heights": sorted(one for one in heights if one),
        "can_cut": all(map(streams.can_cut, for_a_part)),
        "warnings": [_NO_JAVASCRIPT] if lacks_javascript(warnings) else [],
    }


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _refuse_unusable(info: dict[str, Any], chosen: list[Stream], sound_only: bool) -> None:
    """Say no to what cannot be downloaded in any length."""
    if info.get("live_status") == "is_upcoming":
        raise Refused("upcoming")
    if info.get("is_live") or info.get("live_status") in ("is_live", "post_live"):
        raise Refused("live")
    if not chosen:
        drm = any(stream.get("has_drm") for stream in info.get("formats") or ()) or info.get("_has_drm")
        raise Refused("drm" if drm else "silent" if sound_only else "unsupported")


def _check_length(info: dict[str, Any], chosen: list[Stream], order: Order) -> None:
    """Say no to what is too long, before anything is downloaded; where the site tells the length."""
    length = float(info.get("duration") or "inf")
    start, end = order.span or (0.0, None)
    if start >= length:
        raise Refused("outside", f"{start:g} s of {length:g} s")
    if order.span and all(map(streams.can_cut, chosen)):
        length = min(length if end is None else end, length) - start
    if order.max_seconds < length < float("inf"):
        raise Refused("long", f"{length / 60:.1f} of at most {order.max_seconds / 60:.1f} minutes")


def _download(
    ydl: Any, info: dict[str, Any], chosen: list[Stream], order: Order, tell: Callable[..., None]
) -> None:
    assert order.folder is not None
    cut, start = _cut(ydl, chosen, order.span) if order.span else (None, None)
    written = []
    for number, stream in enumerate(cut or chosen):
        sound = stream.get("vcodec") == "none"
        stage = "Downloading sound" if sound else "Downloading video"
        extension = stream.get("ext") if stream.get("ext") in EXTENSIONS else "mp4"
        name = f"stream{number}.{extension}"
        whole = {key: value for key, value in info.items() if key not in ("formats", "requested_formats")}
        ydl._progress_hooks[:] = [_reporter(stage, stream if cut is None else {}, tell)]
        success, _ = ydl.dl(str(order.folder / name), whole | stream | {"fixup": "never"})
        if not success:
            raise Refused("short")
        written.append([name, streams.in_pieces(stream)])
    tell("done", written, start, str(info.get("title") or "video"))


def _reporter(stage: str, stream: Stream, tell: Callable[..., None]) -> Callable[[dict[str, Any]], None]:
    def report(state: dict[str, Any]) -> None:
        exact = stream.get("filesize") or state.get("total_bytes")
        total = exact or state.get("total_bytes_estimate") or 0
        tell("progress", stage, int(state.get("downloaded_bytes") or 0), int(total), bool(exact))

    return report


def _cut(ydl: Any, chosen: list[Stream], span: Span) -> tuple[list[Stream], float] | tuple[None, None]:
    """The streams with only the pieces that cover the span, and when the first one's begin (s).

    (None, None) where one of them cannot be cut: then all are fetched whole, so that they fit together.
    """
    cut: list[Stream] = []
    starts: list[float] = []
    for stream in chosen:
        if not streams.can_cut(stream):
            return None, None
        if streams.is_hls(stream):
            playlist, url = _read_playlist(ydl, stream)
            shortened = streams.cut_playlist(playlist, span)
            if shortened is None:
                return None, None
            cut.append(stream | {"hls_media_playlist_data": shortened[0], "url": url})
            starts.append(shortened[1])
        else:
            pieces, start = streams.cut_pieces(stream["fragments"], span)
            cut.append(stream | {"fragments": pieces})
            starts.append(start)
    return cut, starts[0]


def _read_playlist(ydl: Any, stream: Stream) -> tuple[str, str]:
    """An HLS media playlist, and the address that its pieces are relative to."""
    if text := stream.get("hls_media_playlist_data"):
        return str(text), str(stream["url"])
    from yt_dlp.networking import Request

    response = ydl.urlopen(Request(stream["url"], headers=stream.get("http_headers") or {}))
    return response.read(PLAYLIST_BYTES).decode("utf-8", "replace"), str(response.url)
