"""Contract of enhancers and upscalers; every registered one is tested."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lipsync import options
from lipsync.enhancers import ENHANCERS, UPSCALERS, Enhancer, Upscaler
from lipsync.errors import Cancelled
from lipsync.options import NUMBER_FORMATS
from lipsync.progress import CancelToken
from lipsync.weights import CATALOGUE, create_model
from tests.enhancers.made_up import write_enhancer, write_upscaler

Faces = npt.NDArray[np.uint8]


@pytest.fixture(scope="module", params=list(ENHANCERS))
def enhancer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Enhancer:
    """Every member, with small random weights in the official format."""
    weights = write_enhancer(tmp_path_factory.mktemp("weights"), request.param)
    return create_model(
        ENHANCERS, request.param, weights=weights, device="cpu", number_format="fp32", batch_size=2
    )


@pytest.fixture(scope="module")
def faces(enhancer: Enhancer) -> Faces:
    size = enhancer.spec.size
    return np.random.default_rng(1).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sharper(enhancer: Enhancer, faces: Faces) -> Faces:
    before = faces.copy()
    sharper = enhancer.enhance(faces)
    np.testing.assert_array_equal(faces, before)
    return sharper


def stopped() -> CancelToken:
    cancel = CancelToken()
    cancel.cancel()
    return cancel


def test_the_settings_name_the_members() -> None:
    offered = {field.name: tuple(field.metadata["choices"]) for _, field in options.declared_options()}
    assert offered["enhancer"] == ("none", *ENHANCERS)
    assert offered["upscaler"] == ("none", *UPSCALERS)
    assert {*ENHANCERS, *UPSCALERS} <= set(CATALOGUE)


def test_spec(enhancer: Enhancer) -> None:
    assert isinstance(enhancer, Enhancer)
    spec = enhancer.spec
    assert spec.name in ENHANCERS
    assert "fp32" in spec.number_formats and set(spec.number_formats) <= set(NUMBER_FORMATS)
    assert spec.size == 512 and spec.licence and spec.paper
    assert enhancer.batch_size == 2


def test_output_shape_dtype_and_range(faces: Faces, sharper: Faces) -> None:
    assert isinstance(sharper, np.ndarray)
    assert sharper.shape == faces.shape and sharper.dtype == np.uint8
    assert not np.array_equal(sharper, faces) and not np.array_equal(sharper[0], sharper[1])


def test_a_face_depends_on_itself_only(enhancer: Enhancer, faces: Faces, sharper: Faces) -> None:
    alone = enhancer.enhance(faces[1:])
    assert np.abs(alone[0].astype(int) - sharper[1]).max() <= 1


def test_strength_zero_changes_nothing(enhancer: Enhancer, faces: Faces) -> None:
    same = enhancer.enhance(faces, 0.0)
    np.testing.assert_array_equal(same, faces)
    assert same is not faces


def test_strength_mixes(enhancer: Enhancer, faces: Faces, sharper: Faces) -> None:
    mixed = enhancer.enhance(faces[:1], 0.25)[0]
    expected = 0.75 * faces[0] + 0.25 * sharper[0].astype(float)
    assert np.abs(mixed - expected).max() <= 1.2


def test_an_empty_batch(enhancer: Enhancer, faces: Faces) -> None:
    assert enhancer.enhance(faces[:0]).shape == faces[:0].shape


def test_faces_of_another_size_are_refused(enhancer: Enhancer, faces: Faces) -> None:
    with pytest.raises(ValueError, match="512"):
        enhancer.enhance(faces[:, :256])
    with pytest.raises(ValueError, match="uint8"):
        enhancer.enhance(faces.astype(np.float32))  # type: ignore[arg-type]


def test_cancel(enhancer: Enhancer, faces: Faces) -> None:
    with pytest.raises(Cancelled):
        enhancer.enhance(faces, 1.0, stopped())


@pytest.fixture(scope="module", params=list(UPSCALERS))
def upscaler(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Upscaler:
    weights = write_upscaler(tmp_path_factory.mktemp("weights"))
    return create_model(UPSCALERS, request.param, weights=weights, device="cpu", number_format="fp32")


def test_upscaler_spec(upscaler: Upscaler) -> None:
    assert isinstance(upscaler, Upscaler)
    spec = upscaler.spec
    assert spec.name in UPSCALERS and spec.scale >= 2
    assert "fp32" in spec.number_formats and set(spec.number_formats) <= set(NUMBER_FORMATS)
    assert spec.licence and spec.paper and upscaler.tile > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 2), (3, 5), (17, 40), (41, 16)])
def test_upscaled_size(upscaler: Upscaler, size: tuple[int, int]) -> None:
    frame = np.random.default_rng(2).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = frame.copy()
    larger = upscaler.upscale(frame)
    assert larger.shape == (size[0] * upscaler.spec.scale, size[1] * upscaler.spec.scale, 3)
    assert larger.dtype == np.uint8
    np.testing.assert_array_equal(frame, before)


def test_upscaler_cancel(upscaler: Upscaler) -> None:
    with pytest.raises(Cancelled):
        upscaler.upscale(np.zeros((8, 8, 3), np.uint8), stopped())
