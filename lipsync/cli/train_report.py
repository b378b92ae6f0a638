"""What training commands print: figures and progress, and how a run ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm

from lipsync.cli.process import EXIT_CANCELLED
from lipsync.cli.terminal import ProgressBar
from lipsync.progress import CancelToken, Progress
from lipsync.training import Outcome


def print_size(path: Path, size: int) -> None:
    """Print a written file and its size in bytes."""
    print(f"{path}\n{size / 1e6:.1f} MB")


def stop_when(cancel: CancelToken) -> Callable[[], bool]:
    """The `stop` of a training run that ends it on a cancel."""
    return lambda: cancel.cancelled


def print_outcomes(run: Path, outcomes: Mapping[str, Outcome], cancel: CancelToken) -> int:
    """Print how each stage ended; returns the exit status."""
    for stage, outcome in outcomes.items():
        state = "all steps done" if outcome.finished else "can be resumed"
        print(f"{run}: {stage}, {outcome.step} steps, {state}, best score {outcome.best:.4g}")
    return print_how_to_resume() if cancel.cancelled else 0


def print_how_to_resume() -> int:
    """Print that a stopped command resumes; returns the exit status."""
    print("Stopped; what is done is saved. The same command resumes from there.", file=sys.stderr)
    return EXIT_CANCELLED


class FigureReport:
    """Printer of training figures, a line each, above a progress bar of the steps.

    Args:
        steps: of each stage, by the first word of its name.
    """

    def __init__(self, steps: Mapping[str, int]) -> None:
        self._steps, self._bar = steps, ProgressBar()

    def __enter__(self) -> FigureReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def report(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        """Print the figures of one step; the callback of `train_builtin`."""
        values = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        tqdm.write(f"{stage}, step {step}: {values}", file=sys.stderr)
        self._bar.update(Progress(stage, step, self._steps.get(stage.split(" ")[0], 0), unit="step"))

    def progress(self, progress: Progress) -> None:
        """Show the progress of what comes before the steps."""
        self._bar.update(progress)

    def of(self, stage: str) -> Callable[[int, dict[str, float]], None]:
        """The callback of a `TrainingRun` for one stage."""
        return lambda step, figures: self.report(stage, step, figures)
