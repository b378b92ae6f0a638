"""FID, the Fréchet Inception distance between two sets of images.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017: InceptionV3 maps each image to a vector; the two sets of vectors are compared by mean
and covariance. The network is torch-fidelity's InceptionV3, which gives the vectors of the original
TensorFlow graph, resizing included; pytorch-fid, which Wav2Lip's authors used, resizes slightly
differently.
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
from lipsync.metrics.frechet import Moments, frechet_distance
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.types import FloatArray, Frame
from lipsync.utils.atomic_write import atomic_write
from lipsync.weights import require
from lipsync.weights.checkpoint import load_state_dict

FeatureExtractor: TypeAlias = Callable[[npt.NDArray[np.uint8]], FloatArray]
"""Images (N, H, W, 3) RGB uint8 -> vectors float32 (N, D)."""
_STAGE = "Measuring FID"
_BATCH_BYTES = 64 << 20
_BATCH = 16
_CHUNK_ROWS = 4096  # vectors, 32 MB


def load_inception(
    weights: Path | None = None,
    device: torch.device | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> FeatureExtractor:
    """Load the InceptionV3 that defines FID; its vectors have 2048 dimensions.

    Args:
        weights: None is the catalogue's `inception_fid`.
        device: None is the CPU.
        progress, cancel: of the download.

    Raises:
        ToolError: the package torch-fidelity, which holds the network, is not installed.
        WeightsError: the weights are missing and cannot be downloaded, or of another network.
    """
    path = weights or require("inception_fid", progress=progress, cancel=cancel)
    state = load_state_dict(path)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        hint = "Run `pip install torch-fidelity`, or leave this metric out."
        raise ToolError("FID needs the package torch-fidelity", given=str(error), hint=hint) from error
    # The package unpickles any file without checks. It is given the safely loaded weights, from memory.
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
    used_device = device or torch.device("cpu")
    network = network.to(used_device)

    @torch.inference_mode()
    def extract(images: npt.NDArray[np.uint8]) -> FloatArray:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(used_device).permute(0, 3, 1, 2)
        [vectors] = network(pixels)
        return np.asarray(vectors.float().cpu().numpy(), np.float32)

    return extract


class Fid:
    """FID between all result frames and all reference frames.

    0 for equal sets, lower is better.

    Args:
        extractor: the network; None loads InceptionV3 with the other arguments, see `load_inception`.
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
        what="distance between the frames of results and sources, as sets",
    )

    def __init__(
        self,
        extractor: FeatureExtractor | None = None,
        weights: Path | None = None,
        device: torch.device | None = None,
        progress: ProgressCallback = ignore_progress,
        cancel: CancelToken | None = None,
    ) -> None:
        network = extractor or load_inception(weights, device, progress, cancel)
        self._moments = Moments(), Moments()
        self._results, self._references = (_Batcher(network, moments.add) for moments in self._moments)

    def update(self, result: Frame, reference: Frame, where: Region | None = None) -> None:
        """Add one frame to either set; see `Metric.update`."""
        check_pair(self.spec, result, reference, where)
        self._results.add(result)
        self._references.add(reference)

    def compute(self) -> float:
        """The distance between the two sets."""
        self._results.flush()
        self._references.flush()
        return frechet_distance(*self._moments)


@dataclass(frozen=True)
class FidScore:
    """FID of two sets.

    Attributes:
        fid: the distance.
        frames, reference_frames: images of either set; with fewer than 2048, the dimensions of a
            vector, the covariance is singular and the figure too high: it is comparable only with
            figures of equally many.
    """

    fid: float
    frames: int
    reference_frames: int


