"""Sheets of mouths for `benchmarks.model_scores`: a column for the source and for each model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from benchmarks.model_scores_clips import Person
from benchmarks.model_scores_drawing import Drawn, Rendering
from lipsync.metrics.mouth_image import mouth_box
from lipsync.types import Frame, PixelBox

_SIDE = 300
"""Width of a close-up, pixels."""
_ROWS = 4
"""Frames of each voice: openings of the first model from the widest to the smallest."""


def write_sheet(path: Path, person: Person, results: Mapping[str, Drawn]) -> None:
    """Close-ups of the mouth, on the left with the person's own voice, on the right with another one.

    Below them the mouth in silence and the whole head with the other voice.
    """
    head = np.hstack([_label(name) for name in results])
    halves = []
    for voice, last in (("own", "silence"), ("other", "head")):
        renderings = [_rendering(drawn, voice) for drawn in results.values()]
        numbers = _spread(renderings[-1].lips.opening, _ROWS)
        rows = [np.hstack([_close_up(r, person, n, f"{voice} {n}") for r in renderings]) for n in numbers]
        if last == "silence":
            renderings = [_rendering(drawn, last) for drawn in results.values()]
            [number] = _spread(renderings[-1].lips.opening, 1)
            rows.append(np.hstack([_close_up(r, person, number, f"{last} {number}") for r in renderings]))
        else:
            rows.append(np.hstack([_head(one.frames[numbers[0]]) for one in renderings]))
        halves.append(np.vstack([head, *rows]))
    gap = np.full((len(halves[0]), 12, 3), 255, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.hstack([halves[0], gap, halves[1]])[..., ::-1])


def _rendering(drawn: Drawn, voice: str) -> Rendering:
    return {"own": drawn.own, "other": drawn.others[0], "silence": drawn.silence}[voice]


def _spread(openings: np.ndarray, count: int) -> list[int]:
    """Frames with openings from the widest down to the smallest, evenly by rank."""
    order = np.argsort(-np.nan_to_num(openings, nan=-1))
    order = order[: max(1, int((~np.isnan(openings)).sum()))]
    return [int(order[round(share * (len(order) - 1))]) for share in np.linspace(0.03, 0.97, count)]


def _close_up(one: Rendering, person: Person, number: int, text: str) -> Frame:
    """Mouth and chin by the real outline, so that all columns show the same part."""
    frame, outline = one.frames[number], person.lips.outlines[number]
    if np.isnan(outline).any():
        return np.zeros((_SIDE * 3 // 4, _SIDE, 3), np.uint8)
    x1, y1, x2, y2 = mouth_box(outline, frame.shape, chin=True)
    half = max(x2 - x1, (y2 - y1) * 4 / 3) * 0.62
    middle = (x1 + x2) / 2, (y1 + y2) / 2
    box = PixelBox(
        *(int(max(0, value)) for value in (middle[0] - half, middle[1] - half * 0.75)),
        *(int(value) for value in (middle[0] + half, middle[1] + half * 0.75)),
    )
    part = frame[box.y1 : box.y2, box.x1 : box.x2]
    image = cv2.resize(part, (_SIDE, _SIDE * 3 // 4), interpolation=cv2.INTER_CUBIC)
    cv2.putText(image, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return np.asarray(image, np.uint8)


def _head(frame: Frame) -> Frame:
    """The window around the head, as large as a close-up."""
    scale = min(_SIDE / frame.shape[1], _SIDE * 3 / 4 / frame.shape[0])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cell = np.zeros((_SIDE * 3 // 4, _SIDE, 3), np.uint8)
    left = (_SIDE - small.shape[1]) // 2
    cell[: small.shape[0], left : left + small.shape[1]] = small
    return cell


def _label(text: str) -> Frame:
    bar = np.full((22, _SIDE, 3), 255, np.uint8)
    cv2.putText(bar, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return bar
