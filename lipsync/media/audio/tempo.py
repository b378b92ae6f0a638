"""Change of tempo without a change of pitch (WSOLA, ffmpeg's filter atempo)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np

from lipsync.media.audio.reader import AudioReader, open_audio
from lipsync.media.audio.wav import write_wav
from lipsync.progress import CancelToken
from lipsync.types import FloatArray
from lipsync.utils.atomic_write import atomic_write


def write_faster(source: Path, path: Path, factor: float, cancel: CancelToken) -> None:
    """Write the sound of a file `factor` times as fast, at the same pitch, as a WAV file.

    Args:
        factor: 0.5 to 2; beyond that speech is not understood.

    Raises:
        MediaError: the sound cannot be decoded.
        DiskFullError, OutputError: the file cannot be written.
        Cancelled: the token was cancelled.
    """
    audio = open_audio(source)
    with closing(audio.blocks(cancel=cancel)) as blocks, atomic_write(path) as part:
        write_wav(part, _faster(blocks, audio, factor), audio.info.sample_rate, audio.info.channels)


def _faster(blocks: Iterator[FloatArray], audio: AudioReader, factor: float) -> Iterator[FloatArray]:
    """The blocks (n, channels) at another tempo."""
    graph: Any = av.filter.Graph()
    form = {"sample_rate": str(audio.info.sample_rate), "channel_layout": f"{audio.info.channels}c"}
    source = graph.add("abuffer", sample_fmt="flt", time_base=f"1/{audio.info.sample_rate}", **form)
    nodes = [source, graph.add("atempo", f"{factor:.6f}"), graph.add("abuffersink")]
    graph.link_nodes(*nodes).configure()
    at = 0
    for block in blocks:
        data = np.ascontiguousarray(block, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="flt", layout=f"{audio.info.channels}c")
        frame.sample_rate, frame.pts = audio.info.sample_rate, at
        at += len(block)
        source.push(frame)
        yield from _ready(nodes[-1], audio.info.channels)
    source.push(None)
    yield from _ready(nodes[-1], audio.info.channels)


def _ready(sink: Any, channels: int) -> Iterator[FloatArray]:
    while True:
        try:
            yield sink.pull().to_ndarray().reshape(-1, channels)
        except (av.BlockingIOError, av.EOFError):  # nothing yet, or nothing more
            return
