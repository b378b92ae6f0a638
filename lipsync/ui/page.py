"""The page: builds the tabs and connects their events.

What makes videos waits in one lane, so that one job runs at a time over all visitors. Previews and
inspections have lanes of their own beside it, and share the networks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lipsync.batch.run import Cluster
from lipsync.pipeline.model_provider import CachedModels
from lipsync.ui.answer_streams import AnswerStreamMiddleware
from lipsync.ui.api import build_api
from lipsync.ui.components.tab_selector import TabSelector
from lipsync.ui.fetch_guard import guard_fetches
from lipsync.ui.gradio_state import GradioState, remove_broken_uploads, send_whole_updates
from lipsync.ui.jobs import Lane
from lipsync.ui.languages import strings
from lipsync.ui.languages.visit import LanguageMiddleware, PageInLanguages
from lipsync.ui.pages.batch import BatchEvents, build_batch
from lipsync.ui.pages.inspect import InspectEvents, build_inspect
from lipsync.ui.pages.sync import build_sync, connect_sync
from lipsync.ui.sessions import GRACE_SECONDS, Sessions
from lipsync.ui.theme import CSS, HEAD, theme
from lipsync.utils.disk_errors import is_disk_full

MAX_UPLOAD = "2gb"
MAX_QUEUE = 20
MAX_VISITORS = 500
"""Visitors whose state is kept at the same time, two thirds of a megabyte each."""
_CACHE_CHECK_SECONDS, _CACHE_SECONDS = 3600, 86_400


def launch_settings() -> dict[str, Any]:
    """Return the keyword arguments of `Blocks.launch` for the page."""
    return {
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "max_file_size": MAX_UPLOAD,
        "state_session_capacity": MAX_VISITORS,
        "enable_monitoring": False,
        # Gradio asks twice whether its server runs; the second time a busy machine has 3 s for the answer.
        "_frontend": False,
        "app_kwargs": {
            "exception_handlers": {OSError: _no_space},
            "middleware": [Middleware(LanguageMiddleware), Middleware(AnswerStreamMiddleware)],
        },
        "show_error": True,
        "footer_links": ["api", "settings"],
    }


def build_page(
    *, allow_networks: Iterable[Any] = (), grace: float = GRACE_SECONDS, cluster: Cluster | None = None
) -> gr.Blocks:
    """Build the page; the caller launches it with `launch_settings`.

    Args:
        allow_networks: networks that links may reach although they are not public. For tests only:
            no setting leads here.
        grace: seconds that a visitor's files are kept after they have left.
        cluster: where batches are made; None for this process.

    Raises:
        DiskFullError, OutputError: the folder for visitors' files cannot be made.
    """
    guard_fetches()
    # Gradio removes files after a day in any case; `Sessions` removes them when their visitor has left.
    cache_limits = (_CACHE_CHECK_SECONDS, _CACHE_SECONDS)
    page = PageInLanguages(title=strings.TITLE, delete_cache=cache_limits, fill_width=True)
    with page.under_construction(), page:
        gr.Markdown(strings.HEADING, elem_id="heading")
        gr.HTML(_hotkeys(), elem_id="hotkeys", padding=False)
        with gr.Tabs(elem_id="pages") as tabs:
            with gr.Tab(strings.SYNC_TAB, id="one"):
                sync = build_sync()
            with gr.Tab(strings.BATCH_TAB, id="many"):
                batch = build_batch()
            with gr.Tab(strings.INSPECT_TAB, id="inspect"):
                inspect = build_inspect()
        gr.Markdown(strings.FOOTER, elem_id="foot")
        protected = {path for block in page.blocks.values() for path in getattr(block, "keep_in_cache", ())}
        gradio = GradioState(page)
        sessions = Sessions(Path(page.GRADIO_CACHE), protected, grace, gradio)
        models, lane = CachedModels(), Lane()
        build_api(sessions, models, lane, cluster)  # first, so that the endpoints get the plain names
        pages = TabSelector(tabs)
        joined = connect_sync(page, sync, sessions, models, lane, frozenset(allow_networks))
        BatchEvents(sessions, models, batch, sync.form, lane, pages, cluster).connect(joined)
        InspectEvents(sessions, inspect).connect(pages, sync.inputs)
        page.unload(_end_session(sessions, gradio))
    page.queue(max_size=MAX_QUEUE, default_concurrency_limit=None, api_open=False)  # nothing passes the queue
    gradio.set_up_queue(sessions.claim)
    send_whole_updates(page)
    remove_broken_uploads()
    return page


def _hotkeys() -> str:
    """The button that shows the keys, and what it shows; page.js opens it, also for the key "?"."""
    name, keys = strings.HOTKEYS, (strings.TIMELINE["keys"], strings.FACE_BOX["keys"])
    lines = "".join(f"<p>{line}</p>" for line in keys)
    return (
        f'<button type="button" id="show-keys" title="{name} (?)" aria-label="{name}">?</button>'
        f'<dialog id="keys" aria-label="{name}"><h2>{name}</h2>{lines}'
        f'<form method="dialog"><button>{strings.HOTKEYS_CLOSE}</button></form></dialog>'
    )


async def _no_space(_: Request, error: Exception) -> Response:
    """Answer a request whose upload, or another file, could not be written."""
    full = isinstance(error, OSError) and is_disk_full(error)
    if not full:
        logging.getLogger(__name__).error("a request failed", exc_info=error)
    return PlainTextResponse(strings.SERVER_FULL if full else strings.SERVER_FAILED, 507 if full else 500)


def _end_session(sessions: Sessions, gradio: GradioState) -> Any:
    """The handler of a visitor leaving the page."""

    async def leave(request: gr.Request) -> None:
        sessions.end(request.session_hash)
        await gradio.drop_events(request.session_hash)

    return leave
