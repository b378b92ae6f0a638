"""Colour tags: the names ffmpeg uses, and which matrix turns a file's YUV into RGB and back."""

from __future__ import annotations

from typing import Any

from lipsync.media.video.yuv import YuvColors
from lipsync.types import VideoInfo

# Numbers of ITU-T H.273 as ffmpeg names them; what is missing here is unknown.
SPACES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
    10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
    16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
RANGES = {1: "tv", 2: "pc"}

HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
_MATRICES = {
    "bt709": "bt709", "fcc": "fcc", "bt470bg": "bt601", "smpte170m": "bt601", "smpte240m": "smpte240m",
    "bt2020nc": "bt2020", "bt2020c": "bt2020",
}  # fmt: skip
_SHARES = {  # of red and of blue in the brightness, Kr and Kb
    "bt709": (0.2126, 0.0722), "fcc": (0.30, 0.11), "bt601": (0.299, 0.114), "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}  # fmt: skip
_TRANSFER_OPTIONS = {"bt470m": "gamma22", "bt470bg": "gamma28"}  # named otherwise as output options
# With these swscale reproduces the standard's formulas to the nearest integer; its faster
# defaults are 1 to 2 levels too dark.
_READ_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
_REDUCE_FLAGS = "area+accurate_rnd+full_chroma_int"  # a picture to look at; a third of the time
_WRITE_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_PLANES_FLAGS = "bicubic+accurate_rnd"


def is_rgb(info: VideoInfo) -> bool:
    """Whether the file holds RGB (a photo, a GIF, a screen recording), so that no matrix applies."""
    return info.is_still or info.color_space == "gbr"


def _space(info: VideoInfo) -> str:
    """The file's YUV matrix; where it does not say, what players assume by the picture's height."""
    if info.color_space in _MATRICES:
        return info.color_space
    return "bt709" if info.height >= 720 else "smpte170m"


def read_arguments(info: VideoInfo, reduced: bool = False) -> dict[str, Any]:
    """Arguments of ffmpeg's scale filter that turn this file's frames into RGB, `reduced` by averaging."""
    flags = _REDUCE_FLAGS if reduced else _READ_FLAGS
    if is_rgb(info):
        return {"flags": flags}
    return {"in_color_matrix": _MATRICES[_space(info)], "in_range": info.color_range, "flags": flags}


def yuv_colors(info: VideoInfo) -> YuvColors:
    """What the numbers of a result made of this file mean."""
    return YuvColors(*_SHARES[_MATRICES[_space(info)]], full_range=write_tags(info)["range"] == "pc")


def planes_arguments(info: VideoInfo) -> dict[str, Any]:
    """Arguments of ffmpeg's scale filter that leave the colours of this file's YUV as they are."""
    matrix, color_range = _MATRICES[_space(info)], info.color_range
    return {
        "in_color_matrix": matrix,
        "out_color_matrix": matrix,
        "in_range": color_range,
        "out_range": color_range,
        "flags": _PLANES_FLAGS,
    }


def to_yuv(stream: Any, info: VideoInfo) -> Any:
    """Append the filters that turn RGB frames into 8 bit YUV in the colours of `info`."""
    color_range = write_tags(info)["range"]
    matrix = {"out_color_matrix": _MATRICES[_space(info)], "in_range": "pc", "out_range": color_range}
    stream = stream.filter("scale", **matrix, flags=_WRITE_FLAGS)
    if color_range == "pc":
        # On the direct way to full range swscale takes half a level off the colour differences.
        stream = stream.filter("format", "yuv420p12le")
        stream = stream.filter("scale", in_range="pc", out_range="pc", flags=_WRITE_FLAGS)
    return stream.filter("format", "yuv420p")


def write_tags(info: VideoInfo) -> dict[str, str]:
    """Arguments of ffmpeg's setparams filter that give the result the file's own tags.

    The matrix and range are written even where the file was silent, because a player would guess
    anew by the size of the result.
    """
    tags = {"colorspace": _space(info), "range": "tv" if is_rgb(info) else info.color_range}
    if info.color_primaries:
        tags["color_primaries"] = info.color_primaries
    if info.color_transfer:
        tags["color_trc"] = info.color_transfer
    return tags


def write_settings(info: VideoInfo) -> dict[str, str]:
    """The same as output options, for ffmpeg before 7, which does not take them from the frames."""
    tags = write_tags(info)
    settings = {"colorspace": tags["colorspace"], "color_range": tags["range"]}
    if "color_primaries" in tags:
        settings["color_primaries"] = tags["color_primaries"]
    if "color_trc" in tags:
        settings["color_trc"] = _TRANSFER_OPTIONS.get(tags["color_trc"], tags["color_trc"])
    return settings
