"""Offset between picture and sound: a flash and a beep in every container and codec that is read.

What is right is the source's own offset, by the timestamps of its frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from lipsync.media import open_audio, open_video
from tests.make_media import run_ffmpeg

TIMES = (0.4, 1.2)
"""Seconds at which the frame is white and the beep starts."""
SECONDS = 1.6
TOLERANCE = 0.002
LOST = ("-bsf:a", "noise=amount=0:drop='between(n,30,34)'")


class Case(NamedTuple):
    """A kind of file: its name, ffmpeg's output options, and its frame rate."""

    suffix: str
    options: str
    fps: str = "25"
    lost: bool = False


X264, AAC = "-c:v libx264 -bf 2 -g 12", "-c:a aac"
CASES = [
    Case("mp4", f"{X264} {AAC}"),
    Case("mp4", f"{X264} {AAC}", "12.5"),
    Case("mp4", f"{X264} {AAC}", "30000/1001"),
    Case("mp4", f"{X264} {AAC} -ar 44100", "60"),
    Case("mp4", f"{X264} {AAC}", lost=True),
    Case("mp4", f"{X264} {AAC} -use_editlist 0"),
    Case("mp4", f"{X264} {AAC} -movflags frag_keyframe+empty_moov+default_base_moof"),
    Case("mp4", f"{X264} {AAC} -movflags frag_keyframe+empty_moov", "30", lost=True),
    Case("mp4", "-c:v mpeg4 -c:a libmp3lame"),
    Case("mp4", f"{X264} -c:a libopus"),
    Case("mov", f"{X264} -c:a pcm_s16le", "24000/1001"),
    Case("mov", f"{X264} -c:a alac"),
    Case("mkv", f"{X264} {AAC}"),
    Case("mkv", f"{X264} {AAC}", "50", lost=True),
    Case("mkv", f"{X264} -c:a libvorbis"),
    Case("mkv", f"{X264} -c:a ac3"),
    Case("mkv", f"{X264} -c:a libopus", lost=True),
    Case("mkv", f"{X264} -c:a flac"),
    Case("mkv", f"{X264} -c:a libmp3lame"),
    Case("webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus"),
    Case("webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis", "30"),
    Case("ts", f"{X264} {AAC}"),
    Case("ts", f"{X264} {AAC}", "60", lost=True),
    Case("ts", "-c:v mpeg2video -c:a mp2"),
    Case("ts", f"{X264} -c:a ac3"),
    Case("mpg", "-c:v mpeg2video -c:a mp2"),
    Case("flv", f"{X264} {AAC}"),
    Case("flv", "-c:v flv1 -c:a libmp3lame -ar 44100"),
    Case("wmv", "-c:v wmv2 -c:a wmav2"),
    Case("wmv", "-c:v wmv2 -c:a wmav2 -ar 44100", "30"),
    Case("avi", "-c:v mpeg4 -c:a libmp3lame"),
    Case("avi", "-c:v mpeg4 -c:a pcm_s16le"),
    Case("3gp", "-c:v h263 -s 128x96 -c:a libopencore_amrnb -ar 8000"),
    Case("mxf", "-c:v mpeg2video -c:a pcm_s16le"),
    Case("ogv", "-c:v libtheora -q:v 7 -c:a libvorbis"),
    Case("vob", "-c:v mpeg2video -c:a ac3 -f vob"),
    Case("mp4", f"{X264} -c:a eac3", "48"),
    Case("mkv", f"{X264} -c:a dca -strict -2"),
    Case("mov", "-c:v mjpeg -c:a adpcm_ima_qt"),
    Case("rm", "-c:v rv20 -s 176x144 -c:a ac3"),
    Case("ismv", f"{X264} {AAC}"),
    Case("mkv", f"{X264} {AAC} -output_ts_offset 3600"),
    Case("mp4", f"{X264} {AAC} -movflags frag_keyframe+empty_moov -output_ts_offset 3600"),
]


def make(folder: Path, case: Case) -> Path:
    """The file of a case."""
    path = folder / f"a.{case.suffix}"
    moments = "+".join(f"between(t,{at},{at + 0.06})" for at in TIMES).replace(",", r"\,")
    beep = f"aevalsrc=exprs=0.8*sin(2*PI*1000*t)*({moments}):s=48000:d={SECONDS}"
    white = "+".join(f"(gte(T,{at}-0.0005)*lt(T,{at}-0.0005+1/({case.fps})))" for at in TIMES)
    picture = f"color=0x404040:s=96x80:r={case.fps}:d={SECONDS},format=gray,geq=lum='64+170*({white})'"
    lost = LOST if case.lost else ()
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", beep)
    run_ffmpeg(*inputs, "-pix_fmt", "yuv420p", *case.options.split(), *lost, path)
    return path


def own_offsets(path: Path) -> list[float]:
    """Seconds from each flash to its beep, by the timestamps of the file."""
    flashes, samples, times = [], [], []
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        for frame in _frames(container, video, audio):
            at = float((frame.pts or 0) * Fraction(frame.time_base.numerator, frame.time_base.denominator))
            if isinstance(frame, av.VideoFrame):
                if frame.to_ndarray(format="gray").mean() > 150:
                    flashes.append(at)
            elif frame.pts is not None:
                values = frame.to_ndarray()
                values = values.astype(np.float32) / (32768 if values.dtype == np.int16 else 1)
                samples.append(values.reshape(-1))
                times.append(at + np.arange(frame.samples) / frame.sample_rate)
    return offsets(flashes, np.concatenate(samples), np.concatenate(times))


def _frames(container: Any, *streams: Any) -> Iterator[Any]:
    for packet in container.demux(*streams):
        if packet.size or packet.pts is None:  # Theora repeats a frame by an empty packet
            yield from packet.decode()


def read_offsets(path: Path) -> list[float]:
    """The same as this program reads the file."""
    video, clip = open_video(path), open_audio(path).read(48_000)
    frames = video.read(range(video.frame_count))
    flashes = [float(number / video.fps) for number, frame in enumerate(frames) if frame.mean() > 150]
    return offsets(flashes, clip.samples, np.arange(len(clip.samples)) / 48_000)


def offsets(flashes: list[float], samples: Any, times: Any) -> list[float]:
    """Seconds from each flash to the beep nearest to it; where the level passes half of the beep's."""
    starts = [at for number, at in enumerate(flashes) if not number or at - flashes[number - 1] > 0.2]
    loud = times[np.abs(samples) > 0.4 * np.abs(samples).max()]
    begins = loud[np.diff(loud, prepend=-1) > 0.2]
    return [float(min(begins - at, key=abs)) for at in starts]


def test_joined_broadcasts_keep_their_offsets(tmp_path: Path) -> None:
    """Two recordings byte by byte: the clock starts anew, and the audio of the first is longer."""
    part = make(tmp_path, Case("ts", f"{X264} {AAC} -metadata service_name=a"))
    own, joined = own_offsets(part), tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 3)
    assert read_offsets(joined) == pytest.approx(own * 3, abs=TOLERANCE)


def name(case: Case) -> str:
    return f"{case.suffix} {case.options} {case.fps}{' lost' * case.lost}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_sound_keeps_its_offset_from_the_picture(tmp_path: Path, case: Case) -> None:
    path = make(tmp_path, case)
    own, read = own_offsets(path), read_offsets(path)
    assert len(own) == len(read) == len(TIMES)
    assert read == pytest.approx(own, abs=TOLERANCE)
