"""Face detection, tracking, selection and cropping.

    reduced frames -> detections -> tracks -> identities -> selected one -> FaceTrack -> crops
             (detection_schedule)  (association)          (selection)    (trajectory)   (crops)

`tracking.track_faces` runs the whole stage. Detections can be cached (`detection_cache`), and several
faces can be selected from them (`build_tracks`).
"""

from __future__ import annotations

from lipsync.faces.crops import crop_face, pixel_box
from lipsync.faces.detection_cache import DetectionCache, detection_key
from lipsync.faces.detection_schedule import Detections, detect_faces
from lipsync.faces.detectors.base import FaceDetector
from lipsync.faces.recognition import recognition_warnings
from lipsync.faces.tracking import (
    TrackedFaces,
    TrackSummary,
    VideoShape,
    build_tracks,
    read_references,
    reduced_size,
    track_faces,
)
from lipsync.faces.trajectory import fixed_box_track
from lipsync.faces.unused import UnusedFaces, UnusedReason, frames_tilted, without
from lipsync.faces.upright import UprightView, upright_rotation
from lipsync.registries import DETECTORS

__all__ = [
    "DETECTORS",
    "DetectionCache",
    "Detections",
    "FaceDetector",
    "TrackSummary",
    "TrackedFaces",
    "UnusedFaces",
    "UnusedReason",
    "UprightView",
    "VideoShape",
    "build_tracks",
    "crop_face",
    "detect_faces",
    "detection_key",
    "fixed_box_track",
    "frames_tilted",
    "pixel_box",
    "read_references",
    "recognition_warnings",
    "reduced_size",
    "track_faces",
    "upright_rotation",
    "without",
]
