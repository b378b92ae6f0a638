"""Loudness by ITU-R BS.1770-4, which EBU R 128 prescribes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lipsync.types import FloatArray

STEP_SECONDS = 0.1
"""Seconds of a step; gating blocks of 400 ms overlap by three quarters."""
STEPS_PER_BLOCK = 4
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0  # LUFS, LU
_LUFS_OFFSET = -0.691


class KWeightedEnergy:
    """Energy of K-weighted audio in steps of 100 ms, summed over the channels.

    The filters are pyloudnorm's, whose own meter needs the whole audio in memory.

    Attributes:
        steps: mean energy of each step so far.

    Raises:
        ImportError: pyloudnorm is not installed.
    """

    def __init__(self, sample_rate: int) -> None:
        from pyloudnorm import IIRfilter
        from scipy.signal import lfilter

        # As pyloudnorm's own meter sets them up: a shelf for the head, then a high-pass.
        shelf = IIRfilter(4.0, 1 / np.sqrt(2), 1500.0, sample_rate, "high_shelf")
        high_pass = IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
        self._filters = [(f.b, f.a, f.passband_gain) for f in (shelf, high_pass)]
        self._filter = lfilter
        self._states: list[npt.NDArray[np.float64] | None] = [None] * len(self._filters)
        self._rest: npt.NDArray[np.float64] | None = None
        self._step, self._position = STEP_SECONDS * sample_rate, 0.0
        self.steps: list[float] = []

    def update(self, block: FloatArray) -> None:
        """Add samples (n, channels)."""
        values = block.astype(np.float64)
        for index, (b, a, gain) in enumerate(self._filters):
            state = self._states[index]
            if state is None:
                state = np.zeros((max(len(a), len(b)) - 1, values.shape[1]))
            values, self._states[index] = self._filter(b, a, values, axis=0, zi=state)
            values = values * gain
        pending = values if self._rest is None else np.concatenate([self._rest, values])
        while len(pending) >= (count := round(self._position + self._step) - round(self._position)):
            self.steps.append(float(np.square(pending[:count]).sum()) / self._step)
            self._position += self._step
            pending = pending[count:]
        self._rest = pending


def gated_loudness(steps: npt.NDArray[np.float64]) -> float | None:
    """Integrated loudness with the gates of ITU-R BS.1770-4.

    Args:
        steps: float64 (n,), mean K-weighted energy of each 100 ms.

    Returns:
        LUFS; None if no block passes the gates.
    """
    if len(steps) < STEPS_PER_BLOCK:
        return None
    blocks = np.convolve(steps, np.full(STEPS_PER_BLOCK, 1 / STEPS_PER_BLOCK), "valid")
    with np.errstate(divide="ignore"):
        loudness = _LUFS_OFFSET + 10 * np.log10(blocks)
    kept = blocks[loudness > _ABSOLUTE_GATE]
    if not len(kept):
        return None
    gate = _LUFS_OFFSET + 10 * np.log10(kept.mean()) + _RELATIVE_GATE
    kept = blocks[(loudness > _ABSOLUTE_GATE) & (loudness > gate)]
    return float(_LUFS_OFFSET + 10 * np.log10(kept.mean()))
