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
_COUNTING_DEMUXERS = ("flac", "wav", "w64", "aiff", "au")
"""Containers whose clock counts samples."""
_LARGEST_OGG_PAGE, _OGG_HEADER = 65_307, 27
_UNREAD_SECONDS = Fraction(1, 2)
_DAMAGED = "Its header is damaged; convert it with another program, or take another copy."
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
            hint=_DAMAGED,
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


def check_pcm(path: Path, container: str, codec: Any, size: int, lengths: tuple[Fraction, Fraction]) -> None:
    """Check that uncompressed audio is as long as its samples.

    Args:
        container: ffmpeg's demuxer.
        codec: the stream's codec context; others than PCM are not checked.
        size: bytes of all packets.
        lengths: seconds by timestamps, and by the header, which may not know (0) or be cut off (more).

    Raises:
        MediaError: it claims to be longer or shorter.
    """
    found = _PCM_BITS.match(codec.name)
    if found is None or container not in _GAPLESS_DEMUXERS or not codec.channels:
        return
    actual = 8 * size / (int(found[1] or 8) * codec.sample_rate * codec.channels)
    by_packets, by_header = map(float, lengths)
    if not actual / _PCM_TOLERANCE - 1 <= by_packets <= actual * _PCM_TOLERANCE + 1:
        raise _lie(path, by_packets, f"and has samples for {actual:.1f} s")
    if by_header and actual > by_header * _PCM_TOLERANCE + 1:
        raise _lie(path, by_header, f"and has samples for {actual:.1f} s")


def check_clock(path: Path, container: str, codec: Any, base: Fraction) -> None:
    """Check that a clock that counts samples counts those of the sample rate.

    Args:
        container: ffmpeg's demuxer.
        codec: the stream's codec context.
        base: seconds of a tick.

    Raises:
        MediaError: it does not, as in a FLAC whose header has no sample rate.
    """
    counts = codec.name == "flac" or codec.name.startswith("pcm_")
    if container in _COUNTING_DEMUXERS and counts and base * codec.sample_rate != 1:
        raise MediaError(
            "The file's header has no sample rate, or another than its sound",
            given=f"{path}, {codec.sample_rate:,} Hz in the sound",
            hint=_DAMAGED,
        )


def check_last_page(path: Path, container: str, seconds: Fraction, rate: int) -> None:
    """Check that an Ogg file was read to its end: pages with a wrong checksum are passed over.

    Args:
        container: ffmpeg's demuxer; others than Ogg are not checked.
        seconds: time at which the last packet ends, on the stream's own clock.
        rate: ticks of the clock a second.

    Raises:
        MediaError: the last page, which is whole, ends later.
    """
    if container != "ogg":
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LARGEST_OGG_PAGE))
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + _OGG_HEADER:
        return
    ticks, lengths = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True), tail[at + 26]
    page = _OGG_HEADER + lengths + sum(tail[at + _OGG_HEADER : at + _OGG_HEADER + lengths])
    end = Fraction(ticks, rate)
    if len(tail) >= at + page and end > seconds + _UNREAD_SECONDS:
        raise MediaError(
            f"The audio breaks off after {float(seconds):,.1f} of {float(end):,.1f} s",
            given=path,
            hint="The file is damaged there; take another copy of it.",
        )


def _lie(path: Path, seconds: float, holds: str) -> MediaError:
    return MediaError(
        f"The file claims to last {seconds:,.1f} s {holds}",
        given=path,
        hint=_DAMAGED,
    )
