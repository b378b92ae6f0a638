"""Error messages for failed downloads, derived from yt-dlp's messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lipsync.errors import InputError, LinkError, LipsyncError, OutputError
from lipsync.sources.network_guard import address_error
from lipsync.utils.disk_errors import FULL_TEXT, disk_full

_MANUALLY = "Download the video in your browser and give the file"
_RETRY = f"Try again. If it keeps failing: {_MANUALLY[0].lower()}{_MANUALLY[1:]}."
_COOKIES = f"{_MANUALLY}, or on the command line pass the cookies of a browser that may see it (--cookies)."
_LATER = "Try again later."

MESSAGES: dict[str, tuple[str, str]] = {
    "bot": ("The site takes this machine for a bot and asks for a login", _COOKIES),
    "blocked": ("The site's bot protection refused the request", f"{_MANUALLY}."),
    "age": ("The video is age-restricted, and the site asks for a login", _COOKIES),
    "private": ("The video is private", f"Ask its owner to share it. {_COOKIES}"),
    "members": ("The video is only for paying members", _COOKIES),
    "region": ("The video is not available in the country of this machine", f"{_MANUALLY}."),
    "upcoming": ("The video has not been shown yet", "Try again after it has been shown."),
    "live": ("This is a live stream that is still running", "Use the recording after it has ended."),
    "drm": ("The video is copy-protected (DRM)", "Such videos cannot be used; take another one."),
    "removed": ("The video is not there (any more)", "Check the link in your browser."),
    "login": ("The site shows the video only to logged-in users", _COOKIES),
    "javascript": (
        "The site needs a JavaScript runtime, and this machine has none that is recent enough",
        "Run `pip install deno`, or install Node 22 or newer, and try again.",
    ),
    "unsupported": ("No video was found on this page", "Give the page of one video, or a link to a file."),
    "playlist": ("The link leads to several videos", "Give the link of one of them."),
    "long": ("The video is too long", "Select the part to use, or raise --max-minutes on the command line."),
    "large": (
        "The file is too large",
        "Choose a lower quality or a shorter part, or raise --max-megabytes on the command line.",
    ),
    "outside": ("The selected part is past the end of the video", "Select a part inside it."),
    "silent": ("The video has no audio", "Give a link to a video or an audio file with a voice in it."),
    "429": ("The site has had too many requests from here", "Wait an hour or so and try again."),
    "403": ("The site refused the download (HTTP 403)", _RETRY),
    "404": ("There is nothing under this link (HTTP 404)", "Check the link in your browser."),
    "5xx": ("The site has a server error", _LATER),
    "name": ("The name of the site cannot be found", "Check the link and the internet connection."),
    "certificate": ("The site's certificate is not valid", "Check the link and the clock of this machine."),
    "network": (
        "The connection to the site failed",
        "Check the internet connection and try again. Proxies are not used.",
    ),
    "stalled": ("The site stopped sending data", _LATER),
    "short": ("The site sent only a part of the file", _LATER),
    "slow": ("The page takes too long to read", "Give a direct link to the video file, or try again later."),
    "memory": ("The page is too large to be processed", "Give a direct link to the video file."),
    "ended": (
        "The download process ended unexpectedly",
        "Try again. In your own script, call it under `if __name__ == \"__main__\":`.",
    ),
    "cookies": (
        "The cookies file cannot be read",
        "It must be in the Netscape format, beginning with '# Netscape HTTP Cookie File'.",
    ),
    "other": ("The site could not be read", "Check the link. `pip install -U yt-dlp` may help."),
}  # fmt: skip
"""What happened and what to do next, by reason."""

_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), key)
    for pattern, key in (
        (r"not a bot|captcha", "bot"),
        (FULL_TEXT, "disk"),
        (r"file too large|errno 27\b", "disk file"),
        (r"unable to (open for writing|write data|create directory)", "disk other"),
        (r"private video|video is private|this video is unlisted", "private"),
        (r"members.only|join this channel|only .* subscribers", "members"),
        (r"confirm your age|age.restricted|inappropriate for some users|age.verification", "age"),
        (r"geo.?restrict|available (in|from) your (country|location|region)", "region"),
        (r"will begin in|premieres in|premiere will begin|this live event has not started", "upcoming"),
        (r"stream recording is not available|live .*not supported|is currently live|live event has ended",
         "live"),
        (r"\bDRM\b", "drm"),
        (r"cloudflare|impersonat", "blocked"),
        (r"content isn.t available, try again later|rate.?limit", "429"),
        (r"registered users|log ?in\b|sign in|login required|--cookies", "login"),
        (r"requested format is not available|no video formats", "other"),
        (r"has been removed|removed by|been terminated|video unavailable|no longer available|"
         r"(video|page) (does not|doesn.t) exist|is not available\b|isn.t available", "removed"),
        (r"unsupported url", "unsupported"),
        (r"cookies?.*(netscape|invalid)|netscape", "cookies"),
        (r"HTTP Error 429", "429"),
        (r"HTTP Error 40[13]", "403"),
        (r"HTTP Error (404|410)", "404"),
        (r"HTTP Error 5\d\d", "5xx"),
        (r"certificate", "certificate"),
        (r"failed to resolve|name or service not known|getaddrinfo|nodename nor servname|name resolution",
         "name"),
        (r"did not get any data blocks|bytes, expected|more expected|incomplete ?read|content too short",
         "short"),
        (r"timed? ?out|refused|unreachable|reset by peer|aborted|remote end closed|without response|"
         r"unable to connect|EOF occurred|SSL", "network"),
    )
)  # fmt: skip
_NO_JAVASCRIPT = re.compile(r"no supported javascript runtime", re.IGNORECASE)
_JAVASCRIPT_MAY_HELP = ("other", "403", "unsupported")
"""Reasons that a missing runtime can be behind; yt-dlp warns of it before any failure."""


@dataclass(frozen=True)
class DownloadFailure:
    """Why the download worker gave up.

    Attributes:
        reason: a key of `MESSAGES` where the worker knew one, else "".
        text: yt-dlp's message.
        warnings: yt-dlp's warnings before that.
        refused: hosts whose addresses the network guard refused.
    """

    reason: str = ""
    text: str = ""
    warnings: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def explain_failure(failure: DownloadFailure, url: str) -> LipsyncError:
    """Return the error to raise for a failed download of `url`."""
    if failure.refused and not failure.reason:
        return address_error(failure.refused[-1])
    reason = _reason(failure)
    if reason.startswith("disk"):
        return _disk_error(reason, failure.text)
    what, hint = MESSAGES[reason]
    detail = _shorten(failure.text)
    kind = LinkError if reason != "cookies" else InputError
    return kind(what, given=f"{url} ({detail})" if detail else url, hint=hint)


def _reason(failure: DownloadFailure) -> str:
    text = re.sub(r"https?://\S+", "", failure.text)  # words inside a URL say nothing about the failure
    reason = failure.reason or next((key for pattern, key in _PATTERNS if pattern.search(text)), "other")
    if reason in _JAVASCRIPT_MAY_HELP and lacks_javascript(failure.warnings):
        return "javascript"
    return reason


def lacks_javascript(warnings: tuple[str, ...]) -> bool:
    """Whether yt-dlp warned that it found no JavaScript runtime."""
    return any(_NO_JAVASCRIPT.search(text) for text in warnings)


def _disk_error(reason: str, text: str) -> OutputError:
    if reason == "disk":
        return disk_full(_shorten(text))
    if reason == "disk file":
        return OutputError(
            "The file is too large for this disk", given=_shorten(text), hint=MESSAGES["large"][1]
        )
    return OutputError("The download cannot be written", given=_shorten(text))


def _shorten(text: str) -> str:
    """yt-dlp's message without colour codes, the site's tag, and its advice to developers."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    text = re.sub(r"^(ERROR:\s*)?(\[[\w:+-]+\]\s*)?", "", text)
    text = re.split(r"[;.]?\s*(?:please report this issue|Use --cookies|See\s+https://github)", text)[0]
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."
