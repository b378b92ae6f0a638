"""Generators compared with each other and with real video, by what viewers see.

Every model renders the same clips: people whom no model was trained on, with other people's voices (the
usual case), with their own, with digital silence and with noise. Lips are located by MediaPipe, which took no
part in drawing them. `source` is the video as it is, which is also a hard paste without any model.

    python -m benchmarks.model_scores builtin new=runs/new.safetensors wav2lip.pth --sheet sheets

Needs the mediapipe package (`pip install .[train]`), its model, and clips with a manifest.tsv (columns file,
use, person, seconds, width). Figures are medians over people; each person counts once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import report
from benchmarks.model_scores_clips import Person, choose_people, read_people
from benchmarks.model_scores_drawing import Drawer, MouthReader, load_generator
from benchmarks.model_scores_figures import FIGURES, person_figures
from benchmarks.model_scores_sheet import write_sheet
from benchmarks.model_scores_speed import time_models
from lipsync.errors import LipsyncError
from lipsync.sync_score import load_expert
from lipsync.weights import require

Figures = dict[str, dict[str, dict[str, float]]]
"""Model, person, figure."""
SHARED = Path(__file__).resolve().parents[2] / "shared"


def main() -> None:
    """Measure and report."""
    chosen = _arguments()
    torch.set_num_threads(chosen.threads)
    try:
        models = dict(map(_named, chosen.models or ["builtin"]))
        generators = {name: load_generator(path) for name, path in models.items()}
        reader = MouthReader(chosen.landmarker)
    except LipsyncError as error:
        raise SystemExit(str(error)) from error
    drawer = Drawer(reader, load_expert(chosen.expert or require("expert")))
    people = choose_people(chosen.data, chosen.use, chosen.people, chosen.seconds)
    if not people:
        raise SystemExit(f"skipped: no clips of {chosen.use} people in {chosen.data}")
    setting = {name: getattr(chosen, name) for name in ("use", "seconds", "voices")}
    figures: Figures = {**_earlier(chosen.before, setting), "source": {}, **{name: {} for name in models}}
    faces: dict[str, Person] = {}
    for person in read_people(people, reader):
        faces[person.name] = person
        voices = person.other_voices(people, chosen.voices)
        results = {"source": drawer.source(person, voices)}
        for name, generator in generators.items():
            results[name] = drawer.draw(person, generator, voices)
        for name, drawn in results.items():
            figures[name][person.name] = person_figures(person, drawn)
            _print_person(name, person, figures[name][person.name])
        if chosen.sheet is not None:
            write_sheet(chosen.sheet / f"{person.name}.png", person, results)
        person.forget_frames()
    speed = time_models(models) if chosen.speed else {}
    values = {"setting": setting, "figures": figures, "seconds": speed}
    report("model_scores", _table(figures, faces, speed), values)
    if chosen.save is not None:
        chosen.save.write_text(json.dumps(values, indent=1))


def _earlier(path: Path | None, setting: dict[str, object]) -> Figures:
    """The models of an earlier run with the same setting, without the source.

    Raises:
        SystemExit: the setting was another one, so that the figures cannot be compared.
    """
    if path is None:
        return {}
    values = json.loads(path.read_text("utf-8"))
    if values["setting"] != setting:
        raise SystemExit(f"{path} was made with {values['setting']}, this run has {setting}")
    return {name: people for name, people in values["figures"].items() if name != "source"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "models", nargs="*", help="NAME=FILE, FILE or builtin: built-in model or Wav2Lip checkpoint"
    )
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder with manifest.tsv")
    parser.add_argument("--landmarker", type=Path, default=SHARED / "models" / "face_landmarker.task")
    parser.add_argument("--expert", type=Path, help="sync expert (default: the one that ships)")
    parser.add_argument("--use", default="val", choices=("val", "test"), help="which people (default val)")
    parser.add_argument("--people", type=int, default=0, help="how many people (default all)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each person (default 4)")
    parser.add_argument("--voices", type=int, default=2, help="other voices for each person (default 2)")
    parser.add_argument("--threads", type=int, default=1, help="cores to use (default 1)")
    parser.add_argument("--sheet", type=Path, help="folder for sheets of mouths: source and every model")
    parser.add_argument("--save", type=Path, help="JSON file for the figures, also for --before")
    parser.add_argument("--before", type=Path, help="figures of an earlier run, shown beside these")
    parser.add_argument("--speed", action="store_true", help="also time sync() on 10 s of 720p")
    return parser.parse_args()


def _named(text: str) -> tuple[str, Path]:
    """Name and file of a model, from NAME=FILE, FILE or "builtin"."""
    if text == "builtin":
        return "builtin", require("builtin")
    name, _, path = text.rpartition("=")
    return name or Path(path).stem, Path(path)


def _print_person(model: str, person: Person, figures: dict[str, float]) -> None:
    shown = ("lips", "chin", "own r", "leak r", "silence")
    values = "  ".join(f"{name} {figures.get(name, float('nan')):.2f}" for name in shown)
    print(f"{person.name[:24]:24} {person.face_width:4.0f} px  {model[:16]:16} {values}", flush=True)


def _table(figures: Figures, people: dict[str, Person], speed: dict[str, float]) -> list[tuple[str, str]]:
    """One row a figure and group of people, one column a model."""
    names = list(figures)
    groups = {
        "": list(people),
        "faces over 200 px": [n for n, p in people.items() if p.face_width > 200],
        "faces to 200 px": [n for n, p in people.items() if p.face_width <= 200],
    }
    languages = sorted({person.language for person in people.values()})
    groups |= {tongue: [n for n, p in people.items() if p.language == tongue] for tongue in languages}
    rows = [("", "".join(f"{name[:11]:>12}" for name in names))]
    for key, figure in FIGURES.items():
        for group in ("", *figure.groups, *(languages if figure.by_language else ())):
            if group and not groups[group]:
                continue
            label = f"  {group} ({len(groups[group])})" if group else figure.title
            rows.append((label, "".join(f"{_median(figures[n], key, groups[group]):12.3f}" for n in names)))
    if speed:
        rows.append(("seconds for 10 s of 720p", "".join(f"{speed.get(n, np.nan):12.1f}" for n in names)))
    return rows


def _median(by_person: dict[str, dict[str, float]], key: str, people: list[str]) -> float:
    values = [by_person.get(name, {}).get(key, float("nan")) for name in people]
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")


if __name__ == "__main__":
    main()
