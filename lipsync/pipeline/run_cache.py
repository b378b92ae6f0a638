"""Cache of what a run computes and the next one of the same files may need again."""

from __future__ import annotations

from pathlib import Path

from lipsync.context import RunContext
from lipsync.devices import choose_device
from lipsync.faces import DetectionCache
from lipsync.generators import LipGenerator
from lipsync.generators.mouth_cache import LIMIT_BYTES, MouthCache, generator_key

_DETECTION_BYTES = 50_000_000


class RunCache(DetectionCache):
    """Cache folder of face detections and generated mouths.

    Give the runs of one program the same one. What a change of settings has computed anew:

    | Changed | Faces | Mouths | Blending and all after it |
    |---|---|---|---|
    | mask, colours, enhancer, upscaler, encoder, score, subtitles | no | no | yes |
    | a part of the video or voice | of frames that are new | of frames that are new | yes |
    | pads, smoothing, box, which face | no | yes | yes |
    | model, its weights, number format, device | no | yes | yes |
    | voice, its level or shift | no | where it sounds otherwise | yes |
    | detector, its size and interval, the video | yes | of crops that differ | yes |

    Entries hold pictures of people's faces: a program with several visitors gives each a folder of their own.

    Args:
        folder: made by the first entry.
        mouth_bytes: size of all mouths together; see `MouthCache`.
    """

    def __init__(self, folder: Path, mouth_bytes: int = LIMIT_BYTES) -> None:
        super().__init__(folder / "faces", limit_bytes=_DETECTION_BYTES)
        self.mouths = MouthCache(folder / "mouths", mouth_bytes)


def with_cache(
    generator: LipGenerator,
    model: tuple[str, Path | None],
    cache: DetectionCache | None,
    context: RunContext,
) -> LipGenerator:
    """The generator, with its mouths looked up in the cache if that keeps any.

    Args:
        model: the variant and its weights.

    Raises:
        OSError: the weights cannot be read.
    """
    variant, weights = model
    if not isinstance(cache, RunCache) or weights is None:
        return generator
    options = context.options.generator
    device = choose_device(options.device).type
    return cache.mouths.around(generator, generator_key(variant, weights, options, device))
