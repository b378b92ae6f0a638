"""Table of codecs: pixel formats in and out, equality where nothing is drawn, size of the files.

The sample's video is lip-synced once with every codec in its usual container: as it is (8 bits), and
converted to 10 bits and HLG. Luma of results, and RGB of images, is compared with the source's in the upper
third of the frames, where nothing is drawn. Differences are in code values: of 255 for 8 bits, of 1023 for
10, of 65535 for images of 16.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

import lipsync
from benchmarks.common import SAMPLES, report
from lipsync.media import ffmpeg_path, open_video
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.video.color_tags import result_rgb_arguments
from lipsync.media.video.image_sequence import frames_of
from lipsync.options import MediaOptions, SyncOptions
from lipsync.pipeline.model_provider import CachedModels

SECONDS = 2
_HLG = (
    "format=gbrpf32le,zscale=tin=bt709:pin=bt709:min=gbr:rin=pc:"
    "t=arib-std-b67:p=bt2020:m=bt2020nc:r=tv:npl=203,format=yuv422p10le"
)
Plane = npt.NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One codec with one source.

    Attributes:
        given, stored: pixel formats of source and result.
        equal: share of samples that are equal where nothing is drawn.
        mean, most: differences there, in code values.
        megabytes: of the result, a second.
    """

    codec: str
    layer: bool
    container: str
    given: str
    stored: str
    equal: float
    mean: float
    most: int
    megabytes: float


def main() -> None:
    """Make all results and print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    models, rows = CachedModels(), list[Row]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in make_sources(folder):
            for codec, row in VIDEO_CODECS.items():
                for layer in ("none", "mouth") if row.alpha else ("none",):
                    rows.append(measure(source, codec, layer, folder / "out", models))
                    print(as_line(rows[-1]), flush=True)
    print("\n| Codec | Container | Source | Stored | Equal samples | Mean difference | Most | MB/s |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(map(as_line, rows)))
    report("codecs", [("results", f"{len(rows)}")], {"rows": [asdict(row) for row in rows]})


def make_sources(folder: Path) -> list[Path]:
    """The sample in 8 bits, and in 10 bits and HLG."""
    plain, deep = folder / "plain.mkv", folder / "deep.mkv"
    sample = SAMPLES / "talk.mp4"
    ffmpeg("-i", sample, "-t", SECONDS, "-an", "-c:v", "ffv1", "-pix_fmt", "yuv420p", plain)
    ffmpeg("-i", plain, "-vf", _HLG, "-c:v", "ffv1", deep)
    return [plain, deep]


def ffmpeg(*arguments: object) -> bytes:
    """Run ffmpeg, and return what it writes."""
    command = [str(ffmpeg_path()), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def measure(source: Path, codec: str, layer: str, folder: Path, models: CachedModels) -> Row:
    """One result, compared with its source."""
    options = SyncOptions.from_flat(
        variant="builtin", score=False, codec=codec, layer=layer, length_mode="picture"
    )
    suffix = VIDEO_CODECS[codec].suffixes[0]
    target = folder / f"{source.stem}_{codec}_{layer}{suffix}"
    result = lipsync.sync(source, SAMPLES / "voice.mp3", options, output=target, models=models).path
    given = pixels_of(source)
    first = frames_of(result)[0] if result.is_dir() else result
    files = [*result.iterdir()] if result.is_dir() else [result]
    megabytes = sum(file.stat().st_size for file in files) / SECONDS / 1e6
    if layer == "mouth":
        values = alpha_of(result)
        equal, mean, most = float((values == 0).mean()), float(values.mean()), int(values.max())
    else:
        pairs = list(zip(*both(source, result, options.media), strict=True))
        different = np.concatenate([np.abs(new.astype(np.int64) - old).ravel() for old, new in pairs])
        equal, mean, most = float((different == 0).mean()), float(different.mean()), int(different.max())
    return Row(
        codec, layer == "mouth", suffix or "folder", given, pixels_of(first), equal, mean, most, megabytes
    )


def both(source: Path, result: Path, media: MediaOptions) -> tuple[list[Plane], list[Plane]]:
    """The upper thirds of all frames of source and result, in the same pixel format."""
    if result.is_dir():
        reader = open_video(source, media)
        frames = range(reader.frame_count)
        if reader.original is not None:
            old: list[Plane] = [one.to_rgb() for one in reader.read_deep(frames, reader.original.chroma)]
        else:
            scale = ":".join(f"{key}={value}" for key, value in result_rgb_arguments(reader.info).items())
            raw = ffmpeg("-i", source, "-vf", f"scale={scale}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
            old = [*np.frombuffer(raw, np.uint8).reshape(-1, reader.height, reader.width, 3)]
        new = [image(path) for path in frames_of(result)]
        return [upper(one) for one in old], [upper(one) for one in new]
    deep = MediaOptions(codec="ffv1")
    kept = all(open_video(path, deep).original is not None for path in (source, result))
    old, new = (lumas(path, kept) for path in (source, result))
    return [upper(one) for one in old], [upper(one) for one in new]


def upper(values: Plane) -> Plane:
    """The rows in which nothing is drawn."""
    return values[: values.shape[0] // 3]


def lumas(path: Path, deep: bool) -> list[Plane]:
    """The luma of all frames, in 10 bits, or converted to 8 and standard range."""
    reader = open_video(path, MediaOptions(codec="ffv1"))
    frames = range(reader.frame_count)
    if deep:
        return [one.y for one in reader.read_deep(frames, "422")]
    return [one.y for one in reader.read_yuv(frames)]


def image(path: Path) -> Plane:
    """RGB of a PNG."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="rgb48le" if "48" in frame.format.name else "rgb24")


def alpha_of(path: Path) -> Plane:
    """The alpha of the upper thirds of all frames of a layer, of 65535."""
    given = ["-i", path / "frame_%06d.png"] if path.is_dir() else ["-i", path]
    info = open_video(frames_of(path)[0] if path.is_dir() else path).info
    raw = ffmpeg(
        *given, "-vf", "format=yuva444p16le,extractplanes=a", "-f", "rawvideo", "-pix_fmt", "gray16le", "-"
    )
    return np.frombuffer(raw, "<u2").reshape(-1, info.height, info.width)[:, : info.height // 3]


def pixels_of(path: Path) -> str:
    """Pixel format of a file's frames."""
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.pix_fmt)


def as_line(row: Row) -> str:
    """One line of the table, in Markdown."""
    name = f"`{row.codec}`, layer" if row.layer else f"`{row.codec}`"
    figures = f"{100 * row.equal:.1f} % | {row.mean:.2f} | {row.most} | {row.megabytes:.2f}"
    if row.layer:
        figures = f"{100 * row.equal:.0f} % transparent | | | {row.megabytes:.2f}"
    return f"| {name} | {row.container.lstrip('.')} | {row.given} | {row.stored} | {figures} |"


if __name__ == "__main__":
    main()
