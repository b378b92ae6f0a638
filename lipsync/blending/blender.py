"""Blending of generated mouths into the frames of one video, in order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.blending.color import ColorMatch, first_row_compared
from lipsync.blending.compositing import (
    Layer,
    alpha_composite,
    channels_last,
    crop_to_mask,
    masked_region,
    paste_box,
    repeat_channels,
    resize_to_box,
    trim_mask,
)
from lipsync.blending.masks import box_mask, make_mask, mask_top, sample_mask
from lipsync.blending.multiband import multiband
from lipsync.blending.occlusion import OcclusionDetector
from lipsync.blending.skin_detail import DetailTransfer
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, Mask, PixelBox
from lipsync.utils.ordered_section import OrderedSection

_PYRAMID_LEVELS = 4
"""Halvings in multi-band blending: the coarsest band fades over some 32 pixels."""
_SHARPER_EDGE = 3.0
"""Factor by which the finest band's edge is narrower than the mask's."""
_OUTER_EDGE = 6.0
"""Factor by which the edge where a multi-band blend fades to the frame is narrower than the mask's."""

_RESIZE_REACH = 3
"""Rows above a pixel that take part when a crop is resized or compared in fine detail."""


class Smoother(Protocol):
    """What follows one face over time."""

    def reset(self) -> None:
        """Reset the temporal smoothing, as at a cut."""
        ...

    @property
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the next frame depends on, as arrays; empty at a start."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on from `state`."""
        ...


class BlendTurn:
    """Turn of one frame at the smoothers of a `Blender`, in order of time.

    Args:
        number: of the frame.
        sections: of the smoothers, by name.
        smoothers: by the same names.
        reset: reset each smoother before this frame.
    """

    def __init__(
        self,
        number: int,
        sections: Mapping[str, OrderedSection],
        smoothers: Mapping[str, Smoother],
        reset: bool,
    ) -> None:
        self._number, self._reset = number, reset
        self._smoothers = smoothers
        self._sections = dict(sections)  # those that this frame has not passed

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Turn at one smoother: after all earlier frames, before all later ones."""
        with self._sections.pop(name).enter(self._number):
            if self._reset:
                self._smoothers[name].reset()
            yield

    def __enter__(self) -> BlendTurn:
        return self

    def __exit__(self, *_: object) -> None:
        """Give up the turns that were not taken; later frames wait for that."""
        for name in list(self._sections):
            with self.at(name):
                pass


class Blender:
    """Blends generated mouths into the frames of one video.

    Colour offsets, detail and occlusion are smoothed over time. Frames may be blended in several threads at
    a time, each with a turn of its own: they wait for each other only where something is smoothed, and
    the result is the same to the bit.

    Args:
        options: mask, colour matching, skin detail, occlusion and kind of blending.
        fps: frames per second of the result.
    """

    def __init__(self, options: BlendOptions, fps: float) -> None:
        self._options = options
        self._color = ColorMatch(fps)
        self._detail = DetailTransfer(fps)
        self._occlusion = OcclusionDetector(fps)
        self._smoothers: dict[str, Smoother] = {
            "color": self._color,
            "detail": self._detail,
            "occlusion": self._occlusion,
        }
        used = {"color": options.color_match, "detail": options.keep_detail, "occlusion": options.occlusion}
        self._sections = {name: OrderedSection() for name, value in used.items() if value}
        self._turns = 0

    def turn(self, reset: bool = False) -> BlendTurn:
        """Turn of the next frame; to be taken in order of time, for a `with` block.

        Args:
            reset: the frame does not follow the last one, as with `reset`.
        """
        self._turns += 1
        return BlendTurn(self._turns - 1, self._sections, self._smoothers, reset)

    def reset(self) -> None:
        """Reset the temporal smoothing: the next frame does not follow the last one (a cut, a jump)."""
        for smoother in self._smoothers.values():
            smoother.reset()

    @property
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What the next frame depends on, as arrays by name; `restore` takes it."""
        return {
            f"{part}.{name}": array
            for part, smoother in self._smoothers.items()
            for name, array in smoother.state.items()
        }

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on after the frame at which `state` was taken.

        Raises:
            KeyError, ValueError: it is none.
        """
        for part, smoother in self._smoothers.items():
            start = f"{part}."
            own = {name[len(start) :]: state[name] for name in state if name.startswith(start)}
            smoother.restore(own)

    def blend(
        self,
        frame: Frame,
        mouth: FloatArray,
        box: PixelBox,
        points: FloatArray,
        *,
        weight: float = 1.0,
        crop: Frame | None = None,
        turn: BlendTurn | None = None,
    ) -> tuple[Frame, Mask | None]:
        """Blend one mouth into the next frame.

        Args:
            frame: (H, W, 3) RGB uint8, not changed.
            mouth: (3, h, w) RGB float32 in [0, 1], the generated crop of the whole box.
            box: the pixels that were cropped.
            points: float32 (5, 2) as in `Face`, pixels of the frame; NaN where unknown.
            weight: opacity of the mouth, 0..1.
            crop: (h, w, 3) RGB uint8, the generator's input, where that is the box reduced by area
                averaging; saves reducing it again.
            turn: of this frame; by default the next one.

        Returns:
            The new frame, equal to `frame` wherever the mask is 0, and the mask. If nothing of the
            mouth is visible, `frame` itself and None.
        """
        if self._options.mask == "box":
            return _blend_box(frame, mouth, box, weight) if weight > 0 else (frame, None)
        with turn or self.turn() as turn:
            crop = _source_crop(crop, frame, mouth, box)
            if self._options.occlusion:
                weight *= self._occlusion.visibility(crop, turn.at("occlusion"))
            if weight <= 0:
                return frame, None
            mask = trim_mask(make_mask(frame, box, points, self._options))
            if not mask.alpha.size:
                return frame, None
            layer = self._layer(frame, channels_last(mouth), (box, mask), crop, turn)
        if self._options.blend == "multiband":
            layer, mask = _blend_multiband(frame, layer, mask)
        if weight < 1:
            mask = replace(mask, alpha=mask.alpha * np.float32(weight))
        return alpha_composite(frame, layer, mask), mask

    def _layer(
        self, frame: Frame, generated: FloatArray, place: tuple[PixelBox, Mask], crop: Frame, turn: BlendTurn
    ) -> Layer:
        """`generated` (h, w, 3) colour-matched, resized, with the source's detail."""
        options, size = self._options, (generated.shape[1], generated.shape[0])
        box, mask = place
        source = crop.astype(np.float32)
        if options.color_match:
            offsets = self._color.offsets(generated, source, sample_mask(mask, box, size), turn.at("color"))
            generated += np.float32(options.color_match) * offsets
        layer: Layer = crop_to_mask(resize_to_box(generated, box), box, mask)
        if options.keep_detail and box.width > size[0] and box.height > size[1]:
            agreed = self._detail.weights(generated, source, turn.at("detail"))
            weights = np.float32(options.keep_detail) * agreed
            enlarged = np.asarray(cv2.resize(weights, (box.width, box.height)), np.float32)
            low_pass = crop_to_mask(resize_to_box(crop, box), box, mask)
            detail = cv2.subtract(masked_region(frame, mask), low_pass, dtype=cv2.CV_32F)
            cv2.multiply(detail, repeat_channels(crop_to_mask(enlarged, box, mask)), dst=detail)
            layer = np.asarray(cv2.add(layer, detail, dtype=cv2.CV_32F), np.float32)
        return layer


