"""The download worker: runs yt-dlp in a process restricted to the public internet.

A process of its own, because only then can a cancel be guaranteed, whatever a site or a parser hangs
in; because the network guard applies to a whole process; and because a page that fills the memory
ends this process and no other. It starts no ffmpeg: streams are written as they arrive, and
`lipsync.media` merges them afterwards. It talks to its parent in JSON, since what a site sends passes
through here and a pickle of it must not be trusted.
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
from lipsync.sources.failures import lacks_javascript
from lipsync.sources.network_guard import Network, install_network_guard
from lipsync.sources.sample import read_sample
from lipsync.sources.streams import Span, Stream

MEMORY_BYTES = 2 * 2**30
SOCKET_TIMEOUT_SECONDS = 15
PLAYLIST_BYTES = 16 * 2**20
PAGE_BYTES = 16 * 2**20
"""Limit of a page, unpacked, and of a list of fragments. Search patterns of extractors take a time that
grows with the square of a page that was made for that."""
_PAGE_BLOCK_BYTES = 2**18
_REQUEST_HANDLER = "Requests"
_MODULES_WITH_OWN_SOCKETS = ("curl_cffi", "websockets")
EXTENSIONS = (
    "3gp", "aac", "avi", "flac", "flv", "m4a", "m4v", "mka", "mkv", "mov", "mp3", "mp4", "mpg", "oga", "ogg",
    "ogv", "opus", "ts", "wav", "webm", "wmv",
)  # fmt: skip
_NO_JAVASCRIPT = "Without a JavaScript runtime some qualities are missing. `pip install deno` adds one."


@dataclass(frozen=True)
class DownloadRequest:
    """One download, or metadata query, for the worker.

    Attributes:
        url: a link that `check_url` has passed.
        folder: where the streams are written; None only reads the metadata.
        max_height: limit of the quality, in pixels of the shorter side.
        max_seconds: limit of the duration.
        span: the needed part; None is all.
        audio_only: download the audio without the video where the site separates them.
        cookies: text of a Netscape cookies file, or None.
        runtimes: JavaScript runtimes, yt-dlp's name and path.
        allow: networks that may be reached although they are not public; for tests.
    """

    url: str
    folder: Path | None
    max_height: int
    max_seconds: float
    span: Span | None
    audio_only: bool
    cookies: str | None
    runtimes: dict[str, str]
    allow: frozenset[Network]


class DownloadRejected(Exception):
    """The site's media cannot be used; `reason` is a key of `failures.MESSAGES`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason)


class _WarningLogger:
    """A logger for yt-dlp that collects warnings and prints nothing."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Ignored."""

    def warning(self, message: str) -> None:
        """Kept to explain a failure."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Ignored: yt-dlp raises the same as an exception."""


def run(pipe: Connection, request: DownloadRequest) -> None:
    """Serve one request and report to the parent; the target of the process.

    Messages are JSON lists: ["info", {...}], ["sample", {...}] (of a query, as `read_sample` returns it),
    ["progress", stage, bytes, total bytes, whether the total is exact], ["done", [[file name, fragmented],
    ...], start in seconds or null for the whole, title] and ["failed", {...}], which is the last one.
    """
    logger, refused = _WarningLogger(), list[str]()

    def send(*message: Any) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    _limit_process()
    install_network_guard(request.allow, request.runtimes.values(), refused.append)
    for name in _MODULES_WITH_OWN_SOCKETS:
        sys.modules[name] = None  # type: ignore[assignment]  # makes importing it fail
    failure: dict[str, Any] = {}
    try:
        _handle(request, logger, send)
        return
    except DownloadRejected as error:
        failure = {"reason": error.reason, "text": error.detail}
    except MemoryError:
        failure = {"reason": "memory"}
    except BrokenPipeError:  # the parent has ended
        return
    except Exception as error:  # yt-dlp lets any kind through, and the parent reports each
        failure = {"text": f"{error}"}
    send("failed", failure | {"warnings": logger.warnings[-20:], "refused": refused})


