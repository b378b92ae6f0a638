"""Lengths that a file claims, held against what it contains.

Timestamps come from fields that a damaged or hostile file may set to anything. Believed, an hour of
silence would be filled in for every kilobyte.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.errors import MediaError
from lipsync.media.container import StreamPackets

AUDIO_BITS, VIDEO_BITS = 200, 20
"""A second, of a whole file, at the least. Speech takes 3,000, digital silence in AAC or FLAC 1,000; a small
slide show with an image every 20 s takes 140."""
SAMPLE_RATES = (1_000, 1_000_000)
"""Hz; speech needs a few thousand, and a second of more would fill the memory."""
AUDIO_PACKET_SECONDS, FRAME_SECONDS = 10, 60
"""Time that a packet of audio, or a frame of a slide show, may fill."""
_MIN_COVERED = 0.1
_MAX_UNCOVERED_SECONDS = 600
_GAPLESS_DEMUXERS = ("avi", "wav", "w64", "aiff", "au", "caf", "voc")
"""Containers without timestamps: samples follow each other, so their number is the length."""
_PCM_TOLERANCE = 1.1
_PCM_BITS = re.compile(r"pcm_(?:[suf](\d+)|(?:alaw|mulaw))")


def check_size(path: Path, seconds: Fraction | float, bits: int) -> None:
    """Check that the file is large enough for its length.

    Args:
        bits: a second, at the least.

    Raises:
        MediaError: it is not.
    """
    size = path.stat().st_size
    if seconds * bits > 8 * size:
        raise _lie(path, float(seconds), f"and has {size:,} bytes")


def check_sample_rate(path: Path, rate: int) -> None:
    """Check that the sample rate can be that of a recording.

    Raises:
        MediaError: it cannot.
    """
    if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
        raise MediaError(
            "The file's sample rate cannot be right",
            given=f"{path}, {rate:,} Hz",
            hint="Its header is damaged; convert it with another program, or take another copy.",
        )


def check_gaps(path: Path, packets: StreamPackets, base: Fraction, longest: int) -> None:
    """Check that packets lie close enough to fill their stream's length.

    Args:
        base: seconds of a tick.
        longest: seconds that one packet may fill.

    Raises:
        MediaError: nine tenths of the length, and more than ten minutes, lie in gaps between them.
    """
    times = np.array([*sorted(packets.pts), packets.end], np.float64) * float(base)
    length = float(times[-1] - times[0])
    covered = float(np.minimum(np.diff(times), longest).sum())
    if covered < _MIN_COVERED * length and length - covered > _MAX_UNCOVERED_SECONDS:
        raise _lie(path, length, f"and has data for {covered:.1f} s")


def check_pcm(path: Path, container: str, codec: Any, size: int, length: Fraction) -> None:
    """Check that uncompressed audio is as long as its samples.

    Args:
        container: ffmpeg's demuxer.
        codec: the stream's codec context; others than PCM are not checked.
        size: bytes of all packets.
        length: seconds by timestamps.

    Raises:
        MediaError: it claims to be longer or shorter.
    """
    found = _PCM_BITS.match(codec.name)
    if found is None or container not in _GAPLESS_DEMUXERS or not codec.channels:
        return
    actual = 8 * size / (int(found[1] or 8) * codec.sample_rate * codec.channels)
    if not actual / _PCM_TOLERANCE - 1 <= length <= actual * _PCM_TOLERANCE + 1:
        raise _lie(path, float(length), f"and has samples for {actual:.1f} s")


def _lie(path: Path, seconds: float, holds: str) -> MediaError:
    return MediaError(
        f"The file claims to last {seconds:,.1f} s {holds}",
        given=path,
        hint="Its header is damaged; convert it with another program, or take another copy.",
    )
