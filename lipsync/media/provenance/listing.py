"""Digests of the files in a folder, which one manifest beside them signs.

C2PA has a binding for collections of files, but c2pa-python cannot read one. So the manifest signs a list of
SHA-256 digests in the format of coreutils, which `sha256sum -c` checks as well.
"""

from __future__ import annotations

import re
from pathlib import Path

from lipsync.progress import CancelToken
from lipsync.utils.file_digest import content_hash

LISTING_NAME = "frames.sha256"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_MOST_NAMED = 3


def write_listing(folder: Path, cancel: CancelToken) -> Path:
    """Write the digests of all files in a folder, and return the path of the list.

    Raises:
        OSError: a file cannot be read, or the list not written.
        Cancelled: the token was cancelled.
    """
    lines = []
    for path in sorted(folder.iterdir()):
        cancel.check("writing")
        lines.append(f"{content_hash(path, 'sha256')}  {path.name}\n")
    listing = folder / LISTING_NAME
    listing.write_text("".join(lines), "utf-8", newline="\n")
    return listing


def listing_problems(listing: Path, also: Path) -> list[str]:
    """What does not fit the list: files that were changed, are missing or were added; [] for nothing.

    Args:
        also: a file that is not in the list, the manifest.

    Raises:
        OSError: a file cannot be read.
    """
    matches = map(_LINE.fullmatch, listing.read_text("utf-8", errors="replace").splitlines())
    digests = {match[2]: match[1] for match in matches if match}
    here = {path.name for path in listing.parent.iterdir()} - {listing.name, also.name}
    both = sorted(digests.keys() & here)
    changed = [name for name in both if _digest(listing.parent / name) != digests[name]]
    kinds = {
        "changed": changed,
        "missing": sorted(digests.keys() - here),
        "added": sorted(here - digests.keys()),
    }
    return [f"{kind}: {_named(names)}" for kind, names in kinds.items() if names]


def _digest(path: Path) -> str:
    return content_hash(path, "sha256") if path.is_file() else ""


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