def _limit_process() -> None:
    """Lead a process group, so that a kill reaches the JavaScript runtime too, and limit the memory."""
    if sys.platform != "win32":
        import resource

        os.setsid()
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def _handle(request: DownloadRequest, logger: _WarningLogger, send: Callable[..., None]) -> None:
    from yt_dlp.networking.common import _REQUEST_HANDLERS

    for name in set(_REQUEST_HANDLERS) - {_REQUEST_HANDLER}:
        del _REQUEST_HANDLERS[name]
    with _open_ydl(_ydl_options(request, logger)) as ydl:
        info = _extract_video(ydl, request.url)
        selected = streams.select_streams(info.get("formats") or [], request.span, request.audio_only)
        _check_usable(info, selected, request.audio_only)
        send("info", _link_info(info, request.audio_only, tuple(logger.warnings)))
        if request.folder is None:
            thumbnail = _link_info(info, request.audio_only, ())["thumbnail"]
            send("sample", read_sample(ydl, info, thumbnail, selected[0]))
        else:
            _check_duration(info, selected, request)
            _download(ydl, info, selected, request, send)


def _open_ydl(options: dict[str, Any]) -> Any:
    """A `YoutubeDL` that reads no more than `PAGE_BYTES` of a page."""
    from yt_dlp import YoutubeDL

    class LimitedYoutubeDL(YoutubeDL):  # type: ignore[misc, unused-ignore]  # it has no types
        """yt-dlp with limited pages; the parent checks the size of media."""

        def urlopen(self, req: Any) -> Any:
            """See `YoutubeDL.urlopen`."""
            response = super().urlopen(req)
            response.read = _limited_read(response.read)
            return response

    return LimitedYoutubeDL(options)


def _limited_read(read: Callable[..., bytes]) -> Callable[..., bytes]:
    def limited(amount: int | None = None) -> bytes:
        if amount is not None:
            return read(amount)
        content = bytearray()
        while block := read(_PAGE_BLOCK_BYTES):
            content += block
            if len(content) > PAGE_BYTES:
                raise DownloadRejected("memory", f"more than {PAGE_BYTES / 1e6:.0f} MB")
        return bytes(content)

    return limited


def _ydl_options(request: DownloadRequest, logger: _WarningLogger) -> dict[str, Any]:
    return {
        "quiet": True,
        "noprogress": True,
        "logger": logger,
        # best last, by: original language, height limit, no HDR, then codecs that play everywhere
        "format": "all",
        "format_sort": ["lang", f"res:{request.max_height}", "hdr:sdr", "vcodec:h264", "acodec:aac"],
        "noplaylist": True,
        "playlist_items": "1:2",
        "extract_flat": "in_playlist",
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "updatetime": False,
        "cachedir": False,
        "geo_bypass": False,
        "proxy": "",  # none: a proxy would resolve and connect in our place, past the network guard
        "external_downloader": {"default": "native"},
        "hls_prefer_native": True,
        "fixup": "never",
        "default_search": "error",
        "enable_file_urls": False,
        "cookiefile": io.StringIO(request.cookies) if request.cookies is not None else None,
        "js_runtimes": {name: {"path": path} for name, path in request.runtimes.items()},
    }


def _extract_video(ydl: Any, url: str) -> dict[str, Any]:
    """yt-dlp's metadata of the one video behind a link, its streams sorted by `format_sort`."""
    info = ydl.extract_info(url, download=False)
    if info is None:
        raise DownloadRejected("unsupported")
    if info.get("_type", "video") != "video":
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) != 1:
            raise DownloadRejected("playlist" if entries else "unsupported")
        info = ydl.process_ie_result(entries[0], download=False)
    return dict(info)