def measure_fid(
    result: Path,
    reference: Path,
    extractor: FeatureExtractor | None = None,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> FidScore:
    """FID between two videos, photos, or folders of images; sizes and lengths may differ.

    Frames are read once, a batch at a time.

    Args:
        extractor: None loads InceptionV3.

    Raises:
        InputError: a folder holds no images.
        MediaError: a file cannot be read.
        ToolError, WeightsError: as `load_inception`, without an `extractor`.
        Cancelled: the token was cancelled.
    """
    network = extractor or load_inception(progress=progress, cancel=cancel)
    a, b = (add_moments(path, network, Moments(), progress, cancel) for path in (result, reference))
    return FidScore(frechet_distance(a, b), a.count, b.count)


def add_moments(
    path: Path,
    extractor: FeatureExtractor,
    moments: Moments,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> Moments:
    """Add all images of a video, a photo or a folder to `moments`, and return it.

    Raises:
        InputError, MediaError, Cancelled: as `measure_fid`.
    """
    cancel = cancel or CancelToken()
    total, frames = _read_images(path, cancel)
    _extract_all(frames, extractor, moments.add, StageProgress(_STAGE, total, progress, cancel))
    return moments


def save_features(
    video: VideoReader,
    extractor: FeatureExtractor,
    target: Path,
    progress: ProgressCallback = ignore_progress,
    cancel: CancelToken | None = None,
) -> None:
    """Write the vectors of all frames of a video as a NumPy file, float32 (T, D), atomically.

    FID of several videos is that of all their frames together; files allow single videos to be
    measured again.

    Raises:
        DiskFullError, OutputError: the file cannot be written.
        MediaError, Cancelled: as `measure_fid`.
    """
    cancel = cancel or CancelToken()
    stage = StageProgress(_STAGE, video.frame_count, progress, cancel)
    rows: npt.NDArray[np.float32] | None = None
    first = 0
    with atomic_write(target) as part:

        def write(vectors: FloatArray) -> None:
            nonlocal rows, first
            if rows is None:
                shape = (video.frame_count, vectors.shape[1])
                rows = np.lib.format.open_memmap(part, "w+", np.float32, shape)
            rows[first : first + len(vectors)] = vectors
            first += len(vectors)

        frames = video.read(np.arange(video.frame_count), cancel=cancel)
        _extract_all(frames, extractor, write, stage)
        rows = None  # closes the memory map, which flushes it


def add_saved(target: Path, moments: Moments) -> None:
    """Add the vectors of a file of `save_features` to `moments`, in chunks."""
    rows = np.load(target, mmap_mode="r")
    for first in range(0, len(rows), _CHUNK_ROWS):
        moments.add(rows[first : first + _CHUNK_ROWS])


def _extract_all(
    frames: Iterable[Frame],
    extractor: FeatureExtractor,
    consume: Callable[[FloatArray], None],
    stage: StageProgress,
) -> None:
    """Pass the vectors of all frames to `consume`, a batch at a time."""
    batches = _Batcher(extractor, consume)
    for frame in frames:
        batches.add(frame)
        stage.advance()
    batches.flush()


class _Batcher:
    """Collects frames of one size into batches, and passes their vectors on."""

    def __init__(self, extractor: FeatureExtractor, consume: Callable[[FloatArray], None]) -> None:
        self._extractor, self._consume = extractor, consume
        self._frames: list[Frame] = []

    def add(self, frame: Frame) -> None:
        if self._frames and self._frames[0].shape != frame.shape:
            self.flush()
        self._frames.append(frame)
        if len(self._frames) >= max(1, min(_BATCH, _BATCH_BYTES // frame.nbytes)):
            self.flush()

    def flush(self) -> None:
        if self._frames:
            self._consume(self._extractor(np.stack(self._frames)))
            self._frames.clear()


def _read_images(path: Path, cancel: CancelToken) -> tuple[int, Iterable[Frame]]:
    """The number of images, and the images."""
    if not path.is_dir():
        video = open_video(path)
        return video.frame_count, video.read(np.arange(video.frame_count), cancel=cancel)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        hint = f"It needs files that end in {', '.join(IMAGE_SUFFIXES)}."
        raise InputError("The folder holds no images", given=path, hint=hint)
    return len(files), _read_files(files, cancel)


def _read_files(files: Iterable[Path], cancel: CancelToken) -> Iterator[Frame]:
    for file in files:
        yield from open_video(file).read([0], cancel=cancel)
