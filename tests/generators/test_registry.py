"""Which generator "auto" chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.errors import OptionError
from lipsync.generators import GENERATORS, choose_variant
from lipsync.weights import create_model, locations


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locations, "search_folders", lambda: (tmp_path,))
    return tmp_path


def test_auto_takes_what_is_on_this_machine(folder: Path) -> None:
    assert choose_variant() == "wav2lip"  # nothing is: this one is then downloaded
    (folder / "wav2lip.pth").touch()
    assert choose_variant() == "wav2lip"
    (folder / "wav2lip_gan.pth").touch()
    assert choose_variant() == "wav2lip_gan"


def test_a_name_is_taken_as_it_is(folder: Path) -> None:
    (folder / "wav2lip_gan.pth").touch()
    assert choose_variant("wav2lip") == "wav2lip"


def test_unknown_name() -> None:
    with pytest.raises(OptionError, match="wav2lip_gan"):
        choose_variant("wav2lop")
    with pytest.raises(OptionError, match="no such generator"):
        create_model(GENERATORS, "wav2lop")
