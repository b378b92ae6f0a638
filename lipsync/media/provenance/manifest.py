"""C2PA manifest of a result: ingredients, model and settings, signed.

C2PA Technical Specification 2.2. File names, paths and texts of the user are never written.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lipsync.media.provenance import bmff
from lipsync.media.provenance.certificates import Credentials
from lipsync.media.provenance.xmp import DIGITAL_SOURCE_TYPE
from lipsync.utils.file_digest import content_hash

_log = logging.getLogger(__name__)

SETTINGS_KEY, _SIDECAR_TYPE = "org.lipsync.settings", "application/c2pa"
PARENT = "parentOf"
"""Relation of an ingredient that the result is an edited version of."""
COMPONENT = "componentOf"
"""Relation of an ingredient that is a part of the result."""
_TYPES = {".mkv": "video/x-matroska", ".mov": "video/quicktime", ".m4a": "audio/mp4", ".wav": "audio/wav"}
_UNKNOWN_TYPE = "application/octet-stream"
_BMFF_TYPES = ("video/mp4", "video/quicktime")
_BLOCK_BYTES = 1 << 20
OFFLINE: dict[str, Any] = {
    "version_major": 1,
    "core": {"allowed_network_hosts": []},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
    "builder": {"thumbnail": {"enabled": False}},
}
"""Settings of c2pa-python: no network, and no small picture of the source in the result."""


@dataclass(frozen=True)
class Ingredient:
    """A file that the result was made from.

    Attributes:
        path: is read for a manifest of its own, and not named.
        title: what it is, such as "source video".
        relation: `PARENT` or `COMPONENT`.
    """

    path: Path
    title: str
    relation: str = COMPONENT


@dataclass(frozen=True)
class Edit:
    """What was done, in the words of the manifest.

    Attributes:
        version: of this program.
        ingredients: at most one of them the parent.
        model: name of what drew the lips; "" if nothing did.
        model_version: of its weights; "" if unknown.
        settings: JSON values by name.
        title: what the result is.
        description: one sentence.
    """

    version: str
    ingredients: tuple[Ingredient, ...] = ()
    model: str = ""
    model_version: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = "lip-synced video"
    description: str = "The lips were redrawn by AI to match the voice."


def sign_embedded(edit: Edit, credentials: Credentials, media_type: str, source: Path, target: Path) -> None:
    """Write `target`: the file `source` with a signed manifest inside.

    Videos are copied block by block; c2pa-python itself would hold them in memory.

    Raises:
        ImportError: c2pa-python is not here.
        Exception: C2paError, where it cannot be signed; OSError, where it cannot be written.
    """
    if media_type in _BMFF_TYPES:
        try:
            _sign_bmff(edit, credentials, media_type, source, target)
            return
        except bmff.UnknownLayoutError as error:
            _log.info("c2pa-python embeds the manifest itself: %s", error)
    builder, signer = _builder(edit), _signer(credentials)
    # The library asks for 8 kB at a time; with larger buffers fewer of these calls reach the system.
    with source.open("rb", _BLOCK_BYTES) as read, target.open("w+b", _BLOCK_BYTES) as written:
        builder.sign(signer, media_type, read, written)


def _sign_bmff(edit: Edit, credentials: Credentials, media_type: str, source: Path, target: Path) -> None:
    """As `sign_embedded`, in one pass over the file.

    The hash depends on the size of the manifest, which does not depend on the hash: a first one is signed
    only to be measured.
    """
    ingredients = _read_ingredients(edit)

    def signed_box(digest: bytes) -> bytes:
        builder = _builder(edit, bmff.binding(digest), ingredients=ingredients)
        return _boxed(_sign_apart(builder, credentials, media_type), media_type)

    room = len(signed_box(bytes(32)))
    with target.open("wb") as written:
        place, digest = bmff.copy_with_room(source, written, room)
        box = signed_box(digest)
        if len(box) != room:
            raise bmff.UnknownLayoutError(f"a manifest of {len(box)} bytes, not {room}")
        written.seek(place)
        written.write(box)


def _boxed(manifest: bytes, media_type: str) -> bytes:
    from c2pa.c2pa import format_embeddable

    box: bytes = format_embeddable(media_type, manifest)[1]
    return box


def _sign_apart(builder: Any, credentials: Credentials, media_type: str) -> bytes:
    """The signed manifest alone, of a builder that knows the content's hash."""
    builder.set_no_embed()
    # c2pa-python would only copy the content. For containers that it knows it wants one of them.
    content = bmff.EMPTY if media_type in _BMFF_TYPES else b"\0"
    made: bytes = builder.sign(_signer(credentials), media_type, io.BytesIO(content), io.BytesIO())
    return made


def sign_beside(edit: Edit, credentials: Credentials, media_type: str, source: Path) -> bytes:
    """The signed manifest of a file that cannot hold one, bound to it by its SHA-256.

    Raises:
        As `sign_embedded`.
    """
    digest = list(bytes.fromhex(content_hash(source, "sha256")))
    binding = {"name": "whole file", "alg": "sha256", "hash": digest, "pad": []}
    return _sign_apart(_builder(edit, {"label": "c2pa.hash.data", "data": binding}), credentials, media_type)


def check_signing(credentials: Credentials) -> None:
    """Sign a manifest of nothing, so that what c2pa-python refuses is known before a run.

    Raises:
        As `sign_embedded`.
    """
    _sign_apart(_builder(Edit("")), credentials, _TYPES[".mkv"])


