from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lipsync.errors import OutputError, WeightsError
from lipsync.sync_score import (
    CompactSyncNet,
    CompactSyncNetConfig,
    SyncExpert,
    SyncNetColor,
    embed_clip,
    load_expert,
    save_expert,
)

SMALL = CompactSyncNetConfig(width=8, seen=16, size=24)


def random_expert(kind: str) -> nn.Module:
    torch.manual_seed(0)
    expert = CompactSyncNet(SMALL) if kind == "compact" else SyncNetColor()
    return expert.eval()


@pytest.mark.parametrize("kind", ["compact", "wav2lip"])
def test_a_clip_is_embedded_like_its_single_windows(kind: str) -> None:
    expert = random_expert(kind)
    assert isinstance(expert, SyncExpert)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (9, 48, 96, 3), dtype=np.uint8)
    mel = rng.normal(size=(5, 80, 16)).astype(np.float32)
    video, audio = embed_clip(expert, faces, mel, batch=4)
    assert len(video) == len(audio) == 5
    np.testing.assert_allclose(np.linalg.norm(video, axis=1), 1, atol=1e-5)
    for start in range(5):
        window = torch.from_numpy(faces[start : start + 5]).permute(3, 0, 1, 2)[None].float() / 255
        with torch.inference_mode():
            np.testing.assert_allclose(expert.embed_faces(window)[0].numpy(), video[start], atol=1e-5)
            window = expert.embed_audio(torch.from_numpy(mel[start])[None, None])
        np.testing.assert_allclose(window[0].numpy(), audio[start], atol=1e-5)


@pytest.mark.parametrize("kind", ["compact", "wav2lip"])
def test_gradients_reach_the_frames_through_a_frozen_expert(kind: str) -> None:
    expert = random_expert(kind).requires_grad_(False)
    assert isinstance(expert, SyncExpert)
    windows = torch.rand(2, 3, 5, 64, 128, requires_grad=True)
    similarity = (expert.embed_faces(windows) * expert.embed_audio(torch.randn(2, 1, 80, 16))).sum()
    similarity.backward()
    assert windows.grad is not None and windows.grad.abs().sum() > 0


def test_the_compact_expert_is_saved_and_loaded(tmp_path: Path) -> None:
    expert, path = random_expert("compact"), tmp_path / "expert.safetensors"
    assert isinstance(expert, CompactSyncNet)
    assert save_expert(expert, path, {"seed": "1"}) == path.stat().st_size
    loaded = load_expert(path)
    assert isinstance(loaded, CompactSyncNet) and loaded.config == SMALL
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    windows = torch.rand(1, 3, 5, 48, 96)
    torch.testing.assert_close(loaded.embed_faces(windows), expert.embed_faces(windows), atol=5e-3, rtol=0)
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_expert_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"half of a file")
    torch.save({"state_dict": {"some.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    for name, words in (("none.pth", "missing"), ("broken.pth", "damaged"), ("other.pth", "sync expert")):
        with pytest.raises(WeightsError, match=words):
            load_expert(tmp_path / name)
    expert = random_expert("compact")
    assert isinstance(expert, CompactSyncNet)
    with pytest.raises(OutputError, match="cannot be written"):
        save_expert(expert, tmp_path / "other.pth" / "expert.safetensors")  # a file, not a folder
