"""`lipsync verify` tells one changed byte in a result of every kind and container."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipsync.cli.main import main
from lipsync.media import FrameWriter, OutputSpec, ResumableWriter, open_audio, open_video, write_side_by_side
from lipsync.media.output_formats import VIDEO_CODECS
from lipsync.media.provenance import Marks, mark_and_move, own_credentials, sidecar_path
from lipsync.media.subtitles import add_subtitles
from lipsync.media.video.mouth_layer import LayerResult, alpha_levels
from tests.make_media import make_sound, make_video, number_frame
from tests.media.provenance.test_provenance import edit_of

pytest.importorskip("c2pa", reason="c2pa-python has no wheel for this machine")
FRAMES, WIDTH, HEIGHT = 3, 256, 120
Making = Callable[[Path, Path, Path], Path]


def spec_of(source: Path, voice: Path, codec: str = "h264", **more: Any) -> OutputSpec:
    marks = Marks(edit_of(source, voice), own_credentials())
    about = open_video(source).info
    return OutputSpec(
        WIDTH, HEIGHT, Fraction(25), FRAMES, open_audio(voice), about, codec=codec, marks=marks, **more
    )


def coded(codec: str, suffix: str, resumable: bool = False) -> Making:
    def make(folder: Path, source: Path, voice: Path) -> Path:
        target, spec = folder / f"out{suffix}", spec_of(source, voice, codec)
        writer: Any = ResumableWriter(target, spec, key="k", part_frames=2) if resumable else None
        with writer or FrameWriter(target, spec) as writing:
            for frame in open_video(source).read_yuv(range(FRAMES)):
                writing.write(frame)
        return target

    return make


def subtitled(suffix: str) -> Making:
    def make(folder: Path, source: Path, voice: Path) -> Path:
        plain = coded("h264", suffix)(folder, source, voice)
        (folder / "words.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nHello\n")
        part = add_subtitles(plain, folder / "words.srt", target=folder / f"part{suffix}")
        marked = mark_and_move(part, plain, spec_of(source, voice).marks, overwrite=True)
        assert marked.signed
        return marked.path

    return make


def side_by_side(folder: Path, source: Path, voice: Path) -> Path:
    marks = Marks(edit_of(source, source, voice), own_credentials())
    columns = [(open_video(source), np.arange(FRAMES))] * 2
    return write_side_by_side(columns, open_audio(voice), folder / "both.mp4", marks=marks)


def mouth_layer(codec: str, name: str) -> Making:
    def make(folder: Path, source: Path, voice: Path) -> Path:
        spec = spec_of(source, voice, codec, layer=True)
        levels = alpha_levels(spec.alpha_format)
        with FrameWriter(folder / name, spec) as writer:
            for frame in open_video(source).read_yuv(range(FRAMES)):
                writer.write(LayerResult(frame, frame, None, []).layer(frame, levels))
        return folder / name

    return make


def kinds() -> Iterator[tuple[str, Making]]:
    for codec, row in VIDEO_CODECS.items():
        for suffix in row.suffixes:
            yield f"{codec}{suffix}", coded(codec, suffix)
    for suffix in (".mp4", ".mov", ".mkv"):
        yield f"resumed{suffix}", coded("h264", suffix, resumable=True)
        yield f"subtitled{suffix}", subtitled(suffix)
    yield "side by side", side_by_side
    yield "mouth layer, ProRes", mouth_layer("prores", "layer.mov")
    yield "mouth layer, images", mouth_layer("png", "layer")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("media")
    frames = [number_frame(number, WIDTH, HEIGHT) for number in range(FRAMES)]
    return make_video(folder / "source.mp4", frames=frames), make_sound(folder / "voice.wav", 0.12)


def signed_places(result: Path) -> list[tuple[Path, int]]:
    """Bytes of frames and of what describes them, file by file."""
    files = sorted(path for path in result.iterdir()) if result.is_dir() else [result]
    if result.is_dir() or result.suffix == ".mkv":
        return [(file, file.stat().st_size // 2) for file in files if file.suffix != ".c2pa"]
    content = result.read_bytes()
    names = (b"mdat", b"stsz", b"mvhd", b"rdf:Description")
    return [(result, content.rindex(name) + 20) for name in names]


@pytest.mark.parametrize(("name", "make"), [pytest.param(*kind, id=kind[0]) for kind in kinds()])
def test_a_changed_byte_is_told(
    media: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    make: Making,
) -> None:
    result = make(tmp_path, *media)
    apart = result.is_dir() or result.suffix == ".mkv"
    beside = sidecar_path(result / "frames.sha256" if result.is_dir() else result)
    assert beside.is_file() == apart
    assert main(["verify", str(result), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["sidecar"], told["made_by_ai"]) == ("whole", apart, True)
    for file, place in signed_places(result):
        content = file.read_bytes()
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert main(["verify", str(result)]) == 1, (file.name, place)
        assert "TAMPERED" in capsys.readouterr().out
        file.write_bytes(content)
    assert main(["verify", str(result)]) == 0
