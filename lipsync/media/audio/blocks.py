"""Sound as it is in the file, block by block: for what must be measured at its own rate and channels."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np

from lipsync.media.audio.reader import AudioReader
from lipsync.media.ffmpeg import FFmpeg, explain, read_chunks
from lipsync.progress import CancelToken
from lipsync.types import FloatArray

MOST_CHANNELS = 2


def sound_blocks(
    voice: AudioReader, seconds: float = 1.0, *, cancel: CancelToken | None = None
) -> Generator[FloatArray, None, None]:
    """All of the voice in blocks of `seconds`, the last one shorter; a block is held at a time.

    Yields:
        float32 (n, channels) at `voice.info.sample_rate` Hz; one or two channels, more are folded
        into two.

    Raises:
        MediaError: the sound cannot be decoded.
        Cancelled: the token was thrown.
    """
    cancel = cancel or CancelToken()
    rate, channels = voice.info.sample_rate, min(voice.info.channels, MOST_CHANNELS)
    stream = voice.stream()
    if voice.info.channels > MOST_CHANNELS:
        stream = stream.filter("aformat", channel_layouts="stereo")
    graph = stream.output("pipe:", f="f32le", acodec="pcm_f32le", ac=channels, ar=rate)
    got = False
    with FFmpeg(graph) as running:
        size = max(1, round(seconds * rate)) * channels * 4
        with closing(read_chunks(running, size, cancel)) as pieces:
            for piece in pieces:
                values = np.frombuffer(piece, "<f4", count=len(piece) // (4 * channels) * channels)
                got = got or len(values) > 0
                yield np.nan_to_num(values.reshape(-1, channels), nan=0.0, posinf=0.0, neginf=0.0)
        if running.wait(cancel) or not got:
            raise explain(running.complaint(), voice.info.path, writing=False)
