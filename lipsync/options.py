"""Every setting of a run, each written once.

A field carries its default, range, unit and help. The checks here, the flags of the command
line, the controls of the page and the table in the README all come from these lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lipsync.errors import OptionError
from lipsync.registries import DETECTORS, ENHANCERS, GENERATORS, UPSCALERS
from lipsync.types import TimeRange
from lipsync.utils.registry import Choices

LENGTH_MODES = {
    "pingpong": "as the voice, picture back and forth",
    "loop": "as the voice, picture repeats",
    "hold": "as the voice, last picture stays",
    "stretch": "as the voice, picture slower or faster",
    "picture": "as the picture, then silence",
    "shorter": "as the shorter of the two",
}
"""How long the result is, and how the picture gets there."""
FACE_CHOICES = ("largest", "central", "index", "point", "reference")
SMOOTHINGS = ("symmetric", "official", "none")
MASKS = ("mouth", "box")
BLENDS = ("feather", "multiband")
SPEECH_MODELS = ("auto", "tiny.en", "tiny", "base", "small", "medium", "turbo")
"""Networks that write down what is said, by size; the downloads are 75 MB to 1.6 GB."""
SUBTITLES = ("none", "file", "track")
SILENCES = {
    "speak": "drawn as any other sound",
    "keep": "the source's own mouth",
    "close": "the lips close softly",
}
"""What the mouth does while nobody speaks."""
DEVICES = ("auto", "cpu", "cuda", "mps")
NUMBER_FORMATS = ("auto", "fp32", "bf16", "fp16")
ENCODERS = ("software", "hardware")
ROTATIONS = (0, 90, 180, 270)
PAGE_GROUPS = ("main", "face", "more")
"""Groups of settings on the page: what matters, mask and room around the face, and the rest."""
PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"resize_factor": 2, "quality": 23, "detect_every": 10},
    "standard": {"resize_factor": 1, "quality": 17, "detect_every": 5},
    "best": {"resize_factor": 1, "quality": 12, "detect_every": 1},
}
"""How much time a run may take: settings that change together. "standard" is the defaults."""
HEIGHTS = (240, 360, 480, 720, 1080, 1440, 2160)


def option(
    default: Any,
    help: str,  # noqa: A002 - the word argparse and gradio use too
    *,
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    unit: str = "",
    choices: Collection[Any] = (),
    page: str = "more",
) -> Any:
    """Declare one setting: its default, what it does, its range, unit and allowed values.

    `page` is the group it stands in on the page, one of `PAGE_GROUPS`; "" keeps it off the page,
    as for paths of files on this machine.
    """
    metadata = {"help": help, "min": min, "max": max, "unit": unit, "choices": choices, "page": page}
    return field(default=default, metadata=metadata)


class OptionGroup:
    """Base of the groups: checks every field against its declaration."""

    def __post_init__(self) -> None:
        for declared in dataclasses.fields(self):  # type: ignore[arg-type]
            if "help" in declared.metadata:
                _check(declared, getattr(self, declared.name))


def _check(declared: dataclasses.Field[Any], value: Any) -> None:
    low, high = declared.metadata["min"], declared.metadata["max"]
    choices, unit = declared.metadata["choices"], declared.metadata["unit"]
    chosen = value if isinstance(value, tuple) else (value,)
    if choices and not all(one in choices for one in chosen):
        known = ", ".join(map(str, choices))
        raise OptionError(
            f"'{declared.name}' has no such value", given=repr(value), hint=f"Use one of: {known}."
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if (low is not None and value < low) or (high is not None and value > high) or value != value:
        raise OptionError(
            f"'{declared.name}' is out of range",
            given=value,
            hint=f"It goes from {low} to {high}{' ' + unit if unit else ''}.",
        )


class Box(NamedTuple):
    """Four edges in pixels, in the order of Wav2Lip's flags; groups take a plain tuple as well."""

    top: int
    bottom: int
    left: int
    right: int

    def __repr__(self) -> str:
        return repr(tuple(self))  # plain: keys of resume folders and caches are hashes of it


