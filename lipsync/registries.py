"""Registries of detectors, generators, enhancers, metrics, sources, synthesisers.

Adding a member is its own file, its line here and, where it has weights, a row in
`lipsync/weights/catalogue.py`. The settings, the command line, the page, `evaluate` and the contract
tests list what stands here; nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lipsync.utils.registry import Registry

if TYPE_CHECKING:
    from lipsync.enhancers.base import Enhancer, Upscaler
    from lipsync.faces.detectors.base import FaceDetector
    from lipsync.generators.base import LipGenerator
    from lipsync.metrics.base import Metric
    from lipsync.metrics.lip_base import LipMetric
    from lipsync.sources.base import Source
    from lipsync.speech.text_to_speech import Synthesizer

DETECTORS: Registry[FaceDetector] = Registry(
    "face detector",
    {
        "centerface": "lipsync.faces.detectors.centerface:CenterFace",
        "s3fd": "lipsync.faces.detectors.s3fd.detector:S3FD",
    },
)
"""Face detectors; made by `DETECTORS.create(name, device=..., weights=..., min_score=...)`."""

GENERATORS: Registry[LipGenerator] = Registry(
    "generator",
    {
        "wav2lip": "lipsync.generators.wav2lip.adapter:Wav2Lip",
        "wav2lip_gan": "lipsync.generators.wav2lip.adapter:Wav2Lip",
        "builtin": "lipsync.generators.builtin.adapter:Builtin",
    },
)
"""Lip generators, by variant; made by `lipsync.weights.create_model`."""

ENHANCERS: Registry[Enhancer] = Registry(
    "enhancer",
    {
        "gfpgan": "lipsync.enhancers.face_restoration:FaceRestorer",
        "gfpgan_1.3": "lipsync.enhancers.face_restoration:FaceRestorer",
        "restoreformer": "lipsync.enhancers.face_restoration:FaceRestorer",
    },
)
"""Face restoration; made by `lipsync.weights.create_model`."""

UPSCALERS: Registry[Upscaler] = Registry(
    "upscaler",
    {"realesrgan_x2": "lipsync.enhancers.upscaling:RealESRGAN"},
)
"""Upscaling of whole frames; made by `lipsync.weights.create_model`."""

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "psnr": "lipsync.metrics.psnr:Psnr",
        "ssim": "lipsync.metrics.ssim:Ssim",
        "fid": "lipsync.metrics.fid:Fid",
        "lpips": "lipsync.metrics.lpips:Lpips",
    },
)
"""Metrics that compare frames of a result with a reference; `evaluate` measures them by their `spec`."""

LIP_METRICS: Registry[LipMetric] = Registry(
    "lip metric",
    {
        "mouth_sharpness": "lipsync.metrics.mouth_sharpness:MouthSharpness",
        "mouth_contrast": "lipsync.metrics.mouth_contrast:MouthContrast",
        "closure_rate": "lipsync.metrics.closure_rate:ClosureRate",
        "lip_dynamics": "lipsync.metrics.lip_dynamics:LipDynamics",
        "loudness_match": "lipsync.metrics.loudness_match:LoudnessMatch",
        "silent_lip_stability": "lipsync.metrics.silent_lip_stability:SilentLipStability",
        "lip_leak": "lipsync.metrics.lip_leak:LipLeak",
        "source_leak": "lipsync.metrics.source_leak:SourceLeak",
        "seam": "lipsync.metrics.seam:SeamVisibility",
        "flicker": "lipsync.metrics.flicker:Flicker",
    },
)
"""Metrics of lips over time, computed from what `lipsync.metrics.lip_meter` observes."""

SOURCES: Registry[Source] = Registry(
    "source",
    {
        "file": "lipsync.sources.local:LocalFile",
        "link": "lipsync.sources.link:LinkSource",
    },
)
"""Sources of input files. `open_source` takes the last member that accepts the input."""

SYNTHESIZERS: Registry[Synthesizer] = Registry(
    "speech synthesiser",
    {
        "espeak": "lipsync.speech.synthesizers.espeak:Espeak",
        "kokoro": "lipsync.speech.synthesizers.kokoro:Kokoro",
    },
)
"""Speech synthesisers; made by `SYNTHESIZERS.create(name, progress=..., cancel=...)`."""
