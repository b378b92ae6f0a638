"""Lip sync: makes the lips in a video match a voice.

    source ─► VideoInfo + AudioClip ─► FaceTrack ─► (face crops, audio rows) ─► mouths
              media/, speech/          faces/       in chunks                   generators/
                                                                                  │
    SyncResult ◄─ one muxed file ◄─ score ◄─ enhanced frames ◄─ blended frames ◄──┘
                  media/            sync_score/   enhancers/       blending/

    >>> import lipsync
    >>> result = lipsync.sync("talk.mp4", "voice.wav", output="synced.mp4")  # doctest: +SKIP
    >>> result.duration  # doctest: +SKIP
    4.0

The pipeline is `lipsync.pipeline.sync`; all settings are in `lipsync.options`.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipsync.dubbing import (
        Dub,
        MatchedSpeakers,
        SpeakerTurn,
        find_speakers,
        fit_lines,
        match_speakers,
        plan_dub,
        speak_lines,
    )
    from lipsync.errors import Cancelled, LipsyncError
    from lipsync.options import (
        BlendOptions,
        EnhanceOptions,
        FaceOptions,
        GeneratorOptions,
        MediaOptions,
        ReportOptions,
        SpeechOptions,
        SyncOptions,
    )
    from lipsync.pipeline.arguments import Redraw
    from lipsync.pipeline.model_provider import CachedModels
    from lipsync.pipeline.planning import plan
    from lipsync.pipeline.preview import preview
    from lipsync.pipeline.run_cache import RunCache
    from lipsync.pipeline.sync import sync
    from lipsync.progress import CancelToken, Progress
    from lipsync.segments import Segment, parse_segments
    from lipsync.speech import speak
    from lipsync.types import Plan, Preview, ScoreCard, SyncResult, TimeRange

# Packages that send usage data unless told not to: ONNX Runtime (which also keeps a device id in the
# user's cache and a file in the temporary folder), Gradio, Hugging Face's hub. They read these when they
# are imported; a value that is set already stays.
for _switch, _off in {
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_switch, _off)

# Imported when first used: `lipsync doctor` must run where torch or OpenCV cannot be imported.
_HOME = {
    "sync": "pipeline.sync",
    "preview": "pipeline.preview",
    "plan": "pipeline.planning",
    "CachedModels": "pipeline.model_provider",
    "Redraw": "pipeline.arguments",
    "RunCache": "pipeline.run_cache",
    "Dub": "dubbing",
    "plan_dub": "dubbing",
    "match_speakers": "dubbing",
    "MatchedSpeakers": "dubbing",
    "speak_lines": "dubbing",
    "fit_lines": "dubbing",
    "find_speakers": "dubbing",
    "SpeakerTurn": "dubbing",
    "speak": "speech",
    "Segment": "segments",
    "parse_segments": "segments",
    "ScoreCard": "types",
    "SyncResult": "types",
    "Plan": "types",
    "Preview": "types",
    "TimeRange": "types",
    "SyncOptions": "options",
    "MediaOptions": "options",
    "FaceOptions": "options",
    "GeneratorOptions": "options",
    "BlendOptions": "options",
    "SpeechOptions": "options",
    "EnhanceOptions": "options",
    "ReportOptions": "options",
    "Progress": "progress",
    "CancelToken": "progress",
    "LipsyncError": "errors",
    "Cancelled": "errors",
}

__version__ = "0.1.0"
__all__ = [
    "BlendOptions",
    "CachedModels",
    "CancelToken",
    "Cancelled",
    "Dub",
    "EnhanceOptions",
    "FaceOptions",
    "GeneratorOptions",
    "LipsyncError",
    "MatchedSpeakers",
    "MediaOptions",
    "Plan",
    "Preview",
    "Progress",
    "Redraw",
    "ReportOptions",
    "RunCache",
    "ScoreCard",
    "Segment",
    "SpeakerTurn",
    "SpeechOptions",
    "SyncOptions",
    "SyncResult",
    "TimeRange",
    "__version__",
    "find_speakers",
    "fit_lines",
    "match_speakers",
    "parse_segments",
    "plan",
    "plan_dub",
    "preview",
    "speak",
    "speak_lines",
    "sync",
]


_RENAMED = {"KeptNetworks": "CachedModels"}
"""Public names of version 0.1: still importable, with a DeprecationWarning."""


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        warnings.warn(
            f"lipsync.{name} is now called lipsync.{_RENAMED[name]}", DeprecationWarning, stacklevel=2
        )
        name = _RENAMED[name]
    if name not in _HOME:
        raise AttributeError(f"module 'lipsync' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lipsync.{_HOME[name]}"), name)
