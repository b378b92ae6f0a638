from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from lipsync.generators.builtin.speech_encoder import SpeechEncoder
from lipsync.training.data.dataset import Clip, TrainingSet
from lipsync.training.data.mouth_shapes import ShapeSpace
from lipsync.training.tasks.av_offset import measure_with_openings
from tests.training.synthetic import COMPONENTS, make_clip


def clips_of_whom_one_is_late() -> list[Clip]:
    clips = [make_clip(f"p{seed}", "train", seed, frames=100) for seed in range(5)]
    late = np.concatenate([np.zeros(4 * 640, np.float32), clips[2].audio])[: len(clips[2].audio)]
    clips[2] = dataclasses.replace(clips[2], audio=late)
    return clips


def test_a_person_s_late_audio_is_found_by_what_others_do() -> None:
    kept_away = make_clip("q", "test", 5)
    rounds: list[float] = []
    offsets = measure_with_openings(
        TrainingSet([*clips_of_whom_one_is_late(), kept_away], ShapeSpace(COMPONENTS, 0.1)),
        None,
        lambda _, figures: rounds.append(figures["correlation"]),
    )
    assert offsets.keys() == {f"p{seed}" for seed in range(5)}
    assert offsets["p2"].audio_delay == pytest.approx(0.16, abs=0.03) and offsets["p2"].is_reliable
    others = [offset for person, offset in offsets.items() if person != "p2"]
    assert all(abs(offset.audio_delay) < 0.04 and not offset.is_reliable for offset in others)
    assert len(rounds) == 2 and rounds[1] > 0.8


def test_a_speech_encoder_can_listen_instead() -> None:
    torch.manual_seed(0)
    training = TrainingSet(clips_of_whom_one_is_late(), ShapeSpace(COMPONENTS, 0.1))
    offsets = measure_with_openings(training, SpeechEncoder(1, 16, 2).eval(), lambda *_: None)
    assert max(offset.peak for offset in offsets.values()) > 0.3
    # Random features tell little, and the mouth moves six times a second: a period off is no fault.
    assert offsets["p2"].audio_delay % (1 / 6) == pytest.approx(0.16, abs=0.04)


def test_one_person_alone_has_no_offset() -> None:
    clips = [make_clip("p", "train", seed) for seed in range(2)]
    training = TrainingSet(clips, ShapeSpace(COMPONENTS, 0.1))
    offset = measure_with_openings(training, None, lambda *_: None)["p"]
    assert offset.audio_delay == 0 and not offset.is_reliable
