"""What a training has measured, step by step: log.jsonl, and TensorBoard's files beside it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from lipsync.training.engine.checkpoint import explained, run_error
from lipsync.utils.atomic_write import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_LOG = logging.getLogger(__name__)


class RunLog:
    """Writes `log.jsonl` and, if asked to and possible, the folder `board` for TensorBoard.

    Each line of the log is {"step": n, "training": {figure: value}, "held_out": {figure: value}},
    of which one of the two may be missing.

    Args:
        folder: of the run.
        step: where the run goes on; what was noted beyond it is dropped, as it will come again.
        board: whether to write for TensorBoard.
    """

    def __init__(self, folder: Path, step: int, board: bool) -> None:
        self._log = folder / "log.jsonl"
        with explained(self._log):
            _drop_beyond(step, self._log)
            self._board = _open_board(folder / "board", step) if board else None

    @property
    def shows_pictures(self) -> bool:
        """Whether pictures go anywhere."""
        return self._board is not None

    def add(self, step: int, figures: dict[str, dict[str, float]], pictures: dict[str, Tensor]) -> None:
        """Note a step.

        Args:
            figures: by kind, "training" or "held_out".
            pictures: by name, each (N, 3, H, W) in [0, 1].

        Raises:
            OutputError: the disk is full or not writable.
        """
        with explained(self._log):
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step, **figures}) + "\n")
            if self._board is not None:
                _show(self._board, step, figures, pictures)

    def close(self) -> None:
        """Write out what TensorBoard's writer still holds."""
        if self._board is not None:
            self._board.close()


def _drop_beyond(step: int, log: Path) -> None:
    """Keep the lines up to `step`; a line that a kill cut short goes too."""
    if not log.exists():
        return
    kept = [line for line in log.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
    with atomic_write(log, explain=run_error) as part:
        part.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _open_board(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _LOG.warning("TensorBoard is not installed: figures go to log.jsonl only (pip install tensorboard).")
        return None
    # TensorBoard then hides what an earlier run showed from this step on.
    return SummaryWriter(str(folder), purge_step=step + 1)


def _show(
    board: SummaryWriter, step: int, figures: dict[str, dict[str, float]], pictures: dict[str, Tensor]
) -> None:
    for kind, values in figures.items():
        for name, value in values.items():
            board.add_scalar(f"{kind}/{name}", value, step)
    for name, picture in pictures.items():
        shown = picture.detach().float().clamp(0, 1).cpu()
        board.add_images(name, shown, step)
    board.flush()
