"""Tags of a source that its result keeps: title, date, time code, languages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import MediaError
from lipsync.media.clock import DEFAULT_TRACK, default_track, numbered_track, video_tracks
from lipsync.media.container import open_container
from lipsync.media.languages import language_code
from lipsync.media.output_formats import OutputFormat

_TIME_CODE = re.compile(r"\d\d:\d\d:\d\d[:;.]\d\d")


@dataclass(frozen=True)
class SourceTags:
    """Tags of a video; "" where there is none.

    Attributes:
        title, date: as the file says.
        created: ffmpeg's `creation_time`, ISO 8601.
        time_code: SMPTE time code of the first frame.
        language: of the video track, ISO 639-2.
    """

    title: str = ""
    date: str = ""
    created: str = ""
    time_code: str = ""
    language: str = ""

    def settings(self, container: OutputFormat) -> dict[str, str]:
        """ffmpeg's output options, beside `metadata` for the comment.

        A key that says "global" in several ways can be given several times.
        """
        values = {
            "metadata:g": self.title and f"title={self.title}",
            "metadata:g:0": self.date and f"date={self.date}",
            "metadata:g:1": self.created and f"creation_time={self.created}",
            "metadata:s:v": self.time_code and f"timecode={self.time_code}",
            "metadata:s:v:0": self.language and f"language={language_code(self.language, container)}",
        }
        return {key: value for key, value in values.items() if value}


def read_tags(path: Path, track: int = DEFAULT_TRACK) -> SourceTags:
    """Tags of a video file; none of a photo or where they cannot be read.

    Args:
        track: index among the video tracks.
    """
    try:
        with open_container(path) as container:
            tracks = video_tracks(container)
            if not tracks:
                return SourceTags()
            chosen = numbered_track(tracks, track, "video", path) if track >= 0 else default_track(tracks)
            tags, own = _lower(container.metadata), _lower(chosen.metadata)
    except MediaError:
        return SourceTags()
    time_code = own.get("timecode", tags.get("timecode", ""))
    language = own.get("language", "")
    return SourceTags(
        title=tags.get("title", ""),
        date=tags.get("date", ""),
        created=tags.get("creation_time", ""),
        time_code=time_code if _TIME_CODE.fullmatch(time_code) else "",
        language="" if language == "und" else language,
    )


def _lower(tags: Any) -> dict[str, str]:
    """Tags with names in lower case; Matroska writes them in capitals."""
    return {str(name).lower(): str(value) for name, value in tags.items() if "\0" not in str(value)}