def media_type_of(path: Path) -> str:
    """Media type by the suffix of a file; c2pa-python looks into the file too."""
    suffix = path.suffix.lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(f"a{suffix}")[0] or _UNKNOWN_TYPE


def _signer(credentials: Credentials) -> Any:
    import c2pa

    algorithm = c2pa.C2paSigningAlg[credentials.algorithm]
    # Without the address of a time stamp authority: nothing is asked of the network.
    info = c2pa.C2paSignerInfo(algorithm, credentials.chain, credentials.key, None)
    return c2pa.Signer.from_info(info)


def _builder(edit: Edit, *assertions: dict[str, Any], ingredients: Sequence[bytes] | None = None) -> Any:
    """A builder of the manifest.

    Args:
        ingredients: as `_read_ingredients` gives them; None to read them from their files.
    """
    import c2pa

    builder = c2pa.Builder(_definition(edit, assertions), c2pa.Context.from_dict(OFFLINE))
    for archive in ingredients or ():
        builder.add_ingredient_from_archive(io.BytesIO(archive))
    for number, one in enumerate(edit.ingredients if ingredients is None else ()):
        about = {"title": one.title, "relationship": one.relation, "label": _label(number)}
        _add_ingredient(builder, about, one.path)
    return builder


def _read_ingredients(edit: Edit) -> list[bytes]:
    """What the manifests say about the ingredients, read once: it is checked whether each is whole."""
    builder, archives = _builder(edit), list[bytes]()
    for number in range(len(edit.ingredients)):
        with io.BytesIO() as archive:
            builder.write_ingredient_archive(_label(number), archive)
            archives.append(archive.getvalue())
    return archives


def _add_ingredient(builder: Any, about: dict[str, Any], path: Path) -> None:
    """Add an ingredient with the manifest that it carries, if it can be read."""
    import c2pa

    kind, own = media_type_of(path), dict[str, Any]()
    if kind == _TYPES[".mkv"]:
        with contextlib.suppress(OSError, c2pa.C2paError):
            own = _from_sidecar(builder, f"{about['label']}.c2pa", path)
    with contextlib.suppress(OSError, c2pa.C2paError), path.open("rb") as file:
        builder.add_ingredient({**about, **own}, kind, file)
        return
    with io.BytesIO(b"\0") as nothing:  # damaged, or of no kind that is known: without its content
        builder.add_ingredient(about, _UNKNOWN_TYPE, nothing)


def _from_sidecar(builder: Any, name: str, path: Path) -> dict[str, Any]:
    """What an ingredient with a manifest beside it says of that; nothing without one.

    The library takes over a manifest that is given apart only together with what was found about it.
    """
    beside = path.with_suffix(".c2pa")
    found = read_manifest(path, b"") if beside.is_file() else None
    if found is None:
        return {}
    with beside.open("rb") as manifest:
        builder.add_resource(name, manifest)
    return {
        "manifest_data": {"format": _SIDECAR_TYPE, "identifier": name},
        "validation_results": found[0]["validation_results"],
    }


def _definition(edit: Edit, assertions: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The manifest without its ingredients, as c2pa-python takes it."""
    generator = {"name": "lipsync", **({"version": edit.version} if edit.version else {})}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": _actions(edit)}}
    return {"claim_generator_info": [generator], "title": edit.title, "assertions": [actions, *assertions]}


def _actions(edit: Edit) -> list[dict[str, Any]]:
    parents, parts = (
        [_label(number) for number, one in enumerate(edit.ingredients) if one.relation == relation]
        for relation in (PARENT, COMPONENT)
    )
    first: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE}
    if parents:
        first = {"action": "c2pa.opened", "parameters": {"ingredientIds": parents}}
    placed = [{"action": "c2pa.placed", "parameters": {"ingredientIds": parts}}] if parts else []
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "description": edit.description,
    }
    if edit.model:
        version = {"version": edit.model_version} if edit.model_version else {}
        edited["softwareAgent"] = {"name": edit.model, **version}
    if edit.settings:
        edited["parameters"] = {SETTINGS_KEY: json.loads(json.dumps(edit.settings, default=str))}
    return [first, *placed, edited]


def _label(number: int) -> str:
    return f"ingredient{number}"


def read_manifest(path: Path, anchors: bytes) -> tuple[dict[str, Any], bool] | None:
    """The manifest of a file as c2pa-python reads it, and whether it is inside; None without one.

    Args:
        anchors: certificates that are trusted, PEM.

    Raises:
        ImportError: c2pa-python is not here.
        Exception: C2paError, where the manifest cannot be read; OSError, where the file cannot.
    """
    import c2pa

    settings = {**OFFLINE, "trust": {"user_anchors": anchors.decode()}} if anchors else OFFLINE
    context = c2pa.Context.from_dict(settings)
    with path.open("rb") as file:
        reader = _reader(path, file, context)
        if reader is None:
            return None
        with reader:
            return json.loads(reader.json()), reader.is_embedded()


def _reader(path: Path, file: BinaryIO, context: Any) -> Any:
    import c2pa

    kind, beside = media_type_of(path), path.with_suffix(".c2pa")
    try:
        return c2pa.Reader(kind, file, context=context)
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        if not beside.is_file():
            return None
    file.seek(0)
    return c2pa.Reader(kind, file, beside.read_bytes(), context=context)
