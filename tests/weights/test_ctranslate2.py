from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lipsync.errors import WeightsError
from lipsync.weights.ctranslate2 import read_ctranslate2
from tests.training.whisper_file import write_model

VARIABLES = {
    "encoder/weight": np.arange(6, dtype=np.float16).reshape(2, 3) / 7,
    "encoder/heads": np.array(8, np.int16),
    "decoder/weight": np.ones((2, 2), np.float32),
}


def test_variables_come_back_by_name(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.bin", VARIABLES)
    found = read_ctranslate2(path)
    assert list(found) == list(VARIABLES)
    for name, value in VARIABLES.items():
        assert torch.equal(found[name], torch.from_numpy(value))
    assert list(read_ctranslate2(path, "encoder/")) == ["weight", "heads"]


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "model.bin", VARIABLES).read_bytes()
    (tmp_path / "part").write_bytes(whole[:-60])
    (tmp_path / "text").write_text("not a model at all, but long enough to be one")
    (tmp_path / "empty").touch()
    write_model(tmp_path / "old", VARIABLES, version=5)
    for name in ("part", "text", "old"):
        with pytest.raises(WeightsError, match=r"model\.bin.*joined"):
            read_ctranslate2(tmp_path / name)
    for name in ("empty", "missing"):
        with pytest.raises(WeightsError, match=name):
            read_ctranslate2(tmp_path / name)
