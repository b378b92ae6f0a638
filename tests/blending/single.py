"""Blending of one frame by itself."""

from __future__ import annotations

from lipsync.blending import Blender
from lipsync.options import BlendOptions
from lipsync.types import FloatArray, Frame, PixelBox


def blend(frame: Frame, mouth: FloatArray, box: PixelBox, points: FloatArray, options: BlendOptions) -> Frame:
    """As if no other frame had been seen; arguments as for `Blender.blend`."""
    return Blender(options, fps=1).blend(frame, mouth, box, points)[0]
