"""Streaming observation of the lips of a result and of its source."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.metrics.lip_base import LipObservation, LipSeries
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.mouth_image import lightness_range, lip_sharpness
from lipsync.metrics.seam import Edge, seam
from lipsync.types import Bools, FloatArray, Frame, Mask, PixelBox

_MOUTH = (slice(16, 72), slice(16, 96))
"""Mouth and chin in a window of `LipLocator`."""
_UNKNOWN = float("nan")


class LipMeter:
    """Values of the lips of a result and of its source, frame by frame.

    Keeps two small crops of each.

    Args:
        locator: finds the mouths.
        images: measure sharpness, contrast and flicker; without them only the openings.
    """

    def __init__(self, locator: LipLocator, images: bool = True) -> None:
        self._locator, self._images = locator, images
        self._result, self._source = _SeriesBuilder(), _SeriesBuilder()
        self._seam: list[float] = []
        self._has_source = False

    def __len__(self) -> int:
        return len(self._seam)

    def update(
        self,
        result: Frame,
        source: Frame | None = None,
        box: PixelBox | None = None,
        mask: Mask | None = None,
    ) -> None:
        """Add the next frame.

        Args:
            result: RGB (H, W, 3).
            source: the frame behind it, of the same size.
            box: the face box with the default pads, in pixels; None without a face.
            mask: where the mouth was blended in; the seam is measured along its border.
        """
        self._has_source = self._has_source or source is not None
        images = [result] if source is None else [result, source]
        builders = (self._result, self._source)
        if box is None or min(box.width, box.height) < 2:
            for builder in builders:
                builder.skip()
            self._seam.append(_UNKNOWN)
            return
        windows = np.stack([self._locator.crop(image, box) for image in images])
        outlines, unit = self._locator.locate(windows, np.array([box] * len(images), np.float32))
        openings = self._locator.opening(outlines, unit)
        face = slice(box.y1, box.y2), slice(box.x1, box.x2)
        for index, image in enumerate(images):
            points = outlines[index] - np.array(box[:2], np.float32)
            builders[index].add(float(openings[index]), image[face], points, windows[index], self._images)
        if source is None:
            self._source.skip()
        if mask is None or source is None or not self._images:
            self._seam.append(_UNKNOWN)
        else:
            self._seam.append(seam(result, source, Edge.of(mask, box, result)))

    @property
    def openings(self) -> tuple[FloatArray, FloatArray]:
        """Openings of the result's and the source's mouth so far, float32 (T,) each; NaN where unknown."""
        return self._result.series().opening, self._source.series().opening

    @property
    def source_opening(self) -> FloatArray:
        """Openings of the source's mouth so far, float32 (T,); NaN where unknown."""
        return self._source.series().opening

    def observation(
        self,
        level: FloatArray,
        pauses: Bools,
        closures: Sequence[tuple[int, int]] | None = None,
        own_voice: bool = False,
    ) -> LipObservation:
        """All frames so far with the voice; see `LipObservation`, `frame_levels`, `pause_frames`."""
        return LipObservation(
            result=self._result.series(),
            source=self._source.series() if self._has_source else None,
            level=level,
            pauses=pauses,
            closures=closures,
            seam=np.asarray(self._seam, np.float32),
            own_voice=own_voice,
        )


class _SeriesBuilder:
    """Values of one mouth, frame by frame."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []
        self._last: list[npt.NDArray[np.int16]] = []

    def skip(self) -> None:
        """A frame without a mouth."""
        self._rows.append((_UNKNOWN,) * 4)
        self._last = []

    def add(
        self, opening: float, face: Frame, outline: FloatArray, window: npt.NDArray[np.uint8], images: bool
    ) -> None:
        """A frame: the opening, the face, its outline in pixels of it, and the locator's window."""
        if not images:
            self._rows.append((opening, _UNKNOWN, _UNKNOWN, _UNKNOWN))
            return
        grey = cv2.cvtColor(window, cv2.COLOR_RGB2GRAY)[_MOUTH].astype(np.int16)
        flicker = (
            float(np.abs(self._last[0] - 2 * self._last[1] + grey).mean())
            if len(self._last) == 2
            else _UNKNOWN
        )
        self._last = [*self._last[-1:], grey]
        self._rows.append((opening, lip_sharpness(face, outline), lightness_range(face, outline), flicker))

    def series(self) -> LipSeries:
        """All frames so far."""
        values = np.asarray(self._rows, np.float32).reshape(-1, 4)
        return LipSeries(values[:, 0], values[:, 1], values[:, 2], values[:, 3])
