"""Which of the people speaks. The choice holds for a whole scene, so that it never jumps.

In each scene one person is chosen:

- `largest`: who has the most picture: median area of the face times the frames it is seen in; a face
  seen from the side counts less, since a mouth is drawn worse there, and it often is a listener's.
- `central`: whose face is, in the median, nearest to the middle of the picture.
- `index`: the n-th from the left by the median middle of the face; a scene with fewer people has
  nobody who speaks.
- `point`: who is nearest to the given point at the given time; in the other scenes the same
  person goes on, told by colours, else by place, else the largest is taken.
- `reference`: who is most alike to the face in a picture; a scene with nobody alike has nobody who
  speaks.

Faces seen only in passing (less than half a second and a tenth as long as the person seen longest
in the scene) do not count: a picture on a wall that is taken for a face for a moment must not
shift the index.
"""

from __future__ import annotations

import numpy as np

from lipsync.errors import NoFaceError, OptionError
from lipsync.faces.association import Person, unlike
from lipsync.faces.boxes import centre, side
from lipsync.faces.detection_schedule import Detections
from lipsync.faces.recognition import Reference
from lipsync.options import FaceOptions

_PASSING_SECONDS = 0.5
_PASSING_SHARE = 0.1
_SAME_COLOURS = 30.0
_SAME_PLACE = 1.0
_EYES_APART = 0.36
"""Distance of the eyes in sizes of the face, from which on it looks this way: 0.37 to 0.42 in real clips
of people who do, 0.26 to 0.29 of one who looks to the side."""


def left_to_right(people: list[Person], fps: float) -> dict[int, list[Person]]:
    """The people of each scene that has any, from the left, without those seen in passing."""
    scenes: dict[int, list[Person]] = {}
    for person in people:
        scenes.setdefault(person.scene, []).append(person)
    for scene, members in scenes.items():
        longest = max(person.frames for person in members)
        least = min(_PASSING_SHARE * longest, _PASSING_SECONDS * fps)
        stay = [person for person in members if person.frames >= least]
        scenes[scene] = sorted(stay, key=lambda person: float(centre(person.box)[0]))
    return scenes


def choose(
    scenes: dict[int, list[Person]],
    detections: Detections,
    options: FaceOptions,
    fps: float,
    reference: Reference | None = None,
) -> dict[int, Person]:
    """The person who speaks in each scene; scenes with nobody are left out.

    Args:
        reference: the face in `face_reference`, where that is how to choose.

    Raises:
        OptionError: no scene has as many people as `face_index` asks for.
        NoFaceError: nobody is alike to the reference.
    """
    if options.which_face == "reference":
        if reference is None:
            raise OptionError(
                "A picture of the person is missing",
                given="which_face=reference",
                hint="Give one as face_reference, or choose the face by its place.",
            )
        return _most_alike(scenes, reference)
    if options.which_face == "point":
        return _follow_point(scenes, detections, options, fps)
    if options.which_face == "index":
        return _take_index(scenes, options.face_index)
    middle = np.array(detections.size) / 2
    if options.which_face == "central":
        return {
            scene: min(people, key=lambda one: float(np.linalg.norm(centre(one.box) - middle)))
            for scene, people in scenes.items()
        }
    return {scene: _largest(people) for scene, people in scenes.items()}


def _most_alike(scenes: dict[int, list[Person]], reference: Reference) -> dict[int, Person]:
    best: dict[int, tuple[float, Person]] = {}
    for scene, people in scenes.items():
        best[scene] = max(
            ((reference.alike(person.detections), person) for person in people), key=lambda one: one[0]
        )
    chosen = {scene: person for scene, (score, person) in best.items() if score >= reference.least}
    if not chosen and best:
        nearest = max(score for score, _ in best.values())
        raise NoFaceError(
            "Nobody in the picture looks like the person in the reference picture",
            given=f"{reference.path}, likeness {nearest:.2f} of at least {reference.least:.2f}",
            hint="Give another picture of the person, best a frame of this video, "
            "or choose the face by its place (which_face).",
        )
    return chosen


def _largest(people: list[Person]) -> Person:
    return max(people, key=lambda person: _facing(person) * float(side(person.box)) ** 2 * person.frames)


def _facing(person: Person) -> float:
    """1 for a face that looks this way, by the distance of its eyes; 0.6 three quarters turned away."""
    apart = [
        float(np.linalg.norm(face.points[1] - face.points[0]) / side(face.box))
        for face in (detection.face for detection in person.detections)
        if face.points is not None
    ]
    return min(1.0, float(np.median(apart)) / _EYES_APART) ** 2 if apart else 1.0


def _take_index(scenes: dict[int, list[Person]], index: int) -> dict[int, Person]:
    most = max((len(people) for people in scenes.values()), default=0)
    if 0 < most <= index:
        raise OptionError(
            "There are not that many people in the picture",
            given=f"face_index {index}",
            hint=f"Counted from the left, it goes from 0 to {most - 1} here.",
        )
    return {scene: people[index] for scene, people in scenes.items() if len(people) > index}


def _follow_point(
    scenes: dict[int, list[Person]], detections: Detections, options: FaceOptions, fps: float
) -> dict[int, Person]:
    if not scenes:
        return {}
    point = np.array([options.face_x, options.face_y]) * detections.size
    frame = options.face_time * fps

    def distance(person: Person) -> tuple[float, float]:
        """First who is there at that time, then who is nearest to the point."""
        detection = min(person.detections, key=lambda one: abs(one.frame - frame))
        near = any(track.first <= frame <= track.last for track in person.tracks)
        away = 0.0 if near else abs(detection.frame - frame)
        return away, float(np.linalg.norm(centre(detection.face.box) - point))

    wanted = min((person for people in scenes.values() for person in people), key=distance)
    chosen = {wanted.scene: wanted}
    # Outwards from that scene, so that each scene goes by the nearest one already known.
    for scene in sorted(scenes, key=lambda scene: abs(scene - wanted.scene)):
        if scene not in chosen:
            known = chosen[min(chosen, key=lambda other: (abs(other - scene), other))]
            chosen[scene] = _same_person(wanted, known, scenes[scene])
    return chosen


def _same_person(wanted: Person, known: Person, people: list[Person]) -> Person:
    """Who of `people` is `wanted`: by colours, else where `known` was, else the largest."""
    alike = min(people, key=lambda one: unlike(one.look, wanted.look))
    if unlike(alike.look, wanted.look) <= _SAME_COLOURS:
        return alike
    nearest = min(people, key=lambda one: _apart(one, known))
    return nearest if _apart(nearest, known) <= _SAME_PLACE else _largest(people)


def _apart(one: Person, other: Person) -> float:
    return float(np.linalg.norm(centre(one.box) - centre(other.box)) / side(other.box))
