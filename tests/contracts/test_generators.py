"""Contract of lip generators; every registered one is tested."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lipsync.errors import Cancelled
from lipsync.generators import GENERATORS, LipGenerator
from lipsync.generators.builtin.composition import MAX_DETAIL_GAIN
from lipsync.options import NUMBER_FORMATS
from lipsync.types import AudioClip
from lipsync.weights import create_model
from tests.waiting import CancelAtLook


@pytest.fixture(scope="module", params=list(GENERATORS))
def generator(request: pytest.FixtureRequest, checkpoint: Path) -> LipGenerator:
    """Every member; those in the official format with random weights, others with their own."""
    weights = checkpoint if request.param.startswith("wav2lip") else None
    return create_model(
        GENERATORS, request.param, weights=weights, device="cpu", number_format="fp32", batch_size=2
    )


@pytest.fixture(scope="module")
def voice() -> AudioClip:
    """One second that changes all the time."""
    time = np.arange(16_000) / 16_000
    return AudioClip((0.3 * np.sin(2 * np.pi * (200 + 2000 * time) * time)).astype(np.float32))


@pytest.fixture(scope="module")
def make_crops(generator: LipGenerator) -> Callable[[int], npt.NDArray[np.uint8]]:
    """Crops of the size that the generator takes, else of one that suits no network."""
    shape = (*generator.spec.size_for(203, 171), 3)
    return lambda count: np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


Crops = Callable[[int], npt.NDArray[np.uint8]]


def test_spec(generator: LipGenerator) -> None:
    assert isinstance(generator, LipGenerator)
    spec = generator.spec
    assert spec.name in GENERATORS
    assert "fp32" in spec.number_formats and set(spec.number_formats) <= set(NUMBER_FORMATS)
    assert all(side > 0 for side in spec.size_for(300, 240))
    assert (spec.crop_size or (300, 240)) == spec.size_for(300, 240)
    assert spec.fps > 0 and spec.licence and spec.paper
    assert generator.batch_size == 2


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24000, 1001), 30.0, 60])
@pytest.mark.parametrize("frames", [0, 1, 3, 25, 200])
def test_one_row_a_frame(
    generator: LipGenerator, voice: AudioClip, fps: Fraction | float, frames: int
) -> None:
    rows = generator.encode_audio(voice, fps, frames)
    assert len(rows) == len(rows[:]) == frames
    assert rows[:].dtype == np.float32 and np.isfinite(rows[:]).all()


@pytest.mark.parametrize("samples", [0, 1, 300, 2000])
def test_very_short_audio(generator: LipGenerator, voice: AudioClip, samples: int) -> None:
    rows = generator.encode_audio(AudioClip(voice.samples[:samples]), 25, 3)
    assert len(rows[:]) == 3 and np.isfinite(rows[:]).all()


def test_after_the_audio_there_is_silence(generator: LipGenerator, voice: AudioClip) -> None:
    silent = AudioClip(np.zeros(16_000, np.float32))
    tail = generator.encode_audio(voice, 25, 100)[80:]
    np.testing.assert_allclose(tail, generator.encode_audio(silent, 25, 100)[80:], atol=1e-6)


def test_lead_shifts_the_rows(generator: LipGenerator, voice: AudioClip) -> None:
    plain = generator.encode_audio(voice, 25, 20)[:]
    led = generator.encode_audio(voice, 25, 20, lead=1)[:]
    np.testing.assert_array_equal(led[5:15], plain[4:14])


def test_encoding_stops_between_pieces(generator: LipGenerator, voice: AudioClip) -> None:
    long = AudioClip(np.tile(voice.samples, 250))
    cancel = CancelAtLook(2)
    with pytest.raises(Cancelled):
        generator.encode_audio(long, 25, 25, cancel=cancel)
    assert cancel.looks == 2


def test_rows_by_number(generator: LipGenerator, voice: AudioClip) -> None:
    rows = generator.encode_audio(voice, 25, 20)
    np.testing.assert_array_equal(rows[np.array([3, 9])], rows[:][[3, 9]])


def test_output_shape_dtype_and_range(generator: LipGenerator, voice: AudioClip, make_crops: Crops) -> None:
    crops = make_crops(3)
    before = crops.copy()
    drawn = generator.generate(crops, generator.encode_audio(voice, 25, 20)[5:8])
    assert isinstance(drawn, list if generator.spec.crop_size is None else np.ndarray)
    assert [mouth.shape for mouth in drawn] == [(3, *crop.shape[:2]) for crop in crops]
    assert all(mouth.dtype == np.float32 and 0 <= mouth.min() <= mouth.max() <= 1 for mouth in drawn)
    np.testing.assert_array_equal(crops, before)


def test_a_result_depends_on_its_own_frame_only(
    generator: LipGenerator, voice: AudioClip, make_crops: Crops
) -> None:
    crops, rows = make_crops(3), generator.encode_audio(voice, 25, 20)[5:8]
    together = generator.generate(crops, rows)
    for number in range(3):
        alone = generator.generate(crops[number : number + 1], rows[number : number + 1])
        difference = np.abs(alone[0] - together[number])
        # A few levels of 8 bits at a few pixels: where crops are 8-bit images, positions are rounded to 1/32
        # of a pixel, and these crops are noise; the built-in model restores detail, and amplifies them so.
        assert difference.max() < 6 * MAX_DETAIL_GAIN / 255 and difference.mean() < 1e-5


def test_audio_and_crop_both_matter(generator: LipGenerator, voice: AudioClip, make_crops: Crops) -> None:
    crops, rows = make_crops(2), generator.encode_audio(voice, 25, 20)[np.array([2, 15])]
    drawn = generator.generate(crops[[0, 0, 1]], rows[[0, 1, 0]])
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_an_empty_batch(generator: LipGenerator, voice: AudioClip, make_crops: Crops) -> None:
    rows = generator.encode_audio(voice, 25, 20)[:0]
    assert len(generator.generate(make_crops(0), rows)) == 0
