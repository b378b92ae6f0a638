"""All figures of one result: sync, LSE, and the picture beside its source's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lipsync.devices import choose_device
from lipsync.errors import Cancelled, InputError, LipsyncError, NoAudioError, NoFaceError
from lipsync.evaluation.dataset import Pair
from lipsync.evaluation.frame_comparison import RegionMetric, compare, drawn_parts, in_step
from lipsync.evaluation.table import REGIONS, ClipResult, metric_key
from lipsync.faces import DETECTORS
from lipsync.inspection.faces import track_video_faces
from lipsync.inspection.report import measure_sync
from lipsync.media import VideoReader, open_audio, open_video, plan_timeline
from lipsync.metrics.base import Metric, MetricSpec, metric_spec
from lipsync.metrics.fid import FeatureExtractor, load_inception, save_features
from lipsync.metrics.lse import LseScore
from lipsync.metrics.lse_tracks import TrackOptions, evaluate_frames, evaluate_tracks, mean_lse
from lipsync.options import DEVICES, FaceOptions, OptionGroup, SyncOptions, option
from lipsync.progress import CancelToken, ProgressCallback, ignore_progress
from lipsync.registries import METRICS
from lipsync.sync_score import SyncNet, load_syncnet
from lipsync.types import AudioClip, IntArray, SyncScore
from lipsync.weights import find, require

Figures = dict[str, float]
_PAIRED = (
    "With the source's own voice a model sees the right mouth in its input; figures of pictures then "
    "flatter it."
)


@dataclass(frozen=True)
class EvaluatorOptions(OptionGroup):
    """What is measured."""

    sync: bool = option(True, "sync distance, confidence and offset, by our own expert")
    lse: bool = option(True, "LSE-D, LSE-C and offset, where SyncNet's weights are on this machine")
    pictures: bool = option(True, "PSNR and SSIM against the source, in step")
    fid: bool = option(True, "FID against the sources, where InceptionV3's weights are on this machine")
    lpips: bool = option(
        False, "LPIPS against the source (slow), where AlexNet's weights are on this machine"
    )
    metrics: tuple[str, ...] = option(
        (), "metrics against the source by name, in place of the switches above", choices=METRICS
    )
    download: bool = option(False, "fetch the weights that figures need, where they are absent")
    device: str = option("auto", "where networks run", choices=DEVICES)


def chosen_metrics(options: EvaluatorOptions) -> tuple[str, ...]:
    """The metrics that `options` ask for: those named, else those of the switches and the defaults."""
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
    """Measures results, one by one; a network is loaded when it is first needed.

    Args:
        options: what is measured.
        run: how the results were made: their timeline, and where mouths were drawn.
        features: FID's network; None takes InceptionV3.
        notes: filled with what could not be measured at all, and why.
    """

    options: EvaluatorOptions
    run: SyncOptions
    features: FeatureExtractor | None = None
    progress: ProgressCallback = ignore_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    notes: list[str] = field(default_factory=list)
    _syncnet: SyncNet | None = None
    _sources: dict[Path, SyncScore | None] = field(default_factory=dict)
    _ready: set[str] = field(default_factory=set)
    _metrics: dict[str, MetricSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.options.lse and self._have("syncnet_v2", "LSE"):
            self._ready.add("lse")
        for name in chosen_metrics(self.options):
            spec = metric_spec(name)
            given = spec.of_sets and self.features is not None
            if given or not spec.weights or self._have(spec.weights, spec.title):
                self._metrics[name] = spec

    @property
    def measures(self) -> tuple[str, ...]:
        """What is measured; figures that are kept are taken again when it is the same.

        PSNR and SSIM together are called "pictures", as in figures kept by earlier versions.
        """
        names = set(self._metrics)
        pictures = {"psnr", "ssim"} <= names
        names -= {"psnr", "ssim"} if pictures else set()
        first = (*(["sync"] if self.options.sync else []), *(["pictures"] if pictures else []))
        return (*first, *sorted(self._ready | names))

    def judge(
        self,
        pair: Pair,
        variant: str,
        result: Path,
        *,
        reference: Path | None = None,
        features: Path | None = None,
    ) -> ClipResult:
        """All figures of one result. One that cannot be had is left out, and a note says why.

        Args:
            reference: compare pictures with this video, by time, instead of with the pair's own.
            features: folder for the vectors that FID of many clips is made of.

        Raises:
            Cancelled: the user stopped it.
            MediaError: the result cannot be read.
        """
        picture = open_video(result)
        figures: Figures = {}
        notes: list[str] = []
        score: SyncScore | None = None
        tracks: list[Figures] = []

        def attempt(name: str, make: Callable[[], Figures]) -> None:
            try:
                figures.update(make())
            except Cancelled:
                raise
            except LipsyncError as error:
                notes.append(f"{name}: {error}")

        def sync() -> Figures:
            nonlocal score
            score = self._sync(picture, self._sound(result, pair))
            return _sync_figures(score)

        if self.options.sync:
            attempt("Sync", sync)
            if reference or result != pair.video:
                attempt("Sync of the source", lambda: self._source_sync(reference or pair.video))
            if score and score.confidence is None:
                notes.append(f"Sync: {score.words}")
        if "lse" in self._ready:
            attempt("LSE", lambda: self._lse(result, pair, tracks))
        if reference or result != pair.video:  # else there is nothing to compare with
            right = reference is not None or pair.own_voice
            if any(not spec.of_sets for spec in self._metrics.values()):
                attempt("Pictures", lambda: self._pictures(picture, pair, reference, right))
                if right and reference is None and _PAIRED not in self.notes:
                    self.notes.append(_PAIRED)
            if "fid" in self._metrics and features:
                attempt("FID", lambda: self._features(picture, reference or pair.video, features))
        curve = tuple(zip(score.times, score.curve, strict=True)) if score else ()
        return ClipResult(
            pair,
            variant,
            result,
            figures,
            tuple(notes),
            curve=curve,
            tracks=tuple(tracks) if len(tracks) > 1 else (),
        )

    # --- sound and picture together --------------------------------------------------------------

    def _sound(self, result: Path, pair: Pair) -> AudioClip:
        """What is heard in the result; of one without sound, the voice that was given."""
        try:
            return open_audio(result).read(cancel=self.cancel)
        except NoAudioError:
            return open_audio(pair.voice).read(cancel=self.cancel)

    def _sync(self, picture: VideoReader, sound: AudioClip) -> SyncScore:
        faces = FaceOptions()
        track = track_video_faces(picture, faces, self.options.device, self.progress, self.cancel).track
        return measure_sync(picture, sound, track, faces, self.progress, self.cancel)

    def _source_sync(self, source: Path) -> Figures:
        """Of the source with its own sound; measured once, however many results there are of it."""
        if source not in self._sources:
            self._sources[source] = None
            picture = open_video(source)
            if not picture.is_still and picture.info.has_audio:
                try:
                    sound = open_audio(source).read(cancel=self.cancel)
                    self._sources[source] = self._sync(picture, sound)
                except NoFaceError:
                    pass
        score = self._sources[source]
        if score is None or score.confidence is None:
            return {}
        return {"source_confidence": score.confidence}

    def _lse(self, result: Path, pair: Pair, tracks: list[Figures]) -> Figures:
        """LSE of the whole; `tracks` gets that of each face in each shot."""
        if self._syncnet is None:
            device = choose_device(self.options.device)
            self._syncnet = load_syncnet(require("syncnet_v2")).to(device)
        if pair.whole_frame:
            found: LseScore | None = evaluate_frames(result, self._syncnet, cancel=self.cancel).score
        else:
            detector = DETECTORS.create("centerface", weights=None, device=choose_device(self.options.device))
            rows = evaluate_tracks(
                result, self._syncnet, detector, progress=self.progress, cancel=self.cancel
            )
            found = mean_lse(rows)
            tracks += [{"start": row.start, "end": row.end, **_lse_figures(row.score)} for row in rows]
        if found is None:
            least = TrackOptions()
            raise InputError(
                f"No face is seen in {least.min_frames} frames in a row, {least.min_side:g} pixels wide"
            )
        return _lse_figures(found)

    # --- pictures --------------------------------------------------------------------------------

    def _pictures(self, result: VideoReader, pair: Pair, reference: Path | None, right: bool) -> Figures:
        media = self.run.media
        source = open_video(reference) if reference else open_video(pair.video, media)
        shown = shown_frames(result, source, pair, self.run, by_time=reference is not None)
        watched = {
            metric_key(name, region): RegionMetric(self._new_metric(name), region)
            for name, spec in self._metrics.items()
            if not spec.of_sets
            for region in (REGIONS if spec.regional else ("",))
            if right or region == "outside"  # all else would ask for the source's own mouth
        }
        inside = drawn_parts(
            source, self.run.faces, self.run.blend, self.options.device, self.progress, self.cancel
        )
        found = compare(result, source, shown, watched, inside, self.progress, self.cancel)
        return {key: value for key, value in found.items() if not math.isnan(value)}

    def _new_metric(self, name: str) -> Metric:
        if self._metrics[name].weights:
            return METRICS.create(name, device=choose_device(self.options.device))
        return METRICS.create(name)

    def _features(self, result: VideoReader, source: Path, folder: Path) -> Figures:
        network = self.network()
        save_features(result, network, folder / "results.npy", self.progress, self.cancel)
        save_features(open_video(source), network, folder / "sources.npy", self.progress, self.cancel)
        return {}

    def network(self) -> FeatureExtractor:
        """FID's network, loaded at the first call."""
        if self.features is None:
            device = choose_device(self.options.device)
            self.features = load_inception(device=device, progress=self.progress, cancel=self.cancel)
        return self.features

    def _have(self, weights: str, title: str) -> bool:
        """Whether a network's weights are here, or could be fetched; a note where they are not."""
        if find(weights):
            return True
        try:
            if self.options.download:
                require(weights, progress=self.progress, cancel=self.cancel)
                return True
            self.notes.append(
                f"{title} was not measured: the weights '{weights}' are not on this machine "
                "(--download fetches them)."
            )
        except LipsyncError as error:
            self.cancel.check()
            self.notes.append(f"{title} was not measured: {error}")
        return False


def shown_frames(
    result: VideoReader, source: VideoReader, pair: Pair, run: SyncOptions, *, by_time: bool = False
) -> IntArray:
    """The source's frame that each frame of the result shows, (T,).

    Args:
        by_time: the two run side by side, whatever the voice.
    """
    if by_time or pair.own_voice:
        return in_step(result, source)
    voice = open_audio(pair.voice, run.media.voice_ranges, run.media.voice_shift / 1000)
    timeline = plan_timeline(
        source.frame_count, voice.duration, source.fps, run.media.length_mode, still=source.is_still
    )
    return in_step(result, source, timeline)


def _lse_figures(score: LseScore) -> Figures:
    return {"lse_d": score.distance, "lse_c": score.confidence, "lse_offset": float(score.offset)}


def _sync_figures(score: SyncScore) -> Figures:
    if score.distance is None or score.confidence is None or score.offset_ms is None:
        return {}
    return {
        "sync_distance": score.distance,
        "sync_confidence": score.confidence,
        "offset_ms": score.offset_ms,
    }
