"""AAC encoder settings: sample rate, channel layout, bit rate, exact length."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lipsync.media.audio.reader import AudioReader
from lipsync.types import AudioInfo

SPEECH_RATE = 16_000
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_MAX_CHANNELS = 8
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1", 8: "7.1"}
"""AAC channel layouts that every player knows, by channel count; ffmpeg's encoder takes more, in a form
that many players cannot decode."""


def aac_rate(rate: int) -> int:
    """AAC sample rate for `rate` Hz: the same, else a divisor, else the next higher."""
    divisors = [known for known in _AAC_RATES if rate % known == 0 and rate // known <= 4]
    higher = [known for known in _AAC_RATES if known >= rate]
    return divisors[0] if divisors else min(higher, default=48_000)


def audio_settings(info: AudioInfo) -> dict[str, Any]:
    """ffmpeg's audio output options: AAC at a high bit rate.

    128 kbit/s a channel, but at most 6 bits a sample, which is AAC's limit, and 640 kbit/s in total.
    """
    rate = aac_rate(info.sample_rate)
    return {"acodec": "aac", "ar": rate, "b:a": min(min(128_000, 6 * rate) * info.channels, 640_000)}


def speech_settings() -> dict[str, Any]:
    """ffmpeg's audio output options for training sets, at the networks' 16 kHz."""
    return {"acodec": "aac", "ar": SPEECH_RATE, "b:a": 48_000}


def fit_channels(stream: Any, info: AudioInfo) -> Any:
    """The stream in a channel layout of AAC, the file's own if possible."""
    if info.channels <= 2:
        return stream
    if info.channels <= _MAX_CHANNELS:
        return stream.filter("aformat", channel_layouts=LAYOUTS[info.channels])
    # More channels are separate microphones rather than loudspeakers, so all are mixed to the centre.
    mean = "<" + "+".join(f"c{n}" for n in range(info.channels))
    return stream.filter("pan", f"stereo|c0{mean}|c1{mean}")


def pad_or_trim(audio: AudioReader, seconds: Fraction, compact: bool = False) -> Any:
    """The audio as an ffmpeg-python stream for the encoder, exactly `seconds` long.

    Args:
        audio: the audio to encode, at its own rate and channels.
        seconds: exact length; longer audio is trimmed, shorter audio is padded with silence.
        compact: mono at `SPEECH_RATE`, for training sets.
    """
    rate = SPEECH_RATE if compact else aac_rate(audio.info.sample_rate)
    stream = audio.mono_stream() if compact else fit_channels(audio.stream(), audio.info)
    stream = stream.filter("aresample", rate)
    return stream.filter("apad").filter("atrim", end_sample=round(seconds * rate))
