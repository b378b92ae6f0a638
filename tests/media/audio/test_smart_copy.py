"""Smart copy of sound: packets are the source's, joints are heard as little as any encoding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from lipsync.errors import Cancelled
from lipsync.media import FrameWriter, OutputSpec, open_audio, open_video
from lipsync.media.audio.aac import FRAME, KBD, SINE, _slope, window_of, with_shape
from lipsync.media.audio.encoder import EncodedTrack
from lipsync.media.audio.mix import MixedAudio, mix_segments
from lipsync.options import MediaOptions
from lipsync.progress import CancelToken
from lipsync.segments import Segment, place_segments
from lipsync.types import FloatArray, TimeRange
from tests.make_media import run_ffmpeg

SECONDS = 6
LINES = ((1.2, 2.0), (3.5, 4.1))
NOISE = 20.0
"""Decibels of the sound above the error of an encoder where it changes at once."""
AAC = ("-c:a", "aac", "-b:a", "128k", "-aac_pns", "0")  # without its noise, decoding is the same everywhere
_INAUDIBLE = 1e-9  # -90 dB


def sound(rate: int = 48_000, count: int = 2) -> FloatArray:
    """Tones that rise, and some noise, (n, channels)."""
    at = np.arange(SECONDS * rate) / rate
    noise = np.random.default_rng(1).standard_normal((len(at), count)) * 0.003
    tones = [0.3 * np.sin(2 * np.pi * (200 + 90 * number + 40 * at) * at) for number in range(count)]
    return np.asarray(np.stack(tones, axis=1) + noise, np.float32)


def make_source(path: Path, *settings: object, rate: int = 48_000, count: int = 2) -> Path:
    """A video of 6 s with such a sound."""
    raw = sound(rate, count).astype("<f4").tobytes()
    picture = ("-f", "lavfi", "-i", f"color=gray:size=32x32:rate=10:duration={SECONDS}")
    given = ("-f", "f32le", "-ar", str(rate), "-ac", str(count), "-i", "pipe:")
    run_ffmpeg(*picture, *given, "-c:v", "libx264", *(settings or AAC), path, data=raw)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source") / "source.mp4")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    tone = "sine=frequency=330:sample_rate=24000:duration=5,volume=0.5"
    run_ffmpeg("-f", "lavfi", "-i", tone, path)
    return path


def mix_of(video: Path, voice: Path, ranges: Sequence[TimeRange] = ()) -> MixedAudio:
    reader, spoken = open_video(video, MediaOptions(video_ranges=tuple(ranges))), open_audio(voice)
    seconds = float(reader.frame_count / reader.fps)
    lines = [Segment(TimeRange(*line), voice=TimeRange(*line)) for line in LINES]
    return mix_segments(place_segments(lines, seconds, [spoken.duration]), [spoken], seconds, reader)


def copied(mix: MixedAudio, own: Path, folder: Path) -> tuple[Path, EncodedTrack]:
    seconds = Fraction(round(mix.duration * 10), 10)
    with EncodedTrack(mix, seconds, folder / "audio.m4a", False, CancelToken(), own) as track:
        return track.path(), track


def samples_of(path: Path) -> FloatArray:
    return np.concatenate(list(open_audio(path).blocks()))


def same(one: FloatArray, other: FloatArray) -> npt.NDArray[np.bool_]:
    """Packets (n,) of which all samples are equal."""
    count = min(len(one), len(other)) // FRAME * FRAME
    equal = (one[:count] == other[:count]).reshape(-1, FRAME * one.shape[1])
    return np.asarray(equal.all(1))


def error(made: FloatArray, wanted: FloatArray) -> npt.NDArray[np.float64]:
    """Decibels of what is wanted above the error, of each packet."""
    count = min(len(made), len(wanted)) // FRAME * FRAME
    parts = [one[:count].astype(np.float64).reshape(-1, FRAME * one.shape[1]) for one in (made, wanted)]
    noise = ((parts[0] - parts[1]) ** 2).mean(1) + 1e-14
    return np.asarray(10 * np.log10(((parts[1] ** 2).mean(1) + _INAUDIBLE) / noise))


def check(made: FloatArray, mix: MixedAudio, heard: FloatArray) -> None:
    """Check that the lines alone are encoded anew, and how well."""
    wanted = np.concatenate(list(mix.blocks()))
    assert len(made) == len(wanted)
    rate, stay = mix.info.sample_rate, np.ones(len(made) // FRAME, np.bool_)
    for start, end in LINES:
        stay[int(start * rate) // FRAME - 5 : int(end * rate) // FRAME + 6] = False
    assert same(made, heard)[stay[: min(len(made), len(heard)) // FRAME]].all()
    assert error(made, wanted).min() > NOISE
    assert not same(made, heard)[[int((start + end) / 2 * rate) // FRAME for start, end in LINES]].any()


def test_what_nobody_says_anew_is_equal_to_the_bit(source: Path, voice: Path, tmp_path: Path) -> None:
    mix = mix_of(source, voice)
    path, track = copied(mix, source, tmp_path)
    check(samples_of(path), mix, samples_of(source))
    assert not track.not_copied
    assert [one.name for one in tmp_path.iterdir()] == ["audio.m4a"]
    whole = tmp_path / "whole.m4a"
    with EncodedTrack(mix, Fraction(SECONDS), whole, False, CancelToken()) as track:
        assert starting(track.path()) == starting(path)
    wanted = np.concatenate(list(mix.blocks()))
    one, other = (error(samples_of(made), wanted) for made in (path, whole))
    assert (one > np.minimum(other, 30) - 3)[1:].all(), "at the joints, too"


def starting(path: Path) -> tuple[int, int, int]:
    """First timestamp, length and number of the packets."""
    with av.open(str(path)) as container:
        packets = [one for one in container.demux(audio=0) if one.size]
    return packets[0].pts or 0, (packets[-1].pts or 0) + (packets[-1].duration or 0), len(packets)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_results_have_the_sound_where_it_was(source: Path, voice: Path, tmp_path: Path, suffix: str) -> None:
    """As other readers see it, too: ffmpeg decodes the same samples of the result as of the source."""
    mix, reader, made = mix_of(source, voice), open_video(source), {}
    for way in ("auto", "off"):
        made[way] = tmp_path / f"{way}{suffix}"
        spec = OutputSpec(32, 32, reader.fps, reader.frame_count, mix, reader.info, smart_copy=way)
        with FrameWriter(made[way], spec) as writer:
            for frame in reader.read_yuv(np.arange(reader.frame_count)):
                writer.write(frame)
    fast, slow, heard = (_decoded(path) for path in (made["auto"], made["off"], source))
    assert len(fast) == len(slow)
    check(samples_of(made["auto"]), mix, samples_of(source))
    assert same(fast, heard)[:50].all() and same(fast, heard)[-60:].all()
    assert error(fast, slow)[1:].min() > NOISE


def _decoded(path: Path) -> FloatArray:
    raw = run_ffmpeg("-i", path, "-vn", "-f", "f32le", "-xerror", "-")
    return np.frombuffer(raw, np.float32).reshape(-1, 2)


@pytest.mark.parametrize(
    ("suffix", "rate", "count", "settings"),
    [
        pytest.param(".mkv", 44_100, 2, (), id="times in whole milliseconds"),
        pytest.param(".mov", 22_050, 1, (), id="mono at a low rate"),
        pytest.param(".mp4", 48_000, 2, ("-output_ts_offset", "3.217"), id="begins later"),
    ],
)
def test_sources_in_other_forms(
    voice: Path, tmp_path: Path, suffix: str, rate: int, count: int, settings: tuple[str, ...]
) -> None:
    own = make_source(tmp_path / f"own{suffix}", *AAC, *settings, rate=rate, count=count)
    mix = mix_of(own, voice).at_rate(rate)
    path, track = copied(mix, own, tmp_path)
    assert not track.not_copied
    check(samples_of(path), mix, samples_of(own))


def test_sound_that_is_moved_against_the_pictures(voice: Path, source: Path, tmp_path: Path) -> None:
    """After the pictures begin, before, and with packets that an edit list leaves out."""
    for number, offset in enumerate(("0.3", "-0.3")):
        own = tmp_path / f"moved{number}.mp4"
        run_ffmpeg(
            "-i", source, "-itsoffset", offset, "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", own
        )
        mix = mix_of(own, voice)
        path, track = copied(mix, own, tmp_path)
        assert not track.not_copied
        wanted = np.concatenate(list(mix.blocks()))
        made = samples_of(path)
        assert len(made) == len(wanted)
        assert error(made, wanted).min() > NOISE
        assert same(made, wanted)[220:260].all()


def test_ranges_of_the_source_lie_on_one_grid(source: Path, voice: Path, tmp_path: Path) -> None:
    """Where the second one is heard alone for a second it is copied, the rest is encoded."""
    mix = mix_of(source, voice, (TimeRange(0.51, 1.1), TimeRange(1.4, 5.9)))
    path, track = copied(mix, source, tmp_path)
    made, wanted = samples_of(path), np.concatenate(list(mix.blocks()))
    assert not track.not_copied
    assert error(made, wanted)[1:-1].min() > NOISE
    assert error(made, wanted)[100:155].min() > 100
    assert error(made, wanted)[:20].max() < 80


def test_windows_of_the_other_shape(source: Path, voice: Path, tmp_path: Path) -> None:
    """Other encoders use sine windows: what is encoded beside them is made for these."""
    own = tmp_path / "sine.mp4"
    raw = _turned(sound()).astype("<f4").tobytes()
    given = ("-f", "f32le", "-ar", "48000", "-ac", "2", "-i", "pipe:")
    maps = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", *AAC, "-b:a", "320k")
    run_ffmpeg("-i", source, *given, *maps, tmp_path / "raw.mp4", data=raw)
    _copy_with_shape(tmp_path / "raw.mp4", own, SINE)
    heard = samples_of(own)
    assert np.median(error(heard, sound())) > 45, "the source is a good one"
    mix = mix_of(own, voice)
    path, track = copied(mix, own, tmp_path)
    assert not track.not_copied
    check(samples_of(path), mix, heard)


def _turned(samples: FloatArray) -> FloatArray:
    """Samples of which Kaiser-Bessel windows give what sine windows would have given of these.

    Both windows that meet fold each pair of samples, one with a sum and one with a difference.
    """
    half = FRAME // 2
    (sine, sine_end), (own, own_end) = (
        (slope[:half, None], slope[::-1][:half, None]) for slope in map(_slope, (SINE, KBD))
    )
    turned = samples.copy()
    for block in turned[: len(samples) // FRAME * FRAME].reshape(-1, FRAME, samples.shape[1]):
        first, last = block[:half].copy(), block[::-1][:half].copy()
        difference, total = sine * first - sine_end * last, sine_end * first + sine * last
        block[:half] = own * difference + own_end * total
        block[::-1][:half] = own * total - own_end * difference
    return turned


def _copy_with_shape(path: Path, target: Path, shape: int) -> None:
    with av.open(str(path)) as given, av.open(str(target), "w") as out:
        streams = {one.index: out.add_stream_from_template(one) for one in given.streams}
        for packet in given.demux():
            if packet.size:
                data = bytes(packet)
                if packet.stream.type == "audio" and window_of(data):
                    data = with_shape(data, shape)
                new = av.Packet(data)
                new.stream, new.time_base = streams[packet.stream.index], packet.time_base
                new.pts, new.dts, new.duration = packet.pts, packet.dts, packet.duration
                new.is_keyframe = packet.is_keyframe
                out.mux(new)


@pytest.mark.parametrize(
    ("settings", "count", "rate", "reason"),
    [
        (("-c:a", "libopus"), 2, 24_000, "the video's sound is no AAC"),
        (AAC, 6, 24_000, "the sound has more than two channels"),
        (AAC, 2, 96_000, ""),
        ((*AAC, "-ar", "32000"), 2, 48_000, "the voice has more channels, or a higher sample rate"),
    ],
)
def test_what_cannot_be_copied_is_told(
    tmp_path: Path, settings: tuple[str, ...], count: int, rate: int, reason: str
) -> None:
    own = make_source(tmp_path / "own.mkv", *settings, count=count)
    voice = tmp_path / "voice.wav"
    run_ffmpeg("-f", "lavfi", "-i", f"sine=sample_rate={rate}:duration=5", voice)
    mix = mix_of(own, voice)
    path, track = copied(mix, own, tmp_path)
    assert track.not_copied == reason
    assert len(track.warnings(always=True)) == bool(reason)
    assert not track.warnings(always=False), "it is too little"
    if not reason:
        mix = mix.at_rate(48_000)
    assert error(samples_of(path), np.concatenate(list(mix.blocks())))[2:-3].min() > 15


def test_sound_with_a_gap_is_not_copied(source: Path, voice: Path, tmp_path: Path) -> None:
    own = tmp_path / "gap.mkv"
    run_ffmpeg("-i", source, "-c", "copy", "-bsf:a", "noise=drop=between(pts*tb\\,2.2\\,3)", own)
    _, track = copied(mix_of(own, voice), own, tmp_path)
    assert track.not_copied == "the sound has gaps"


def test_a_mix_without_the_sound_of_the_source_is_encoded(source: Path, voice: Path, tmp_path: Path) -> None:
    reader, spoken = open_video(source), open_audio(voice)
    lines = place_segments([Segment(TimeRange(1, 3))], 6.0, [spoken.duration])
    _, track = copied(mix_segments(lines, [spoken], 6.0), reader.info.path, tmp_path)
    assert (track.not_copied, track.unchanged_seconds) == ("", 0)


def test_cancelling_ends_the_copy(source: Path, voice: Path, tmp_path: Path) -> None:
    mix, cancel = mix_of(source, voice), CancelToken()
    cancel.cancel()
    with (
        pytest.raises(Cancelled),
        EncodedTrack(mix, Fraction(SECONDS), tmp_path / "audio.m4a", False, cancel, source) as track,
    ):
        track.path()


@pytest.mark.parametrize("byte", [b"\x55", b"\xe0"], ids=["an error", "no samples"])
def test_a_damaged_packet_is_silent_and_moves_nothing(
    source: Path, voice: Path, tmp_path: Path, byte: bytes
) -> None:
    """Beside a line, where the source's sound is decoded for the joint."""
    damaged = tmp_path / "damaged.mp4"
    with av.open(str(source)) as container:
        at = [(one.pos, one.size) for one in container.demux(container.streams.audio[0]) if one.size]
    place, size = at[50]  # 1.07 s
    damaged.write_bytes(source.read_bytes())
    with damaged.open("r+b") as file:
        file.seek(place)
        file.write(byte * size)
    mix = mix_of(damaged, voice)
    path, track = copied(mix, damaged, tmp_path)
    assert not track.not_copied
    made, wanted = samples_of(path), np.concatenate(list(mix.blocks()))
    after = slice(53 * FRAME, 275 * FRAME)
    assert error(made[after], wanted[after]).min() > 15


def test_many_lines_are_encoded_instead(
    source: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.media.audio.smart_copy._HARDLY_SECONDS", 0)
    _, track = copied(mix_of(source, voice), source, tmp_path)
    assert "faster" in track.not_copied


def test_a_joint_is_looked_for_nearby_only(
    source: Path, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipsync.media.audio.smart_copy._SEARCHED", 3)
    monkeypatch.setattr("lipsync.media.audio.smart_copy._joins", lambda window: False)
    _, track = copied(mix_of(source, voice), source, tmp_path)
    assert "no place for a joint" in track.not_copied
