"""Timeline of the inputs: filmstrip, waveform, and draggable parts to use."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from lipsync.errors import LipsyncError
from lipsync.faces.shots import ShotDetector
from lipsync.media import Waveform, read_filmstrip, read_waveform
from lipsync.progress import CancelToken
from lipsync.types import Frame, TimeRange
from lipsync.ui.components.changes import new_values
from lipsync.ui.components.data_urls import jpeg_data_url
from lipsync.ui.components.html_component import html_component
from lipsync.ui.components.range_table import RangeTable
from lipsync.ui.components.status import QUIET, UNQUEUED, Updates
from lipsync.ui.languages import strings
from lipsync.ui.sessions import Session, Sessions
from lipsync.utils.atomic_write import write_text

_SHOW_PARTS = """(...texts) => {{
  const timeline = document.querySelector('#timeline .tl')?.parentElement;
  timeline?.dispatchEvent(new CustomEvent('lipsync-parts', {{detail: {{lane: '{lane}', texts}}}}));
}}"""
_EDITED = "() => document.querySelector('#timeline .tl').parentElement.editedParts()"
_QUALITY = 72


@dataclass(frozen=True)
class Timeline:
    """The component, and the tables whose ranges it shows and sets.

    Attributes:
        view: the component; its value is what `TimelineEvents.read_files` returns.
        edited: hidden; parts on their way to the fields, by table.
        tables: by name, "video" and "voice".
    """

    view: gr.HTML
    edited: gr.JSON
    tables: Mapping[str, RangeTable]

    def show_texts(self) -> None:
        """Show what the tables' fields hold whenever they change; in the browser."""
        for lane, table in self.tables.items():
            triggers = [field.change for field in table.fields]
            gr.on(triggers, None, table.fields, None, js=_SHOW_PARTS.format(lane=lane))

    def fill_fields(self, edited: dict[str, list[tuple[float, float]]] | None) -> Updates:
        """Write parts that were dragged or set by keys, by table, into the fields."""
        updates: Updates = {self.edited: gr.skip()}
        for lane, parts in (edited or {}).items():
            updates |= self.tables[lane].show(tuple(TimeRange(start, end) for start, end in parts))
        return updates


def build_timeline(video: RangeTable, voice: RangeTable) -> Timeline:
    """Build the timeline; it is hidden as long as there is nothing to cut."""
    view = html_component("timeline", _markup(), "timeline")
    return Timeline(view, gr.JSON(visible=False), {"video": video, "voice": voice})


def _markup() -> str:
    text, words = strings.TIMELINE, strings.TIMELINE_WORDS
    given = html.escape(json.dumps(words, ensure_ascii=False))
    buttons = "".join(_button(*item) for item in strings.TIMELINE_BUTTONS.items())
    film, wave = '<div class="tl-film"></div>', '<svg preserveAspectRatio="none"><path></path></svg>'
    return f"""
<div class="tl" role="group" aria-label="{text["name"]}" data-words="{given}" hidden>
  <div class="tl-bar">{buttons}</div>
  <div class="tl-scroll"><div class="tl-content"><div class="tl-ruler"></div>
    {_lane("video", film)}{_lane("voice", wave)}
  </div></div>
  <div class="tl-sums"></div>
  <div class="tl-keys">{text["keys"]}</div>
  <div class="tl-said" role="status"></div>
</div>"""


def _button(act: str, sign_and_title: tuple[str, str]) -> str:
    sign, title = map(html.escape, sign_and_title)
    return f'<button type="button" data-do="{act}" title="{title}" aria-label="{title}">{sign}</button>'


def _lane(name: str, content: str) -> str:
    label = strings.TIMELINE_WORDS[name]
    position = strings.TIMELINE["position"].format(lane=label)
    return f"""
    <div class="tl-lane" data-lane="{name}" role="group" aria-label="{label}" hidden><div class="tl-track">
      {content}
      <div class="tl-over"><div class="tl-parts"></div>
        <div class="tl-head" tabindex="0" role="slider" aria-valuemin="0" aria-label="{position}"></div>
      </div>
    </div></div>"""


