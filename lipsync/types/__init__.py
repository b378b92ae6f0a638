"""Values that travel between stages: shapes, dtypes, colour order and units.

Frames are RGB uint8 `(H, W, 3)`; audio is float32 in [-1, 1]; times are seconds; boxes are
`x1, y1, x2, y2` in pixels of the frame, the right and lower edges excluded.
"""

from lipsync.types.faces import Face, FaceCandidate, FaceTrack, Mask, PixelBox
from lipsync.types.media import (
    AudioClip,
    AudioInfo,
    Bools,
    Crops,
    FloatArray,
    Frame,
    IntArray,
    Mouths,
    TimeRange,
    VideoInfo,
)
from lipsync.types.results import Plan, Preview, SyncResult
from lipsync.types.score import (
    FRAME_MS,
    OFFSETS_IN_SYNC,
    REAL_CONFIDENCE,
    ScoreCard,
    SyncScore,
    TimeSpan,
    Verdict,
)

__all__ = [
    "FRAME_MS",
    "OFFSETS_IN_SYNC",
    "REAL_CONFIDENCE",
    "AudioClip",
    "AudioInfo",
    "Bools",
    "Crops",
    "Face",
    "FaceCandidate",
    "FaceTrack",
    "FloatArray",
    "Frame",
    "IntArray",
    "Mask",
    "Mouths",
    "PixelBox",
    "Plan",
    "Preview",
    "ScoreCard",
    "SyncResult",
    "SyncScore",
    "TimeRange",
    "TimeSpan",
    "Verdict",
    "VideoInfo",
]