def _name_edges(group: OptionGroup, *names: str) -> None:
    """Turn plain tuples of four numbers into `Box`.

    Raises:
        OptionError: there are not four of them.
    """
    for name in names:
        value = getattr(group, name)
        if value is None or isinstance(value, Box):
            continue
        try:
            object.__setattr__(group, name, Box(*value))
        except TypeError as error:
            hint = "Give four whole numbers: top, bottom, left, right."
            raise OptionError(f"'{name}' is no box", given=repr(value), hint=hint) from error


@dataclass(frozen=True)
class MediaOptions(OptionGroup):
    """What is read, how the lengths are brought together, and how the result is written."""

    video_ranges: tuple[TimeRange, ...] = option(
        (),
        "parts of the picture to use, joined in this order, for example 2.5-10,1:02-1:15; empty uses all",
        page="",
    )
    voice_ranges: tuple[TimeRange, ...] = option(
        (), "parts of the voice to use, joined in this order; empty uses all", page=""
    )
    length_mode: str = option(
        "pingpong",
        "how long the result is when voice and picture differ in length",
        choices=tuple(LENGTH_MODES),
        page="main",
    )
    fps: float = option(
        0.0, "frame rate of the result; 0 keeps the picture's own", min=0, max=240, unit="frames/s"
    )
    static: bool = option(False, "use only the first frame of the picture, as if it were a photo")
    resize_factor: int = option(1, "divide width and height by this before anything else", min=1, max=16)
    rotate: int = option(0, "turn the picture clockwise", choices=ROTATIONS, unit="degrees")
    crop: Box | None = option(
        None, "keep only this part: top, bottom, left, right; -1 means to the edge", unit="pixels"
    )
    quality: int = option(
        17,
        "x264 constant rate factor: lower is better and larger; 17 can hardly be told from the source",
        min=0,
        max=51,
    )
    voice_shift: float = option(
        0.0,
        "hear the voice later against the picture, or earlier if negative; mends a source whose sound is off",
        min=-10_000,
        max=10_000,
        unit="ms",
    )
    encoder: str = option(
        "software", "H.264 encoder; 'hardware' is used where ffmpeg has a working one", choices=ENCODERS
    )

    def __post_init__(self) -> None:
        _name_edges(self, "crop")
        super().__post_init__()


@dataclass(frozen=True)
class FaceOptions(OptionGroup):
    """How faces are found, which one is used, and how much around it."""

    detector: str = option("centerface", "face detector", choices=DETECTORS)
    detector_weights: Path | None = option(
        None, "checkpoint of the detector, where it is not in weights/", page=""
    )
    detect_size: int = option(
        640,
        "longer side of the reduced picture that faces are looked for in",
        min=128,
        max=4096,
        unit="pixels",
    )
    detect_every: int = option(
        5,
        "look for faces in every n-th frame and follow them in between; 1 looks in all, else an absence "
        "shorter than this can be missed",
        min=1,
        max=100,
        unit="frames",
    )
    min_score: float = option(0.5, "a face below this confidence passes through", min=0.05, max=0.99)
    which_face: str = option(
        "largest", "which face speaks when there are several", choices=FACE_CHOICES, page="face"
    )
    face_index: int = option(
        0, "with which_face=index: counted from the left, the first is 0", min=0, max=99, page="face"
    )
    face_x: float = option(
        0.5, "with which_face=point: across the picture, 0 left to 1 right", min=0, max=1, page="face"
    )
    face_y: float = option(
        0.5, "with which_face=point: down the picture, 0 top to 1 bottom", min=0, max=1, page="face"
    )
    face_time: float = option(
        0.0,
        "with which_face=point: when the face is at that point",
        min=0,
        max=360_000,
        unit="s",
        page="face",
    )
    face_reference: Path | None = option(
        None, "with which_face=reference: a picture of the person who speaks", page=""
    )
    smoothing: str = option(
        "symmetric",
        "steadies the box over time; 'official' is Wav2Lip's own",
        choices=SMOOTHINGS,
        page="face",
    )
    smoothing_frames: int = option(
        5, "frames that smoothing averages over", min=1, max=51, unit="frames", page="face"
    )
    pad_top: float = option(
        0.0,
        "grow the face box at the top; negative shrinks it",
        min=-50,
        max=100,
        unit="% of the box",
        page="face",
    )
    pad_bottom: float = option(
        5.0,
        "grow the face box at the bottom, so that it holds the chin",
        min=-50,
        max=100,
        unit="% of the box",
        page="face",
    )
    pad_left: float = option(
        0.0, "grow the face box on the left", min=-50, max=100, unit="% of the box", page="face"
    )
    pad_right: float = option(
        0.0, "grow the face box on the right", min=-50, max=100, unit="% of the box", page="face"
    )
    pads_px: Box = option(
        Box(0, 0, 0, 0),
        "the same in pixels: top, bottom, left, right, added to the above; Wav2Lip's own default is 0 10 0 0",
        unit="pixels",
    )
    box: Box | None = option(
        None,
        "fixed face box for every frame instead of looking for faces: top, bottom, left, right",
        unit="pixels",
    )

    def __post_init__(self) -> None:
        _name_edges(self, "pads_px", "box")
        super().__post_init__()


