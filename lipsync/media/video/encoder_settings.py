"""Settings of the result's streams: which H.264 encoder, which AAC rate, channels and bit rate."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lipsync.media.ffmpeg import HARDWARE_ENCODERS, has_encoder, thread_count
from lipsync.types import AudioInfo

SOFTWARE = "libx264"
SPEECH_RATE = 16_000
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_MAX_CHANNELS = 8
# What every AAC player knows; ffmpeg's encoder takes more, in a form that many cannot play.
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1", 8: "7.1"}
_KEY_FRAME_SECONDS = 2  # so that players can be dragged through the result


def choose_encoder(wish: str, width: int, height: int) -> tuple[str, str]:
    """The encoder to use, and a warning ("" if none) where the wish could not be met."""
    if wish != "hardware":
        return SOFTWARE, ""
    for name in HARDWARE_ENCODERS:
        if has_encoder(name, width, height):
            return name, ""
    return SOFTWARE, f"No hardware encoder works here at {width}x{height}; the software encoder was used."


def video_settings(encoder: str, quality: int, fps: Fraction, compact: bool = False) -> dict[str, Any]:
    """ffmpeg's output options; `quality` is x264's rate factor, or what comes nearest to it.

    Args:
        compact: let x264 take its time for a small file, which is read from its start.
    """
    key_frame_seconds = 10 if compact else _KEY_FRAME_SECONDS
    keys: dict[str, Any] = {"vcodec": encoder, "g": max(1, round(key_frame_seconds * fps))}
    if encoder == "h264_nvenc":
        return {**keys, "preset": "p4", "rc": "vbr", "cq": max(1, quality), "b:v": 0}
    if encoder == "h264_qsv":
        return {**keys, "global_quality": max(1, quality)}
    if encoder == "h264_amf":
        return {**keys, "rc": "cqp", "qp_i": quality, "qp_p": quality}
    if encoder == "h264_videotoolbox":
        return {**keys, "q:v": max(1, 100 - 2 * quality)}
    # superfast: the networks need the processor more. At the same rate factor the picture is as good
    # as with slower presets (SSIM 0.997 at 17 against veryfast's 0.997); the file is twice as large.
    if compact:
        return {**keys, "preset": "slower", "crf": quality}
    return {**keys, "preset": "superfast", "crf": quality, "threads": thread_count()}


def aac_rate(rate: int) -> int:
    """The file's own rate where AAC has it, else a divisor of it, else the next higher one."""
    divisors = [known for known in _AAC_RATES if rate % known == 0 and rate // known <= 4]
    higher = [known for known in _AAC_RATES if known >= rate]
    return divisors[0] if divisors else min(higher, default=48_000)


def audio_settings(info: AudioInfo) -> dict[str, Any]:
    """ffmpeg's output options for the sound: generous, at most 6 bits a sample, which is AAC's limit."""
    rate = aac_rate(info.sample_rate)
    return {"acodec": "aac", "ar": rate, "b:a": min(min(128_000, 6 * rate) * info.channels, 640_000)}


def speech_settings() -> dict[str, Any]:
    """ffmpeg's output options for one voice as networks hear it: mono, up to 8 kHz."""
    return {"acodec": "aac", "ar": SPEECH_RATE, "b:a": 48_000}


def fit_channels(stream: Any, info: AudioInfo) -> Any:
    """The sound in a layout that AAC has; the file's own where it has it."""
    if info.channels <= 2:
        return stream
    if info.channels <= _MAX_CHANNELS:
        return stream.filter("aformat", channel_layouts=LAYOUTS[info.channels])
    # Separate microphones rather than a room: everyone is heard, in the middle.
    mean = "<" + "+".join(f"c{n}" for n in range(info.channels))
    return stream.filter("pan", f"stereo|c0{mean}|c1{mean}")
