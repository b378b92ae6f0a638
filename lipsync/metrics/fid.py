"""FID, the Fréchet Inception distance: how alike the pictures of two sets are, as sets.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017. Each picture becomes a vector; the two clouds of vectors are compared by their means
and covariances. The network is InceptionV3 as torch-fidelity carries it, which gives the vectors
of the original TensorFlow graph, resizing included; pytorch-fid, which Wav2Lip's authors used,
resizes a little differently.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from lipsync.errors import InputError, ToolError, WeightsError
from lipsync.media import VideoReader, open_video
from lipsync.media.video.images import IMAGE_SUFFIXES
from lipsync.metrics.base import MetricSpec, Region, check_pair
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import FloatArray, Frame
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights import require
from lipsync.weights.checkpoint import load_state_dict

Features: TypeAlias = Callable[[npt.NDArray[np.uint8]], FloatArray]
"""Pictures (N, H, W, 3) RGB uint8 -> vectors (N, D), one a picture."""
RELIABLE_FRAMES = 2048
"""With fewer pictures than the vectors have entries the covariance is not full, and FID too high:
then only figures of equally many frames compare."""
_BATCH_BYTES = 64 << 20
_BATCH = 16
_ROWS = 4096  # of vectors, 32 MB


class Moments:
    """Running mean and covariance of vectors, in float64; takes any number of them.

    Batches are joined as Chan, Golub and LeVeque do ("Updating Formulae and a Pairwise Algorithm
    for Computing Sample Variances", 1979), which loses no digits where a mean is large.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: npt.NDArray[np.float64] = np.zeros(0)
        self._scatter: npt.NDArray[np.float64] = np.zeros((0, 0))

    def add(self, vectors: npt.NDArray[np.floating]) -> None:
        """Count vectors (N, D)."""
        if not len(vectors):
            return
        batch = vectors.astype(np.float64)
        if not self.count:
            self.mean, self._scatter = np.zeros(batch.shape[1]), np.zeros((batch.shape[1],) * 2)
        mean = batch.mean(0)
        apart, total = mean - self.mean, self.count + len(batch)
        batch -= mean
        self._scatter += batch.T @ batch
        self._scatter += np.outer(apart, apart) * (self.count * len(batch) / total)
        self.mean = self.mean + apart * (len(batch) / total)
        self.count = total

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """(D, D), unbiased; zero for a single vector."""
        return self._scatter / max(1, self.count - 1)


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½) of two clouds; 0 for equal ones, NaN where one is empty.

    Dowson and Landau, "The Fréchet Distance between Multivariate Normal Distributions", 1982. The
    root's trace is taken as that of (S1^½ S2 S1^½)^½, which is symmetric: its eigenvalues are real
    and not negative, while rounding can make those of S1 S2 complex.
    """
    if not one.count or not other.count:
        return float("nan")
    first, second = one.covariance, other.covariance
    values, axes = np.linalg.eigh(first)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    together = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    apart = np.square(one.mean - other.mean).sum()
    return max(0.0, float(apart + np.trace(first) + np.trace(second) - 2 * together))


def load_inception(
    weights: Path | None = None,
    device: torch.device | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Features:
    """The network that FID is defined with, giving vectors of 2048.

    Args:
        weights: where they are not the catalogue's `inception_fid`.

    Raises:
        ToolError: the package torch-fidelity, which carries the network, is not installed.
        WeightsError: the weights are absent and cannot be had, or of another network.
    """
    path = weights or require("inception_fid", progress=progress, cancel=cancel)
    state = load_state_dict(path)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        hint = "Run `pip install torch-fidelity`, or leave this figure out."
        raise ToolError("FID needs the package torch-fidelity", given=str(error), hint=hint) from error
    # The package unpickles whatever file it is given. So it gets, from memory, what was read safely.
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    try:
        network = FeatureExtractorInceptionV3(
            "inception-v3", ["2048"], feature_extractor_weights_path=checked
        )
    except RuntimeError as error:
        hint = "Use pt_inception-2015-12-05-6726825d.pth."
        raise WeightsError("The weights are not those of FID's InceptionV3", given=path, hint=hint) from error
    place = device or torch.device("cpu")
    network = network.to(place)

    @torch.inference_mode()
    def features(pictures: npt.NDArray[np.uint8]) -> FloatArray:
        pixels = torch.from_numpy(np.ascontiguousarray(pictures)).to(place).permute(0, 3, 1, 2)
        [vectors] = network(pixels)
        return np.asarray(vectors.float().cpu().numpy(), np.float32)

    return features


class Fid:
    """FID of all results against all references; 0 for equal sets, lower is better.

    Args:
        features: the network; None loads InceptionV3, with `weights`, `device` and the rest.
    """

    spec = MetricSpec(
        "fid",
        "FID",
        "",
        higher_is_better=False,
        perfect=0.0,
        bounds=(0.0, np.inf),
        regional=False,
        weights="inception_fid",
        of_sets=True,
        digits=2,
        what="how alike the frames of results and sources are, as sets",
    )

    def __init__(
        self,
        features: Features | None = None,
        weights: Path | None = None,
        device: torch.device | None = None,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> None:
        network = features or load_inception(weights, device, progress, cancel)
        self._moments = Moments(), Moments()
        self._results, self._references = (_Batches(network, moments.add) for moments in self._moments)

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Count one frame of either set."""
        check_pair(self.spec, result, reference, where)
        self._results.add(result)
        self._references.add(reference)

    def compute(self) -> float:
        """The distance of the two sets."""
        self._results.flush()
        self._references.flush()
        return frechet_distance(*self._moments)


