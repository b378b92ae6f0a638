"""The web page and its API. Nothing below this package imports Gradio.

page          builds the page and connects events      pages/        sync, batch and inspect tabs
api           named endpoints, also as MCP tools       components/   inputs, settings, outputs, ...
handlers      what the events do, browser-free         sessions      files and jobs of one visitor
strings       all texts                                zerogpu/      models in a ZeroGPU worker
"""

from lipsync.utils.proxies import direct_local_connections

with direct_local_connections():
    from lipsync.ui.page import build_page, launch_settings

__all__ = ["build_page", "launch_settings"]
