"""The page. Nothing below this package knows gradio.

layout     the page put together            events     what happens when something is pressed
inputs, ranges, links, settings, outputs    handlers   the same without a browser
controls   made from `lipsync.options`      sessions   what belongs to one visitor
texts      every word                       zerogpu    a GPU that is lent for one call
"""

from lipsync.ui.page import build_page, launch_settings

__all__ = ["build_page", "launch_settings"]
