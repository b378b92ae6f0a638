"""Training: from a folder of videos to weights.

    videos -> prepare -> a set on disk -> correct_lags -> train_builtin -> export_builtin -> weights file

Every long step is resumable and takes a `stop`; figures come through `report`. What is trained is a
`loop.Task`; `loop.train` trains any of them.
"""

from lipsync.training.builtin import BuiltinOptions, correct_lags, export_builtin, train_builtin
from lipsync.training.dataset import TrainingSet, read_set
from lipsync.training.loop import LoopOptions, Outcome, Task, train
from lipsync.training.lrs_export import write_lrs_layout
from lipsync.training.prepare import Prepared, PrepareOptions, prepare
from lipsync.training.sources import Source, find_sources

__all__ = [
    "BuiltinOptions",
    "LoopOptions",
    "Outcome",
    "PrepareOptions",
    "Prepared",
    "Source",
    "Task",
    "TrainingSet",
    "correct_lags",
    "export_builtin",
    "find_sources",
    "prepare",
    "read_set",
    "train",
    "train_builtin",
    "write_lrs_layout",
]
