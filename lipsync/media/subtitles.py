"""Subtitle track muxed into a video, without re-encoding."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import ffmpeg

from lipsync.media.container import checked_file, open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, file_url, media_input
from lipsync.media.output_formats import OutputFormat, output_format
from lipsync.media.probe import probe_video
from lipsync.media.subtitle_formats import Cue, format_srt, read_subtitles
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import atomic_write

# ISO 639-1 to ISO 639-2/T, which MP4 and Matroska require.
_LANGUAGES = {
    "af": "afr", "am": "amh", "ar": "ara", "az": "aze", "be": "bel", "bg": "bul", "bn": "ben",
    "bs": "bos", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu", "el": "ell",
    "en": "eng", "es": "spa", "et": "est", "eu": "eus", "fa": "fas", "fi": "fin", "fr": "fra",
    "ga": "gle", "gl": "glg", "gu": "guj", "he": "heb", "hi": "hin", "hr": "hrv", "hu": "hun",
    "hy": "hye", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ka": "kat", "kk": "kaz",
    "km": "khm", "kn": "kan", "ko": "kor", "lo": "lao", "lt": "lit", "lv": "lav", "mk": "mkd",
    "ml": "mal", "mn": "mon", "mr": "mar", "ms": "msa", "mt": "mlt", "my": "mya", "ne": "nep",
    "nl": "nld", "no": "nor", "pa": "pan", "pl": "pol", "ps": "pus", "pt": "por", "ro": "ron",
    "ru": "rus", "si": "sin", "sk": "slk", "sl": "slv", "so": "som", "sq": "sqi", "sr": "srp",
    "sv": "swe", "sw": "swa", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur",
    "uk": "ukr", "ur": "urd", "uz": "uzb", "vi": "vie", "yi": "yid", "yo": "yor", "zh": "zho",
}  # fmt: skip
# QuickTime's own language codes, in ffmpeg's spelling.
_QUICKTIME = {
    "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice",
    "zho": "chi", "swe": "sve", "sqi": "alb", "mkd": "mac",
}  # fmt: skip


def add_subtitles(
    video: Path | str,
    subtitles: Path | str,
    language: str = "",
    *,
    target: Path | str | None = None,
    default: bool = False,
    cancel: CancelToken | None = None,
) -> Path:
    """Add subtitles to a video as its only subtitle track; video and audio are copied.

    Earlier subtitle tracks are dropped. Cues are trimmed at the end of the video.

    Args:
        video: .mp4, .mov or .mkv.
        subtitles: SRT or WebVTT file in UTF-8.
        language: of the text, ISO 639-1 or 639-2, such as "en" or "eng"; "" if unknown.
        target: the file to write, atomically; None replaces `video`.
        default: mark the track as default, so that players show it by default.
        cancel: polled while ffmpeg runs.

    Returns:
        The file that was written.

    Raises:
        MediaError: a file is missing or cannot be read, or has no subtitles in it.
        OutputError: the container has no subtitle tracks, or the file cannot be written.
        Cancelled: the token was cancelled.
    """
    video = checked_file(video)
    target = (Path(target) if target else video).absolute()
    container = output_format(target)
    cues = _trimmed(read_subtitles(subtitles), probe_video(video).duration)
    track = {
        "c:s": container.subtitle_codec,
        "metadata:s:s:0": f"language={_language_code(language, container)}",
        "disposition:s:0": "default" if default else "0",
        **container.settings,
    }
    # ffmpeg reads a file that this program wrote, so that nothing in the user's is interpreted.
    with atomic_write(target) as part:
        text = part.with_suffix(".srt")
        text.write_text(format_srt(cues), "utf-8", newline="\n")
        _mux(video, text, part, track, cancel or CancelToken())
    return target


def _trimmed(cues: tuple[Cue, ...], duration: float) -> list[Cue]:
    """Cues trimmed to the video; a longer one would extend the file."""
    return [replace(cue, end=min(cue.end, duration)) for cue in cues if cue.start < duration]


def _language_code(language: str, container: OutputFormat) -> str:
    """The language as the container spells it; "und" if unknown."""
    code = _LANGUAGES.get(language.lower(), language.lower())
    if not re.fullmatch("[a-z]{3}", code):
        return "und"
    return _QUICKTIME.get(code, code) if container.quicktime_languages else code


def _mux(video: Path, text: Path, part: Path, track: dict[str, Any], cancel: CancelToken) -> None:
    """Copy the video's streams and the SRT file `text` into `part`."""
    with open_container(video) as container:
        demuxer = container.format.name.split(",")[0]
        kinds = [stream.type for stream in container.streams if stream.type in ("video", "audio")]
    source = media_input(video, demuxer)
    streams = [source[f"{kind[0]}:{kinds[:at].count(kind)}"] for at, kind in enumerate(kinds)]
    # -copyts: otherwise audio that starts before the video would be shifted.
    graph = ffmpeg.output(*streams, media_input(text, "srt"), file_url(part), c="copy", **track)
    cancel.check()
    with FFmpegProcess(graph, "-copyts", "-y") as running:
        if running.wait(cancel):
            raise error_from_stderr(running.stderr_tail(), video, writing=True)
