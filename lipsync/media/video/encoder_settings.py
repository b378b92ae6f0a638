"""Video encoder choice and settings."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lipsync.media.ffmpeg import HARDWARE_ENCODERS, has_encoder, thread_count
from lipsync.media.output_formats import VIDEO_CODECS

SOFTWARE = "libx264"
_ROWS = {row.encoder: row for name, row in VIDEO_CODECS.items() if name != "h264"}
_KEY_FRAME_SECONDS = 2  # short, so that players can seek in the result
_COMPACT_KEY_FRAME_SECONDS = 10


def choose_encoder(preference: str, width: int, height: int, codec: str = "h264") -> tuple[str, str]:
    """The video encoder to use at this frame size.

    Args:
        preference: "software" or "hardware".
        codec: name in `VIDEO_CODECS`; only H.264 is encoded by hardware.
        width, height: pixels of the encoded frames.

    Returns:
        ffmpeg's name of the encoder, and a warning ("" if none) when no hardware encoder works here.
    """
    if codec != "h264":
        title = VIDEO_CODECS[codec].title
        warning = (
            f"{title} was encoded by software; 'encoder' is for H.264." if preference == "hardware" else ""
        )
        return VIDEO_CODECS[codec].encoder, warning
    if preference != "hardware":
        return SOFTWARE, ""
    for name in HARDWARE_ENCODERS:
        if has_encoder(name, width, height):
            return name, ""
    return SOFTWARE, f"No hardware encoder works here at {width}x{height}; the software encoder was used."


def video_settings(encoder: str, quality: int, fps: Fraction, compact: bool = False) -> dict[str, Any]:
    """ffmpeg's video output options.

    Args:
        encoder: ffmpeg's name of the encoder, from `choose_encoder`.
        quality: x264's constant rate factor (0..51), mapped to the nearest setting of other encoders.
        fps: frames per second, for the key frame interval.
        compact: a slow x264 preset and rare key frames for small files, as in training sets.
    """
    key_frame_seconds = _COMPACT_KEY_FRAME_SECONDS if compact else _KEY_FRAME_SECONDS
    common: dict[str, Any] = {"vcodec": encoder, "g": max(1, round(key_frame_seconds * fps))}
    if encoder == "h264_nvenc":
        return {**common, "preset": "p4", "rc": "vbr", "cq": max(1, quality), "b:v": 0}
    if encoder == "h264_qsv":
        return {**common, "global_quality": max(1, quality)}
    if encoder == "h264_amf":
        return {**common, "rc": "cqp", "qp_i": quality, "qp_p": quality}
    if encoder == "h264_videotoolbox":
        return {**common, "q:v": max(1, 100 - 2 * quality)}
    if compact:
        return {**common, "preset": "slower", "crf": quality}
    if (row := _ROWS.get(encoder)) is not None:
        rate = {"crf": row.crf(quality)} if row.crf else {}
        key_frames = {} if "g" in row.settings or not row.crf else {"g": common["g"]}
        return {"vcodec": encoder, "threads": thread_count(), **key_frames, **rate, **row.settings}
    # superfast leaves the CPU to the networks. At the same rate factor the quality equals that of slower
    # presets (SSIM 0.997 at crf 17, as with veryfast); the file is twice as large.
    return {**common, "preset": "superfast", "crf": quality, "threads": thread_count()}
