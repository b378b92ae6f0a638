"""The page. Layout, controls and handlers; nothing below this package knows gradio."""

from lipsync.ui.layout import build_page, launch_settings

__all__ = ["build_page", "launch_settings"]
