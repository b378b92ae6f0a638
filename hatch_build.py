"""Dependencies of the package, read from requirements.txt when it is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement


class RequirementsHook(MetadataHookInterface):
    """Takes over requirements.txt, without the packages of the extra `gfpgan`.

    basicsr has no wheel, and its set-up script asks for torch before pip could have installed it: pip of
    Python 3.10 and 3.11 fails there in an empty environment, newer ones install torch twice. spandrel,
    which stays, holds the same networks.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the dynamic field `dependencies`."""
        lines = (Path(self.root) / "requirements.txt").read_text("utf-8").splitlines()
        stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
        left_out = {Requirement(line).name for line in metadata["optional-dependencies"]["gfpgan"]}
        metadata["dependencies"] = [
            line for line in stripped if line and Requirement(line).name not in left_out
        ]
