"""Playable copies of uploads that the visitor's browser cannot play.

The browser tells whether it can: which codecs it has depends on its make, system and hardware. The copy takes
the place of the file in the player only; runs and previews use the file itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.errors import Cancelled, LipsyncError
from lipsync.media.playable_copy import write_playable_copy
from lipsync.ui.components.status import QUIET, Updates, status_line
from lipsync.ui.components.upload_fields import FileField
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Session, Sessions
from lipsync.utils.timecodes import typed_time

_SHORTER_SECONDS = 1.0
"""A copy that lacks more than this at its end says so."""
_COPYING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "copies", **QUIET}
# Answers the URL of the file that cannot be played, or "". Waits until the player has loaded the file, or its
# copy, which is named beside it because a change is told again whenever anything about the component is set.
_UNPLAYABLE = """async (file) => {
  const find = () => document.querySelector('PLAYER');
  const loaded = (player) => player && (player.error || player.readyState > 0);
  const url = file?.url ?? '';
  for (let tries = 0; url && tries < 150; tries++) {
    const player = find();
    if (player?.dataset.copyOf === url) return url;
    if (player?.src.endsWith(url) && loaded(player)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const player = find();
  if (!url || !loaded(player)) return '';
  const plays = !player.error && (player.tagName === 'AUDIO' || player.videoWidth > 0);
  return plays ? '' : url;
}"""
# page.js puts the copy in the place of the file, now and whenever a player loads the file again.
_PLAY = """(copy, url) => {
  if (copy?.url && url) dispatchEvent(new CustomEvent('playable-copy', {detail: {url, copy: copy.url}}));
}"""


@dataclass(frozen=True)
class PlayableCopy:
    """The playable copy of one player's file.

    Attributes:
        component: takes the file.
        player: CSS selector of its video or audio element.
        unplayable: hidden; the URL of the file that the browser cannot play, or "".
        copy: hidden; the copy.
        note: says so.
    """

    component: Any
    player: str
    unplayable: gr.Textbox
    copy: gr.File
    note: gr.HTML

    def connect(self, sessions: Sessions) -> None:
        """Connect the events."""
        name = f"copy-{self.component.elem_id}"

        def make(request: gr.Request, path: str | None, unplayable: str) -> Iterator[Updates]:
            session = sessions.get(request.session_hash, path)
            if not path or not unplayable:
                session.cancel(name)
                yield {self.note: "", self.copy: None}
                return
            yield {self.note: status_line(strings.COPY_MAKING, "busy")}
            yield from self._made(session, name, Path(path))

        self.component.change(
            None, self.component, self.unplayable, js=_UNPLAYABLE.replace("PLAYER", self.player), **QUIET
        )
        # A new file must not wait for the copy of the last one.
        self.unplayable.change(
            make,
            [self.component, self.unplayable],
            [self.note, self.copy],
            trigger_mode="multiple",
            **_COPYING,
        ).then(
            None,
            [self.copy, self.unplayable],
            None,
            js=_PLAY,
            **QUIET,
        )

    def _made(self, session: Session, name: str, path: Path) -> Iterator[Updates]:
        copy = session.folder / "copies" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.mp4"
        note = strings.COPY_SHOWN
        try:
            if not copy.exists():
                lacking = write_playable_copy(path, copy, session.start(name))
                if lacking > _SHORTER_SECONDS:
                    note = strings.COPY_SHORTER.format(lacking=typed_time(lacking))
        except Cancelled:  # another file has taken its place
            return
        except LipsyncError:  # said by the plan, too, where it matters
            yield {self.note: status_line(strings.COPY_FAILED)}
            return
        yield {self.note: status_line(note), self.copy: str(copy)}


def build_playable_copy(component: Any, player: str) -> PlayableCopy:
    """Build the note below a player; `player` is the CSS selector of its video or audio element."""
    note = gr.HTML(elem_id=f"{component.elem_id}-copy-note")
    unplayable = gr.Textbox(visible="hidden", elem_id=f"{component.elem_id}-unplayable")
    copy = FileField(visible="hidden", elem_id=f"{component.elem_id}-copy")
    return PlayableCopy(component, player, unplayable, copy, note)