@dataclass(frozen=True)
class FidScore:
    """FID of two sets.

    Attributes:
        fid: the distance.
        frames, reference_frames: pictures of either set; under `RELIABLE_FRAMES` the figure is too
            high, and only comparable with those of as many.
    """

    fid: float
    frames: int
    reference_frames: int

    @property
    def reliable(self) -> bool:
        """Whether there are enough pictures for figures of papers to be compared with."""
        return min(self.frames, self.reference_frames) >= RELIABLE_FRAMES


def measure_fid(
    result: Path,
    reference: Path,
    features: Features | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> FidScore:
    """FID between two videos, photos, or folders of pictures; sizes and lengths may differ.

    Frames are read once, a batch at a time.

    Raises:
        InputError: a folder holds no picture.
        MediaError: a file cannot be read.
        ToolError, WeightsError: as `load_inception`, where no `features` are given.
        Cancelled: the user stopped it.
    """
    network = features or load_inception(progress=progress, cancel=cancel)
    one, other = (add_moments(path, network, Moments(), progress, cancel) for path in (result, reference))
    return FidScore(frechet_distance(one, other), one.count, other.count)


def add_moments(
    path: Path,
    features: Features,
    moments: Moments,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Moments:
    """Count all pictures of a video, a photo or a folder of pictures in `moments`, and give it back."""
    cancel = cancel or CancelToken()
    total, frames = _frames_of(path, cancel)
    _see(frames, features, moments.add, StageProgress("Measuring FID", total, progress, cancel))
    return moments


def save_features(
    picture: VideoReader,
    features: Features,
    target: Path,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> None:
    """Write the vectors of all frames of a video, float32 (T, D), as a NumPy file; whole or not at all.

    FID of many videos is that of all their frames together, and one of them may be judged later.
    """
    cancel = cancel or CancelToken()
    stage = StageProgress("Measuring FID", picture.frame_count, progress, cancel)
    rows: npt.NDArray[np.float32] | None = None
    first = 0
    with atomic_write(target) as part:

        def keep(vectors: FloatArray) -> None:
            nonlocal rows, first
            if rows is None:
                shape = (picture.frame_count, vectors.shape[1])
                rows = np.lib.format.open_memmap(part, "w+", np.float32, shape)
            rows[first : first + len(vectors)] = vectors
            first += len(vectors)

        frames = picture.read(np.arange(picture.frame_count), cancel=cancel)
        _see(frames, features, keep, stage)
        rows = None  # writes it out


def add_saved(target: Path, moments: Moments) -> None:
    """Count the vectors of a file of `save_features` in `moments`, a part at a time."""
    rows = np.load(target, mmap_mode="r")
    for first in range(0, len(rows), _ROWS):
        moments.add(rows[first : first + _ROWS])


def _see(
    frames: Iterable[Frame], features: Features, take: Callable[[FloatArray], None], stage: StageProgress
) -> None:
    """Hand the vectors of all frames to `take`, a batch at a time."""
    batches = _Batches(features, take)
    for frame in frames:
        batches.add(frame)
        stage.advance()
    batches.flush()


class _Batches:
    """Gathers frames into batches of one size, and hands on what the network makes of them."""

    def __init__(self, features: Features, take: Callable[[FloatArray], None]) -> None:
        self._features, self._take = features, take
        self._waiting: list[Frame] = []

    def add(self, frame: Frame) -> None:
        if self._waiting and self._waiting[0].shape != frame.shape:
            self.flush()
        self._waiting.append(frame)
        if len(self._waiting) >= max(1, min(_BATCH, _BATCH_BYTES // frame.nbytes)):
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._take(self._features(np.stack(self._waiting)))
            self._waiting.clear()


def _frames_of(path: Path, cancel: CancelToken) -> tuple[int, Iterable[Frame]]:
    """How many pictures, and the pictures."""
    if not path.is_dir():
        picture = open_video(path)
        return picture.frame_count, picture.read(np.arange(picture.frame_count), cancel=cancel)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        hint = f"It needs files that end in {', '.join(IMAGE_SUFFIXES)}."
        raise InputError("The folder holds no picture", given=path, hint=hint)
    return len(files), _stills(files, cancel)


def _stills(files: Iterable[Path], cancel: CancelToken) -> Iterator[Frame]:
    for file in files:
        yield from open_video(file).read([0], cancel=cancel)