def first_row_used(points: FloatArray, box: PixelBox, height: int, options: BlendOptions) -> int:
    """First row of a generated crop that `Blender.blend` uses.

    Args:
        points, box: as for `Blender.blend`.
        height: of the crop, pixels.
    """
    row = int((mask_top(points, box, options) - box.y1) / box.height * height) - _RESIZE_REACH
    return first_row_compared(row, height) if row > 0 else 0


def _source_crop(crop: Frame | None, frame: Frame, mouth: FloatArray, box: PixelBox) -> Frame:
    """The box reduced to the mouth's size by area averaging, uint8 (h, w, 3)."""
    height, width = mouth.shape[1:]
    if crop is not None and crop.shape == (height, width, 3):
        return crop
    x1, y1, x2, y2 = box
    return np.asarray(
        cv2.resize(frame[y1:y2, x1:x2], (width, height), interpolation=cv2.INTER_AREA), np.uint8
    )


def _blend_multiband(frame: Frame, layer: Layer, mask: Mask) -> tuple[Layer, Mask]:
    """Multi-band blend of layer and frame, and the mask to composite it with.

    Coarse bands reach farther than the mask; its outermost pixels fade to the frame.
    """
    background = masked_region(frame, mask).astype(np.float32)
    sharp = np.clip((mask.alpha - 0.5) * _SHARPER_EDGE + 0.5, 0, 1).astype(np.float32)
    blended = multiband(background, np.asarray(layer, np.float32), sharp, _PYRAMID_LEVELS)
    return blended, replace(mask, alpha=np.minimum(mask.alpha * np.float32(_OUTER_EDGE), np.float32(1)))


def _blend_box(frame: Frame, mouth: FloatArray, box: PixelBox, weight: float) -> tuple[Frame, Mask]:
    """Wav2Lip's paste; with a weight below 1, mixed with the frame."""
    pasted, mask = paste_box(frame, mouth, box), box_mask(box)
    if weight >= 1:
        return pasted, mask
    mask = replace(mask, alpha=mask.alpha * np.float32(weight))
    x1, y1, x2, y2 = box
    return alpha_composite(frame, pasted[y1:y2, x1:x2], mask), mask
