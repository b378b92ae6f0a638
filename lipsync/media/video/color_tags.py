"""Colour tags (ITU-T H.273) as arguments for ffmpeg."""

from __future__ import annotations

from typing import Any

from lipsync.media.video.yuv import YuvColorSpace
from lipsync.types import VideoInfo

# Code points of ITU-T H.273 and ffmpeg's names for them; any other counts as unknown.
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
_LUMA_COEFFICIENTS = {  # Kr and Kb
    "bt709": (0.2126, 0.0722), "fcc": (0.30, 0.11), "bt601": (0.299, 0.114), "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}  # fmt: skip
_TRANSFER_OPTIONS = {"bt470m": "gamma22", "bt470bg": "gamma28"}  # named differently as output options
# With these flags swscale reproduces the standard's formulas to the nearest integer; its faster
# defaults are 1 to 2 levels too dark.
_TO_RGB_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
_REDUCED_FLAGS = "area+accurate_rnd+full_chroma_int"  # for reduced frames; a third of the time
_TO_YUV_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_YUV_FLAGS = "bicubic+accurate_rnd"


def is_rgb(info: VideoInfo) -> bool:
    """Whether the file stores RGB, as photos, GIFs and screen recordings do."""
    return info.is_still or info.color_space == "gbr"


def _space(info: VideoInfo) -> str:
    """The file's YUV matrix; if untagged, the one that players assume for its height."""
    if info.color_space in _MATRICES:
        return info.color_space
    return "bt709" if info.height >= 720 else "smpte170m"


def yuv_color_space(info: VideoInfo) -> YuvColorSpace:
    """Matrix and range of results made from this file."""
    full_range = setparams_arguments(info)["range"] == "pc"
    return YuvColorSpace(*_LUMA_COEFFICIENTS[_MATRICES[_space(info)]], full_range=full_range)


# ------------------------------------------------------------------------------------- reading


def rgb_scale_arguments(info: VideoInfo, reduced: bool = False) -> dict[str, Any]:
    """Arguments of ffmpeg's scale filter for RGB; `reduced` frames are area-averaged."""
    flags = _REDUCED_FLAGS if reduced else _TO_RGB_FLAGS
    if is_rgb(info):
        return {"flags": flags}
    return {"in_color_matrix": _MATRICES[_space(info)], "in_range": info.color_range, "flags": flags}


def yuv_scale_arguments(info: VideoInfo) -> dict[str, Any]:
    """Arguments of ffmpeg's scale filter for the file's own YUV matrix and range."""
    matrix, color_range = _MATRICES[_space(info)], info.color_range
    return {
        "in_color_matrix": matrix,
        "out_color_matrix": matrix,
        "in_range": color_range,
        "out_range": color_range,
        "flags": _YUV_FLAGS,
    }


def rgb_to_yuv(stream: Any, info: VideoInfo) -> Any:
    """Append a conversion from RGB to 8-bit YUV 4:2:0 to an ffmpeg-python stream."""
    color_range = setparams_arguments(info)["range"]
    matrix = {"out_color_matrix": _MATRICES[_space(info)], "in_range": "pc", "out_range": color_range}
    stream = stream.filter("scale", **matrix, flags=_TO_YUV_FLAGS)
    if color_range == "pc":
        # In its direct conversion to full range swscale makes chroma half a level too small.
        stream = stream.filter("format", "yuv420p12le")
        stream = stream.filter("scale", in_range="pc", out_range="pc", flags=_TO_YUV_FLAGS)
    return stream.filter("format", "yuv420p")


# ------------------------------------------------------------------------------------- writing


def result_rgb_arguments(info: VideoInfo) -> dict[str, Any]:
    """Arguments of ffmpeg's scale filter for the RGB of a result's YUV frames."""
    color_range = setparams_arguments(info)["range"]
    return {
        "in_color_matrix": _MATRICES[_space(info)],
        "in_range": color_range,
        "out_range": "pc",
        "flags": _TO_RGB_FLAGS,
    }


def setparams_arguments(info: VideoInfo) -> dict[str, str]:
    """Arguments of ffmpeg's setparams filter for the tags of a result of this file.

    Matrix and range are written even for untagged files, because players would guess again from the
    size of the result.
    """
    tags = {"colorspace": _space(info), "range": "tv" if is_rgb(info) else info.color_range}
    if info.color_primaries:
        tags["color_primaries"] = info.color_primaries
    if info.color_transfer:
        tags["color_trc"] = info.color_transfer
    return tags


def output_options(info: VideoInfo) -> dict[str, str]:
    """The same tags as output options; ffmpeg before 7 ignores those of the frames."""
    tags = setparams_arguments(info)
    options = {"colorspace": tags["colorspace"], "color_range": tags["range"]}
    if "color_primaries" in tags:
        options["color_primaries"] = tags["color_primaries"]
    if "color_trc" in tags:
        options["color_trc"] = _TRANSFER_OPTIONS.get(tags["color_trc"], tags["color_trc"])
    return options
