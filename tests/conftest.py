"""Fixtures every test may use. Material outside the repository is optional: tests skip without it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

MOST_WORKERS = 8
WORKER_BYTES = 3 << 30
"""Memory of one process, with the programs that its tests start."""
SHIPPED = sorted((Path(__file__).resolve().parents[1] / "weights").glob("*.safetensors"))
SHARED = Path(__file__).resolve().parents[2] / "shared"


def _cores() -> int:
    """Those that this process may use."""
    allowed = psutil.Process().cpu_affinity() if hasattr(psutil.Process, "cpu_affinity") else None
    return len(allowed or ()) or os.cpu_count() or 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` stands for: a process for each core, as far as memory goes."""
    fit = psutil.virtual_memory().total // WORKER_BYTES
    return max(1, min(_cores(), fit, MOST_WORKERS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: Sequence[object]) -> None:
    """Give each process its share of the cores, before it and what it starts import torch.

    Threads of different processes that wait for each other's cores are slower than one thread.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // len(specs))))


def _need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path.relative_to(SHARED.parent)} is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def golden() -> Callable[[str], npt.NDArray[np.generic]]:
    """`golden("mel")`: one array computed by the original code, see goldens/make.py."""
    arrays = np.load(Path(__file__).parent / "goldens" / "goldens.npz")
    return lambda name: arrays[name]


@pytest.fixture(scope="session")
def clip() -> Callable[[str], Path]:
    """`clip("grid_s1__bbaf2n.mp4")`: one real talking-face clip."""
    return lambda name: _need(SHARED / "data" / "clips" / name)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wav2Lip at a sixteenth of its width, in the official file format, with random weights.

    The same class and the same file as at full size, for an eighth of the time of a run. With so few channels
    most random weights lose the voice on the way; with these the mouth depends on it as much as at full size.
    """
    from benchmarks.common import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("thin"), width=1 / 16, gain=1.4, seed=12)


@pytest.fixture(scope="session")
def full_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at full width, as large as the official weights."""
    from benchmarks.common import random_checkpoint

    return random_checkpoint(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Faces that were seen, and the certificate of results, are kept in folders of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for weights, besides those that ship, and no way to get any."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for weights in SHIPPED:
        (folder / weights.name).symlink_to(weights)
    monkeypatch.setattr("lipsync.weights.locations.search_folders", lambda: (folder,))
    monkeypatch.setenv("LIPSYNC_WEIGHTS", str(folder))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody is there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return folder
