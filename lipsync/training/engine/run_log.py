"""Logs of a training run: `log.jsonl` and TensorBoard."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from lipsync.training.engine.checkpoint import explain_write_errors, run_error
from lipsync.utils.atomic_write import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_LOG = logging.getLogger(__name__)
_RENAMED_KINDS = {"training": "train", "held_out": "val"}
"""Kinds of figures in logs of earlier releases and their current names."""

Figures = dict[str, float]


class RunLog:
    """Log of a training run, which continues at a given step.

    Each line of `log.jsonl` is {"step": n, "train": {name: value}, "val": {name: value}}, of which
    either may be missing.

    Args:
        folder: of the run.
        step: where the run resumes; entries beyond it are dropped, since those steps come again.
        tensorboard: also write the folder `tensorboard`, where the package is installed. A run that
            an earlier release logged into `board` continues there, so that its curves stay whole.

    Raises:
        OutputError: the log cannot be read or written.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        self._log = folder / "log.jsonl"
        events = folder / "board" if (folder / "board").is_dir() else folder / "tensorboard"
        with explain_write_errors(self._log):
            _drop_after(step, self._log)
            self._writer = _open_writer(events, step) if tensorboard else None

    @property
    def takes_images(self) -> bool:
        """Whether images are logged anywhere."""
        return self._writer is not None

    def add(self, step: int, figures: dict[str, Figures], images: dict[str, Tensor]) -> None:
        """Log one step.

        Args:
            figures: by kind, "train" or "val".
            images: by name, each (N, 3, H, W) in [0, 1].

        Raises:
            DiskFullError, OutputError: the log cannot be written.
        """
        with explain_write_errors(self._log):
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step, **figures}) + "\n")
            if self._writer is not None:
                _write_events(self._writer, step, figures, images)

    def close(self) -> None:
        """Flush and close TensorBoard's writer."""
        if self._writer is not None:
            self._writer.close()


def read_run_log(folder: Path) -> list[tuple[float, dict[str, Figures]]]:
    """The steps of a run's `log.jsonl` with their figures by kind.

    Lines cut short by a kill are skipped.

    Logs of earlier releases are read too, their kinds given today's names.
    """
    path = folder / "log.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    entries = []
    for line in lines:
        step = _step_of(line)
        if step < float("inf"):
            parsed: dict[str, Figures] = json.loads(line)
            kinds = {
                _RENAMED_KINDS.get(kind, kind): value for kind, value in parsed.items() if kind != "step"
            }
            entries.append((step, kinds))
    return entries


def _drop_after(step: int, log: Path) -> None:
    """Keep the lines up to `step`; a line cut short by a kill goes too."""
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


def _open_writer(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _LOG.warning("TensorBoard is not installed: figures go to log.jsonl only (pip install tensorboard).")
        return None
    # `purge_step` makes TensorBoard hide what an earlier run logged from this step on.
    return SummaryWriter(str(folder), purge_step=step + 1)


def _write_events(
    writer: SummaryWriter, step: int, figures: dict[str, Figures], images: dict[str, Tensor]
) -> None:
    for kind, values in figures.items():
        for name, value in values.items():
            writer.add_scalar(f"{kind}/{name}", value, step)
    for name, image in images.items():
        writer.add_images(name, image.detach().float().clamp(0, 1).cpu(), step)
    writer.flush()