@dataclass(frozen=True)
class GeneratorOptions(OptionGroup):
    """Which network draws the mouth, and how it is run."""

    variant: str = option(
        "auto",
        "the model; 'auto' takes the best one that is on this machine",
        choices=Choices(["auto"], GENERATORS),
        page="main",
    )
    weights: Path | None = option(None, "checkpoint file to use instead of the one in weights/", page="")
    batch_size: int = option(0, "frames drawn at a time; 0 chooses by device", min=0, max=1024, unit="frames")
    device: str = option("auto", "where the networks run", choices=DEVICES)
    number_format: str = option(
        "auto",
        "precision of the generator: fp16 on CUDA, bf16 on CPUs that have it, else fp32",
        choices=NUMBER_FORMATS,
    )
    voice_lead: int = option(
        0,
        "frames by which the voice window starts earlier: 0 as Wav2Lip's inference, 1 as its training",
        min=-10,
        max=10,
        unit="frames",
    )


@dataclass(frozen=True)
class BlendOptions(OptionGroup):
    """How the generated mouth is put back into the frame."""

    mask: str = option(
        "mouth",
        "'mouth' shows mouth and chin with a soft edge; 'box' pastes the whole box, as Wav2Lip does",
        choices=MASKS,
        page="face",
    )
    mask_size: float = option(1.0, "size of the mouth mask", min=0.5, max=2.0, page="face")
    blend: str = option(
        "feather",
        "'feather' fades the edge; 'multiband' fades fine detail quickly and colours slowly",
        choices=BLENDS,
        page="face",
    )
    color_match: float = option(
        1.0, "how much the drawn mouth takes on the colours around it", min=0, max=1, page="face"
    )
    keep_detail: float = option(
        1.0, "how much fine detail of the source's skin is kept around the lips", min=0, max=1, page="face"
    )
    occlusion: bool = option(
        True, "leave a frame alone where a hand or a microphone covers the mouth", page="face"
    )
    feather: float = option(12.0, "width of the soft edge", min=0, max=50, unit="% of the box", page="face")


@dataclass(frozen=True)
class SpeechOptions(OptionGroup):
    """What is heard as speech, and what the mouth does while there is none."""

    in_silence: str = option(
        "close", "what the mouth does while nobody speaks", choices=tuple(SILENCES), page="main"
    )
    separate_voice: bool = option(
        False, "free the voice from music and noise before the lips follow it (needs the package demucs)"
    )


@dataclass(frozen=True)
class EnhanceOptions(OptionGroup):
    """How the drawn face, or the whole frame, is made sharper."""

    enhancer: str = option(
        "none",
        "sharpens the synced face; slow without a GPU",
        choices=Choices(["none"], ENHANCERS),
        page="main",
    )
    enhance_strength: float = option(
        0.8, "how much of the sharpened face is taken: 0 nothing, 1 all of it", min=0, max=1, page="face"
    )
    enhance_area: str = option(
        "mouth",
        "where: only where the mouth is drawn, or the whole face",
        choices=("mouth", "face"),
        page="face",
    )
    upscaler: str = option(
        "none",
        "enlarges every frame to twice its size; very slow without a GPU",
        choices=Choices(["none"], UPSCALERS),
        page="main",
    )
    without_enhancer: bool = option(
        False, "go on without enhancer or upscaler where its weights are absent and cannot be had"
    )
    enhancer_weights: Path | None = option(
        None, "checkpoint of the enhancer, where it is not in weights/", page=""
    )
    upscaler_weights: Path | None = option(
        None, "checkpoint of the upscaler, where it is not in weights/", page=""
    )


