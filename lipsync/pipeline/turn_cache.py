"""Cache of speaker turns: the next preview near a moment finds them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lipsync
from lipsync.dubbing import SpeakerTurn
from lipsync.faces import DetectionCache
from lipsync.faces.detection_cache import digest_key, relevant_settings
from lipsync.options import MediaOptions
from lipsync.segments import FacePoint
from lipsync.utils.file_digest import code_digest, weights_hash
from lipsync.weights import find

_NETWORKS = ("expert", "builtin", "speaker", "sface")


def cached_turns(
    search: Callable[[], tuple[SpeakerTurn, ...]],
    video: Path,
    media: MediaOptions,
    cache: DetectionCache | None,
) -> tuple[SpeakerTurn, ...]:
    """What `search` finds in a video that is read by these settings, or has found before.

    The key holds the code and the networks, so an outdated entry is never found.

    Raises:
        Exception: as `search`.
    """
    if cache is None:
        return search()
    weights = [path for name in _NETWORKS if (path := find(name))]
    code = code_digest(Path(lipsync.__file__).parent)
    key = digest_key(video, code, "turns", relevant_settings(media), *map(weights_hash, weights))
    turns = cache.get_as(key, _from_arrays)
    if turns is None:
        turns = search()
        cache.put_arrays(key, _to_arrays(turns))
    return turns


def _to_arrays(turns: Sequence[SpeakerTurn]) -> dict[str, Any]:
    """Turns as arrays; a face of -1 is nobody in the picture."""
    places = [one.point or FacePoint(0, 0) for one in turns]
    return {
        "values": np.array([(one.start, one.end, one.confidence) for one in turns]).reshape(-1, 3),
        "faces": np.array([-1 if one.face is None else one.face for one in turns], np.int64),
        "tracks": np.array([one.track for one in turns], np.int64),
        "points": np.array([(at.x, at.y, at.time) for at in places]).reshape(-1, 3),
    }


def _from_arrays(arrays: dict[str, Any]) -> tuple[SpeakerTurn, ...]:
    """Turns from the arrays of `_to_arrays`.

    Raises:
        ValueError, KeyError: the arrays are incomplete or their lengths contradict each other.
    """
    rows = (arrays[name].tolist() for name in ("values", "faces", "tracks", "points"))
    turns = []
    for (start, end, confidence), face, track, point in zip(*rows, strict=True):
        place = None if face < 0 else FacePoint(*point)
        turns.append(SpeakerTurn(start, end, None if face < 0 else face, place, confidence, track))
    return tuple(turns)
