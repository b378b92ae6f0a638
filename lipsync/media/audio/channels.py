"""Channel layouts: the layouts that AAC holds, and mixing of others into them.

A layout is the tuple of its loudspeakers in ffmpeg's names ("FL", "FR", "FC", ...), in ffmpeg's order.
Channels without a loudspeaker have the name `UNPLACED`: they are separate microphones, or a layout that
the file does not name.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray

Layout: TypeAlias = tuple[str, ...]
Matrix: TypeAlias = npt.NDArray[np.float32]

UNPLACED = "NONE"
MONO: Layout = ("FC",)
STEREO: Layout = ("FL", "FR")
AAC_LAYOUTS: dict[str, Layout] = {
    "mono": MONO,
    "stereo": STEREO,
    "3.0": ("FL", "FR", "FC"),
    "4.0": ("FL", "FR", "FC", "BC"),
    "5.0": ("FL", "FR", "FC", "BL", "BR"),
    "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
    "7.1": ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""The layouts with a channel configuration in AAC (ISO/IEC 14496-3, table 1.19), which every player knows.
ffmpeg's encoder takes more, in a form that many players cannot decode."""

_HALF_POWER = float(np.sqrt(0.5))
_PAIRS = {"SL": "BL", "SR": "BR", "BL": "SL", "BR": "SR"}
_FALLBACKS: dict[str, dict[str, float]] = {
    "FC": {"FL": _HALF_POWER, "FR": _HALF_POWER},
    "FLC": {"FL": 1.0},
    "FRC": {"FR": 1.0},
    "WL": {"FL": 1.0},
    "WR": {"FR": 1.0},
    "DL": {"FL": 1.0},
    "DR": {"FR": 1.0},
    "SL": {"FL": 1.0},
    "SR": {"FR": 1.0},
    "BL": {"FL": 1.0},
    "BR": {"FR": 1.0},
    "BC": {"BL": _HALF_POWER, "BR": _HALF_POWER},
    "TFL": {"FL": 1.0},
    "TFR": {"FR": 1.0},
    "TFC": {"FC": 1.0},
    "TBL": {"BL": 1.0},
    "TBR": {"BR": 1.0},
    "TBC": {"BC": 1.0},
    "TSL": {"SL": 1.0},
    "TSR": {"SR": 1.0},
    "TC": {"FC": 1.0},
    "LFE": {},
    "LFE2": {"LFE": 1.0},
}
"""Where the signal of a loudspeaker goes that the other layout lacks, at equal power."""


def layout_of(layout: Any) -> Layout:
    """Loudspeakers of PyAV's `AudioLayout`, as far as it names them; else of the usual layout."""
    names = tuple(str(channel.name) for channel in layout.channels)
    if len(names) <= 2:  # some decoders do not name the channels of mono and stereo
        return (MONO, STEREO)[len(names) - 1]
    if len(set(names)) == len(names) and all(name in _FALLBACKS or name in ("FL", "FR") for name in names):
        return names
    return usual_layout(len(names))


def usual_layout(channels: int) -> Layout:
    """The layout that a number of channels has where the file does not say."""
    known = {len(layout): layout for layout in AAC_LAYOUTS.values()}
    known[7] = ("FL", "FR", "FC", "LFE", "BC", "SL", "SR")
    return known.get(channels, (UNPLACED,) * channels)


def aac_layout(layout: Layout) -> str:
    """Name of the smallest AAC layout that holds all channels, else of the largest one.

    Channels without a loudspeaker become stereo: they are microphones rather than loudspeakers.
    """
    if UNPLACED in layout:
        return "stereo"
    for name, target in AAC_LAYOUTS.items():
        if _lossless(layout, target):
            return name
    return "7.1" if len(layout) > 2 else "stereo"


def is_lossless(layout: Layout) -> bool:
    """Whether AAC holds each channel of the layout as one of its own."""
    return _lossless(layout, AAC_LAYOUTS[aac_layout(layout)])


def kept_channels(layout: Layout) -> int:
    """Number of channels of a result whose sound has this layout."""
    return len(AAC_LAYOUTS[aac_layout(layout)])


def _lossless(layout: Layout, target: Layout) -> bool:
    places = [_place(name, layout, target) for name in layout]
    return None not in places and len(set(places)) == len(places)


def _place(name: str, layout: Layout, target: Layout) -> str | None:
    """The loudspeaker of `target` that plays the same channel; surround may be called back or side."""
    if name in target:
        return name
    other = _PAIRS.get(name)
    return other if other in target and other not in layout else None


def mixing_matrix(layout: Layout, target: Layout) -> Matrix:
    """Matrix from one layout to another, float32 (channels of target, channels of layout).

    A channel that the target has too passes unchanged, so that the loudness stays. Others are added to
    their neighbours at equal power. Low frequency effects are left out where there is no place for them,
    as ITU-R BS.775 does; channels without a loudspeaker go to both sides.
    """
    matrix = np.zeros((len(target), len(layout)), np.float32)
    for column, name in enumerate(layout):
        for place, gain in _spread(name, layout, target).items():
            matrix[target.index(place), column] += gain
    return matrix


def _spread(name: str, layout: Layout, target: Layout) -> dict[str, float]:
    """Loudspeakers of `target` with their gain for one channel."""
    if target == MONO:
        return {} if name in ("LFE", "LFE2") and len(layout) > 1 else {"FC": 1.0}
    if name == UNPLACED or (layout == MONO and "FC" not in target):
        # Mono in both loudspeakers at full level: ffmpeg's own upmix is 3 dB softer.
        gain = 1.0 if layout == MONO else _HALF_POWER
        return {"FL": gain, "FR": gain}
    if place := _place(name, layout, target):
        return {place: 1.0}
    gains: dict[str, float] = {}
    for other, gain in _FALLBACKS.get(name, {"FL": _HALF_POWER, "FR": _HALF_POWER}).items():
        for place, further in _spread(other, layout, target).items():
            gains[place] = gains.get(place, 0.0) + gain * further
    return gains


def mix_channels(samples: FloatArray, matrix: Matrix) -> FloatArray:
    """Samples (n, channels) through a mixing matrix; the same array where it changes nothing."""
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix), dtype=np.float32)):
        return samples
    return samples @ matrix.T
