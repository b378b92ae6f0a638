"""Features and targets of scenes, computed once and kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lipsync.training.data.speech_scenes import Scene
from lipsync.types import FloatArray
from lipsync.utils.atomic_write import atomic_write


@dataclass(frozen=True, repr=False)
class SceneArrays:
    """What Audio2Shape is trained on, of one scene.

    Attributes:
        features: float16 (channels, columns), see `network.speech_features`.
        shapes: float32 (coefficients, T) at 50 Hz.
        masks: uint8 (2, T), `Scene.speech` and `Scene.rest`.
    """

    features: npt.NDArray[np.float16]
    shapes: FloatArray
    masks: npt.NDArray[np.uint8]


class SceneCache:
    """Scenes by number, each computed when it is first asked for.

    Args:
        make: the scene of a number, always the same.
        encode: audio to features (channels, columns or more).
        columns: of the features of a scene.
        folder: keeps them, a file each; None keeps them in memory.
    """

    def __init__(
        self,
        make: Callable[[int], Scene],
        encode: Callable[[FloatArray], FloatArray],
        columns: int,
        folder: Path | None = None,
    ) -> None:
        self._make, self._encode, self._columns, self._folder = make, encode, columns, folder
        self._memory: dict[int, SceneArrays] = {}

    def __getitem__(self, number: int) -> SceneArrays:
        if self._folder is None:
            if number not in self._memory:
                self._memory[number] = self._compute(number)
            return self._memory[number]
        path = self._folder / f"{number:06d}.npz"
        if not path.exists():
            arrays = self._compute(number)
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part, part.open("wb") as file:
                np.savez(file, features=arrays.features, shapes=arrays.shapes, masks=arrays.masks)
        with np.load(path) as stored:
            return SceneArrays(stored["features"], stored["shapes"], stored["masks"])

    def _compute(self, number: int) -> SceneArrays:
        scene = self._make(number)
        features = self._encode(scene.audio)[:, : self._columns]
        masks = np.stack([scene.speech, scene.rest]).astype(np.uint8)
        return SceneArrays(features.astype(np.float16), scene.shapes, masks)