def _link_info(info: dict[str, Any], audio_only: bool, warnings: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a `LinkInfo`."""
    formats = info.get("formats") or []
    heights = {streams.height(stream) for stream in streams.downloadable_streams(formats)}
    for_a_part = streams.select_streams(formats, (0.0, 1.0), audio_only)
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
        "can_trim": all(map(streams.can_trim, for_a_part)),
        "warnings": [_NO_JAVASCRIPT] if lacks_javascript(warnings) else [],
    }


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _check_usable(info: dict[str, Any], selected: list[Stream], audio_only: bool) -> None:
    """Reject what cannot be downloaded, whatever its duration."""
    if info.get("live_status") == "is_upcoming":
        raise DownloadRejected("upcoming")
    if info.get("is_live") or info.get("live_status") in ("is_live", "post_live"):
        raise DownloadRejected("live")
    if not selected:
        drm = any(stream.get("has_drm") for stream in info.get("formats") or ()) or info.get("_has_drm")
        raise DownloadRejected("drm" if drm else "silent" if audio_only else "unsupported")


def _check_duration(info: dict[str, Any], selected: list[Stream], request: DownloadRequest) -> None:
    """Reject what is too long before the download, where the site gives the duration."""
    duration = float(info.get("duration") or "inf")
    start, end = request.span or (0.0, None)
    if start >= duration:
        raise DownloadRejected("outside", f"{start:g} s of {duration:g} s")
    if request.span and all(map(streams.can_trim, selected)):
        duration = min(duration if end is None else end, duration) - start
    if request.max_seconds < duration < float("inf"):
        minutes = f"{duration / 60:.1f} of at most {request.max_seconds / 60:.1f} minutes"
        raise DownloadRejected("long", minutes)


def _download(
    ydl: Any,
    info: dict[str, Any],
    selected: list[Stream],
    request: DownloadRequest,
    send: Callable[..., None],
) -> None:
    assert request.folder is not None
    trimmed, start = _trim(ydl, selected, request.span) if request.span else (None, None)
    written = []
    for number, stream in enumerate(trimmed or selected):
        stage = "Downloading audio" if stream.get("vcodec") == "none" else "Downloading video"
        extension = stream.get("ext") if stream.get("ext") in EXTENSIONS else "mp4"
        name = f"stream{number}.{extension}"
        whole = {key: value for key, value in info.items() if key not in ("formats", "requested_formats")}
        ydl._progress_hooks[:] = [_progress_hook(stage, stream if trimmed is None else {}, send)]
        success, _ = ydl.dl(str(request.folder / name), whole | stream | {"fixup": "never"})
        if not success:
            raise DownloadRejected("short")
        written.append([name, streams.is_fragmented(stream)])
    send("done", written, start, str(info.get("title") or "video"))


def _progress_hook(stage: str, stream: Stream, send: Callable[..., None]) -> Callable[[dict[str, Any]], None]:
    def report(state: dict[str, Any]) -> None:
        exact = stream.get("filesize") or state.get("total_bytes")
        total = exact or state.get("total_bytes_estimate") or 0
        send("progress", stage, int(state.get("downloaded_bytes") or 0), int(total), bool(exact))

    return report


def _trim(ydl: Any, selected: list[Stream], span: Span) -> tuple[list[Stream], float] | tuple[None, None]:
    """The streams with only the fragments that cover the span, and the start of the first stream's (s).

    (None, None) where one of them cannot be trimmed: then all are downloaded whole, so that they match.
    """
    trimmed: list[Stream] = []
    starts: list[float] = []
    for stream in selected:
        if not streams.can_trim(stream):
            return None, None
        if streams.is_hls(stream):
            playlist, url = _read_playlist(ydl, stream)
            shortened = streams.trim_playlist(playlist, span)
            if shortened is None:
                return None, None
            trimmed.append(stream | {"hls_media_playlist_data": shortened[0], "url": url})
            starts.append(shortened[1])
        else:
            fragments, start = streams.trim_fragments(stream["fragments"], span)
            trimmed.append(stream | {"fragments": fragments})
            starts.append(start)
    return trimmed, starts[0]


def _read_playlist(ydl: Any, stream: Stream) -> tuple[str, str]:
    """An HLS media playlist, and the URL that its fragments are relative to."""
    if text := stream.get("hls_media_playlist_data"):
        return str(text), str(stream["url"])
    from yt_dlp.networking import Request

    response = ydl.urlopen(Request(stream["url"], headers=stream.get("http_headers") or {}))
    return response.read(PLAYLIST_BYTES).decode("utf-8", "replace"), str(response.url)
