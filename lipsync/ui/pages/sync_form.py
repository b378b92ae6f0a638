"""Form of the sync tab: its inputs and settings, read by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsync.faces import DetectionCache
from lipsync.options import SyncOptions
from lipsync.ui.components.inputs import Inputs
from lipsync.ui.components.settings import Settings
from lipsync.ui.components.status import Values
from lipsync.ui.request import SyncRequest
from lipsync.ui.script_rows import cues_of, read_rows, segments_of
from lipsync.ui.settings_file import PAGE_SETTINGS, read_value

_FILES = ("video", "photo", "voice", "voice_video", "face_reference")


class SyncForm:
    """The controls that describe a run.

    Events take `components`, a set, as their inputs, so that Gradio passes the values by component.

    Attributes:
        fields: all controls but the range tables, by name; settings have the names of `SyncOptions`.
        editor: the segment editor.
        ranges: the range tables, by the name of their setting.
    """

    def __init__(self, inputs: Inputs, settings: Settings) -> None:
        self.fields: dict[str, Any] = {
            "video": inputs.video,
            "photo": inputs.photo,
            "voice": inputs.voice,
            "voice_video": inputs.voice_video,
            "rows": inputs.editor.rows,
            "more_voices": inputs.editor.more_voices,
            "max_speedup": inputs.editor.speedup,
            "face_reference": settings.reference,
            **settings.controls,
        }
        self.editor = inputs.editor
        self.ranges = {"video_ranges": inputs.video_ranges, "voice_ranges": inputs.voice_ranges}

    @property
    def components(self) -> set[Any]:
        """All controls of the form."""
        return {*self.fields.values(), *(field for table in self.ranges.values() for field in table.fields)}

    def uploads(self, values: Values) -> list[str]:
        """Return the paths of all given files."""
        given = self._by_name(values)
        return [*filter(None, map(given.get, _FILES)), *(given["more_voices"] or ())]

    def request(self, values: Values, cache: DetectionCache | None = None) -> SyncRequest:
        """Return the inputs of a run; `cache` has the face detections of earlier ones.

        Raises:
            LipsyncError: a setting, time range or segment is invalid.
        """
        given = self._by_name(values)
        options = self.options(values, **{name: table.read(values) for name, table in self.ranges.items()})
        rows = read_rows(given["rows"])
        to_fit = any(row.has_own_sound for row in rows)
        return SyncRequest(
            given["video"] or given["photo"],
            given["voice"] or given["voice_video"],
            options,
            segments=() if to_fit else segments_of(rows),
            more_voices=tuple(given["more_voices"] or ()),
            cache=cache,
            cues=() if to_fit else cues_of(rows),
            rows=rows if to_fit else (),
            max_speedup=float(given["max_speedup"] or 1),
        )

    def options(self, values: Values, **ranges: Any) -> SyncOptions:
        """Return the settings; `ranges` are those of the time ranges, none by default.

        Raises:
            OptionError: a setting is invalid.
        """
        given = self._by_name(values)
        photo = given["face_reference"]
        return SyncOptions.from_flat(
            **{name: read_value(name, given[name]) for name in PAGE_SETTINGS},
            face_reference=Path(photo) if photo and given["which_face"] == "reference" else None,
            **ranges,
        )

    def _by_name(self, values: Values) -> dict[str, Any]:
        return {name: values[component] for name, component in self.fields.items()}
