"""Subtitles as a track of a video: they can be switched on and off, and nothing is encoded anew."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import ffmpeg

from lipsync.errors import MediaError, OutputError
from lipsync.media.container import checked_file, open_container
from lipsync.media.ffmpeg import FFmpegProcess, error_from_stderr, media_input
from lipsync.media.probe import probe_video
from lipsync.media.video.writer import MUXERS
from lipsync.progress import CancelToken
from lipsync.utils.atomic_write import atomic_write

_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip"}
"""MP4 knows text subtitles only as timed text (ETSI TS 126 245), which players from QuickTime to VLC show."""
_TIMES = re.compile(
    r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
)
# ISO 639-1 to ISO 639-2/T, which MP4 and Matroska want.
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
# QuickTime's own list of languages, as ffmpeg spells it.
_QUICKTIME = {
    "deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice",
    "zho": "chi", "swe": "sve", "sqi": "alb", "mkd": "mac",
}  # fmt: skip


@dataclass(frozen=True)
class Cue:
    """One subtitle: `text` (lines parted by a line break) from `start` to `end`, seconds."""

    start: float
    end: float
    text: str


def read_subtitles(path: Path | str) -> tuple[Cue, ...]:
    """The cues of an SRT or WebVTT file in UTF-8, in the order of their times.

    Raises:
        MediaError: it is missing, or holds no cue.
    """
    path = checked_file(path)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8."
        raise MediaError("The subtitles are not in UTF-8", given=path, hint=hint) from error
    cues = []
    escaped = text.startswith("WEBVTT")
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        if found := _TIMES.search(block):
            words = block[found.end() :].split("\n", 1)[1:]  # WebVTT may have settings behind the times
            said = unescape(words[0].strip()) if words and escaped else "".join(words).strip()
            if said:
                cues.append(Cue(_seconds(*found.groups()[:4]), _seconds(*found.groups()[4:]), said))
    if not cues:
        hint = "Give an .srt or .vtt file."
        raise MediaError("There are no subtitles in the file", given=path, hint=hint)
    return tuple(sorted((cue for cue in cues if cue.end > cue.start), key=lambda cue: cue.start))


def _seconds(hours: str | None, minutes: str, seconds: str, parts: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(parts.ljust(3, "0")) / 1000


def add_subtitles(
    video: Path | str,
    subtitles: Path | str,
    language: str = "",
    *,
    target: Path | str | None = None,
    shown: bool = False,
    cancel: CancelToken | None = None,
) -> Path:
    """Put subtitles into a video as a track of its own; picture and sound are copied as they are.

    Tracks of subtitles that it had before are left out. Cues are cut at the end of the picture.

    Args:
        video: .mp4, .mov or .mkv.
        subtitles: SRT or WebVTT, UTF-8.
        language: of the text, ISO 639-1 or 639-2, such as "en" or "eng"; "" where unknown.
        target: where to write; None puts the new file in the place of `video`. It appears only
            when it is whole.
        shown: players show them without being asked.

    Returns:
        The file that was written.

    Raises:
        MediaError: a file is missing or cannot be read, or there are no subtitles in it.
        OutputError: the kind of file cannot carry them, or it cannot be written.
        Cancelled: the token was thrown.
    """
    video = checked_file(video)
    target = (Path(target) if target else video).absolute()
    muxer = MUXERS.get(target.suffix.lower())
    if muxer is None:
        hint = f"Use one of: {', '.join(MUXERS)}."
        raise OutputError("This kind of file cannot carry subtitles", given=target.name, hint=hint)
    cues = _within(read_subtitles(subtitles), probe_video(video).duration)
    # ffmpeg reads them from a file of ours, so that nothing in theirs can mean something to it.
    text = target.with_name(f".{secrets.token_hex(8)}.srt")
    try:
        with atomic_write(target) as part:
            text.write_text(_as_srt(cues), "utf-8", newline="\n")
            _mux(video, text, part, muxer, language, shown, cancel or CancelToken())
    finally:
        text.unlink(missing_ok=True)
    return target


def _within(cues: tuple[Cue, ...], duration: float) -> list[Cue]:
    """A cue that lasts longer would make the whole video longer."""
    return [Cue(cue.start, min(cue.end, duration), cue.text) for cue in cues if cue.start < duration]


def _as_srt(cues: list[Cue]) -> str:
    return "\n".join(
        f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def _code(language: str, muxer: str) -> str:
    """The language as the container spells it; "und" where it is unknown."""
    code = _LANGUAGES.get(language.lower(), language.lower())
    if not re.fullmatch("[a-z]{3}", code):
        return "und"
    return _QUICKTIME.get(code, code) if muxer == "mov" else code


def _mux(
    video: Path, text: Path, part: Path, muxer: str, language: str, shown: bool, cancel: CancelToken
) -> None:
    with open_container(video) as container:
        demuxer = container.format.name.split(",")[0]
        kinds = [stream.type for stream in container.streams if stream.type in ("video", "audio")]
    source = media_input(video, demuxer)
    kept = [source[f"{kind[0]}:{kinds[:at].count(kind)}"] for at, kind in enumerate(kinds)]
    settings = {
        "c": "copy",
        "c:s": _CODECS[muxer],
        "f": muxer,
        "metadata:s:s:0": f"language={_code(language, muxer)}",
        "disposition:s:0": "default" if shown else "0",
    }
    if muxer != "matroska":
        settings["movflags"] = "+faststart"
    # -copyts: else a sound that starts before the picture would be moved.
    graph = ffmpeg.output(*kept, media_input(text, "srt"), f"file:{part}", **settings)
    cancel.check()
    with FFmpegProcess(graph, "-copyts", "-y") as running:
        if running.wait(cancel):
            raise error_from_stderr(running.stderr_tail(), video, writing=True)
