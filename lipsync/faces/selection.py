"""Selection of the speaking face, one identity per shot.

One per shot, so that the choice never jumps within a shot.

By `which_face` (but for "speaking", which `lipsync.pipeline.active_speakers` turns into points):

- `largest`: largest product of median face area and number of frames. Faces turned to the side count
  less: a mouth is generated worse there, and the person is often a listener. Pictures of faces, such as
  posters, count only where no face moves.
- `central`: median box nearest to the centre of the frame; pictures as above.
- `index`: n-th from the left by median box; a shot with fewer faces has no speaker.
- `point`: nearest to the given point at the given time. In other shots the same person is found by
  the similarity of faces; a shot without that person has no speaker.
- `reference`: most similar to the face in a reference image; a shot without a similar face has
  no speaker.

Transient faces (visible for less than half a second and for less than a tenth of the time of the one
visible longest in the shot) do not count: a false detection in the background must not shift the index.
"""

from __future__ import annotations

import numpy as np

from lipsync.errors import NoFaceError, OptionError
from lipsync.faces.association import Identity
from lipsync.faces.boxes import centre, mean_side
from lipsync.faces.detection_schedule import Detections
from lipsync.faces.facial_motion import pictures
from lipsync.faces.recognition import ReferenceFace, choose_similarity, identity_similarity
from lipsync.options import FaceOptions

_TRANSIENT_SECONDS = 0.5
_TRANSIENT_SHARE = 0.1
_FRONTAL_EYE_DISTANCE = 0.36
"""Eye distance, in sides of the face, from which on a face counts as frontal. In real clips it is 0.37 to
0.42 for frontal faces and 0.26 to 0.29 for one turned to the side."""


def shots_left_to_right(identities: list[Identity], fps: float) -> dict[int, list[Identity]]:
    """Group identities by shot, from left to right, without transient ones.

    Shots without identities are absent.
    """
    shots: dict[int, list[Identity]] = {}
    for identity in identities:
        shots.setdefault(identity.shot, []).append(identity)
    for shot, members in shots.items():
        longest = max(identity.frames for identity in members)
        min_frames = min(_TRANSIENT_SHARE * longest, _TRANSIENT_SECONDS * fps)
        kept = [identity for identity in members if identity.frames >= min_frames]
        shots[shot] = sorted(kept, key=lambda identity: float(centre(identity.box)[0]))
    return shots


def select_identities(
    shots: dict[int, list[Identity]],
    detections: Detections,
    options: FaceOptions,
    fps: float,
    reference: ReferenceFace | None = None,
) -> dict[int, Identity]:
    """Select the speaker of each shot; shots without one are absent.

    Args:
        shots: from `shots_left_to_right`.
        reference: the face in `face_reference`, where `which_face` is "reference".

    Raises:
        OptionError: no shot has as many faces as `face_index` asks for, or the reference is missing.
        WeightsError: the file of SFace is damaged.
        NoFaceError: no face is similar to the reference.
    """
    if options.which_face == "reference":
        if reference is None:
            raise OptionError(
                "No reference image was given",
                given="which_face=reference",
                hint="Give an image of the person as 'face_reference', or choose the face by its position "
                "('which_face').",
            )
        return _select_by_reference(shots, reference)
    if options.which_face == "point":
        return _select_by_point(shots, detections, options, fps)
    if options.which_face == "index":
        return _select_by_index(shots, options.face_index)
    middle = np.array(detections.frame_size) / 2
    if options.which_face == "central":
        return {
            shot: min(_people(members), key=lambda one: float(np.linalg.norm(centre(one.box) - middle)))
            for shot, members in shots.items()
        }
    return {shot: _largest(_people(members)) for shot, members in shots.items()}


def _people(identities: list[Identity]) -> list[Identity]:
    """Identities of one shot without pictures of faces; all of them where nobody moves."""
    if len(identities) < 2:
        return identities
    still = pictures([one.detections for one in identities])
    return [one for one, is_picture in zip(identities, still, strict=True) if not is_picture]


def _select_by_reference(shots: dict[int, list[Identity]], reference: ReferenceFace) -> dict[int, Identity]:
    best: dict[int, tuple[float, Identity]] = {}
    for shot, members in shots.items():
        best[shot] = max(
            ((reference.similarity_to(one.detections), one) for one in members), key=lambda one: one[0]
        )
    selected = {shot: one for shot, (score, one) in best.items() if score >= reference.threshold}
    if not selected and best:
        highest = max(score for score, _ in best.values())
        raise NoFaceError(
            "No face in the video matches the reference image",
            given=f"{reference.path}, similarity {highest:.2f} of at least {reference.threshold:.2f}",
            hint="Give another image of the person, best a frame of this video, "
            "or choose the face by its position ('which_face').",
        )
    return selected


def _largest(identities: list[Identity]) -> Identity:
    return max(identities, key=lambda one: _frontality(one) * float(mean_side(one.box)) ** 2 * one.frames)


def _frontality(identity: Identity) -> float:
    """Weight by relative eye distance: 1 frontal, 0.6 turned three quarters away."""
    distances = [
        float(np.linalg.norm(face.points[1] - face.points[0]) / mean_side(face.box))
        for face in (detection.face for detection in identity.detections)
        if face.points is not None
    ]
    return min(1.0, float(np.median(distances)) / _FRONTAL_EYE_DISTANCE) ** 2 if distances else 1.0


def _select_by_index(shots: dict[int, list[Identity]], index: int) -> dict[int, Identity]:
    most = max((len(members) for members in shots.values()), default=0)
    if 0 < most <= index:
        raise OptionError(
            "'face_index' is too high",
            given=index,
            hint=f"Faces are counted from the left, here from 0 to {most - 1}.",
        )
    return {shot: members[index] for shot, members in shots.items() if len(members) > index}


def _select_by_point(
    shots: dict[int, list[Identity]], detections: Detections, options: FaceOptions, fps: float
) -> dict[int, Identity]:
    if not shots:
        return {}
    point = np.array([options.face_x, options.face_y]) * detections.frame_size
    frame = options.face_time * fps

    def distance(identity: Identity) -> tuple[float, float]:
        """In time (0 while the face is visible), then from the point."""
        detection = min(identity.detections, key=lambda one: abs(one.frame - frame))
        visible = any(track.first <= frame <= track.last for track in identity.tracks)
        frames_away = 0.0 if visible else abs(detection.frame - frame)
        return frames_away, float(np.linalg.norm(centre(detection.face.box) - point))

    wanted = min((one for members in shots.values() for one in members), key=distance)
    selected = {wanted.shot: wanted}
    if len(shots) > 1:
        similarity = choose_similarity()
        for shot, members in shots.items():
            if shot != wanted.shot:
                scores = [
                    identity_similarity(wanted.detections, one.detections, similarity) for one in members
                ]
                if max(scores) >= similarity.threshold:
                    selected[shot] = members[int(np.argmax(scores))]
    return selected
