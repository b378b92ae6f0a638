"""Head movement and blinks of a photo, made before the lips are drawn.

photo, face tracks, voice -> LivingPhoto, a frame for each frame of the result, and tracks that move
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from lipsync.faces import upright_rotation
from lipsync.faces.eyelids import Eye, close_lid, eye_box, find_eyes
from lipsync.faces.head_motion import HeadPose, HeadWarp, head_warp
from lipsync.media import YuvFrame
from lipsync.pipeline.photo_motion import Motion, plan_motion
from lipsync.pipeline.stages import RenderPlan, Speaker
from lipsync.progress import CancelToken
from lipsync.types import AudioClip, FaceTrack, FloatArray, Frame, PixelBox
from lipsync.utils.mapped_array import pieces

_Plane = npt.NDArray[np.uint8]


def bring_to_life(plan: RenderPlan, voice: AudioClip, liveliness: float, cancel: CancelToken) -> RenderPlan:
    """The plan of a photo with moving frames and moving faces instead of the photo's.

    The same photo and voice move the same way every time.

    Args:
        voice: of all speakers, as long as the result.
        liveliness: 0 to 1; 0 changes nothing.

    Raises:
        Cancelled: the token was cancelled.
    """
    if not liveliness:
        return plan
    photo = next(plan.video.read_yuv([0], cancel=cancel))
    rgb = photo.to_rgb()
    seed = zlib.crc32(photo.y.tobytes())
    for part in pieces(voice.samples):
        seed = zlib.crc32(part.tobytes(), seed)
    faces, speakers = [], []
    for number, speaker in enumerate(plan.speakers):
        fps = float(plan.video.fps)
        motion = plan_motion(voice, fps, speaker.audio.weights, liveliness, seed + number)
        face = _living_face(rgb, speaker, motion)
        faces += [face] if face else []
        speakers.append(_moving(speaker, face, len(plan.timeline)))
    living = LivingPhoto(photo, faces, plan.video.fps)
    return dataclasses.replace(
        plan, video=living, timeline=np.arange(len(plan.timeline)), speakers=tuple(speakers)
    )


def _living_face(photo: Frame, speaker: Speaker, motion: Motion) -> LivingFace | None:
    """The speaker's face; None without one. The head of a tilted face stays, and only its eyes blink."""
    box, points = speaker.score_boxes[0], speaker.track.points[0]
    if np.isnan(box).any():
        return None
    if upright_rotation(points):
        motion = dataclasses.replace(motion, poses=np.zeros_like(motion.poses))
    size = photo.shape[1], photo.shape[0]
    return LivingFace(head_warp(box, size), find_eyes(photo, points), motion)


def _moving(speaker: Speaker, face: LivingFace | None, frames: int) -> Speaker:
    """The speaker with a row of the track for each frame of the result."""
    rows = np.zeros(frames, np.int64)
    track = FaceTrack(speaker.track.boxes[rows], speaker.track.points[rows], speaker.track.scores[rows])
    score_boxes = speaker.score_boxes[rows]
    if face is not None:
        anchors = (
            track.points[:1] if not np.isnan(track.points[0]).any() else track.boxes[:1].reshape(1, 2, 2)
        )
        poses = [face.pose(number) for number in range(frames)]
        shifts = np.stack([(face.warp.moved(anchors[0], pose) - anchors[0]).mean(0) for pose in poses])
        points = np.stack([face.warp.moved(track.points[0], pose) for pose in poses])
        both = np.tile(shifts, 2)
        track = FaceTrack(track.boxes + both, points, track.scores)
        score_boxes = score_boxes + both
    unused = tuple(dataclasses.replace(one, frames=one.frames[rows]) for one in speaker.unused)
    return dataclasses.replace(speaker, track=track, score_boxes=score_boxes, unused=unused)


@dataclass(frozen=True, eq=False)
class LivingFace:
    """One face of a photo that moves.

    Attributes:
        warp: of the head.
        eyes: that blink; may be none.
        motion: over the frames of the result.
    """

    warp: HeadWarp
    eyes: tuple[Eye, ...]
    motion: Motion

    def pose(self, number: int) -> HeadPose:
        """The head's pose in a frame."""
        return HeadPose(*self.motion.poses[number].tolist())


class LivingPhoto:
    """Frames of a photo whose faces move; stands in for the photo's `VideoReader`.

    Args:
        photo: the photo.
        faces: that move, over as many frames.
        fps: of the result.
    """

    def __init__(self, photo: YuvFrame, faces: Sequence[LivingFace], fps: Fraction) -> None:
        self.width, self.height, self.fps = photo.width, photo.height, fps
        self._photo, self._faces = photo, faces

    def read_yuv(self, indices: npt.ArrayLike, *, cancel: CancelToken | None = None) -> Iterator[YuvFrame]:
        """The frames with these numbers, in this order, as `VideoReader.read_yuv`."""
        cancel = cancel or CancelToken()
        for number in np.asarray(indices, np.int64).tolist():
            cancel.check("reading")
            yield self._frame(number)

    def _frame(self, number: int) -> YuvFrame:
        frame = self._photo
        for face in self._faces:
            closure = float(face.motion.closures[number])
            for eye in face.eyes if closure else ():
                frame = _with_lid(frame, eye, closure)
        for face in self._faces:
            frame = _warped(frame, face.warp, face.pose(number))
        return frame


def _with_lid(frame: YuvFrame, eye: Eye, closure: float) -> YuvFrame:
    box = frame.aligned_box(eye_box(eye, (frame.width, frame.height)))
    before = frame.to_rgb(box)
    return frame.with_region(box, before, close_lid(before, eye.shifted(-box.x1, -box.y1), closure))


def _warped(frame: YuvFrame, warp: HeadWarp, pose: HeadPose) -> YuvFrame:
    """The frame with one head moved; cubic, since a photo that is softer in motion seems to breathe."""
    if not any(pose):
        return frame
    x, y = warp.maps(pose)
    half_x, half_y = (np.asarray((_half_size(values) - 0.5) / 2, np.float32) for values in (x, y))
    box = warp.bounds
    halves = PixelBox(box.x1 // 2, box.y1 // 2, box.x1 // 2 + half_x.shape[1], box.y1 // 2 + half_x.shape[0])
    return YuvFrame(
        _remapped(frame.y, box, x, y),
        _remapped(frame.u, halves, half_x, half_y),
        _remapped(frame.v, halves, half_x, half_y),
        frame.color_space,
    )


def _half_size(values: FloatArray) -> FloatArray:
    """Means of 2x2 blocks, an odd edge repeated."""
    rows, columns = (-(-side // 2) for side in values.shape)
    padded = np.pad(
        values, ((0, 2 * rows - values.shape[0]), (0, 2 * columns - values.shape[1])), mode="edge"
    )
    return np.asarray(cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _remapped(plane: _Plane, box: PixelBox, x: FloatArray, y: FloatArray) -> _Plane:
    moved = plane.copy()
    part = cv2.remap(plane, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved[box.y1 : box.y2, box.x1 : box.x2] = part
    return moved
