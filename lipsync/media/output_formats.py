"""Containers and video codecs that results are written in: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lipsync.errors import OutputError


@dataclass(frozen=True)
class OutputFormat:
    """Container of a result.

    Attributes:
        muxer: ffmpeg's name of it.
        subtitle_codec: ffmpeg's encoder of its text subtitles. MP4 has them only as timed text (ETSI
            TS 126 245), which players from QuickTime to VLC show.
        faststart: its index can be moved to the front, so that a browser plays it while it loads.
        media_type: of its files, as in HTTP.
        xmp: it holds XMP metadata and a C2PA manifest; a manifest of others lies in a file beside them, and
            their source type in a tag.
        quicktime_languages: languages of tracks are QuickTime's own codes instead of ISO 639-2/T.
    """

    muxer: str
    subtitle_codec: str
    faststart: bool
    media_type: str
    xmp: bool
    quicktime_languages: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """ffmpeg's output options."""
        return {"f": self.muxer, **({"movflags": "+faststart"} if self.faststart else {})}


OUTPUT_FORMATS: Mapping[str, OutputFormat] = MappingProxyType(
    {
        ".mp4": OutputFormat("mp4", "mov_text", True, "video/mp4", xmp=True),
        ".mov": OutputFormat("mov", "mov_text", True, "video/quicktime", xmp=True, quicktime_languages=True),
        ".mkv": OutputFormat("matroska", "subrip", False, "video/x-matroska", xmp=False),
    }
)
"""By suffix, in lower case."""


@dataclass(frozen=True)
class VideoCodec:
    """Video codec of a result.

    Attributes:
        title: for the user.
        encoder: ffmpeg's name of it.
        suffixes: of the containers that hold it, the usual one first; "" for a folder with a
            file for each frame.
        pixels: ffmpeg's pixel format of 8-bit frames.
        deep: pixel formats of frames with more bits, by how their chroma is sampled ("420", "422", "444");
            empty where it has 8 bits only.
        limited: suffixes of containers in which it cannot say that values are of full range: they are
            converted to limited range.
        alpha: pixel formats of transparent frames, of 8 bits and of more; empty where it holds none.
        alpha_settings: ffmpeg's output options for those, in place of `settings`.
        settings: ffmpeg's output options, beside the quality.
        crf: maps x264's rate factor to the encoder's; None where it has no quality.
        smallest: width and height that it needs at least.
    """

    title: str
    encoder: str
    suffixes: tuple[str, ...]
    pixels: str = "yuv420p"
    deep: Mapping[str, str] = field(default_factory=dict)
    limited: tuple[str, ...] = ()
    alpha: tuple[str, ...] = ()
    alpha_settings: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    crf: Callable[[int], int] | None = None
    smallest: tuple[int, int] = (1, 1)

    @property
    def is_sequence(self) -> bool:
        """Whether the result is a folder with a file for each frame."""
        return self.suffixes == ("",)

    def deep_format(self, chroma: str) -> str:
        """The pixel format nearest to a source's sampling of chroma; "" where it has 8 bits only."""
        return self.deep.get(chroma) or next(iter(self.deep.values()), "")


_ALL_CHROMA = {"420": "yuv420p10le", "422": "yuv422p10le", "444": "yuv444p10le"}
VIDEO_CODECS: Mapping[str, VideoCodec] = MappingProxyType(
    {
        "h264": VideoCodec("H.264", "libx264", (".mp4", ".mov", ".mkv"), crf=lambda quality: quality),
        "h265": VideoCodec(
            "H.265",
            "libx265",
            (".mp4", ".mov", ".mkv"),
            deep=_ALL_CHROMA,
            settings={"preset": "superfast", "x265-params": "log-level=error"},
            crf=lambda quality: max(0, quality - 2),
        ),
        "av1": VideoCodec(
            "AV1",
            "libsvtav1",
            (".mp4", ".mkv"),
            deep={"420": "yuv420p10le"},
            settings={"preset": 9, "svtav1-params": "lp=0"},
            crf=lambda quality: max(1, round(quality * 1.3)),
            smallest=(64, 64),
        ),
        "prores": VideoCodec(
            "ProRes 422 HQ",
            "prores_ks",
            (".mov",),
            "yuv422p10le",
            deep={"422": "yuv422p10le"},
            limited=(".mov",),
            alpha=("yuva444p10le", "yuva444p10le"),
            alpha_settings={"profile:v": 4, "vendor": "apl0", "alpha_bits": 16},
            settings={"profile:v": 3, "vendor": "apl0"},
        ),
        "dnxhr": VideoCodec(
            "DNxHR HQX",
            "dnxhd",
            (".mov",),
            "yuv422p10le",
            deep={"422": "yuv422p10le"},
            settings={"profile:v": "dnxhr_hqx"},
            smallest=(256, 120),
        ),
        "ffv1": VideoCodec(
            "FFV1",
            "ffv1",
            (".mkv", ".mov"),
            deep=_ALL_CHROMA,
            limited=(".mov",),
            settings={"level": 3, "g": 1, "slices": 4, "slicecrc": 1},
        ),
        "png": VideoCodec(
            "PNG",
            "png",
            ("",),
            "rgb24",
            deep=_ALL_CHROMA,
            alpha=("rgba", "rgba64le"),
            settings={"compression_level": 3, "pred": "up"},
        ),
    }
)
"""By the name that the setting `codec` has."""


_OF_ONE_FILE = (".png", ".zip", ".avi", ".webm", ".m4v")
"""Endings that nobody gives a folder."""


def check_codec(path: Path, codec: str) -> None:
    """Check that the container which the suffix of `path` asks for holds a codec.

    Raises:
        OutputError: it does not, or results are not written in it.
    """
    row = VIDEO_CODECS[codec]
    if row.is_sequence:
        if path.suffix.lower() in (*OUTPUT_FORMATS, *_OF_ONE_FILE):
            what = f"A {row.title} sequence is a folder, and not a file of this kind"
            raise OutputError(what, given=path.name, hint="Name a folder, or choose another 'codec'.")
        return
    output_format(path)
    if path.suffix.lower() not in row.suffixes:
        raise OutputError(
            f"{row.title} is not written into this kind of file",
            given=path.name,
            hint=f"End the name in {' or '.join(row.suffixes)}, or choose another 'codec'.",
        )


def output_format(path: Path) -> OutputFormat:
    """The container that the suffix of `path` asks for.

    Raises:
        OutputError: results are not written in it.
    """
    found = OUTPUT_FORMATS.get(path.suffix.lower())
    if found is None:
        raise OutputError(
            "This kind of file cannot be written",
            given=path.name,
            hint=f"End the name in {', '.join(OUTPUT_FORMATS)}.",
        )
    return found
