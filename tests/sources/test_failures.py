"""What yt-dlp and the sites say, in our words."""

from __future__ import annotations

import pytest

from lipsync.errors import AddressError, DiskFullError, LinkError, LipsyncError, OutputError
from lipsync.sources.failures import MESSAGES, DownloadFailure, explain_failure

URL = "https://example.com/watch"
HINT = "Use --cookies-from-browser or --cookies for the authentication. See  https://github.com/yt-dlp/yt-dlp"
REPORT = "; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues?q= , filling out"
YOUTUBE = "ERROR: [youtube] abc: "
NO_RUNTIME = (
    "[youtube] No supported JavaScript runtime could be found. Only deno is enabled by default; to use "
    "another runtime add  --js-runtimes RUNTIME[:PATH]  to your command/config."
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{YOUTUBE}Sign in to confirm you’re not a bot. {HINT}", "bot"),
        (f"{YOUTUBE}Sign in to confirm your age. This video may be inappropriate. {HINT}", "age"),
        (f"{YOUTUBE}Private video. Sign in if you've been granted access to this video. {HINT}", "private"),
        (f"{YOUTUBE}Join this channel to get access to members-only content like this video.", "members"),
        (f"{YOUTUBE}The uploader has not made this video available in your country", "region"),
        ("ERROR: [x] 1: This video is not available from your location due to geo restriction", "region"),
        (f"{YOUTUBE}This live event will begin in 3 hours.", "upcoming"),
        (f"{YOUTUBE}Premieres in 20 minutes", "upcoming"),
        (f"{YOUTUBE}This live stream recording is not available.", "live"),
        (f"{YOUTUBE}Video unavailable. This video has been removed by the uploader", "removed"),
        (f"{YOUTUBE}Video unavailable. This video is no longer available because the YouTube account "
         "associated with this video has been terminated.", "removed"),
        (f"{YOUTUBE}Video unavailable", "removed"),
        (f"{YOUTUBE}This video is DRM protected", "drm"),
        (f"{YOUTUBE}This content isn't available, try again later. The current session has been rate-limited "
         "by YouTube for up to an hour.", "429"),
        ("ERROR: [vimeo] 1: This video is only available for registered users. Use --username", "login"),
        ("ERROR: [Instagram] x: Requested content is not available, rate-limit reached", "429"),
        ("ERROR: Unsupported URL: https://example.com/private-video/login?drm=1", "unsupported"),
        ("ERROR: unable to download video data: HTTP Error 403: Forbidden", "403"),
        ("ERROR: [generic] Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404>)",
         "404"),
        ("ERROR: [generic] Unable to download webpage: HTTP Error 429: Too Many Requests", "429"),
        ("ERROR: [generic] Unable to download webpage: HTTP Error 503: Service Unavailable", "5xx"),
        ("ERROR: [generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try", "blocked"),
        ("ERROR: [generic] Unable to download webpage: Failed to resolve 'x.invalid' ([Errno -2] Name or "
         "service not known)", "name"),
        ("ERROR: [generic] [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "certificate"),
        ("ERROR: [generic] Unable to download webpage: [Errno 111] Connection refused", "network"),
        ("ERROR: [generic] Unable to download webpage: The read operation timed out", "network"),
        ("ERROR: [generic] Unable to download webpage: [Errno 101] Network is unreachable", "network"),
        ("ERROR: 100 bytes read, 200 more expected. Giving up after 2 retries", "short"),
        ("ERROR: Did not get any data blocks", "short"),
        ("failed to load cookies: 'x' does not look like a Netscape format cookies file", "cookies"),
        (f"ERROR: [x] Unable to extract title{REPORT}", "other"),
    ],
)  # fmt: skip
def test_messages_are_understood(text: str, reason: str) -> None:
    error = explain_failure(DownloadFailure(text=text), URL)
    what, hint = MESSAGES[reason]
    assert str(error).startswith(what)
    assert str(error).endswith(hint)
    assert URL in str(error)
    assert "please report" not in str(error)
    assert "--cookies-from-browser" not in str(error)


def test_the_lack_of_javascript_is_named_where_it_is_the_cause() -> None:
    for text in (f"{YOUTUBE}No video formats found!", f"{YOUTUBE}Requested format is not available"):
        lacking = DownloadFailure(text=text, warnings=("something", NO_RUNTIME))
        assert "JavaScript" in str(explain_failure(lacking, URL))
        assert "JavaScript" not in str(explain_failure(DownloadFailure(text=text), URL))
    assert "JavaScript" in str(explain_failure(DownloadFailure("unsupported", warnings=(NO_RUNTIME,)), URL))
    for text, words in (
        ("Private video", "private"),
        ("Video unavailable. It has been removed", "not there"),
    ):
        other = DownloadFailure(text=YOUTUBE + text, warnings=(NO_RUNTIME,))
        assert words in str(explain_failure(other, URL))
        assert "JavaScript" not in str(explain_failure(other, URL))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERROR: unable to write data: [Errno 28] No space left on device", DiskFullError),
        ("ERROR: unable to write data: [Errno 27] File too large", OutputError),
        ("ERROR: unable to open for writing: [Errno 13] Permission denied: 'x'", OutputError),
    ],
)
def test_the_disk_is_not_the_links_fault(text: str, kind: type[LipsyncError]) -> None:
    assert type(explain_failure(DownloadFailure(text=text), URL)) is kind


def test_a_refused_address_explains_whatever_followed() -> None:
    error = explain_failure(DownloadFailure(text="Unable to download webpage", refused=("10.0.0.1",)), URL)
    assert isinstance(error, AddressError)
    assert "10.0.0.1" in str(error)


@pytest.mark.parametrize("reason", MESSAGES)
def test_every_reason_says_what_happened_and_what_to_do(reason: str) -> None:
    error = explain_failure(DownloadFailure(reason), URL)
    assert error.what
    assert not error.what.endswith(".")
    assert error.hint.endswith((".", "'.", "`."))
    assert isinstance(error, LinkError) or reason == "cookies"
