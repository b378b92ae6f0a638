"""The page as a program: address, temporary folder, memory, orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from gradio.utils import get_upload_folder

from lipsync.batch import ray_cluster
from lipsync.batch.run import Cluster
from lipsync.errors import OptionError
from lipsync.options import ClusterOptions
from lipsync.ui.page import build_page, launch_settings
from lipsync.ui.sessions import GRACE_SECONDS, TEMPORARY_HINT
from lipsync.utils.disk_errors import write_error
from lipsync.utils.early_import import import_early
from lipsync.utils.listen_address import PORT_HINT, check_address
from lipsync.utils.malloc import limit_arenas
from lipsync.utils.owned_folder import owned_folder, remove_abandoned
from lipsync.utils.proxies import direct_local_connections

_OWN = ("lipsync-server-", "")


def serve(
    host: str | None = None,
    port: int | None = None,
    *,
    share: bool = False,
    mcp: bool = False,
    grace: float = GRACE_SECONDS,
    batch_on: str | None = None,
    workers: ClusterOptions | None = None,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        host: address to listen on; this machine only by default.
        port: the first free one from 7860 by default.
        share: create a public link.
        mcp: serve the endpoints as MCP tools as well.
        grace: seconds that a visitor's files are kept after they have left.
        batch_on: the cluster that makes the videos of batches, as `batch.ray_cluster` names them.
        workers: of that cluster.

    Raises:
        OptionError: the address cannot be listened on.
        ToolError: the cluster cannot be started or joined.
        DiskFullError, OutputError: the temporary folder cannot be used.
    """
    limit_arenas()  # before the first threads
    if host is not None or port is not None:
        check_address(host, port)
    with (
        contextlib.suppress(KeyboardInterrupt),
        _interrupted_by_sigterm(),
        temporary_folder(),
        contextlib.ExitStack() as cleanup,
    ):
        cluster = None
        if batch_on is not None:
            ray = cleanup.enter_context(ray_cluster.cluster(batch_on))
            cluster = Cluster(ray, workers or ClusterOptions())
        page = build_page(grace=grace, cluster=cluster)
        try:
            with direct_local_connections(host):
                page.launch(
                    server_name=_in_url(host),
                    server_port=port,
                    share=share,
                    mcp_server=mcp,
                    prevent_thread_lock=True,
                    **launch_settings(),
                )
        except OSError as error:  # no port was free in all of Gradio's range
            raise OptionError("The page found no port to listen on", given=error, hint=PORT_HINT) from error
        import_early("torch")  # which the first preview needs; until then visitors choose their files
        page.block_thread()


def _in_url(host: str | None) -> str | None:
    """The address as it stands in a URL: Gradio makes one of it by putting a port behind it."""
    return f"[{host}]" if host and ":" in host and not host.startswith("[") else host


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give Gradio a temporary folder of this server's own, removed at the end or after a kill.

    It holds uploads and results. By itself Gradio has one folder for all servers, from which it removes
    only what this very process has written.

    Raises:
        DiskFullError, OutputError: it cannot be made.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    owned = contextlib.ExitStack()
    try:
        parent = Path(get_upload_folder())
        parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(parent, *_OWN)
        folder = owned.enter_context(owned_folder(parent, *_OWN))
    except OSError as error:
        place = Path(before or os.environ.get("TMPDIR") or os.curdir)
        what = "The page's temporary folder cannot be used"
        raise write_error(error, place, what, TEMPORARY_HINT) from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        with owned:
            yield folder
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Have SIGTERM, by which services are stopped, do what Ctrl-C does; only in the main thread."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
