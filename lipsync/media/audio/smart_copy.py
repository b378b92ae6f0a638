"""Smart copy of sound: packets are copied, what lies between them is encoded.

    recording | packet | packet | packet | packet | packet | packet |
    result    | copied | copied | encoded| encoded| copied | copied |

The packets of a result lie on one grid of 1024 samples, so a recording is copied where its packets fall on
it. What is encoded begins and ends with sound of the recording: half of what is heard at a joint is of the
one and half of the other, see `lipsync.media.audio.aac`. The encoder gets some sound before and after, whose
packets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeAlias

import av

from lipsync.media.audio.aac import (
    FRAME,
    KBD,
    AacTrack,
    Window,
    decode_packets,
    read_aac_track,
    refolded,
    window_of,
    with_shape,
)
from lipsync.media.audio.blocks import equal_blocks, silence
from lipsync.media.audio.derived import DerivedAudio
from lipsync.media.audio.mix import FADE_SECONDS, MixClip, MixedAudio
from lipsync.media.audio.reader import AudioReader
from lipsync.media.container import open_container
from lipsync.media.video.parameter_sets import HINT, NotCopyableError
from lipsync.progress import CancelToken
from lipsync.types import AudioInfo, FloatArray

Encode: TypeAlias = Callable[[Iterable[FloatArray], Path, int], None]
"""Encodes blocks of `FRAME` samples into a file, at a sample rate."""
_FULL_RATE = 44_100
"""Sample rate from which on all that is audible is kept: higher ones of voices are converted to it."""
_LEAST_SECONDS = 1.0
"""Stretches shorter than this are not worth two joints."""
_LEAD, _TAIL = 48, 3
"""Packets that are encoded before and after those that are used: the first ones of an encoder are coarse."""
_PRE_ROLL = 2
"""Packets that are decoded before those whose samples are used; one would do."""
_TRIES, _READING = 2, 0.1
"""Tries that a gap takes, about; and the time that a packet takes to be read, in that of encoding one."""
_HARDLY_SECONDS = 30
"""Sound that is encoded in so little time that nobody waits for it."""
_SEARCHED = 64
"""Packets in which a joint is looked for, outwards from what changes."""


@dataclass(frozen=True)
class Piece:
    """Packets that are copied.

    Attributes:
        packets: numbers in the recording.
        place: sample of the result with which the first one begins to be heard.
    """

    packets: range
    place: int

    @property
    def end(self) -> int:
        """Sample of the result after the last one."""
        return self.place + FRAME * len(self.packets)


@dataclass(frozen=True)
class Span:
    """Samples of the result that are those of the recording.

    Attributes:
        first, last: in the result.
        shift: from the number of a sample in the result to that in the recording.
    """

    first: int
    last: int
    shift: int


def copy_sound(
    mix: MixedAudio, own: Path, seconds: Fraction, path: Path, encode: Encode, cancel: CancelToken
) -> None:
    """Write a mix as AAC in MP4, in which packets of a file are copied.

    Args:
        mix: the sound; it gets the sample rate of the file.
        own: the file, whose sound is heard alone where nothing changes.
        seconds: length of the result; the mix is cut off there, or followed by silence.
        path: the result; parts are encoded beside it.
        encode: encodes AAC in MP4.
        cancel: polled all the time.

    Raises:
        NotCopyableError: nothing can be copied, and why.
        MediaError: a recording cannot be decoded, or is another one by now.
        OSError, av.FFmpegError: the file cannot be written.
        Cancelled: the token was cancelled.
    """
    recording = copied_recording(mix, own)
    if recording is None or recording.stream is None:
        raise NotCopyableError("Nothing of it is heard alone", hint=HINT)
    rate = recording.info.sample_rate
    if recording.layout != mix.layout or (rate < mix.info.sample_rate and rate < _FULL_RATE):
        raise NotCopyableError(
            "The voice has more channels, or a higher sample rate",
            given=f"{mix.info.sample_rate} Hz, {len(mix.layout)} channels",
            hint=HINT,
        )
    mix, count = mix.at_rate(rate), round(seconds * rate)
    track = read_aac_track(recording.info.path, recording.stream, cancel)
    pieces = copied_pieces(track, unchanged_spans(mix, recording, count), count)
    if not pieces:
        raise NotCopyableError("Too little of it stays as it is", hint=HINT)
    _Joiner(mix, recording, track, pieces, (count, path, encode, cancel)).write()


def copied_recording(mix: MixedAudio, own: Path) -> AudioReader | None:
    """The recording of this file in a mix, if it is heard alone somewhere; of several the longest."""
    seconds: dict[AudioReader, float] = {}
    for clip in _heard_alone(mix):
        if clip.audio.stream is not None and clip.audio.info.path == own:
            seconds[clip.audio] = seconds.get(clip.audio, 0.0) + clip.seconds
    return max(seconds, key=seconds.__getitem__, default=None)


def unchanged_seconds(mix: MixedAudio, own: Path) -> float:
    """How much of a mix is the sound of this file alone."""
    return sum(clip.seconds for clip in _heard_alone(mix) if clip.audio.info.path == own)


def _heard_alone(mix: MixedAudio) -> list[MixClip]:
    """The clips of a mix that no other overlaps, in order."""
    return [group.clips[0] for group in mix.groups if len(group.clips) == 1]


def unchanged_spans(mix: MixedAudio, recording: AudioReader, count: int) -> list[Span]:
    """Where the recording is heard alone and without a fade, in order."""
    found = []
    fade = round(FADE_SECONDS * mix.info.sample_rate)
    for clip in _heard_alone(mix):
        if clip.audio is not recording:
            continue
        first, last, begin = mix.samples(clip.start), mix.samples(clip.end), mix.samples(clip.source_start)
        rise, fall = (clip.start > 0) * fade, (clip.end < mix.duration) * fade
        span = Span(first + rise, min(last - fall, count), begin - first)
        if span.first < span.last:
            found.append(span)
    return found


def copied_pieces(track: AacTrack, spans: Sequence[Span], count: int) -> list[Piece]:
    """What is copied, in order: on the grid on which most can be."""
    grids: dict[int, list[Piece]] = {}
    for span in spans:
        if (piece := _piece(track, span, count)) is not None:
            grids.setdefault(piece.place % FRAME, []).append(piece)
    return max(grids.values(), key=lambda one: sum(len(piece.packets) for piece in one), default=[])


def _piece(track: AacTrack, span: Span, count: int) -> Piece | None:
    """The packets of a span: what they give is in it, and so is what joints give on both sides."""
    origin = track.start - span.shift  # place of the first packet of the recording
    first = max(0, -origin // FRAME - 1) if span.first <= 0 else -((origin - span.first) // FRAME)
    last = min(track.count, (span.last - origin) // FRAME)
    if span.last >= count:  # the packet with the last sample, too; it may be the one that is heard in part
        last = min(track.count + (track.end - span.shift >= count), -((origin - count) // FRAME))
    piece = Piece(range(first, max(first, last)), origin + FRAME * first)
    if piece.place > 0:
        piece = _joined_later(track, piece, first)
    if piece.end < count:
        piece = _joined_earlier(track, piece, piece.packets.stop - 1)
    return piece if FRAME * len(piece.packets) >= _LEAST_SECONDS * track.rate else None


def _joined_later(track: AacTrack, piece: Piece, first: int) -> Piece:
    """The piece from the first packet on, from `first`, that can follow others; an empty one without any."""
    stop = piece.packets.stop
    for number in range(max(1, first), min(first + _SEARCHED, stop)):
        if min(track.shapes[number - 1 : number + 1]) >= 0:
            place = piece.place + FRAME * (number - piece.packets.start)
            return Piece(range(number, stop), place)
    return Piece(range(stop, stop), piece.end)


def _joined_earlier(track: AacTrack, piece: Piece, stop: int) -> Piece:
    """The piece up to the last packet before `stop` that others can follow; an empty one without any."""
    start = piece.packets.start
    for number in range(stop, max(start, stop - _SEARCHED), -1):
        if track.shapes[number - 1] >= 0:
            return replace(piece, packets=range(start, number))
    return replace(piece, packets=range(start, start))


@dataclass
class _Gap:
    """What is encoded between two pieces.

    Attributes:
        first, last: samples of the result, on the grid.
        file: what has been encoded; None as long as it is not.
        shape: that its last packet gets; -1 for its own.
    """

    first: int
    last: int
    file: Path | None = None
    shape: int = -1

    @property
    def packets(self) -> int:
        """How many are used."""
        return (self.last - self.first) // FRAME


class _Joiner:
    """Encodes what lies between pieces, and joins all.

    Args:
        mix, recording, track, pieces: as of `copy_sound`.
        rest: its further arguments.
    """

    def __init__(
        self,
        mix: MixedAudio,
        recording: AudioReader,
        track: AacTrack,
        pieces: Sequence[Piece],
        rest: tuple[int, Path, Encode, CancelToken],
    ) -> None:
        self._mix, self._recording, self._track, self._pieces = mix, recording, track, list(pieces)
        self._count, self._path, self._encode, self._cancel = rest
        self._stored: dict[int, bytes] = {}

    def write(self) -> None:
        """Write the file."""
        gaps = self._gaps()
        self._check_cost(gaps)
        self._store(gaps)
        order: list[Piece | _Gap] = []
        for number in range(len(gaps)):
            order.append(self._encoded(number))
            if number < len(self._pieces):
                order.append(self._pieces[number])  # its end may become earlier with the next gap
        parts = [self._pieces[at // 2] if isinstance(one, Piece) else one for at, one in enumerate(order)]
        self._stored = {}
        self._join([one for one in parts if isinstance(one, Piece) or one.packets])
        for one in parts:
            if isinstance(one, _Gap) and one.file is not None:
                one.file.unlink()

    # --- what is encoded -----------------------------------------------------------------------

    def _gaps(self) -> list[_Gap]:
        """Before the first piece, between two, and after the last one; empty ones included."""
        first, last = self._pieces[0], self._pieces[-1]
        begin, end = first.place, last.end
        if begin > 0:  # the first packet is heard before the result begins
            begin -= (-(-begin // FRAME) + 1) * FRAME
        if end < self._count:
            end += -((end - self._count) // FRAME) * FRAME
        edges = [
            (begin, first.place),
            *((a.end, b.place) for a, b in pairwise(self._pieces)),
            (last.end, end),
        ]
        return [_Gap(*edge) for edge in edges]

    def _check_cost(self, gaps: Sequence[_Gap]) -> None:
        """Check that copying takes no more than encoding all, or hardly more.

        A gap is encoded again where a joint fails, and each time its voices are read from their start.

        Raises:
            NotCopyableError: it takes more.
        """
        changed = [gap for gap in gaps if gap.packets]
        encoded = sum(gap.packets + _LEAD + _TAIL for gap in changed)
        read = sum(max(0, gap.last) // FRAME for gap in changed)
        all_of_it = (self._count + _HARDLY_SECONDS * self._track.rate) // FRAME
        if _TRIES * (encoded + read * _READING) > all_of_it:
            raise NotCopyableError("So much of it changes that encoding all of it is faster", hint=HINT)

    def _encoded(self, number: int) -> _Gap:
        """The gap before a piece, encoded; pieces are shortened where no joint is possible.

        Raises:
            NotCopyableError: there is no joint in what was read around the gap.
        """
        planned = self._gaps()[number]
        while True:
            gap = self._gaps()[number]
            if not gap.packets:
                return gap
            if max(planned.first - gap.first, gap.last - planned.last) > _SEARCHED * FRAME:
                raise NotCopyableError("The sound has no place for a joint", hint=HINT)
            before = self._pieces[number - 1] if number else None
            after = self._pieces[number] if number < len(self._pieces) else None
            fits_before, fits_after = self._try(gap, number, before, after)
            if fits_before and fits_after:
                return gap
            if before is not None and not fits_before:
                self._pieces[number - 1] = _joined_earlier(self._track, before, before.packets.stop - 1)
            if after is not None and not fits_after:
                self._pieces[number] = _joined_later(self._track, after, after.packets.start + 1)
            if any(FRAME * len(one.packets) < _LEAST_SECONDS * self._track.rate / 2 for one in self._pieces):
                raise NotCopyableError("The sound has no place for a joint", hint=HINT)

    def _try(self, gap: _Gap, number: int, before: Piece | None, after: Piece | None) -> tuple[bool, bool]:
        """Encode a gap; whether its first packet can follow a copied one, and its last one be followed."""
        shapes = self._track.shapes
        left = -1 if before is None else int(shapes[before.packets.stop - 1])
        right = -1 if after is None else int(shapes[after.packets.start - 1])
        gap.file, gap.shape = self._path.with_name(f"{self._path.stem}.{number}.m4a"), right
        first, last = gap.first - _LEAD * FRAME, gap.last + _TAIL * FRAME
        with closing(self._samples(first, last)) as samples:
            blocks = _folded(equal_blocks(samples, FRAME), gap.packets, left, right)
            self._encode(blocks, gap.file, self._track.rate)
        packets = list(islice(_packets_of(gap.file, self._track.config), _LEAD, _LEAD + gap.packets + 1))
        if len(packets) <= gap.packets:
            raise NotCopyableError("The encoder gives other packets than expected", hint=HINT)
        windows = [window_of(packets[at]) for at in (0, 1, -1)]
        return left < 0 or all(map(_joins, windows[:2])), right < 0 or _joins(windows[2])

    def _samples(self, first: int, last: int) -> Generator[FloatArray, None, None]:
        """Samples of the mix, with silence before its beginning and after the end of the result."""
        width, rate = len(self._mix.layout), self._mix.info.sample_rate
        start, stop = max(0, first), min(last, self._count)
        yield from silence(min(0, last) - first if first < 0 else 0, width, rate)
        if start < stop:
            part = self._mix.excerpt(start, stop, self._nearby)
            with closing(part.blocks(cancel=self._cancel)) as blocks:
                yield from blocks
        yield from silence(last - max(first, stop), width, rate)

    def _nearby(self, audio: AudioReader, first: int, last: int) -> AudioReader | None:
        """The recording's samples from its packets around them; None for other recordings."""
        if audio is not self._recording:
            return None
        return _Nearby(audio, self._track, self._stored, (first, last))

    def _store(self, gaps: Sequence[_Gap]) -> None:
        """Read the packets of the recording around the gaps, in one pass."""
        margin = (_LEAD + _SEARCHED) * FRAME
        needed: set[int] = set()

        def note(audio: AudioReader, first: int, last: int) -> AudioReader | None:
            if audio is self._recording:
                needed.update(_packet_range(self._track, first, last))
            return None

        for gap in gaps:
            if gap.packets:
                self._mix.excerpt(max(0, gap.first - margin), min(gap.last + margin, self._count), note)
        last = max(needed, default=-1)
        with closing(self._track.packets(self._cancel)) as packets:
            self._stored = {at: one for at, one in enumerate(islice(packets, last + 1)) if at in needed}

    # --- joining -------------------------------------------------------------------------------

    def _join(self, parts: Sequence[Piece | _Gap]) -> None:
        """Write the packets of all parts, in order."""
        first = parts[0]
        place = first.place if isinstance(first, Piece) else first.first
        with (
            self._path.open("wb") as file,
            av.open(file, "w", format="mp4") as out,
            closing(self._packets(parts)) as packets,
        ):
            with open_container(self._track.path) as container:
                stream: Any = out.add_stream_from_template(container.streams[self._track.stream])
            stream.time_base = Fraction(1, self._track.rate)
            for data in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, stream.time_base
                packet.pts = packet.dts = place
                packet.duration = min(FRAME, self._count - place)
                packet.is_keyframe = True
                out.mux(packet)
                place += FRAME

    def _packets(self, parts: Sequence[Piece | _Gap]) -> Generator[bytes, None, None]:
        at, source = 0, self._track.packets(self._cancel)
        try:
            for part in parts:
                if isinstance(part, _Gap):
                    yield from self._made(part)
                    continue
                if part.packets.start < at:
                    source.close()
                    at, source = 0, self._track.packets(self._cancel)
                yield from islice(source, part.packets.start - at, part.packets.stop - at)
                at = part.packets.stop
        finally:
            source.close()

    def _made(self, gap: _Gap) -> Iterator[bytes]:
        """The packets of a gap that are used."""
        assert gap.file is not None
        first = _LEAD + 1
        made = list(islice(_packets_of(gap.file, self._track.config), first, first + gap.packets))
        yield from made[:-1]
        yield with_shape(made[-1], gap.shape) if gap.shape >= 0 else made[-1]


