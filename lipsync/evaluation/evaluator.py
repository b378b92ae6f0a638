"""Evaluation of one result: sync score, LSE, and image metrics against its source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lipsync.devices import choose_device
from lipsync.errors import (
    Cancelled,
    InputError,
    LipsyncError,
    NoAudioError,
    NoFaceError,
    OptionError,
    ToolError,
    WeightsError,
)
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.frame_comparison import (
    RegionMetric,
    compare_frames,
    generated_region,
    match_frames,
)
from lipsync.evaluation.lip_evaluation import LipMaterial, observe_lips
from lipsync.evaluation.options import EvaluatorOptions as EvaluatorOptions
from lipsync.evaluation.table import REGIONS, ClipResult, metric_key
from lipsync.faces import DETECTORS
from lipsync.inspection.faces import track_video_faces
from lipsync.inspection.report import measure_sync
from lipsync.media import VideoReader, open_audio, open_video, plan_timeline
from lipsync.metrics.base import Metric, MetricSpec, metric_spec
from lipsync.metrics.fid import FeatureExtractor, load_inception, save_features
from lipsync.metrics.lip_base import measure_lips
from lipsync.metrics.lip_locator import LipLocator
from lipsync.metrics.lse import LseScore
from lipsync.metrics.lse_tracks import TrackOptions, evaluate_frames, evaluate_tracks, mean_lse
from lipsync.options import FaceOptions, SyncOptions
from lipsync.progress import CancelToken, ProgressCallback, StageProgress, ignore_progress
from lipsync.registries import METRICS
from lipsync.speech import Transcript, transcribe
from lipsync.sync_score import SyncNet, load_syncnet
from lipsync.types import AudioClip, IntArray, SyncScore
from lipsync.weights import find, require

Values = dict[str, float]
_PAIRED = (
    "With the source's own voice the model's input contains the true mouth, so image metrics are too "
    "favourable."
)


def chosen_metrics(options: EvaluatorOptions) -> tuple[str, ...]:
    """Names of the metrics to measure: those named, else those of the switches and the defaults."""
    switches = {
        "psnr": options.pictures,
        "ssim": options.pictures,
        "fid": options.fid,
        "lpips": options.lpips,
    }
    if options.metrics:
        return options.metrics
    return tuple(name for name in METRICS if switches.get(name, metric_spec(name).by_default))


@dataclass
class Evaluator:
    """Evaluator of single results; networks are loaded on first use.

    Args:
        options: the metrics to measure.
        run: settings that the results were made with: for their timeline, and the generated region.
        extractor: FID's network; None is InceptionV3.
        notes: reasons why metrics cannot be measured for any result; filled by the evaluator.
    """

    options: EvaluatorOptions
    run: SyncOptions
    extractor: FeatureExtractor | None = None
    progress: ProgressCallback = ignore_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    notes: list[str] = field(default_factory=list)
    _syncnet: SyncNet | None = None
    _locator: LipLocator | None = None
    _sources: dict[Path, SyncScore | None] = field(default_factory=dict)
    _available: set[str] = field(default_factory=set)
    _metrics: dict[str, MetricSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.options.lse and self._weights_available("syncnet_v2", "LSE"):
            self._available.add("lse")
        for name in chosen_metrics(self.options):
            spec = metric_spec(name)
            has_network = spec.of_sets and self.extractor is not None
            if has_network or not spec.weights or self._weights_available(spec.weights, spec.title):
                self._metrics[name] = spec

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measured metrics; part of the key under which values are stored.

        PSNR and SSIM together are called "pictures", as in values stored by earlier versions.
        """
        names = set(self._metrics)
        pictures = {"psnr", "ssim"} <= names
        names -= {"psnr", "ssim"} if pictures else set()
        names |= {"lips"} if self.options.lips else set()
        names |= {"closures"} if self.options.lips and self.options.closures else set()
        first = (*(["sync"] if self.options.sync else []), *(["pictures"] if pictures else []))
        return (*first, *sorted(self._available | names))

    def evaluate(
        self,
        pair: Pair,
        variant: str,
        result: Path,
        *,
        reference: Path | None = None,
        features: Path | None = None,
    ) -> ClipResult:
        """Measure one result. Values that cannot be measured are left out, and a note says why.

        Args:
            reference: compare with this video, by time, instead of the pair's own.
            features: folder for the feature vectors of the frames, for FID over many clips.

        Raises:
            MediaError: the result cannot be read.
            Cancelled: the token was cancelled.
        """
        video = open_video(result)
        values: Values = {}
        notes: list[str] = []
        score: SyncScore | None = None
        tracks: list[Values] = []

        def attempt(name: str, make: Callable[[], Values]) -> None:
            try:
                values.update(make())
            except Cancelled:
                raise
            except LipsyncError as error:
                notes.append(f"{name}: {error}")

        def sync() -> Values:
            nonlocal score
            score = self._sync(video, self._audio(result, pair))
            return _sync_values(score)

        if self.options.sync:
            attempt("Sync", sync)
            if reference or result != pair.video:
                attempt("Sync of the source", lambda: self._source_sync(reference or pair.video))
            if score and score.confidence is None:
                notes.append(f"Sync: {score.words}")
        if "lse" in self._available:
            attempt("LSE", lambda: self._lse(result, pair, tracks))
        if self.options.lips:
            attempt("Lips", lambda: self._lips(result, pair, reference, notes))
        if reference or result != pair.video:  # else there is nothing to compare with
            has_truth = reference is not None or pair.own_voice
            if any(not spec.of_sets for spec in self._metrics.values()):
                attempt("Comparison", lambda: self._compare(video, pair, reference, has_truth))
                if has_truth and reference is None and _PAIRED not in self.notes:
                    self.notes.append(_PAIRED)
            if "fid" in self._metrics and features:
                attempt("FID", lambda: self._save_features(video, reference or pair.video, features))
        curve = tuple(zip(score.times, score.curve, strict=True)) if score else ()
        return ClipResult(
            pair,
            variant,
            result,
            values,
            tuple(notes),
            curve=curve,
            tracks=tuple(tracks) if len(tracks) > 1 else (),
        )

    # --- lip sync ---------------------------------------------------------------------------------

    def _audio(self, result: Path, pair: Pair) -> AudioClip:
        """The audio of the result; the pair's voice if it has none."""
        try:
            return open_audio(result).read(cancel=self.cancel)
        except NoAudioError:
            return open_audio(pair.voice).read(cancel=self.cancel)

    def _sync(self, video: VideoReader, audio: AudioClip) -> SyncScore:
        faces = FaceOptions()
        track = track_video_faces(video, faces, self.options.device, self.progress, self.cancel).track
        return measure_sync(video, audio, track, faces, self.progress, self.cancel)

    def _lips(self, result: Path, pair: Pair, reference: Path | None, notes: list[str]) -> Values:
        """Metrics of lips, against the source where the result has one."""
        video, audio = open_video(result), self._audio(result, pair)
        source, matches, faces = None, np.arange(video.frame_count), FaceOptions()
        if reference or result != pair.video:
            source, faces = (
                open_video(reference) if reference else open_video(pair.video, self.run.media),
                self.run.faces,
            )
            matches = match_pair_frames(video, source, pair, self.run, by_time=reference is not None)
        own_voice = reference is not None or pair.own_voice
        material = LipMaterial(video, source, matches, faces, self.run.blend, own_voice)
        transcript = self._transcript(audio, notes) if self.options.closures and not own_voice else None
        if self._locator is None:
            self._locator = LipLocator()
        observed = observe_lips(
            material,
            audio,
            self._locator,
            transcript,
            device=self.options.device,
            progress=self.progress,
            cancel=self.cancel,
        )
        return measure_lips(observed)

    def _transcript(self, audio: AudioClip, notes: list[str]) -> Transcript | None:
        """What is said, with word times; None, and a note, where no model can write it down."""
        try:
            return transcribe(audio, self.run.transcript, self.progress, self.cancel)
        except (ToolError, WeightsError, OptionError) as error:
            notes.append(f"Closures: {error}")
            return None

    def _source_sync(self, source: Path) -> Values:
        """Confidence of the source with its own audio; measured once per source."""
        if source not in self._sources:
            self._sources[source] = None
            video = open_video(source)
            if not video.is_still and video.info.has_audio:
                try:
                    audio = open_audio(source).read(cancel=self.cancel)
                    self._sources[source] = self._sync(video, audio)
                except NoFaceError:
                    pass
        score = self._sources[source]
        if score is None or score.confidence is None:
            return {}
        return {"source_confidence": score.confidence}

    def _lse(self, result: Path, pair: Pair, tracks: list[Values]) -> Values:
        """LSE of the whole video; that of each face track is added to `tracks`."""
        if self._syncnet is None:
            self._syncnet = load_syncnet(require("syncnet_v2"), choose_device(self.options.device))
        if pair.whole_frame:
            score: LseScore | None = evaluate_frames(result, self._syncnet, cancel=self.cancel).score
        else:
            detector = DETECTORS.create("centerface", weights=None, device=choose_device(self.options.device))
            scores = evaluate_tracks(
                result, self._syncnet, detector, progress=self.progress, cancel=self.cancel
            )
            score = mean_lse(scores)
            tracks += [
                {"start": track.start, "end": track.end, **_lse_values(track.score)} for track in scores
            ]
        if score is None:
            least = TrackOptions()
            raise InputError(
                f"No face track is {least.min_frames} frames long and {least.min_side:g} pixels wide"
            )
        return _lse_values(score)

    # --- image metrics ----------------------------------------------------------------------------

    def _compare(self, result: VideoReader, pair: Pair, reference: Path | None, has_truth: bool) -> Values:
        media = self.run.media
        source = open_video(reference) if reference else open_video(pair.video, media)
        matches = match_pair_frames(result, source, pair, self.run, by_time=reference is not None)
        metrics = {
            metric_key(name, region): RegionMetric(self._create_metric(name), region)
            for name, spec in self._metrics.items()
            if not spec.of_sets
            for region in (REGIONS if spec.regional else ("",))
            if has_truth or region == "outside"  # the source's mouth is not the ground truth
        }
        region_of = generated_region(
            source, self.run.faces, self.run.blend, self.options.device, self.progress, self.cancel
        )
        stage = StageProgress("Comparing frames", len(matches), self.progress, self.cancel)
        values = compare_frames(result, source, matches, metrics, region_of, stage)
        return {key: value for key, value in values.items() if not math.isnan(value)}

    def _create_metric(self, name: str) -> Metric:
        if self._metrics[name].weights:
            return METRICS.create(name, device=choose_device(self.options.device))
        return METRICS.create(name)

    def _save_features(self, result: VideoReader, source: Path, folder: Path) -> Values:
        network = self.feature_extractor()
        save_features(result, network, folder / "results.npy", self.progress, self.cancel)
        save_features(open_video(source), network, folder / "sources.npy", self.progress, self.cancel)
        return {}

    def feature_extractor(self) -> FeatureExtractor:
        """FID's network, loaded at the first call."""
        if self.extractor is None:
            device = choose_device(self.options.device)
            self.extractor = load_inception(device=device, progress=self.progress, cancel=self.cancel)
        return self.extractor

    def _weights_available(self, weights: str, title: str) -> bool:
        """Whether weights are on this machine or could be downloaded; else adds a note."""
        if find(weights):
            return True
        try:
            if self.options.download:
                require(weights, progress=self.progress, cancel=self.cancel)
                return True
            self.notes.append(
                f"{title} was not measured: the weights '{weights}' are not on this machine "
                "(--download gets them)."
            )
        except LipsyncError as error:
            self.cancel.check()
            self.notes.append(f"{title} was not measured: {error}")
        return False


def match_pair_frames(
    result: VideoReader, source: VideoReader, pair: Pair, run: SyncOptions, *, by_time: bool = False
) -> IntArray:
    """The source frame that each frame of a pair's result shows, int64 (T,); see `match_frames`.

    Args:
        run: settings that the result was made with.
        by_time: match by time, whatever the voice.
    """
    if by_time or pair.own_voice:
        return match_frames(result, source)
    voice = open_audio(pair.voice, run.media.voice_ranges, run.media.voice_shift / 1000)
    timeline = plan_timeline(
        source.frame_count, voice.duration, source.fps, run.media.length_mode, still=source.is_still
    )
    return match_frames(result, source, timeline)


def _lse_values(score: LseScore) -> Values:
    return {"lse_d": score.distance, "lse_c": score.confidence, "lse_offset": float(score.offset)}


def _sync_values(score: SyncScore) -> Values:
    if score.distance is None or score.confidence is None or score.offset_ms is None:
        return {}
    return {
        "sync_distance": score.distance,
        "sync_confidence": score.confidence,
        "offset_ms": score.offset_ms,
    }
