"""Small real media for tests: videos whose frames carry their number, beeps, flashes, photos.

make_video(tmp_path / "a.mp4", frames=50, fps=25)
[read_number(frame) for frame in open_picture(tmp_path / "a.mp4").read([3, 7])] == [3, 7]
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lipsync.media import ffmpeg_path

BITS = 8
FLASH_FPS = 25


def run_ffmpeg(*arguments: object, data: bytes | None = None) -> bytes:
    """Run ffmpeg and return what it wrote to stdout; raises if it failed."""
    command = [str(ffmpeg_path()), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data or b"", capture_output=True, check=True).stdout


def number_frame(number: int, width: int = 160, height: int = 120) -> npt.NDArray[np.uint8]:
    """A frame that shows `number` as stripes, lowest bit left: light is 1. Greys, so lossy codecs keep it."""
    stripes = np.array([200 if number >> bit & 1 else 50 for bit in range(BITS)], np.uint8)
    line = stripes[np.arange(width) * BITS // width]
    return np.broadcast_to(line[None, :, None], (height, width, 3)).copy()


def read_number(frame: npt.NDArray[np.uint8]) -> int:
    """The number that a frame of `number_frame` shows."""
    height, width = frame.shape[:2]
    middle = frame[height // 4 : max(height // 4 + 1, 3 * height // 4)].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return int(sum(1 << bit for bit, x in enumerate(centres) if middle[x] > 125))


def make_video(
    path: Path,
    *,
    frames: int | Iterable[npt.NDArray[np.uint8]] = 25,
    fps: int | Fraction = 25,
    size: tuple[int, int] = (160, 120),
    encode: Sequence[object] = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 2, "-g", 12),
    filters: str = "null",
    sound: Sequence[object] = (),
    output: Sequence[object] = (),
) -> Path:
    """Encode numbered frames (or the frames given).

    Args:
        encode: encoder options; the default has B-frames and several key frames.
        filters: ffmpeg filters between the frames and the encoder, such as `setpts`.
        sound: input options of a second input, for example `("-f", "lavfi", "-i", "sine=d=1")`.
        output: further output options, for example `("-f", "mov")`.
    """
    pictures = [number_frame(n, *size) for n in range(frames)] if isinstance(frames, int) else list(frames)
    height, width = pictures[0].shape[:2]
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-framerate", fps, "-i", "pipe:")
    data = b"".join(picture.tobytes() for picture in pictures)
    run_ffmpeg(*raw, *sound, "-vf", filters, *encode, *output, f"file:{path}", data=data)
    return path


def make_variable_rate(path: Path) -> Path:
    """60 numbered frames in 2 s (30 a second), then 20 in 2 s (10 a second)."""
    times = "settb=1/600,setpts='if(lt(N,60),N*20,1200+(N-60)*60)'"
    encode = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", 2, "-g", 25, "-fps_mode", "vfr")
    return make_video(path, frames=80, fps=30, filters=times, encode=(*encode, "-enc_time_base", "1:600"))


def make_sound(
    path: Path, seconds: float = 1.0, rate: int = 48_000, channels: int = 1, output: Sequence[object] = ()
) -> Path:
    """A 440 Hz tone at half volume, the same in all channels."""
    tone = "|".join(["0.5*sin(2*PI*440*t)"] * channels)
    source = f"aevalsrc=exprs={tone}:s={rate}:d={seconds}"
    run_ffmpeg("-f", "lavfi", "-i", source, *output, f"file:{path}")
    return path


def make_flash_and_beep(path: Path, at: float, seconds: float = 2.0) -> Path:
    """Grey picture and silence; at `at` seconds one white frame and 40 ms of 1 kHz."""
    moment = round(at * FLASH_FPS)
    grey = [np.full((120, 160, 3), 60, np.uint8) for _ in range(round(seconds * FLASH_FPS))]
    grey[moment][:] = 235
    beep = f"aevalsrc=exprs=0.8*sin(2*PI*1000*t)*between(t\\,{at}\\,{at + 0.04}):s=48000:d={seconds}"
    return make_video(path, frames=grey, fps=FLASH_FPS, sound=("-f", "lavfi", "-i", beep))
