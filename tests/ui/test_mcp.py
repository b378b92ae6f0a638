"""The endpoints as MCP tools, over the protocol itself."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import warnings
from pathlib import Path
from typing import Any

import pytest

from lipsync.ui import build_page, launch_settings
from tests.material import FACE, VOICE


def _need_mcp() -> None:
    """Skip, with the reason, where gradio cannot serve tools: it wants a version 1 of the package."""
    try:
        version = importlib.metadata.version("mcp")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('the package mcp is not installed: pip install "gradio[mcp]"')
    if not version.startswith("1."):
        pytest.skip(f'gradio[mcp] needs "mcp<2", and {version} is installed')


def test_tools_are_listed_and_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _need_mcp()
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_page()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, mcp_server=True, **launch_settings())
    try:
        assert page.mcp_error is None
        files = _inline(FACE, "image/jpeg"), _inline(VOICE, "audio/mpeg")
        tools, told = asyncio.run(_plan(f"{url}gradio_api/mcp/", *files))
    finally:
        page.close()
    assert set(tools) == {"sync", "compare", "preview", "batch", "plan", "inspect"}
    assert "parts of the voice to use" in tools["plan"]
    assert "'frames': 165" in told


def _inline(path: Path, kind: str) -> str:
    """A file inside of the call: addresses of this machine are not opened."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


async def _plan(address: str, video: str, voice: str) -> tuple[dict[str, str], str]:
    """The tools with their descriptions, and what `plan` says of the samples."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        tools = {tool.name: tool.description or "" for tool in (await session.list_tools()).tools}
        given: dict[str, Any] = {"video": video, "voice": voice, "settings": {"mask": "box"}}
        answer = await session.call_tool("plan", given)
        assert not answer.isError, answer.content
        return tools, answer.content[0].text  # type: ignore[union-attr]
