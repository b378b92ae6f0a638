"""Conversion of HDR and transparent video to opaque SDR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ffmpeg

from lipsync.media.ffmpeg import has_part
from lipsync.media.video import color_tags
from lipsync.media.video.images import Color
from lipsync.types import VideoInfo

_SDR_WHITE_NITS = 203
"""Luminance of diffuse white in HDR (ITU-R BT.2408), which becomes that of SDR."""


def is_tone_mapped(info: VideoInfo) -> bool:
    """Whether the video is HDR and this ffmpeg can map it to SDR."""
    return info.color_transfer in color_tags.HDR_TRANSFERS and has_part("filter", "zscale")


def converted_info(info: VideoInfo) -> VideoInfo:
    """Properties of the converted frames: RGB, in BT.709 if they were HDR; `info` if nothing is converted."""
    if not info.has_alpha and not is_tone_mapped(info):
        return info
    rgb = replace(info, color_space="gbr", color_range="pc", has_alpha=False)
    if is_tone_mapped(info):
        rgb = replace(rgb, color_primaries="bt709", color_transfer="bt709")
    return rgb


def conversion_filters(stream: Any, info: VideoInfo, matte: Color) -> Any:
    """Append filters for the frames that `converted_info` describes to an ffmpeg-python stream."""
    if is_tone_mapped(info):
        stream = _to_sdr(stream, info)
    elif info.has_alpha:
        stream = stream.filter("scale", **color_tags.rgb_scale_arguments(info))
    return _over_matte(stream, matte) if info.has_alpha else stream


def _to_sdr(stream: Any, info: VideoInfo) -> Any:
    """Tone mapping that leaves what SDR can show as it is, and rolls off highlights."""
    tags = {
        "tin": info.color_transfer,
        "pin": info.color_primaries or "bt2020",
        "min": info.color_space or "bt2020nc",
        "rin": info.color_range,
    }
    stream = stream.filter("zscale", **tags, t="linear", npl=_SDR_WHITE_NITS)
    stream = stream.filter("format", "gbrapf32le" if info.has_alpha else "gbrpf32le")
    stream = stream.filter("zscale", p="bt709").filter("tonemap", "mobius", desat=0)
    stream = stream.filter("zscale", t="bt709", m="gbr", r="pc")
    return stream.filter("format", "gbrap" if info.has_alpha else "gbrp")


def _over_matte(stream: Any, matte: Color) -> Any:
    """The frames over a colour, opaque."""
    both = stream.filter("format", "gbrap").split()
    behind = both[0].filter("lutrgb", **dict(zip("rgb", matte, strict=True)), a=255).filter("format", "gbrp")
    return ffmpeg.filter([behind, both[1]], "overlay", format="gbrp")