def _joins(window: Window | None) -> bool:
    """Whether a packet of the encoder has the windows with which `_folded` reckons."""
    return window is not None and window.long and window.shape == KBD


def _folded(blocks: Iterator[FloatArray], packets: int, left: int, right: int) -> Iterator[FloatArray]:
    """The blocks for the encoder; those at joints so that its windows give what the recording's would."""
    for number, block in enumerate(blocks):
        if number == _LEAD and left >= 0 and left != KBD:
            yield refolded(block, KBD, left, -1)
        elif number == _LEAD + packets and right >= 0 and right != KBD:
            yield refolded(block, KBD, right, 1)
        else:
            yield block


def _packets_of(path: Path, config: bytes) -> Iterator[bytes]:
    """The packets of an encoded file."""
    with open_container(path) as container:
        [stream] = container.streams.audio
        if bytes(stream.codec_context.extradata or b"")[:2] != config[:2]:
            raise NotCopyableError("The encoder gives another AAC than the recording's", hint=HINT)
        yield from (bytes(packet) for packet in container.demux(stream) if packet.size)


def _packet_range(track: AacTrack, first: int, last: int) -> range:
    """The packets that are decoded for these samples of the recording."""
    begin = (first - track.start) // FRAME - _PRE_ROLL
    return range(max(0, begin), max(0, -((track.start - min(last, track.end)) // FRAME)))


class _Nearby(DerivedAudio):
    """Samples of a recording, from packets that are in memory.

    Args:
        audio: the recording.
        stored: packets by their number.
        samples: the first one, and the one after the last.
    """

    def __init__(
        self, audio: AudioReader, track: AacTrack, stored: dict[int, bytes], samples: tuple[int, int]
    ) -> None:
        super().__init__(audio)
        self._track, self._stored, self._samples = track, stored, samples
        self.duration = (samples[1] - samples[0]) / track.rate
        self.info = AudioInfo(audio.info.path, track.rate, len(track.layout), self.duration)
        self.ranges = ((0.0, self.duration),)

    def blocks(self, *, cancel: CancelToken | None = None) -> Generator[FloatArray, None, None]:
        """The samples; see `AudioReader.blocks`."""
        track, (first, last) = self._track, self._samples
        wanted = _packet_range(track, first, last)
        at = track.start + FRAME * wanted.start
        yield from silence(min(at, last) - first, len(track.layout), track.rate)
        first = max(first, at)
        for block in decode_packets(track, (self._stored[one] for one in wanted)):
            kept = block[max(0, first - at) : max(0, min(last, track.end) - at)]
            at += len(block)
            if len(kept):
                yield kept
        yield from silence(last - max(first, min(at, track.end)), len(track.layout), track.rate)


__all__ = [
    "Piece",
    "Span",
    "copied_pieces",
    "copied_recording",
    "copy_sound",
    "unchanged_seconds",
    "unchanged_spans",
]
