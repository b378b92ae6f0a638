"""Marks of a run's result: the settings' choice, and what the manifest says."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lipsync
from lipsync.errors import OptionError
from lipsync.media.provenance import (
    METADATA_MARKS,
    Credentials,
    Edit,
    Ingredient,
    Marks,
    own_credentials,
    read_credentials,
    signing_files,
)
from lipsync.media.provenance.manifest import PARENT, check_signing
from lipsync.options import SyncOptions, declared_options
from lipsync.types import TimeRange
from lipsync.utils.file_digest import weights_hash
from lipsync.utils.option_group import Box

_MACHINE = frozenset({"device", "batch_size", "number_format", "encoder", "without_enhancer", "score"})
"""Settings of the machine and of reports, which the manifest does not tell."""
_VERSION_DIGITS = 12
_NO_PACKAGE = (
    "The result is marked as AI-made by metadata alone: c2pa-python is not installed, or not made for "
    "this machine."
)


@dataclass(frozen=True)
class Signing:
    """Marks that a run's settings ask for.

    Attributes:
        setting: "signed", "metadata" or "none".
        credentials: to sign with; None where nothing is signed.
        warnings: sentences for the user.
    """

    setting: str
    credentials: Credentials | None = None
    warnings: tuple[str, ...] = ()

    def marks(self, edit: Edit) -> Marks | None:
        """The marks of a result that was made so."""
        if self.setting == "none":
            return None
        return Marks(edit, self.credentials) if self.credentials else METADATA_MARKS

    def told(self, signed: bool) -> str:
        """What the report says about the marks.

        Args:
            signed: whether signing succeeded.
        """
        if self.setting == "none":
            return "Not marked as AI-made ('provenance' is none): whoever shows it has to say so."
        if not signed or self.credentials is None:
            return "Marked as AI-made by metadata alone, without a signature."
        if self.credentials.own:
            return (
                "Marked as AI-made and signed (Content Credentials) with this installation's own "
                "certificate, which viewers show as not trusted."
            )
        return f"Marked as AI-made and signed (Content Credentials) by {self.credentials.signer}."


def choose_signing(setting: str, certificate: Path | None = None, key: Path | None = None) -> Signing:
    """The credentials that results are signed with, checked before a run.

    Args:
        setting: `provenance` of the settings.
        certificate, key: the operator's; by default those that the environment names, else the own ones.

    Raises:
        OptionError: they cannot be read, or nothing may be signed with them.
    """
    files = signing_files(certificate, key)
    if setting != "signed":
        return Signing(setting)
    if importlib.util.find_spec("c2pa") is None:
        return Signing(setting, None, (_NO_PACKAGE,))
    if files is None:
        return Signing(setting, own_credentials())
    credentials = read_credentials(files)
    try:
        check_signing(credentials)
    except Exception as error:  # c2pa-python's, whatever it refuses
        hint = "Give another one ('sign_cert', 'sign_key')."
        what = f"Nothing can be signed with this certificate ({error})"
        raise OptionError(what, given=files.certificate, hint=hint) from error
    return Signing(setting, credentials)


def describe_run(
    video: Path, voices: Sequence[Path], is_photo: bool, model: tuple[str, Path | None], options: SyncOptions
) -> Edit:
    """What the manifest says of a run.

    Args:
        voices: in the order of the segments' indices.
        model: name of the generator and its weights.
    """
    source = Ingredient(video, "source photo" if is_photo else "source video", PARENT)
    named = [f"voice {number + 1}" for number in range(len(voices))] if len(voices) > 1 else ["voice"]
    heard = (Ingredient(path, name) for path, name in zip(voices, named, strict=True))
    name, weights = model
    return Edit(
        lipsync.__version__,
        (source, *heard),
        name,
        weights_version(weights) if weights else "",
        noted_settings(options),
    )


def describe_comparison(files: Sequence[Path]) -> Edit:
    """What the manifest says of a source and its results, shown side by side."""
    titles = ["source", *(f"result {number}" for number in range(1, len(files)))]
    return Edit(
        lipsync.__version__,
        tuple(Ingredient(path, title) for path, title in zip(files, titles, strict=True)),
        title="comparison of videos",
        description="A source and results in which AI redrew the lips are shown side by side.",
    )


def describe_preview(video: Path, variant: str, options: SyncOptions) -> Edit:
    """What the manifest says of an image of one frame, before and after."""
    return Edit(
        lipsync.__version__,
        (Ingredient(video, "source"),),
        variant,
        settings=noted_settings(options),
        title="preview of a lip-synced frame",
    )


def noted_settings(options: SyncOptions) -> dict[str, Any]:
    """Settings that differ from their defaults, as JSON; none with a path, and none of the machine."""
    values = options.flat()
    defaults = {one.name: one.default for _, one in declared_options()}
    return {
        name: _plain(value)
        for name, value in values.items()
        if value != defaults[name] and name not in _MACHINE and not isinstance(value, Path)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Box):
        return list(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, TimeRange) else value


def weights_version(path: Path) -> str:
    """The first digits of the SHA-256 of a checkpoint."""
    return f"sha256:{weights_hash(path, 'sha256')[:_VERSION_DIGITS]}"
