"""5 · Paste back: where the drawn mouth shows in the frame, and putting it there.

    mouth -> is anything in front? -> mask -> colours -> detail -> (bands) -> laid over the frame
             (occlusion)           (masks)   (color)   (detail)   (bands)    (compositing)

`blender.Blender` runs the line; each step stands in the file named below it.
"""

from __future__ import annotations

from lipsync.blending.blender import Blender, blend
from lipsync.blending.compositing import paste_box
from lipsync.blending.masks import box_mask, lower_face_mask, make_mask
from lipsync.blending.overlay import draw_overlay, preview_sheet

__all__ = [
    "Blender",
    "blend",
    "box_mask",
    "draw_overlay",
    "lower_face_mask",
    "make_mask",
    "paste_box",
    "preview_sheet",
]
