"""Names of settings in messages, in the words of whoever reads them.

Messages of the core write a setting as `'pad_top'`, and one with a value as `which_face=point`: what Python
takes. The command line shows flags instead, the page its labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

Wording = Callable[[str, str | None], str]
"""Words for a setting, given its name, and its value or None."""


def reword(text: str, names: Collection[str], wording: Wording) -> str:
    """`text` with every setting of these names as `wording` has it."""
    if not names:
        return text
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    mention = re.compile(rf"'({name})'|(?<![\w.-])({name})=([\w.+-]*\w)")
    return mention.sub(lambda match: wording(match[1] or match[2], match[3]), text)
