"""Settings of a run, each declared once with default, range, unit and help.

The checks here, the flags of the command line, the controls of the page and the table in the README
all come from these lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lipsync.errors import OptionError
from lipsync.registries import DETECTORS, ENHANCERS, GENERATORS, UPSCALERS
from lipsync.types import TimeRange
from lipsync.utils.option_group import Box as Box
from lipsync.utils.option_group import OptionGroup as OptionGroup
from lipsync.utils.option_group import converted
from lipsync.utils.option_group import option as option
from lipsync.utils.registry import Choices
from lipsync.utils.suggestions import known_hint

LENGTH_MODES = {
    "pingpong": "as the voice; the video plays forwards and backwards",
    "loop": "as the voice; the video repeats",
    "hold": "as the voice; the last frame stays",
    "stretch": "as the voice; the video is slowed down or sped up",
    "picture": "as the video; silence after the voice",
    "shorter": "as the shorter of the two",
}
"""Length of the result, and how the video is brought to it."""
FACE_CHOICES = ("largest", "central", "index", "point", "reference", "speaking")
SMOOTHINGS = ("symmetric", "official", "none")
MASKS = ("mouth", "box")
BLENDS = ("feather", "multiband")
SPEECH_MODELS = ("auto", "tiny.en", "tiny", "base", "small", "medium", "turbo")
"""Whisper models by size; the downloads are 75 MB to 1.6 GB."""
LANGUAGES = (
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da",
    "de", "el", "en", "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi",
    "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb",
    "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn",
    "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "sn", "so", "sq",
    "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz", "vi",
    "yi", "yo", "yue", "zh",
)  # fmt: skip
"""Codes of the languages that Whisper knows."""
SUBTITLES = ("none", "file", "track")
PROVENANCES = {
    "signed": "metadata and a signed C2PA manifest",
    "metadata": "metadata alone",
    "none": "no mark",
}
"""How a result is marked as AI-made."""
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
SILENCES = {
    "speak": "drawn like speech",
    "keep": "the source's own mouth",
    "close": "the lips close smoothly",
}
"""What the mouth does in silence."""
BACKGROUNDS = ("none", "keep")
DEVICES = ("auto", "cpu", "cuda", "mps")
NUMBER_FORMATS = ("auto", "fp32", "bf16", "fp16")
CODECS = {
    "h264": "H.264, 8 bits",
    "h265": "H.265",
    "av1": "AV1",
    "prores": "ProRes 422 HQ, 10 bits",
    "dnxhr": "DNxHR HQX, 10 bits",
    "ffv1": "FFV1, lossless",
    "png": "PNG images and a WAV file in a folder",
}
"""Video codecs of results; containers and settings are in `lipsync.media.output_formats`."""
SEQUENCES = ("png",)
"""Those that make a folder with a file for each frame."""
LAYERS = ("none", "mouth")
ENCODERS = ("software", "hardware")
SMART_COPIES = ("auto", "on", "off")
ROTATIONS = (0, 90, 180, 270)
PAGE_GROUPS = ("main", "face", "more")
"""Groups of settings on the page: the main ones, face and mask, and the rest."""
PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"resize_factor": 2, "quality": 23, "detect_every": 10},
    "standard": {"resize_factor": 1, "quality": 17, "detect_every": 5},
    "best": {"resize_factor": 1, "quality": 12, "detect_every": 1},
}
"""Presets of speed against quality; "standard" is the defaults."""
HEIGHTS = (240, 360, 480, 720, 1080, 1440, 2160)


@dataclass(frozen=True, repr=False)
class MediaOptions(OptionGroup):
    """Input and output: time ranges, length, frame rate, size, encoding."""

    video_ranges: tuple[TimeRange, ...] = option(
        (),
        "parts of the video to use, joined in this order, for example 2.5-10,1:02-1:15; empty uses all",
        page="",
        common=True,
    )
    voice_ranges: tuple[TimeRange, ...] = option(
        (), "parts of the voice to use, joined in this order; empty uses all", page="", common=True
    )
    length_mode: str = option(
        "pingpong",
        "length of the result when voice and video differ in length",
        choices=tuple(LENGTH_MODES),
        page="main",
        common=True,
    )
    fps: float = option(
        0.0,
        "frame rate of the result; 0 keeps that of the video",
        min=1,
        max=240,
        unit="frames/s",
        off=0,
    )
    static: bool = option(False, "use only the first frame of the video, like a photo")
    liveliness: float = option(
        0.0,
        "how much the head of a photo moves with the voice, while its eyes blink; 0 keeps it still",
        min=0,
        max=1,
        later=True,
    )
    resize_factor: int = option(1, "divide width and height by this before anything else", min=1, max=16)
    rotate: int = option(0, "rotate the video clockwise", choices=ROTATIONS, unit="degrees")
    crop: Box | None = option(
        None,
        "keep only this part of the frame: top, bottom, left, right; -1 means to the edge",
        unit="pixels",
    )
    video_track: int = option(
        -1,
        "video track to use, counted from 0; -1 takes the one that the file marks as default",
        min=0,
        max=99,
        off=-1,
        later=True,
    )
    audio_track: int = option(
        -1,
        "audio track of the voice's file to use, counted from 0; -1 takes the one marked as default",
        min=0,
        max=99,
        off=-1,
        later=True,
    )
    keep_tracks: bool = option(
        False,
        "keep the video's other sound tracks, its subtitles and chapters, where the result shows all of it",
        later=True,
    )
    matte: str = option(
        "white",
        "colour behind the transparent parts of a video or photo: a name, or #rrggbb",
        later=True,
    )
    codec: str = option(
        "h264",
        "video codec; prores and dnxhr need a .mov file, ffv1 an .mkv or .mov, png a folder of images",
        choices=tuple(CODECS),
        common=True,
        later=True,
    )
    layer: str = option(
        "none",
        "'mouth' writes only what was drawn, transparent elsewhere, to lay over the video in an editor "
        "(codec prores or png)",
        choices=LAYERS,
        common=True,
        later=True,
    )
    quality: int = option(
        17,
        "x264 constant rate factor (CRF): lower is better and larger; 17 is visually lossless",
        min=0,
        max=51,
        common=True,
    )
    voice_shift: float = option(
        0.0,
        "delay of the voice against the video, negative for earlier; corrects a source that is out of sync",
        min=-10_000,
        max=10_000,
        unit="ms",
        common=True,
    )
    encoder: str = option(
        "software", "H.264 encoder; 'hardware' is used where ffmpeg has a working one", choices=ENCODERS
    )
    smart_copy: str = option(
        "auto",
        "copy what does not change from an H.264 or H.265 video without encoding it again, where the result "
        "has the same codec, size and frame rate; 'on' always says where it cannot",
        choices=SMART_COPIES,
        later=True,
    )


@dataclass(frozen=True)
class FaceOptions(OptionGroup):
    """Face detection, selection of the speaker, smoothing and pads of the face box."""

    detector: str = option("centerface", "face detector", choices=DETECTORS)
    detector_weights: Path | None = option(
        None, "checkpoint of the detector, where it is not in weights/", page=""
    )
    detect_size: int = option(
        640,
        "longer side of the reduced frames in which faces are detected",
        min=128,
        max=4096,
        unit="pixels",
    )
    detect_every: int = option(
        5,
        "detect faces in every n-th frame and track them in between; 1 detects in all, with more an absence "
        "shorter than this can be missed",
        min=1,
        max=100,
        unit="frames",
    )
    min_score: float = option(
        0.5,
        "lowest detection confidence; a frame without such a face passes through unchanged",
        min=0.05,
        max=0.99,
    )
    which_face: str = option(
        "largest",
        "which face speaks when there are several; 'speaking': whoever speaks then in the video's own sound",
        choices=FACE_CHOICES,
        page="face",
        common=True,
    )
    face_index: int = option(
        0, "with which_face=index: counted from the left, starting at 0", min=0, max=99, page="face"
    )
    face_x: float = option(
        0.5, "with which_face=point: across the frame, 0 left to 1 right", min=0, max=1, page="face"
    )
    face_y: float = option(
        0.5, "with which_face=point: down the frame, 0 top to 1 bottom", min=0, max=1, page="face"
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
        None, "with which_face=reference: an image of the person who speaks", page=""
    )
    smoothing: str = option(
        "symmetric",
        "smoothing of the face box over time; 'official' is Wav2Lip's own",
        choices=SMOOTHINGS,
        page="face",
    )
    smoothing_frames: int = option(5, "window of the smoothing", min=1, max=51, unit="frames", page="face")
    pad_top: float = option(
        0.0,
        "pad above the face box; negative shrinks it",
        min=-50,
        max=100,
        unit="% of the box",
        page="face",
    )
    pad_bottom: float = option(
        5.0,
        "pad below the face box, so that it contains the chin",
        min=-50,
        max=100,
        unit="% of the box",
        page="face",
        common=True,
    )
    pad_left: float = option(
        0.0, "pad left of the face box", min=-50, max=100, unit="% of the box", page="face"
    )
    pad_right: float = option(
        0.0, "pad right of the face box", min=-50, max=100, unit="% of the box", page="face"
    )
    pads_px: Box = option(
        Box(0, 0, 0, 0),
        "pads in pixels: top, bottom, left, right, added to the above; Wav2Lip's own default is 0 10 0 0",
        unit="pixels",
    )
    box: Box | None = option(
        None,
        "fixed face box for every frame instead of detection: top, bottom, left, right",
        unit="pixels",
    )


@dataclass(frozen=True)
class GeneratorOptions(OptionGroup):
    """Generator: the network that draws the mouth, and how it is run."""

    variant: str = option(
        "auto",
        "model; 'auto' takes the best one that is on this machine",
        choices=Choices(["auto"], GENERATORS),
        page="main",
        common=True,
    )
    weights: Path | None = option(None, "checkpoint file to use instead of the one in weights/", page="")
    batch_size: int = option(0, "batch size; 0 chooses by device", min=0, max=1024, unit="frames")
    device: str = option("auto", "device that the networks run on", choices=DEVICES, common=True)
    number_format: str = option(
        "auto",
        "precision of the generator: fp16 on CUDA, bf16 on CPUs that have it, else fp32",
        choices=NUMBER_FORMATS,
    )
    voice_lead: int = option(
        0,
        "frames by which the audio window starts earlier: 0 as in Wav2Lip's inference, 1 as in its training",
        min=-10,
        max=10,
        unit="frames",
    )


@dataclass(frozen=True)
class BlendOptions(OptionGroup):
    """Blending of the generated mouth into the frame."""

    mask: str = option(
        "mouth",
        "'mouth' blends mouth and chin with a soft edge; 'box' pastes the whole box, as Wav2Lip does",
        choices=MASKS,
        page="face",
        common=True,
    )
    mask_size: float = option(1.0, "size of the mouth mask", min=0.5, max=2.0, page="face")
    blend: str = option(
        "feather",
        "'feather' fades the edge; 'multiband' blends detail over a short distance, colours over a long one",
        choices=BLENDS,
        page="face",
    )
    color_match: float = option(
        1.0,
        "how far the colours of the drawn mouth are matched to those around it",
        min=0,
        max=1,
        page="face",
    )
    keep_detail: float = option(
        1.0, "how much skin texture of the source is kept around the lips", min=0, max=1, page="face"
    )
    occlusion: bool = option(
        True,
        "leave frames unchanged where a hand, a microphone, a mask or text covers the mouth",
        page="face",
    )
    feather: float = option(12.0, "width of the soft edge", min=0, max=50, unit="% of the box", page="face")


@dataclass(frozen=True, repr=False)
class SpeechOptions(OptionGroup):
    """Speech: mouth in silence, separation of voices from music and noise."""

    in_silence: str = option(
        "close", "mouth while nobody speaks", choices=tuple(SILENCES), page="main", common=True
    )
    separate_voice: bool = option(
        False, "separate the voice from music and noise first (needs the package demucs)"
    )
    background: str = option(
        "none",
        "'keep' leaves music and noise of the video under the new voice, which becomes as loud as the voice "
        "was (needs the package demucs)",
        choices=BACKGROUNDS,
        later=True,
    )
    background_level: float = option(
        0.0, "with background=keep: level of music and noise", min=-60, max=20, unit="dB", later=True
    )
    background_ducking: float = option(
        3.0,
        "with background=keep: how much lower music and noise are while somebody speaks",
        min=0,
        max=40,
        unit="dB",
        later=True,
    )


@dataclass(frozen=True)
class EnhanceOptions(OptionGroup):
    """Face enhancement and upscaling."""

    enhancer: str = option(
        "none",
        "restores detail of the synced face; slow without a GPU",
        choices=Choices(["none"], ENHANCERS),
        page="main",
        common=True,
    )
    enhance_strength: float = option(
        0.8, "blend of the enhanced face: 0 none, 1 all of it", min=0, max=1, page="face"
    )
    enhance_area: str = option(
        "mouth",
        "enhance only where the mouth is drawn, or the whole face",
        choices=("mouth", "face"),
        page="face",
    )
    upscaler: str = option(
        "none",
        "upscales every frame to twice its size; very slow without a GPU",
        choices=Choices(["none"], UPSCALERS),
        page="main",
        common=True,
    )
    without_enhancer: bool = option(
        False, "continue without enhancer or upscaler if its weights cannot be downloaded"
    )
    enhancer_weights: Path | None = option(
        None, "checkpoint of the enhancer, where it is not in weights/", page=""
    )
    upscaler_weights: Path | None = option(
        None, "checkpoint of the upscaler, where it is not in weights/", page=""
    )


@dataclass(frozen=True, repr=False)
class ReportOptions(OptionGroup):
    """Reports: sync score, subtitles and marks of the result."""

    score: bool = option(True, "measure the sync score of result and source")
    subtitles: str = option(
        "none",
        "subtitles of what is said: 'file' as an .srt beside the result, 'track' also inside of it",
        choices=SUBTITLES,
        common=True,
    )
    provenance: str = option(
        "signed",
        "how the result says that AI made it: 'signed' Content Credentials (C2PA) and metadata, 'metadata' "
        "alone, or 'none'",
        choices=tuple(PROVENANCES),
        common=True,
        later=True,
    )
    ai_label: str = option(
        "none",
        "corner of a visible label 'AI-generated' in every frame",
        choices=("none", *CORNERS),
        later=True,
    )
    ai_label_size: float = option(
        4.0, "height of the label's text", min=1, max=20, unit="% of the frame", later=True
    )
    ai_label_opacity: float = option(80.0, "opacity of the label", min=10, max=100, unit="%", later=True)


@dataclass(frozen=True)
class TranscriptOptions(OptionGroup):
    """Transcription, for reports and subtitles; the lips do not depend on it."""

    speech_model: str = option(
        "auto",
        "Whisper model; 'auto' takes the largest on this machine, any other is downloaded once; "
        "'tiny.en' knows English only",
        choices=SPEECH_MODELS,
    )
    speech_model_folder: Path | None = option(
        None, "folder of a Whisper model converted for CTranslate2, instead of speech_model", page=""
    )
    spoken_language: str = option(
        "auto", "language that is spoken, as a code like en, de or zh; 'auto' detects it"
    )

    def __post_init__(self) -> None:
        """Check the language too: a run transcribes at its end, too late to tell."""
        super().__post_init__()
        language, model = self.spoken_language, self.speech_model
        if language not in ("auto", *LANGUAGES):
            hint = f"Use auto or one of: {', '.join(LANGUAGES)}."
            raise OptionError("'spoken_language' has no such value", given=repr(language), hint=hint)
        if model.endswith(".en") and self.speech_model_folder is None and language not in ("auto", "en"):
            hint = "Choose another speech_model."
            raise OptionError(f"'{model}' knows English only", given=f"spoken_language {language}", hint=hint)


@dataclass(frozen=True)
class LinkOptions(OptionGroup):
    """Downloads from links: quality and limits.

    Not part of `SyncOptions`: links are fetched before a run, by `lipsync.sources`.
    """

    max_height: int = option(
        1080,
        "best quality whose shorter side is at most this, or else the smallest there is",
        choices=HEIGHTS,
        unit="pixels",
    )
    max_minutes: float = option(180, "refuse longer videos", min=0.1, max=1440, unit="min")
    max_megabytes: int = option(2000, "refuse larger files", min=1, max=100_000, unit="MB")
    cookies: Path | None = option(
        None,
        "browser cookies as a Netscape file, for sites that need a login; it is only read",
        page="",
    )


@dataclass(frozen=True)
class ClusterOptions(OptionGroup):
    """Many videos on Ray: workers and their share of the machines.

    Not part of `SyncOptions`: what a video looks like does not depend on where it is made.
    """

    workers: int = option(0, "processes that make videos; 0: as many as there is room for", min=0, max=10_000)
    worker_cpus: int = option(1, "CPU cores of a worker", min=1, max=256, unit="cores")
    worker_gpus: float | None = option(
        None,
        "share of a GPU that a worker has; none: by its memory, and no GPU where the cluster has none",
        min=0,
        max=16,
        unit="GPUs",
    )
    part_seconds: float = option(
        60.0,
        "usual length of the parts of a long video that several workers draw, cut at shots where there are "
        "some; 0 leaves videos whole",
        min=0,
        max=3600,
        unit="s",
    )
    send_limit: int = option(
        200,
        "largest file that is sent to or from a worker which does not see its path",
        min=0,
        max=2000,
        unit="MB",
    )


@dataclass(frozen=True)
class SyncOptions:
    """All settings of one run; field names are unique across the groups.

    Raises:
        OptionError: a group is of another class.
    """

    media: MediaOptions = field(default_factory=MediaOptions)
    faces: FaceOptions = field(default_factory=FaceOptions)
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    blend: BlendOptions = field(default_factory=BlendOptions)
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    enhance: EnhanceOptions = field(default_factory=EnhanceOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    transcript: TranscriptOptions = field(default_factory=TranscriptOptions)

    def __post_init__(self) -> None:
        for name, group in _GROUPS.items():
            converted(name, group, getattr(self, name))

    @classmethod
    def from_flat(cls, **values: Any) -> SyncOptions:
        """Options from field names, whatever their group: `from_flat(pad_top=5, mask="box")`.

        Raises:
            OptionError: a name is unknown, or a value is not allowed.
        """
        known = {declared.name for _, declared in declared_options()}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(
                "There are no such settings",
                given=", ".join(unknown),
                hint=known_hint(unknown, sorted(known)),
            )
        groups: dict[str, dict[str, Any]] = {}
        for group, declared in declared_options():
            if declared.name in values:
                groups.setdefault(group, {})[declared.name] = values[declared.name]
        return cls(**{group: _GROUPS[group](**chosen) for group, chosen in groups.items()})

    def flat(self) -> dict[str, Any]:
        """All settings by name, whatever their group; what `from_flat` takes."""
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
    """All settings as (group name, field), in the order of their declaration."""
    for name, group in _GROUPS.items():
        for declared in dataclasses.fields(group):
            yield name, declared


def markdown_table() -> str:
    """Markdown table of all settings, as in the README; a test keeps the two equal."""
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
    low, high, unit, off = (declared.metadata[key] for key in ("min", "max", "unit", "off"))
    if declared.metadata["choices"]:
        return ", ".join(map(str, declared.metadata["choices"]))
    if low is None or high is None:
        return str(unit)
    return f"{low:g} to {high:g} {unit}".strip() + (f", or {off:g}" if off is not None else "")
