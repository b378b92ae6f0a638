"""Training: from a folder of videos to weights.

    videos -> prepare -> training set -> correct_av_offsets -> train_expert -> export_expert -> sync expert
    set + expert -> train_generator -> export_generator -> Wav2Lip generator
    one person's videos -> tune_person -> built-in model of that person
    set -> train_builtin -> export_builtin -> finetune_builtin (expert) -> export_finetuned -> built-in model

Every training run resumes from its folder. A network with its batches and losses is a `Task`; `train`
runs any of them.
"""

from lipsync.training.data.dataset import TrainingSet, read_set
from lipsync.training.data.lrs_export import write_lrs_layout
from lipsync.training.data.prepare import PreparedSet, PrepareOptions, prepare
from lipsync.training.data.sources import SourceVideo, find_sources
from lipsync.training.engine.loop import Outcome, train
from lipsync.training.engine.task import LoopOptions, Task, TrainingRun
from lipsync.training.tasks.av_offset import AvOffsetOptions, correct_av_offsets
from lipsync.training.tasks.builtin import (
    BuiltinOptions,
    export_builtin,
    export_finetuned,
    finetune_builtin,
    train_builtin,
)
from lipsync.training.tasks.builtin_finetune import FinetuneModels, FinetuneOptions
from lipsync.training.tasks.builtin_person import PersonOptions
from lipsync.training.tasks.export import export_expert, export_generator
from lipsync.training.tasks.person_tuning import PersonOutcome, tune_person
from lipsync.training.tasks.sync_expert import ExpertOptions, train_expert
from lipsync.training.tasks.wav2lip import train_generator
from lipsync.training.tasks.wav2lip_options import GeneratorTrainingOptions

__all__ = [
    "AvOffsetOptions",
    "BuiltinOptions",
    "ExpertOptions",
    "FinetuneModels",
    "FinetuneOptions",
    "GeneratorTrainingOptions",
    "LoopOptions",
    "Outcome",
    "PersonOptions",
    "PersonOutcome",
    "PrepareOptions",
    "PreparedSet",
    "SourceVideo",
    "Task",
    "TrainingRun",
    "TrainingSet",
    "correct_av_offsets",
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
    "tune_person",
    "write_lrs_layout",
]