@dataclass(frozen=True)
class ReportOptions(OptionGroup):
    """What is measured on the result."""

    score: bool = option(True, "measure how well lips and voice go together, before and after")
    subtitles: str = option(
        "none",
        "write down what is said: 'file' as an .srt beside the result, 'track' inside of it as well",
        choices=SUBTITLES,
    )


@dataclass(frozen=True)
class TranscriptOptions(OptionGroup):
    """How what is said is written down.

    A transcript is made for a report or for subtitles, not for the lips.
    """

    speech_model: str = option(
        "auto",
        "network that listens; 'auto' takes the largest on this machine, any other is downloaded once; "
        "'tiny.en' knows English only",
        choices=SPEECH_MODELS,
    )
    speech_model_folder: Path | None = option(
        None, "a Whisper network converted for CTranslate2, instead of speech_model", page=""
    )
    spoken_language: str = option(
        "auto", "language that is spoken, as a code like en, de or zh; 'auto' finds out"
    )


@dataclass(frozen=True)
class LinkOptions(OptionGroup):
    """What is taken from a link, and how much of it.

    Not part of `SyncOptions`: links are fetched before a run, by `lipsync.sources`.
    """

    max_height: int = option(
        1080,
        "take the best quality whose shorter side is at most this, or else the smallest",
        choices=HEIGHTS,
        unit="pixels",
    )
    max_minutes: float = option(180, "refuse what is longer", min=0.1, max=1440, unit="min")
    max_megabytes: int = option(2000, "refuse what is larger", min=1, max=100_000, unit="MB")
    cookies: Path | None = option(
        None,
        "cookies of your browser as a Netscape file, for sites that want a login; it is only read",
        page="",
    )


@dataclass(frozen=True)
class SyncOptions:
    """All settings of one run. Field names are unique across the groups."""

    media: MediaOptions = field(default_factory=MediaOptions)
    faces: FaceOptions = field(default_factory=FaceOptions)
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    blend: BlendOptions = field(default_factory=BlendOptions)
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    enhance: EnhanceOptions = field(default_factory=EnhanceOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    transcript: TranscriptOptions = field(default_factory=TranscriptOptions)

    @classmethod
    def from_flat(cls, **values: Any) -> SyncOptions:
        """Build from field names regardless of their group: `from_flat(pad_top=5, mask="box")`."""
        known = {declared.name for _, declared in declared_options()}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(
                "There are no such settings",
                given=", ".join(unknown),
                hint=f"Known: {', '.join(sorted(known))}.",
            )
        groups: dict[str, dict[str, Any]] = {}
        for group, declared in declared_options():
            if declared.name in values:
                groups.setdefault(group, {})[declared.name] = values[declared.name]
        return cls(**{group: _GROUPS[group](**chosen) for group, chosen in groups.items()})

    def flat(self) -> dict[str, Any]:
        """All settings by name, regardless of their group; what `from_flat` takes."""
        return {
            declared.name: getattr(getattr(self, group), declared.name)
            for group, declared in declared_options()
        }


_GROUPS: dict[str, Any] = {
    "media": MediaOptions,
    "faces": FaceOptions,
    "generator": GeneratorOptions,
    "blend": BlendOptions,
    "speech": SpeechOptions,
    "enhance": EnhanceOptions,
    "report": ReportOptions,
    "transcript": TranscriptOptions,
}


def declared_options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """All settings as (group name, field), in the order they are written above."""
    for name, group in _GROUPS.items():
        for declared in dataclasses.fields(group):
            yield name, declared


def markdown_table() -> str:
    """All settings as the Markdown table that the README shows; a test keeps the two equal."""
    lines = ["| Setting | Default | Range | What it does |", "|---|---|---|---|"]
    for _, declared in declared_options():
        shown = (_shown_default(declared.default), _shown_range(declared), declared.metadata["help"])
        lines.append(f"| `{declared.name}` | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown_default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def _shown_range(declared: dataclasses.Field[Any]) -> str:
    low, high, unit = declared.metadata["min"], declared.metadata["max"], declared.metadata["unit"]
    if declared.metadata["choices"]:
        return ", ".join(map(str, declared.metadata["choices"]))
    return f"{low:g} to {high:g} {unit}".strip() if low is not None and high is not None else str(unit)