class TimelineEvents:
    """Event handlers of the timeline.

    They hold no state; what belongs to a visitor is in the `Session`."""

    def __init__(self, sessions: Sessions, timeline: Timeline, video: Any, voices: tuple[Any, Any]) -> None:
        self._sessions, self._timeline = sessions, timeline
        self._files = [video, *voices]

    def connect(self) -> None:
        """Connect the events."""
        timeline, files = self._timeline, self._files
        new_values(files)(
            self.read_files,
            files,
            timeline.view,
            trigger_mode="always_last",
            concurrency_limit=2,
            concurrency_id="timeline",
            **QUIET,
        )
        outputs = [one for table in timeline.tables.values() for one in table.outputs]
        timeline.view.input(
            timeline.fill_fields,
            timeline.edited,
            [timeline.edited, *outputs],
            js=_EDITED,
            trigger_mode="always_last",  # which sends what is newest then, not what triggered it
            **UNQUEUED,
        )
        timeline.show_texts()

    def read_files(
        self, request: gr.Request, video: str | None, voice: str | None, voice_video: str | None
    ) -> dict[str, Any]:
        """Return what the timeline shows of the files; nothing of one that cannot be read."""
        session = self._sessions.get(request.session_hash, video, voice, voice_video)
        cancel = session.start("timeline")
        return {
            **_cached(session, voice or voice_video, "voice", lambda path: voice_lane(path, cancel)),
            **_cached(session, video, "video", lambda path: video_lane(path, cancel)),
        }


def kept_waveform(session: Session, path: str, cancel: CancelToken) -> Waveform:
    """The waveform of a file as the timeline shows it, read once; empty for an unreadable one."""
    lane = _cached(session, path, "voice", lambda path: voice_lane(path, cancel))
    peaks = np.asarray(lane.get("peaks", []), np.float32)
    return Waveform(np.asarray(peaks / 100, np.float32), lane.get("voice_seconds", 0.0), ())


def video_lane(path: str, cancel: CancelToken) -> dict[str, Any]:
    """Return the filmstrip of a video as a data URL, its times, and those of its cuts, unless it is long."""
    shots, times = ShotDetector(), list[float]()

    def watch(frame: Frame, seconds: float) -> None:
        shots.push(frame)
        times.append(seconds)

    strip = read_filmstrip(path, cancel=cancel, watch=watch)
    shots.close()
    return {
        "strip": jpeg_data_url(strip.image, _QUALITY),
        "count": strip.count,
        "aspect": strip.image.shape[1] / strip.count / strip.image.shape[0],
        "frame": 1 / strip.fps,
        "video_seconds": strip.seconds,
        "cuts": [round(times[cut], 3) for cut in shots.cuts],
    }


def voice_lane(path: str, cancel: CancelToken) -> dict[str, Any]:
    """Return the waveform of a voice in percent of its highest peak, its pauses and its length."""
    wave = read_waveform(path, cancel=cancel)
    scale = 100 / max(float(wave.peaks.max()), 1e-3)
    return {
        "peaks": (wave.peaks * scale).round().astype(int).tolist(),
        "pauses": [list(pause) for pause in wave.pauses],
        "voice_seconds": wave.seconds,
    }


def _cached(
    session: Session, path: str | None, kind: str, read: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """What `read` returns for the file, kept for the visit; empty without a file or for an unreadable one."""
    if not path:
        return {}
    with session.reading:
        return _kept(session.folder / "timeline", path, kind, read)


def _kept(folder: Path, path: str, kind: str, read: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    state = f"{kind} {path} {Path(path).stat().st_mtime_ns if Path(path).exists() else 0}"
    kept = folder / f"{hashlib.sha256(state.encode('utf-8', 'surrogateescape')).hexdigest()}.json"
    if kept.exists():
        lane: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        return lane
    try:
        lane = read(path)
    except LipsyncError:  # said where the file is used
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps(lane))
    return lane
