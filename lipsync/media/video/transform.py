"""Frame geometry: resize, rotate, crop, in this order, as in Wav2Lip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lipsync.errors import OptionError
from lipsync.media.video import color_tags, images
from lipsync.options import Box, MediaOptions
from lipsync.types import Frame, VideoInfo

Size: TypeAlias = tuple[int, int]
"""Width, height in pixels."""


@dataclass(frozen=True)
class Transform:
    """Mapping from a frame of the file to a frame of the reader.

    Attributes:
        resized: width, height after division by the resize factor.
        rotate: degrees clockwise.
        crop: in pixels of the rotated frame; bottom and right are exclusive.
    """

    resized: Size
    rotate: int
    crop: Box

    @classmethod
    def from_options(cls, info: VideoInfo, options: MediaOptions) -> Transform:
        """The transform that `options` ask for.

        Raises:
            OptionError: the crop is empty or reaches outside of the frame.
        """
        width, height = (max(1, side // options.resize_factor) for side in (info.width, info.height))
        turned = (height, width) if options.rotate in (90, 270) else (width, height)
        return cls((width, height), options.rotate, _crop_box(options.crop, turned))

    @property
    def size(self) -> Size:
        """Width and height of the transformed frames."""
        return self.crop.right - self.crop.left, self.crop.bottom - self.crop.top

    @property
    def swaps_sides(self) -> bool:
        """Whether the rotation exchanges width and height."""
        return self.rotate in (90, 270)

    def reduced(self, max_side: int | None) -> Size:
        """`size` scaled down, in proportion, until the longer side is at most `max_side`."""
        width, height = self.size
        longer = max(width, height)
        if max_side is None or longer <= max_side:
            return width, height
        return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))

    def rgb_filters(self, stream: Any, info: VideoInfo, size: Size) -> Any:
        """Append filters for RGB frames of `size` to an ffmpeg-python stream."""
        first = self.resized if self._crops else (size[::-1] if self.swaps_sides else size)
        reduced = size != self.size and not self._crops
        stream = stream.filter("scale", *first, **color_tags.rgb_scale_arguments(info, reduced))
        # By way of planar RGB the exact conversion takes half the time, with the same values.
        stream = self._rotate_and_crop(stream.filter("format", "gbrp").filter("format", "rgb24"))
        if size != self.size and self._crops:
            stream = stream.filter("scale", *size, flags="area")
        return stream

    def yuv_filters(self, stream: Any, info: VideoInfo) -> Any:
        """Append filters for YUV 4:2:0 frames of `self.size` in the file's own colours.

        Files that store RGB are converted. So are crops and sizes at odd pixels, after which chroma
        samples would no longer lie in the middle of their 2x2 pixels.
        """
        if color_tags.is_rgb(info) or any(side % 2 for side in (*self.resized, *self.crop)):
            return color_tags.rgb_to_yuv(self.rgb_filters(stream, info, self.size), info)
        stream = stream.filter("scale", *self.resized, **color_tags.yuv_scale_arguments(info))
        return self._rotate_and_crop(stream.filter("format", "yuv420p"))

    def deep_filters(self, stream: Any, info: VideoInfo, pixels: str) -> Any:
        """Append filters for frames in a 10-bit YUV format of the file's own colours; see `keeps_depth`."""
        stream = stream.filter("scale", *self.resized, **color_tags.yuv_scale_arguments(info))
        return self._rotate_and_crop(stream.filter("format", pixels))

    def keeps_depth(self, info: VideoInfo) -> bool:
        """Whether frames of more than 8 bits can be read as the file has them.

        Not of files that store RGB, and not at odd sizes and places, as in `yuv_filters`.
        """
        even = not any(side % 2 for side in (*self.resized, *self.crop))
        return info.bit_depth > 8 and even and not color_tags.is_rgb(info) and not info.has_alpha

    @property
    def _crops(self) -> bool:
        return self.size != (self.resized[::-1] if self.swaps_sides else self.resized)

    def _rotate_and_crop(self, stream: Any) -> Any:
        if self.rotate == 180:
            stream = stream.filter("hflip").filter("vflip")
        elif self.rotate:
            stream = stream.filter("transpose", "clock" if self.rotate == 90 else "cclock")
        if self._crops:
            top, bottom, left, right = self.crop
            stream = stream.filter("crop", right - left, bottom - top, left, top, exact=1)
        return stream

    def apply(self, photo: Frame, size: Size) -> Frame:
        """Transform a photo, RGB uint8 (H, W, 3), and resize the result to `size`."""
        frame = np.rot90(images.resize_image(photo, *self.resized), -self.rotate // 90)
        top, bottom, left, right = self.crop
        return images.resize_image(np.ascontiguousarray(frame[top:bottom, left:right]), *size)


def _crop_box(crop: Box | None, size: Size) -> Box:
    """The crop with -1 replaced by the edge of the frame, validated."""
    width, height = size
    top, bottom, left, right = crop or (0, -1, 0, -1)
    bottom, right = (height if bottom == -1 else bottom), (width if right == -1 else right)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise OptionError(
            "The crop does not lie inside the frame",
            given=crop,
            hint=f"It is top, bottom, left, right in a frame of {width}x{height} (resized and rotated).",
        )
    return Box(top, bottom, left, right)
