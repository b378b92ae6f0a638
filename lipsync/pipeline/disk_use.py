"""Disk space that a run takes, told before it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lipsync.media.audio import channels
from lipsync.media.audio.encoder import aac_rate, bit_rate
from lipsync.media.output_formats import VIDEO_CODECS, OutputFormat, output_format
from lipsync.options import SyncOptions
from lipsync.pipeline.job import Job
from lipsync.speech.vad import SAMPLE_RATE
from lipsync.utils.mapped_array import MAPPED_BYTES

_BITS_PER_PIXEL = {
    "h264": 0.3,
    "h265": 0.2,
    "av1": 0.15,
    "prores": 4.5,
    "dnxhr": 4.0,
    "ffv1": 9.0,
    "png": 18.0,
}
"""Of detailed and noisy pictures, at the default quality; calm ones take a tenth. ProRes and DNxHR: their
makers' data rates."""
_DEFAULT_QUALITY, _CRF_HALVES = 17, 6
"""Six steps of the rate factor halve or double the size."""
_WORTH_BYTES = 10**9
"""Temporary files of so many bytes are told."""


@dataclass(frozen=True)
class DiskUse:
    """Bytes that a run needs at most, for a detailed video.

    Attributes:
        result: of the finished file.
        temporary: of what lies beside it while it is made, and of the samples of long sounds in the system's
            folder for temporary files.
    """

    result: int
    temporary: int

    def warnings(self, folder: Path) -> list[str]:
        """Sentences for the user about large temporary files, and about a disk that is too full.

        Args:
            folder: where the result goes.
        """
        found = []
        if self.temporary >= _WORTH_BYTES:
            found.append(
                f"While the result is made, up to about {_gigabytes(self.temporary)} of temporary files are "
                "written."
            )
        needed = self.result + self.temporary
        with suppress(OSError):
            free = shutil.disk_usage(_existing(folder)).free
            if free < needed:
                found.append(
                    f"The disk of the result has {_gigabytes(free)} left, and the run may need up to "
                    f"{_gigabytes(needed)}."
                )
        return found


def disk_use(job: Job, scale: int, options: SyncOptions, resume: bool, target: Path) -> DiskUse:
    """The most that a run needs.

    Encoded sound waits in a file of its own. Signing, and joining what is copied, write the video a second
    time. A run that can be resumed keeps its parts until the result is there.

    Args:
        scale: of the upscaler.
        resume: the run can be resumed.
        target: the result.
    """
    video, codec = job.video, options.media.codec
    factor = 2 ** ((_DEFAULT_QUALITY - options.media.quality) / _CRF_HALVES) if VIDEO_CODECS[codec].crf else 1
    pixels = video.width * video.height * scale**2 * len(job.timeline)
    pictures = int(pixels * _BITS_PER_PIXEL[codec] * factor / 8)
    container: OutputFormat | None = None if VIDEO_CODECS[codec].is_sequence else output_format(target)
    copies = options.media.smart_copy != "off" and codec in ("h264", "h265") and not video.is_still
    if copies:
        with suppress(OSError):
            pictures = max(pictures, video.info.path.stat().st_size)
    signed = options.report.provenance == "signed" and container is not None and container.xmp
    sound = _sound_bytes(job)
    temporary = sound + _sample_bytes(job) + pictures * (bool(signed or copies) + resume)
    return DiskUse(pictures + sound, temporary)


def _sound_bytes(job: Job) -> int:
    rate = aac_rate(job.audio.info.sample_rate)
    count = len(channels.AAC_LAYOUTS[channels.aac_layout(job.audio.layout)])
    return int(job.seconds * bit_rate(rate, count) / 8)


def _sample_bytes(job: Job) -> int:
    """The voice and the video's own sound, float32; shorter ones stay in memory."""
    size = 4 * round(job.seconds * SAMPLE_RATE)
    return 2 * size if size > MAPPED_BYTES else 0


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
