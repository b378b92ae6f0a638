"""Provenance of results: marks as AI-made and Content Credentials (C2PA).

    Marks + finished file -> `mark_and_move` -> file with XMP metadata and a signed manifest
    file                  -> `read_provenance` -> ProvenanceReport

The manifest is made by c2pa-python, which is imported only where a file is signed or read. Nothing here
uses the network.
"""

from lipsync.media.provenance.certificates import (
    Credentials,
    own_credentials,
    read_credentials,
    signing_files,
)
from lipsync.media.provenance.manifest import Edit, Ingredient
from lipsync.media.provenance.marks import (
    METADATA_MARKS,
    Marked,
    Marks,
    mark_and_move,
    mark_and_move_folder,
    sidecar_path,
    sign_image,
)
from lipsync.media.provenance.verification import ProvenanceReport, read_provenance

__all__ = [
    "METADATA_MARKS",
    "Credentials",
    "Edit",
    "Ingredient",
    "Marked",
    "Marks",
    "ProvenanceReport",
    "mark_and_move",
    "mark_and_move_folder",
    "own_credentials",
    "read_credentials",
    "read_provenance",
    "sidecar_path",
    "sign_image",
    "signing_files",
]
