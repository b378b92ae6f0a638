"""Training: from a folder of videos to weights.

    videos -> prepare -> a set on disk -> correct_lags -> train_expert -> export_expert -> sync expert
    set + expert -> train_generator -> export_generator -> a generator of Wav2Lip's kind
    set -> train_builtin -> export_builtin -> built-in model -> tune_builtin (expert) -> export_tuned

Every long step is resumable and takes a `stop`; figures come through `report`. What is trained is a
`loop.Task`; `loop.train` trains any of them.
"""

from lipsync.training.data.av_offset import AvOffsetOptions, correct_lags
from lipsync.training.data.dataset import TrainingSet, read_set
from lipsync.training.data.lrs_export import write_lrs_layout
from lipsync.training.data.prepare import Prepared, PrepareOptions, prepare
from lipsync.training.data.sources import Source, find_sources
from lipsync.training.engine.loop import LoopOptions, Outcome, Task, train
from lipsync.training.tasks.builtin import (
    BuiltinOptions,
    export_builtin,
    export_finetuned,
    finetune_builtin,
    train_builtin,
)
from lipsync.training.tasks.builtin_finetune import FinetuneOptions
from lipsync.training.tasks.export import export_generator
from lipsync.training.tasks.sync_expert import ExpertOptions, train_expert
from lipsync.training.tasks.sync_expert_export import export_expert
from lipsync.training.tasks.wav2lip import GeneratorTraining, train_generator

__all__ = [
    "AvOffsetOptions",
    "BuiltinOptions",
    "ExpertOptions",
    "FinetuneOptions",
    "GeneratorTraining",
    "LoopOptions",
    "Outcome",
    "PrepareOptions",
    "Prepared",
    "Source",
    "Task",
    "TrainingSet",
    "correct_lags",
    "export_builtin",
    "export_expert",
    "export_finetuned",
    "export_generator",
    "find_sources",
    "finetune_builtin",
    "prepare",
    "read_set",
    "train",
    "train_builtin",
    "train_expert",
    "train_generator",
    "write_lrs_layout",
]
