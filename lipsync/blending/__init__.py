"""Blending of the generated mouth into the frame.

    mouth -> occluded? -> mask -> colour matching -> skin detail -> (multi-band) -> composite
             (occlusion)  (masks)  (color)           (skin_detail)  (multiband)     (compositing)

`blender.Blender` runs the whole stage.
"""

from __future__ import annotations

from lipsync.blending.blender import Blender, BlendTurn, first_row_used
from lipsync.blending.compositing import paste_box
from lipsync.blending.masks import box_mask, lower_face_mask, make_mask
from lipsync.blending.overlay import draw_overlay, preview_sheet

__all__ = [
    "BlendTurn",
    "Blender",
    "box_mask",
    "draw_overlay",
    "first_row_used",
    "lower_face_mask",
    "make_mask",
    "paste_box",
    "preview_sheet",
]
