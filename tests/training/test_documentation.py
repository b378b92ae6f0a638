"""Training commands in the documentation and on the model card are ones that the program knows."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from lipsync.cli.train import add_train_commands

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["docs/training.md", "weights/README.md"])
def test_every_command_is_understood(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_train_commands(parser)
    text = (ROOT / document).read_text("utf-8")
    commands = re.findall(r"(?:^|`)(?:python -m )?lipsync train (\w[^`\n]*)", text, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        parser.parse_args(shlex.split(command))
    assert capsys.readouterr().err == ""  # no flag of an earlier release
